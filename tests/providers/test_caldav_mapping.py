"""The lens laws of the calendar mapping, down to the text; and that a series stays what it was."""

from datetime import date, datetime, timedelta
from typing import Any

import pytest
import recurring_ical_events
from hypothesis import given, settings
from hypothesis import strategies as st
from icalendar import Calendar as ICalendar
from msgspec.structs import replace

from landbridge.errors import RecordError
from landbridge.formats import icalendar
from landbridge.models.calendar import (
    Answer,
    Attendance,
    Calendar,
    Event,
    EventStatus,
    Moment,
    Override,
    Person,
    Recurrence,
    Reminder,
    Visibility,
)
from landbridge.providers.caldav import caldav
from landbridge.spec import Mapped
from landbridge.testing.caldav.events import events as make_events

MAPS: Mapped[Event] = caldav.resource("VEVENT").maps  # type: ignore[assignment]

ZONES = st.sampled_from(["Europe/Vienna", "America/New_York", "Asia/Kolkata", "UTC", None])
LETTERS = st.characters(codec="utf-8", min_codepoint=32, exclude_characters="\x7f")
TEXT = st.text(LETTERS | st.just("\n"), max_size=90)
WORD = st.text(LETTERS, min_size=1, max_size=12).map(str.strip).filter(bool)
EMAIL = st.from_regex(r"[a-z]{1,8}@[a-z]{1,8}\.example", fullmatch=True)
WALL = st.datetimes(datetime(2000, 1, 1), datetime(2036, 1, 1)).map(  # noqa: DTZ001 - on the wall
    lambda at: at.replace(microsecond=0)
)


def people(**more: Any) -> st.SearchStrategy[Person]:
    return st.builds(Person, email=EMAIL, name=st.none() | WORD, **more)


ATTENDEES = st.lists(
    people(attendance=st.sampled_from(Attendance), answer=st.sampled_from(Answer)),
    max_size=3,
    unique_by=lambda person: person.email,
).map(tuple)
REMINDERS = st.lists(
    st.builds(
        Reminder,
        before=st.integers(-100_000, 1_000_000).map(lambda seconds: timedelta(seconds=seconds)),
        by_mail=st.booleans(),
    ),
    max_size=2,
).map(tuple)


@st.composite
def moments(draw: st.DrawFn, like: Moment | None = None) -> Moment:
    at = draw(WALL)
    if like is None:
        like = draw(st.sampled_from([Moment(day=date(2026, 1, 1)), None])) or Moment(
            local=at, zone=draw(ZONES)
        )
    return Moment(day=at.date()) if like.day else Moment(local=at, zone=like.zone)


def later(moment: Moment, minutes: int) -> Moment:
    if moment.day:
        return Moment(day=moment.day + timedelta(days=minutes))
    assert moment.local is not None
    return Moment(local=moment.local + timedelta(minutes=minutes), zone=moment.zone)


@st.composite
def happenings(draw: st.DrawFn, like: Moment | None = None) -> dict[str, Any]:
    start = draw(moments(like))
    end = st.none() | st.integers(0, 3000).map(lambda minutes: later(start, minutes))
    return {
        "title": draw(st.none() | TEXT),
        "description": draw(st.none() | TEXT),
        "location": draw(st.none() | TEXT),
        "url": draw(st.none() | st.just("https://example.com/?a=1;b,c")),
        "start": start,
        "end": draw(end),
        "status": draw(st.sampled_from(EventStatus)),
        "busy": draw(st.booleans()),
        "visibility": draw(st.sampled_from(Visibility)),
        "categories": tuple(draw(st.lists(WORD, max_size=3))),
        "organizer": draw(st.none() | people()),
        "attendees": draw(ATTENDEES),
        "reminders": draw(REMINDERS),
    }


@st.composite
def events(draw: st.DrawFn) -> Event:
    fields = draw(happenings())
    start = fields["start"]
    alike = st.lists(moments(start), max_size=3).map(tuple)
    rules = st.sampled_from([(), ("FREQ=WEEKLY;BYDAY=MO,WE",), ("FREQ=YEARLY;INTERVAL=2;COUNT=5",)])
    recurrence = draw(st.none() | st.builds(Recurrence, rules=rules, dates=alike, excluded=alike))
    if recurrence == Recurrence():
        recurrence = None
    originals = draw(st.lists(moments(start), max_size=2, unique=True))
    overrides = tuple(
        Override(original=original, **draw(happenings(start))) for original in originals
    )
    return Event(uid="u@example.com", **fields, recurrence=recurrence, overrides=overrides)


def unstamped(event: Event) -> Event:
    """The event without what only the provider writes."""
    overrides = tuple(
        replace(one, sequence=0, created_at=None, updated_at=None) for one in event.overrides
    )
    return replace(event, sequence=0, created_at=None, updated_at=None, overrides=overrides)


def text_of(event: Event) -> str:
    """The event as a server may hold it, with lines of other programs."""
    text = icalendar.render(MAPS.write(event), None)
    return text.replace("END:VEVENT", 'X-KEPT;X-P="a;b":1\\,2\r\nX-LONG: long\r\n er\r\nEND:VEVENT')


@settings(max_examples=40)
@given(events())
def test_what_is_written_reads_back(event: Event) -> None:
    assert unstamped(MAPS.read(icalendar.parse(text_of(event)))) == event


@settings(max_examples=40)
@given(events())
def test_an_event_that_did_not_change_writes_nothing(event: Event) -> None:
    text = text_of(event)
    read = MAPS.read(icalendar.parse(text))
    assert MAPS.write(read, base=read) == {}
    assert icalendar.render(MAPS.write(read, base=read), text) == text


@settings(max_examples=30)
@given(events(), events())
def test_a_change_is_what_reads_back_and_the_rest_stays(before: Event, after: Event) -> None:
    value = icalendar.parse(text_of(before))
    base = MAPS.read(value)
    changes = MAPS.write(after, base=base)
    out = icalendar.render(changes, text_of(before))
    assert unstamped(MAPS.read(icalendar.parse(out))) == after
    assert unstamped(MAPS.read(MAPS.apply(value, changes))) == after
    kept = 1 + len(
        {one.original for one in before.overrides} & {o.original for o in after.overrides}
    )
    assert out.count('X-KEPT;X-P="a;b":1\\,2\r\nX-LONG: long\r\n er\r\n') == kept
    assert all(len(line.encode()) <= 75 for line in out.split("\r\n"))


@settings(max_examples=30)
@given(events(), st.data())
def test_one_changed_field_touches_no_line_of_another(event: Event, data: st.DataObject) -> None:
    text = text_of(event)
    base = MAPS.read(icalendar.parse(text))
    changed = replace(base, title=data.draw(TEXT))
    out = icalendar.render(MAPS.write(changed, base=base), text)
    for name in ("DTSTART", "DTEND", "DESCRIPTION", "ATTENDEE", "RRULE", "X-KEPT", "BEGIN"):
        lines = [line for line in text.split("\r\n") if line.startswith(name)]
        assert lines == [line for line in out.split("\r\n") if line.startswith(name)]


@pytest.mark.parametrize("seed", range(3))
def test_a_series_takes_place_when_it_did(seed: int) -> None:
    for item in make_events(24, seed=seed):
        read = MAPS.read(icalendar.parse(item.text))
        written = icalendar.render(MAPS.write(read), None)
        assert _instances(written) == _instances(item.text), item.text


def _instances(text: str) -> list[tuple[str, str, str]]:
    parsed = ICalendar.from_ical(text)
    found = recurring_ical_events.of(parsed).between((2025, 6, 1), (2027, 1, 1))
    return sorted(
        (str(one["DTSTART"].dt), str(one["DTEND"].dt), str(one.get("SUMMARY", ""))) for one in found
    )


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ("SUMMARY:x", "Event.start: nothing at DTSTART"),
        (
            "DTSTART:20260101\nSTATUS:COMPLETED",
            "Event.status: 'COMPLETED' at STATUS is none of CONFIRMED, TENTATIVE, CANCELLED",
        ),
    ],
)
def test_an_event_that_cannot_be_mapped_names_the_field(lines: str, words: str) -> None:
    value = icalendar.parse(f"BEGIN:VEVENT\nUID:u\n{lines}\nEND:VEVENT")
    with pytest.raises(RecordError) as caught:
        MAPS.read(value)
    assert str(caught.value) == words


def test_uid_and_calendar_are_given_once() -> None:
    value = icalendar.parse("BEGIN:VEVENT\nUID:u\nDTSTART:20260101\nEND:VEVENT")
    base = MAPS.read({**value, "calendar": "/c/"})
    for changed in (replace(base, uid="v"), replace(base, calendar="/d/")):
        with pytest.raises(RecordError, match="only when the record is made"):
            MAPS.write(changed, base=base)


def test_a_calendar_is_read_and_never_written() -> None:
    maps: Mapped[Calendar] | None = caldav.resource("calendar").maps
    assert maps is not None
    value = {"href": "/c/", "displayname": "Work", "zone": "Europe/Vienna", "writable": False}
    assert maps.read(value) == Calendar(id="/c/", name="Work", zone="Europe/Vienna", writable=False)
    assert maps.written == ()

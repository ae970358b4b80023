"""Calendar objects: what is read from their text, and what a change leaves alone."""

from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from icalendar import Calendar

from landbridge.errors import RecordError
from landbridge.formats import codec, icalendar
from landbridge.formats._contentlines import Line, escape, read, split_list, unescape, write
from landbridge.formats.canonical import canonical
from landbridge.spec import Format

WINDOWS_ZONE = """BEGIN:VTIMEZONE
TZID:{tzid}
BEGIN:STANDARD
DTSTART:16010101T030000
TZOFFSETFROM:+0200
TZOFFSETTO:+0100
RRULE:FREQ=YEARLY;BYDAY=-1SU;BYMONTH=10
END:STANDARD
BEGIN:DAYLIGHT
DTSTART:16010101T020000
TZOFFSETFROM:+0100
TZOFFSETTO:+0200
RRULE:FREQ=YEARLY;BYDAY=-1SU;BYMONTH=3
END:DAYLIGHT
END:VTIMEZONE"""

ODD_ZONE = """BEGIN:VTIMEZONE
TZID:Odd
BEGIN:STANDARD
DTSTART:20200101T000000
TZOFFSETFROM:+0017
TZOFFSETTO:+0017
END:STANDARD
END:VTIMEZONE"""

SERIES = """BEGIN:VEVENT
UID:series@example.com
DTSTAMP:20260101T000000Z
DTSTART;TZID=Europe/Vienna;X-MARK="a:b":20260105T090000
DURATION:PT1H
SUMMARY;LANGUAGE=de:Besprechung\\, wöchentlich\\; mit einem so langen Titel\\n dass er
  gefaltet wird
rrule:FREQ=WEEKLY;BYDAY=MO
EXDATE;TZID=Europe/Vienna:20260112T090000,20260119T090000
ORGANIZER;CN=Boss;SENT-BY="mailto:pa@example.com":MAILTO:boss@example.com
ATTENDEE;CN="Doe, Jo";ROLE=CHAIR;RSVP=TRUE:mailto:jo@example.com
ATTENDEE;CUTYPE=ROOM;PARTSTAT=ACCEPTED:mailto:room@example.com
ATTENDEE;PARTSTAT=DELEGATED;EMAIL=al@example.com:urn:uuid:1
CATEGORIES:A,B\\,C
CATEGORIES:D
X-KEPT;X-P="1;2":keep\\;me
BEGIN:VALARM
TRIGGER:-PT15M
ACTION:AUDIO
ATTACH;VALUE=URI:sound.wav
END:VALARM
BEGIN:VALARM
TRIGGER;RELATED=END:PT0S
ACTION:DISPLAY
END:VALARM
END:VEVENT
BEGIN:VEVENT
UID:series@example.com
DTSTAMP:20260101T000000Z
RECURRENCE-ID;TZID=Europe/Vienna:20260126T090000
DTSTART;TZID=Europe/Vienna:20260126T100000
DTEND;TZID=Europe/Vienna:20260126T110000
SUMMARY:moved
X-KEPT-TOO:1
END:VEVENT"""


def calendar(*blocks: str, head: str = "VERSION:2.0\nPRODID:test") -> str:
    return "\n".join(["BEGIN:VCALENDAR", head, *blocks, "END:VCALENDAR"]) + "\n"


def event(*lines: str) -> str:
    return calendar("\n".join(["BEGIN:VEVENT", "UID:u", *lines, "END:VEVENT"]))


def changed(before: str, after: str) -> tuple[list[str], list[str]]:
    """The lines that only the one text has, and those that only the other has."""
    old, new = before.splitlines(), after.splitlines()
    return [line for line in old if line not in new], [line for line in new if line not in old]


# --- content lines ---


@given(st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\x0b\x0c\x1c")))
def test_a_text_survives_escaping(text: str) -> None:
    lines = text.replace("\r\n", "\n").replace("\r", "\n")
    kept = "".join(c for c in lines if c in "\t\n" or (c >= " " and c != "\x7f"))
    assert unescape(escape(text)) == kept
    assert split_list(f"{escape(text)},{escape(text)}") == [kept, kept]


@given(
    name=st.from_regex(r"X-[A-Z]{1,10}", fullmatch=True),
    parameter=st.text(alphabet=st.characters(codec="utf-8", min_codepoint=32), min_size=1),
    value=st.text(max_size=300),
)
def test_a_line_is_folded_at_75_octets_and_reads_back(
    name: str, parameter: str, value: str
) -> None:
    line = Line.of(name, escape(value), {"X-P": parameter})
    assert all(len(part.encode()) <= 75 for part in line.raw.split("\r\n"))
    again = Line(line.raw)
    assert (again.name, again.value) == (name, escape(value))
    assert again.parameter("X-P") == parameter.replace("\x7f", "")


def test_what_is_not_changed_stays_byte_for_byte() -> None:
    text = calendar(SERIES, WINDOWS_ZONE.format(tzid="x")).replace("\n", "\r\n")
    assert icalendar.render({}, text) == text
    assert write(read(text)) == text


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_any_line_end_is_read(end: str) -> None:
    assert icalendar.parse(calendar(SERIES).replace("\n", end))["UID"] == "series@example.com"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "the text is empty"),
        ("hello", "the line 'hello' has no colon before its value"),
        ("A:b", "the line 'A:b' stands outside BEGIN and END"),
        ("BEGIN:VCALENDAR\nBEGIN:VEVENT\nUID:1\n", "BEGIN:VEVENT has no END; the text is cut off"),
        ("BEGIN:VCALENDAR\nEND:VEVENT", "END:VEVENT has no BEGIN:VEVENT before it"),
        (calendar(), "there is no VEVENT in it"),
        ("BEGIN:VTODO\nUID:1\nEND:VTODO", "expected a VCALENDAR or a VEVENT, found VTODO"),
        (calendar("BEGIN:A\n" * 9 + "END:A\n" * 9), "blocks are nested more than 8 deep"),
        (calendar() + calendar(), "2 blocks stand side by side; expected one"),
        (
            calendar(SERIES, SERIES.replace("series@", "other@")),
            "it holds events with 2 different UIDs; one object is one event",
        ),
        (
            calendar(SERIES, SERIES.partition("\nBEGIN:VEVENT")[0]),
            "it holds 2 VEVENTs without RECURRENCE-ID; expected one",
        ),
    ],
)
def test_a_text_that_is_no_event_says_why(text: str, words: str) -> None:
    with pytest.raises(RecordError) as caught:
        icalendar.parse(text)
    assert str(caught.value) == f"VEVENT: {words}"


@pytest.mark.parametrize(
    ("line", "name", "words"),
    [
        ("DTSTART:tomorrow", "DTSTART", "'tomorrow' is no date or time like 20260131T090000"),
        ("DTSTART:20260230", "DTSTART", "there is no '20260230' in the calendar"),
        (
            "DTSTART;TZID=Nowhere:20260101T090000",
            "DTSTART",
            "the zone 'Nowhere' is unknown and has no VTIMEZONE beside it",
        ),
        ("DTSTART:20260101\nDURATION:soon", "DURATION", "'soon' is no duration like PT1H30M"),
        ("DTSTART:20260101\nEXRULE:FREQ=DAILY", "EXRULE", "RFC 5545 has dropped it; use EXDATE"),
    ],
)
def test_a_property_that_cannot_be_read_is_named(line: str, name: str, words: str) -> None:
    with pytest.raises(RecordError) as caught:
        icalendar.parse(event(line))
    assert str(caught.value) == f"VEVENT.{name}: {words}"
    assert caught.value.field == name


# --- reading ---


def test_a_series_with_everything_in_it() -> None:
    found = icalendar.parse(calendar(SERIES))
    assert found["DTSTART"] == "2026-01-05T09:00:00[Europe/Vienna]"
    assert found["DTEND"] == "2026-01-05T10:00:00[Europe/Vienna]"
    assert found["SUMMARY"] == (
        "Besprechung, wöchentlich; mit einem so langen Titel\n dass er gefaltet wird"
    )
    assert found["recurrence"] == {
        "RRULE": ["FREQ=WEEKLY;BYDAY=MO"],
        "EXDATE": ["2026-01-12T09:00:00[Europe/Vienna]", "2026-01-19T09:00:00[Europe/Vienna]"],
    }
    assert found["ORGANIZER"] == {"email": "boss@example.com", "CN": "Boss"}
    assert found["ATTENDEE"] == [
        {
            "email": "jo@example.com",
            "CN": "Doe, Jo",
            "ROLE": "REQ-PARTICIPANT",
            "PARTSTAT": "NEEDS-ACTION",
        },
        {"email": "room@example.com", "ROLE": "RESOURCE", "PARTSTAT": "ACCEPTED"},
        {"email": "al@example.com", "ROLE": "REQ-PARTICIPANT", "PARTSTAT": "NEEDS-ACTION"},
    ]
    assert found["CATEGORIES"] == ["A", "B,C", "D"]
    assert found["VALARM"] == [{"TRIGGER": "-PT15M", "ACTION": "DISPLAY"}]
    assert (found["STATUS"], found["TRANSP"], found["CLASS"]) == ("CONFIRMED", "OPAQUE", "DEFAULT")
    (override,) = found["overrides"]
    assert override["RECURRENCE-ID"] == "2026-01-26T09:00:00[Europe/Vienna]"
    assert override["SUMMARY"] == "moved"


@pytest.mark.parametrize(
    ("lines", "start", "end"),
    [
        (["DTSTART;VALUE=DATE:20260131"], "2026-01-31", None),
        (["DTSTART;VALUE=DATE:20260131", "DTEND;VALUE=DATE:20260202"], "2026-01-31", "2026-02-02"),
        (["DTSTART:20260131", "DURATION:P1W"], "2026-01-31", "2026-02-07"),
        (["DTSTART:20260131T090000"], "2026-01-31T09:00:00", None),
        (
            ["DTSTART:20260131T235960Z", "DURATION:PT1M"],
            "2026-01-31T23:59:59[UTC]",
            "2026-02-01T00:00:59[UTC]",
        ),
        # The night of 28 to 29 March 2026 is an hour shorter in Vienna: days count by the wall
        # clock, hours by the stopwatch (RFC 5545 section 3.3.6).
        (
            ["DTSTART;TZID=Europe/Vienna:20260328T230000", "DURATION:P1D"],
            "2026-03-28T23:00:00[Europe/Vienna]",
            "2026-03-29T23:00:00[Europe/Vienna]",
        ),
        (
            ["DTSTART;TZID=Europe/Vienna:20260328T230000", "DURATION:PT5H"],
            "2026-03-28T23:00:00[Europe/Vienna]",
            "2026-03-29T05:00:00[Europe/Vienna]",
        ),
    ],
)
def test_starts_and_ends_of_every_kind(lines: list[str], start: str, end: str | None) -> None:
    found = icalendar.parse(event(*lines))
    assert (found["DTSTART"], found.get("DTEND")) == (start, end)


@pytest.mark.parametrize(
    "tzid",
    [
        "Europe/Berlin",
        "/freeassociation.sourceforge.net/Europe/Berlin",
        "/citadel.org/20260101_1/Europe/Berlin",
        "W. Europe Standard Time",
        "Amtszeit",
    ],
)
def test_zones_by_any_name(tzid: str) -> None:
    lines = f"BEGIN:VEVENT\nUID:u\nDTSTART;TZID={tzid}:20260601T090000\nEND:VEVENT"
    found = icalendar.parse(calendar(WINDOWS_ZONE.format(tzid=tzid), lines))
    assert found["DTSTART"] == "2026-06-01T09:00:00[Europe/Berlin]"


def test_the_location_that_a_zone_names() -> None:
    block = ODD_ZONE.replace("TZID:Odd", "TZID:Odd\nX-LIC-LOCATION:Europe/Rome")
    lines = "BEGIN:VEVENT\nUID:u\nDTSTART;TZID=Odd:20260601T090000\nEND:VEVENT"
    assert icalendar.parse(calendar(block, lines))["DTSTART"].endswith("[Europe/Rome]")
    assert icalendar.zone_of(calendar(block)) == "Europe/Rome"


def test_rules_that_no_zone_has_are_followed_to_utc_unless_the_event_repeats() -> None:
    lines = "BEGIN:VEVENT\nUID:u\nDTSTART;TZID=Odd:20260601T090000\nEND:VEVENT"
    assert icalendar.parse(calendar(ODD_ZONE, lines))["DTSTART"] == "2026-06-01T08:43:00[UTC]"
    series = lines.replace("END:VEVENT", "RRULE:FREQ=DAILY\nEND:VEVENT")
    with pytest.raises(RecordError, match="no IANA zone has the rules"):
        icalendar.parse(calendar(ODD_ZONE, series))


def test_a_zone_that_would_never_end_is_refused() -> None:
    block = WINDOWS_ZONE.format(tzid="x").replace("FREQ=YEARLY", "FREQ=SECONDLY")
    lines = "BEGIN:VEVENT\nUID:u\nDTSTART;TZID=x:20260601T090000\nEND:VEVENT"
    with pytest.raises(RecordError, match="a rule that is not yearly"):
        icalendar.parse(calendar(block, lines))


def test_instances_without_their_series_are_read_as_the_first_of_them() -> None:
    instance = SERIES.partition("END:VEVENT\n")[2]
    second = instance.replace("20260126T", "20260202T")
    found = icalendar.parse(calendar(instance, second))
    assert found["series"] == "series@example.com"
    assert found["RECURRENCE-ID"] == "2026-01-26T09:00:00[Europe/Vienna]"
    assert [one["RECURRENCE-ID"] for one in found["overrides"]] == [
        "2026-02-02T09:00:00[Europe/Vienna]"
    ]
    out = icalendar.render({"SUMMARY": "new"}, calendar(instance, second))
    gone, new = changed(calendar(instance, second), out)
    assert (gone, new) == ([], ["SUMMARY:new"])


def test_notes_of_other_programs_that_make_no_sense_are_passed_over() -> None:
    found = icalendar.parse(event("DTSTART:20260101", "CREATED:00000000T000000Z", "SEQUENCE:x"))
    assert "CREATED" not in found
    assert "SEQUENCE" not in found


@pytest.mark.parametrize(
    ("line", "name", "value"),
    [
        ("CLASS:x-secret", "CLASS", "PRIVATE"),
        ("CLASS:public", "CLASS", "PUBLIC"),
        ("STATUS:tentative", "STATUS", "TENTATIVE"),
        ("DESCRIPTION:", "DESCRIPTION", ""),
        (r"LOCATION:a\,b\;c\\n\n\Nd", "LOCATION", "a,b;c\\n\n\nd"),
        ("URL:https://x/?a=1;b,c", "URL", "https://x/?a=1;b,c"),
        ("SEQUENCE:3", "SEQUENCE", 3),
        ("CREATED:20260101T000000Z", "CREATED", "2026-01-01T00:00:00Z"),
        ("LAST-MODIFIED:20260101", "LAST-MODIFIED", "2026-01-01T00:00:00Z"),
        (
            "RDATE;VALUE=PERIOD:20260102T090000Z/PT1H,20260103T090000Z/20260103T100000Z",
            "recurrence",
            {"RDATE": ["2026-01-02T09:00:00[UTC]", "2026-01-03T09:00:00[UTC]"]},
        ),
    ],
)
def test_single_properties(line: str, name: str, value: Any) -> None:
    assert icalendar.parse(event("DTSTART:20260101T000000Z", line))[name] == value


def test_a_stored_member_is_read_with_its_place() -> None:
    raw = canonical(
        {"href": "/c/1.ics", "etag": '"1"', "calendar": "/c/", "data": event("DTSTART:20260101")}
    )
    value = codec(Format.ICALENDAR).parse(raw)
    assert (value["href"], value["etag"], value["calendar"]) == ("/c/1.ics", '"1"', "/c/")
    assert value["DTSTART"] == "2026-01-01"
    with pytest.raises(RecordError, match="without its text"):
        codec(Format.ICALENDAR).parse(b'{"href": "/c/1.ics"}')


# --- writing ---


def test_a_change_touches_its_own_lines_only() -> None:
    text = calendar(SERIES)
    out = icalendar.render({"SUMMARY": "Neu", "LOCATION": "Hier; dort"}, text)
    gone, new = changed(text, out)
    assert gone == [
        r"SUMMARY;LANGUAGE=de:Besprechung\, wöchentlich\; mit einem so langen Titel\n dass er",
        "  gefaltet wird",
    ]
    assert new == ["SUMMARY;LANGUAGE=de:Neu", r"LOCATION:Hier\; dort"]


def test_moving_the_start_keeps_the_end_and_counts_the_revision() -> None:
    out = icalendar.render({"DTSTART": "2026-01-05T08:00:00[Europe/Vienna]"}, calendar(SERIES))
    gone, new = changed(calendar(SERIES), out.partition("BEGIN:VEVENT\r\n")[2])
    assert new == [
        'DTSTART;TZID=Europe/Vienna;X-MARK="a:b":20260105T080000',
        "DTEND;TZID=Europe/Vienna:20260105T100000",
        "SEQUENCE:1",
    ]
    assert "DURATION:PT1H" in gone
    assert "DURATION" not in out


def test_a_zone_that_is_written_gets_its_rules_once() -> None:
    out = icalendar.render({"DTSTART": "2026-01-05T08:00:00[Europe/Vienna]"}, calendar(SERIES))
    assert out.count("BEGIN:VTIMEZONE") == 1
    again = icalendar.render({"DTSTART": "2026-01-05T07:00:00[Europe/Vienna]"}, out)
    assert again.count("BEGIN:VTIMEZONE") == 1
    made = Calendar.from_ical(out)
    rules = made.walk("VTIMEZONE")[0].to_tz(lookup_tzid=False)  # type: ignore[attr-defined]
    assert rules.utcoffset(datetime.fromisoformat("2040-07-01")).total_seconds() == 7200
    with pytest.raises(RecordError, match=r"DTSTART: 'Mars/Base' is not an IANA time zone"):
        icalendar.render({"DTSTART": "2026-01-05T08:00:00[Mars/Base]"}, None)


def test_the_objects_own_name_for_a_zone_is_used_again() -> None:
    zone = WINDOWS_ZONE.format(tzid="W. Europe Standard Time")
    lines = "BEGIN:VEVENT\nUID:u\nDTSTART;TZID=W. Europe Standard Time:20260601T090000\nEND:VEVENT"
    out = icalendar.render({"DTEND": "2026-06-01T10:00:00[Europe/Berlin]"}, calendar(zone, lines))
    assert "DTEND;TZID=W. Europe Standard Time:20260601T100000" in out
    assert out.count("BEGIN:VTIMEZONE") == 1


def test_people_keep_what_is_not_shown_of_them() -> None:
    attendees = icalendar.parse(calendar(SERIES))["ATTENDEE"]
    attendees[0]["CN"] = 'Jo "J" Doe; Dr.'
    attendees[1]["PARTSTAT"] = "DECLINED"
    attendees.append({"email": "new@example.com", "ROLE": "RESOURCE"})
    out = icalendar.render({"ATTENDEE": attendees}, calendar(SERIES))
    _, new = changed(calendar(SERIES), out)
    assert new == [
        "ATTENDEE;CN=\"Jo ^'J^' Doe; Dr.\";ROLE=CHAIR;RSVP=TRUE:mailto:jo@example.com",
        "ATTENDEE;CUTYPE=ROOM;PARTSTAT=DECLINED:mailto:room@example.com",
        "ATTENDEE;CUTYPE=RESOURCE:mailto:new@example.com",
    ]
    assert icalendar.parse(out)["ATTENDEE"][0]["CN"] == 'Jo "J" Doe; Dr.'
    out = icalendar.render({"ATTENDEE": attendees[1:2]}, calendar(SERIES))
    assert [one["email"] for one in icalendar.parse(out)["ATTENDEE"]] == ["room@example.com"]


def test_the_organizer_changes_and_goes() -> None:
    out = icalendar.render({"ORGANIZER": {"email": "chef@example.com"}}, calendar(SERIES))
    assert 'ORGANIZER;CN=Boss;SENT-BY="mailto:pa@example.com":mailto:chef@example.com' in out
    assert "ORGANIZER" not in icalendar.render({"ORGANIZER": None}, calendar(SERIES))


@pytest.mark.parametrize("email", ["", "nobody", "a b@example.com", None])
def test_a_person_needs_an_address(email: str | None) -> None:
    with pytest.raises(RecordError, match="ATTENDEE: a person needs an e-mail address"):
        icalendar.render({"ATTENDEE": [{"email": email, "CN": "x"}]}, calendar(SERIES))


def test_alarms_that_are_not_shown_stay() -> None:
    wanted = [{"TRIGGER": "-PT15M", "ACTION": "DISPLAY"}, {"TRIGGER": "-P1D", "ACTION": "EMAIL"}]
    out = icalendar.render({"VALARM": wanted}, calendar(SERIES))
    assert icalendar.parse(out)["VALARM"] == wanted
    assert "ATTACH;VALUE=URI:sound.wav" in out
    assert "TRIGGER;RELATED=END:PT0S" in out
    none = icalendar.render({"VALARM": None}, calendar(SERIES))
    assert "sound.wav" not in none
    assert "TRIGGER;RELATED=END:PT0S" in none


def test_instances_are_changed_added_and_taken_away() -> None:
    first = "2026-01-26T09:00:00[Europe/Vienna]"
    second = "2026-02-02T09:00:00[Europe/Vienna]"
    wanted = [
        {"RECURRENCE-ID": first, "SUMMARY": "moved again"},
        {"RECURRENCE-ID": second, "DTSTART": "2026-02-02T12:00:00[Europe/Vienna]"},
    ]
    out = icalendar.render({"overrides": wanted}, calendar(SERIES))
    assert "X-KEPT-TOO:1" in out
    found = icalendar.parse(out)["overrides"]
    assert [one["RECURRENCE-ID"] for one in found] == [first, second]
    assert (found[0]["SUMMARY"], found[0]["DTSTART"][:16]) == ("moved again", "2026-01-26T10:00")
    assert found[1]["UID"] == "series@example.com"
    only = icalendar.parse(icalendar.render({"overrides": wanted[1:]}, out))["overrides"]
    assert [one["RECURRENCE-ID"] for one in only] == [second]
    assert "overrides" not in icalendar.parse(icalendar.render({"overrides": []}, out))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"DTSTART": None}, "DTSTART: an event needs a start"),
        ({"DTEND": "2026-01-06"}, "DTEND: it must be a day if DTSTART is one"),
        ({"DTEND": "2026-01-04T09:00:00[Europe/Vienna]"}, "DTEND: it lies before DTSTART"),
        ({"recurrence": {"RRULE": ["weekly"]}}, "RRULE: 'weekly' is no rule like FREQ=WEEKLY"),
        ({"recurrence": {"RRULE": ["FREQ=DAILY;COUNT=2;UNTIL=20260101T000000Z"]}}, "keep one"),
        ({"recurrence": {"RRULE": ["FREQ=DAILY;UNTIL=20260101"]}}, "RRULE: UNTIL must be a day"),
        ({"overrides": [{"SUMMARY": "x"}]}, "RECURRENCE-ID: a changed instance needs"),
    ],
)
def test_what_makes_no_event_is_not_written(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(RecordError) as caught:
        icalendar.render(changes, calendar(SERIES))
    assert words in str(caught.value)


def test_a_new_event_is_complete_and_the_same_each_time() -> None:
    made = {
        "DTSTART": "2026-01-31",
        "SUMMARY": "Fest",
        "recurrence": {"RRULE": ["FREQ=YEARLY"], "RDATE": ["2026-05-01"], "EXDATE": ["2027-01-31"]},
    }
    out = icalendar.render(made, None)
    assert out == icalendar.render(made, None)
    parsed = Calendar.from_ical(out)
    (one,) = parsed.walk("VEVENT")
    assert str(one["UID"]).endswith("@landbridge")
    assert one["DTSTAMP"] is not None
    assert parsed["VERSION"] == "2.0"
    assert icalendar.parse(out)["recurrence"] == made["recurrence"]


def test_clearing_takes_lines_away() -> None:
    names = ["SUMMARY", "recurrence", "CATEGORIES", "ATTENDEE", "ORGANIZER", "DTEND"]
    out = icalendar.render(dict.fromkeys(names), calendar(SERIES))
    found = icalendar.parse(out)
    assert not set(names) & set(found)
    assert "X-KEPT" in out

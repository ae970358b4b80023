"""Unified models of calendars. Events keep local time and zone; all-day events keep dates.

A meeting at nine stays at nine when the rules of summer time change: a zoned time is stored as
written (`local` and `zone`), and is turned into an instant only when one asks for it.
"""

from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import ClassVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from landbridge.errors import InvalidInput
from landbridge.models.base import Model, Part


class EventStatus(StrEnum):
    """Whether an event takes place."""

    CONFIRMED = "confirmed"
    TENTATIVE = "tentative"
    CANCELLED = "cancelled"


class Visibility(StrEnum):
    """Who may see an event's content."""

    DEFAULT = "default"
    PUBLIC = "public"
    PRIVATE = "private"
    CONFIDENTIAL = "confidential"


class Answer(StrEnum):
    """What somebody said to an invitation."""

    NONE = "none"
    ACCEPTED = "accepted"
    DECLINED = "declined"
    TENTATIVE = "tentative"


class Attendance(StrEnum):
    """What somebody or something is invited as."""

    REQUIRED = "required"
    OPTIONAL = "optional"
    INFORMED = "informed"
    """Gets a copy and is not expected."""
    RESOURCE = "resource"
    """A room or a thing."""


class Occupancy(StrEnum):
    """What a span in a free/busy answer means."""

    BUSY = "busy"
    TENTATIVE = "tentative"
    AWAY = "away"


class Moment(Part, frozen=True, kw_only=True):
    """A day, or a local time with or without a zone: exactly one of `day` and `local` is set."""

    day: date | None = None
    """The date of an all-day event; it has no zone."""
    local: datetime | None = None
    """The time on the wall, without an offset."""
    zone: str | None = None
    """IANA zone of `local`, `UTC` included; None: wherever the reader is (a floating time)."""

    def __post_init__(self) -> None:
        """Refuses both or none of `day` and `local`, a local time with offset, a day with zone."""
        if (self.day is None) == (self.local is None):
            raise InvalidInput("a moment is either a day or a local time: set one of day and local")
        if self.local is not None and self.local.tzinfo is not None:
            raise InvalidInput("local: a time on the wall has no offset; drop it and name the zone")
        if self.day is not None and self.zone is not None:
            raise InvalidInput("zone: a day has no zone; drop it")

    def instant(self) -> datetime | None:
        """The instant, with the zone's offset; None for a day or a floating time.

        A time that the clock skips counts with the offset before the gap, a repeated one is the
        first (RFC 5545 section 3.3.5). A zone that this machine does not know: `InvalidInput`.
        """
        if self.local is None or self.zone is None:
            return None
        try:
            return self.local.replace(tzinfo=ZoneInfo(self.zone), fold=0)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise InvalidInput(
                f"zone: {self.zone!r} is not an IANA time zone like Europe/Vienna"
            ) from None


class Calendar(Model, frozen=True, kw_only=True):
    """A collection of events."""

    kind: ClassVar[str] = "calendar.calendar"

    name: str
    """What people call it."""
    description: str | None = None
    """What it is for."""
    color: str | None = None
    """`#rrggbb`, as the provider says."""
    zone: str | None = None
    """IANA zone that new events get unless they say otherwise."""
    writable: bool = True
    """Whether the connection may change its events."""
    primary: bool = False
    """Whether it is the account's main calendar."""


class Person(Part, frozen=True, kw_only=True):
    """Somebody (or a room) that an event names."""

    email: str | None = None
    """E-mail address, without `mailto:`."""
    name: str | None = None
    """What people call them."""
    attendance: Attendance = Attendance.REQUIRED
    """What they are invited as."""
    answer: Answer = Answer.NONE
    """What they said."""


class Recurrence(Part, frozen=True, kw_only=True):
    """When an event repeats. The event's own start counts as the first time."""

    rules: tuple[str, ...] = ()
    """RFC 5545 rules without their name, such as `FREQ=WEEKLY;BYDAY=MO`; in local time."""
    dates: tuple[Moment, ...] = ()
    """More starts (RDATE)."""
    excluded: tuple[Moment, ...] = ()
    """Starts that fall out (EXDATE)."""


class Reminder(Part, frozen=True, kw_only=True):
    """A notice before an event."""

    before: timedelta
    """How long before the start; negative: after it."""
    by_mail: bool = False
    """Whether it comes by e-mail (True) or on the screen (False)."""


class Happening(Model, frozen=True, kw_only=True):
    """What a whole event and a changed instance of a series have in common."""

    title: str | None = None
    """What it is called; None: nothing, or the reader may not know."""
    description: str | None = None
    """The longer text; a provider may send HTML."""
    location: str | None = None
    """Where it is, as people wrote it."""
    url: str | None = None
    """A page about it."""
    start: Moment
    """When it begins."""
    end: Moment | None = None
    """When it ends, exclusive, also for days; None: a day long, or without length."""
    status: EventStatus = EventStatus.CONFIRMED
    """Whether it takes place."""
    busy: bool = True
    """Whether it blocks the time."""
    visibility: Visibility = Visibility.DEFAULT
    """Who may see its content."""
    categories: tuple[str, ...] = ()
    """Tags that people gave it."""
    organizer: Person | None = None
    """Who invites."""
    attendees: tuple[Person, ...] = ()
    """Who is invited."""
    reminders: tuple[Reminder, ...] = ()
    """Notices before it."""
    sequence: int = 0
    """How often the organizer has revised it (RFC 5545 section 3.8.7.4)."""
    created_at: datetime | None = None
    """When it was made."""
    updated_at: datetime | None = None
    """When it last changed."""


class Override(Happening, frozen=True, kw_only=True):
    """One instance of a series that differs from the others, with all its fields."""

    original: Moment
    """The start it would have had: names the instance, also after it was moved."""


class Event(Happening, frozen=True, kw_only=True):
    """An appointment, or a series of them with the instances that differ."""

    kind: ClassVar[str] = "calendar.event"

    calendar: str | None = None
    """Id of the calendar that it is in."""
    uid: str | None = None
    """The id that all copies of it share in all calendars (RFC 5545 section 3.8.4.7)."""
    recurrence: Recurrence | None = None
    """When it repeats; None: it does not."""
    overrides: tuple[Override, ...] = ()
    """Instances that differ, where the provider keeps them within the series."""
    series: str | None = None
    """Id of the series, where the provider keeps a changed instance as a record of its own."""
    original: Moment | None = None
    """With `series`: the start it would have had."""


class Busy(Part, frozen=True, kw_only=True):
    """A span that is taken."""

    start: datetime
    """Begin, in UTC."""
    end: datetime
    """End, exclusive, in UTC."""
    occupancy: Occupancy = Occupancy.BUSY
    """How firmly it is taken."""


class FreeBusy(Model, frozen=True, kw_only=True):
    """Which spans of a calendar are taken between two instants."""

    kind: ClassVar[str] = "calendar.free_busy"

    calendar: str
    """Id of the calendar, or somebody's e-mail address."""
    start: datetime
    """Begin of the question, in UTC."""
    end: datetime
    """End of the question, exclusive, in UTC."""
    busy: tuple[Busy, ...] = ()
    """What is taken, in order, without overlaps."""

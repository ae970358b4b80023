"""CalDAV's calendars and events in our words; RFC 5545 section 3.8 has the properties."""

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
from landbridge.spec import (
    flag,
    instant,
    integer,
    many,
    map_from,
    map_to,
    nested,
    on_create,
    one_of,
    read_only,
    ref,
    text,
    texts,
)
from landbridge.spec.calendar_rows import lead, moment, moments

calendar = map_from(
    Calendar,
    id=text("href"),
    name=text("displayname"),
    description=text("calendar-description"),
    color=text("calendar-color"),
    zone=text("zone"),
    writable=flag("writable"),
)

organizer = map_to(Person, email=text("email"), name=text("CN"))

attendee = map_to(
    Person,
    email=text("email"),
    name=text("CN"),
    attendance=one_of(
        "ROLE",
        {
            "REQ-PARTICIPANT": Attendance.REQUIRED,
            "OPT-PARTICIPANT": Attendance.OPTIONAL,
            "NON-PARTICIPANT": Attendance.INFORMED,
            "RESOURCE": Attendance.RESOURCE,
        },
    ),
    answer=one_of(
        "PARTSTAT",
        {
            "NEEDS-ACTION": Answer.NONE,
            "ACCEPTED": Answer.ACCEPTED,
            "DECLINED": Answer.DECLINED,
            "TENTATIVE": Answer.TENTATIVE,
        },
    ),
)

reminder = map_to(
    Reminder,
    before=lead("TRIGGER"),
    by_mail=one_of("ACTION", {"DISPLAY": False, "EMAIL": True}),
)

recurrence = map_to(
    Recurrence,
    rules=texts("RRULE"),
    dates=moments("RDATE", Moment),
    excluded=moments("EXDATE", Moment),
)

_happening = {
    "title": text("SUMMARY"),
    "description": text("DESCRIPTION"),
    "location": text("LOCATION"),
    "url": text("URL"),
    "start": moment("DTSTART", Moment),
    "end": moment("DTEND", Moment),
    "status": one_of(
        "STATUS",
        {
            "CONFIRMED": EventStatus.CONFIRMED,
            "TENTATIVE": EventStatus.TENTATIVE,
            "CANCELLED": EventStatus.CANCELLED,
        },
    ),
    "busy": one_of("TRANSP", {"OPAQUE": True, "TRANSPARENT": False}),
    "visibility": one_of(
        "CLASS",
        {
            "DEFAULT": Visibility.DEFAULT,
            "PUBLIC": Visibility.PUBLIC,
            "PRIVATE": Visibility.PRIVATE,
            "CONFIDENTIAL": Visibility.CONFIDENTIAL,
        },
    ),
    "categories": texts("CATEGORIES"),
    "organizer": nested("ORGANIZER", organizer),
    "attendees": many("ATTENDEE", attendee, key="email"),
    "reminders": many("VALARM", reminder),
    "sequence": read_only(integer("SEQUENCE")),
    "created_at": read_only(instant("CREATED")),
    "updated_at": read_only(instant("LAST-MODIFIED")),
}

override = map_to(Override, original=moment("RECURRENCE-ID", Moment), **_happening)

event = map_to(
    Event,
    id=read_only(text("href")),
    calendar=on_create(ref("calendar", to="calendar")),
    uid=on_create(text("UID")),
    **_happening,
    recurrence=nested("recurrence", recurrence),
    overrides=many("overrides", override, key="RECURRENCE-ID"),
    series=read_only(text("series")),
    original=read_only(moment("RECURRENCE-ID", Moment)),
)

"""How two real servers differ, measured: Radicale 3.9 and Xandikos 0.4. Data, not code."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Dialect:
    """One server's manners, where the RFCs leave room or the server takes it."""

    name: str
    dav: str
    """The `DAV:` header of OPTIONS."""
    well_known: int
    """Status of the redirect from /.well-known/caldav."""
    home: str
    """Path of the calendar home, below the root."""
    default_namespace: bool
    """Whether DAV: is the default namespace in answers, or a prefix like any other."""
    sync_prefix: str
    quoted_ctag: bool
    token_last: bool
    """Whether sync-token stands behind the responses."""
    stale_token: int
    """Status of DAV:valid-sync-token."""
    uid_conflict: int
    """Status of C:no-uid-conflict on PUT."""
    keeps_uid: bool
    """Whether an object's UID may not change under its href."""
    bad_data: int
    """Status of PUT of what is no calendar object."""
    needs_uid: bool
    deleted: int
    """Status of DELETE."""
    needs_sync_level: bool
    sync_gives_data: bool
    """Whether sync-collection answers calendar-data too."""
    tells_ghosts: bool
    """Whether sync-collection names objects as removed that the client never saw."""
    missing_is_207: bool
    """Whether PROPFIND of nothing is a 207 that contains a 404."""
    unknown_report: int
    home_sync: int
    """Status of sync-collection on the home."""
    needs_xml_type: bool
    """Whether a body without an XML content type is refused."""
    conditional_get: bool
    existing: int
    """Status of MKCALENDAR where something is."""
    first: tuple[str, ...]
    """Properties that it writes first when it stores an object; the rest follows by name."""


RADICALE = Dialect(
    name="radicale",
    dav="1, 2, 3, calendar-access, addressbook, extended-mkcol",
    well_known=301,
    home="/{user}/",
    default_namespace=True,
    sync_prefix="http://radicale.org/ns/sync/",
    quoted_ctag=True,
    token_last=False,
    stale_token=403,
    uid_conflict=409,
    keeps_uid=True,
    bad_data=400,
    needs_uid=True,
    deleted=200,
    needs_sync_level=False,
    sync_gives_data=True,
    tells_ghosts=True,
    missing_is_207=False,
    unknown_report=207,
    home_sync=403,
    needs_xml_type=False,
    conditional_get=False,
    existing=409,
    first=("UID", "RECURRENCE-ID", "DTSTART", "DURATION", "DTEND"),
)

XANDIKOS = Dialect(
    name="xandikos",
    dav=(
        "1, 2, 3, calendar-access, calendar-auto-schedule, addressbook, extended-mkcol,"
        " add-member, sync-collection, quota"
    ),
    well_known=302,
    home="/{user}/calendars/",
    default_namespace=False,
    sync_prefix="",
    quoted_ctag=False,
    token_last=True,
    stale_token=412,
    uid_conflict=412,
    keeps_uid=False,
    bad_data=412,
    needs_uid=False,
    deleted=204,
    needs_sync_level=True,
    sync_gives_data=False,
    tells_ghosts=False,
    missing_is_207=True,
    unknown_report=403,
    home_sync=500,
    needs_xml_type=True,
    conditional_get=True,
    existing=403,
    first=("SUMMARY", "DTSTART", "DTEND", "DURATION", "DTSTAMP", "UID", "RECURRENCE-ID"),
)

DIALECTS = {each.name: each for each in (RADICALE, XANDIKOS)}

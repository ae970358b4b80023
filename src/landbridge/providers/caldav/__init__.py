"""CalDAV: calendars on any server that speaks RFC 4791."""

from landbridge.providers.caldav.provider import caldav

__all__ = ["caldav"]

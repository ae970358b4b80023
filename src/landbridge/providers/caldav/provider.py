"""CalDAV (RFC 4791): calendars and events on iCloud, Fastmail, Nextcloud, Radicale and others."""

from landbridge.providers.caldav.mapping import calendar, event
from landbridge.spec.auth import Basic, Field
from landbridge.spec.following import SyncToken
from landbridge.spec.provider import (
    Format,
    Provider,
    Resource,
    Write,
)

caldav = Provider(
    slug="caldav",
    name="CalDAV",
    docs="https://www.rfc-editor.org/rfc/rfc4791",
    checked="2026-11-22",
    auth=Basic(
        fields=[
            Field(
                name="url",
                label="Server address",
                hint="https://caldav.fastmail.com, or the address of one calendar account",
                pattern=r"https?://[^\s/?#]+[^\s?#]*",
            ),
            Field(name="username", label="User name", hint="often the e-mail address"),
            Field(
                name="password",
                label="Password",
                secret=True,
                hint="iCloud and Fastmail want an app password",
            ),
        ]
    ),
    base="{url}",
    body=Format.DAV,
    parallel=2,
    resources=[
        Resource(name="calendar", path="", key="href", format=Format.DAV, maps=calendar),
        Resource(
            name="VEVENT",
            path="",
            key="href",
            version="etag",
            within="calendar",
            format=Format.ICALENDAR,
            since=SyncToken(multiget=50),
            create=Write(path="", method="PUT"),
            update=Write(path="", method="PUT"),
            delete=Write(path="", method="DELETE"),
            maps=event,
        ),
    ],
)

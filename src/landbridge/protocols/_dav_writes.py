"""Writing one calendar object: created under an href made from its UID, changed under its ETag."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC
from typing import Any

from landbridge.errors import Conflict, RecordError, Refused
from landbridge.formats import codec, dav, icalendar, parse_json
from landbridge.ids import made_at
from landbridge.protocols import _dav_calls as calls
from landbridge.protocols._dav_calls import Homes, Talk
from landbridge.protocols._dav_events import fetch_member, raw_member
from landbridge.protocols.values import Fetched, Written
from landbridge.resilience import expect
from landbridge.spec import Provider, Resource
from landbridge.wire import Request, Response

_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9@._-]{0,150}")
_STAMPS = frozenset({"DTSTAMP", "CREATED", "LAST-MODIFIED", "SEQUENCE", "href", "etag", "calendar"})
_ABSENT = frozenset({404, 410})


@dataclass(frozen=True, kw_only=True)
class Writer:
    """Writes the events of one account."""

    provider: Provider
    resource: Resource
    homes: Homes

    def create(self, changes: Mapping[str, Any], intent: str) -> Talk[Written]:
        """A new event; the same intent twice makes one.

        Its href comes from its UID, and the UID (if none is given) from the intent, so that a
        repetition meets what the first try left. `Conflict`: another event has that UID or href.
        """
        calendar = changes.get("calendar")
        if not calendar:
            raise RecordError(
                "Event.calendar: name the calendar that the event is made in, by its id",
                field="calendar",
            )
        uid = changes.get("UID") or f"{intent}@landbridge"
        made = _time_of(intent)
        stamps = {"DTSTAMP": made, "CREATED": made, "LAST-MODIFIED": made} if made else {}
        full = {"UID": uid, **stamps, **changes}
        content_type, body = codec(self.resource.format).render(full, None)
        key = f"{str(calendar).rstrip('/')}/{_file_name(uid)}"
        asked = self._put(key, content_type, body, {"If-None-Match": "*"})
        response = yield asked
        failed = dav.preconditions(response.body)
        if dav.NO_UID_CONFLICT in failed:
            raise Conflict(f"{self.provider.name}: the calendar has an event with the UID {uid!r}")
        if response.status == 412 and not failed - {_IF_NONE_MATCH}:
            return (yield from self._already(key, body))
        if response.status == 409 and not failed:
            raise Refused(
                f"{self.provider.name} has no calendar {calendar}: it may have been deleted",
                status=409,
            )
        self._expect(asked, response, failed)
        return (yield from self._written(key, body, response))

    def update(
        self, key: str, changes: Mapping[str, Any], base_raw: bytes, intent: str
    ) -> Talk[Written]:
        """A changed event, under the ETag of the state that it was changed from.

        `Conflict`: somebody else changed it since. A repetition after a lost answer is no conflict.
        """
        made = _time_of(intent)
        full = {**changes, "LAST-MODIFIED": made, "DTSTAMP": made} if made else dict(changes)
        content_type, body = codec(self.resource.format).render(full, base_raw)
        base = parse_json(base_raw)
        version = str(base.get("etag") or "")
        if not _is_strong(version):
            # Weak ETags cannot guard a write (RFC 9110 section 13.1.1): the content is compared.
            now = yield from fetch_member(self.provider, self.resource, self.homes, key)
            if not isinstance(now, Fetched) or not _same(now.raw, base_raw):
                raise Conflict(f"{self.provider.name}: {key} was changed there first", theirs=now)
        guard = {"If-Match": version} if _is_strong(version) else {}
        asked = self._put(key, content_type, body, guard)
        response = yield asked
        failed = dav.preconditions(response.body)
        if response.status == 412 and not failed - {_IF_MATCH}:
            return (yield from self._already(key, body))
        self._expect(asked, response, failed)
        return (yield from self._written(key, body, response))

    def delete(self, key: str, base_raw: bytes | None) -> Talk[Written]:
        """Nothing under this key any more; what is gone already is fine. `Conflict`: it changed."""
        version = str(parse_json(base_raw).get("etag") or "") if base_raw else ""
        guard = {"If-Match": version} if _is_strong(version) else {}
        asked = calls.request(self.provider, "DELETE", self.homes.url(key), headers=guard)
        response = yield asked
        if response.status not in _ABSENT:
            expect(self.provider, asked, response)
        return Written(key=key, raw=None)

    def _put(self, key: str, content_type: str, body: bytes, guard: Mapping[str, str]) -> Request:
        url = self.homes.url(key)
        headers = {"Content-Type": content_type, **guard}
        return calls.request(self.provider, "PUT", url, body, headers)

    def _expect(self, asked: Request, response: Response, failed: frozenset[str]) -> None:
        if failed and response.status in {403, 409, 412, 415, 507}:
            names = ", ".join(sorted(name.rpartition("}")[2] for name in failed))
            raise Refused(
                f"{self.provider.name} refused {asked.method} ({response.status}): {names}",
                code=names,
                status=response.status,
            )
        expect(self.provider, asked, response)

    def _already(self, key: str, body: bytes) -> Talk[Written]:
        """What is there, if it is what we wanted to write; a lost answer makes us write twice."""
        now = yield from fetch_member(self.provider, self.resource, self.homes, key)
        wanted = raw_member(key, "", body.decode())
        if isinstance(now, Fetched) and _same(now.raw, wanted):
            return Written(key=key, raw=now.raw, version=now.version)
        raise Conflict(
            f"{self.provider.name}: {key} was changed there first: read it again and merge",
            ours=icalendar.parse(body.decode()),
            theirs=now.value if isinstance(now, Fetched) else None,
        )

    def _written(self, key: str, body: bytes, response: Response) -> Talk[Written]:
        version = response.headers.get("etag", "").strip()
        if _is_strong(version):
            return Written(key=key, raw=raw_member(key, version, body.decode()), version=version)
        # Without an ETag the server may have changed what it took (RFC 4791 section 5.3.4).
        now = yield from fetch_member(self.provider, self.resource, self.homes, key)
        if isinstance(now, Fetched):
            return Written(key=key, raw=now.raw, version=now.version)
        return Written(key=key, raw=None)


_IF_MATCH = f"{dav.DAV}if-match"
_IF_NONE_MATCH = f"{dav.DAV}if-none-match"


def _file_name(uid: str) -> str:
    """The last part of an href: the UID, or its hash where a path could not hold it."""
    name = uid if _PLAIN.fullmatch(uid) else hashlib.sha256(uid.encode()).hexdigest()
    return f"{name}.ics"


def _is_strong(version: str) -> bool:
    return version.startswith('"')


def _same(one: bytes, other: bytes) -> bool:
    """Whether two stored objects say the same, apart from notes about when they were written."""
    return _said(one) == _said(other)


def _said(raw: bytes) -> dict[str, Any]:
    event = icalendar.parse(parse_json(raw)["data"])
    overrides = [_without_stamps(one) for one in event.pop("overrides", ())]
    return {**_without_stamps(event), "overrides": overrides}


def _without_stamps(event: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in event.items() if name not in _STAMPS}


def _time_of(intent: str) -> str | None:
    """When an intent was made; it stays the same when the write is repeated."""
    try:
        made = made_at(intent)
    except ValueError:
        return None
    return made.astimezone(UTC).replace(microsecond=0).isoformat().replace("+00:00", "Z")

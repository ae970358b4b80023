"""What can be said of a page before the database is asked: its digests, and its unified records."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from landbridge.errors import RecordError, UnmappedCode
from landbridge.formats import canonical
from landbridge.protocols import Fetched, Page, Unreadable
from landbridge.spec import Resource, find
from landbridge.store.parked import Stop
from landbridge.store.records import Held, Incoming
from landbridge.store.syncs import Stream

KEYLESS = "digest:"
"""How the keys of parked records begin that have none of their own."""
_NEWS_A_TURN, _OLD_A_TURN = 10, 50
"""Records that are made ready at a time, about half a millisecond."""


@dataclass(frozen=True, kw_only=True)
class Ready:
    """A page that is ready to be stored.

    `latest` is what it says of each key, `sent` stands for the bytes of the records that it does
    not call deleted. `ahead` has them read by the mapping already, as most of them are expected to
    be news; it is empty where none are.
    """

    page: Page
    latest: Mapping[str, Fetched]
    sent: Mapping[str, bytes]
    ahead: Mapping[str, Incoming | Stop]

    def says(self, key: str, known: Held) -> bool:
        """Whether a record is as it is known, be it in other bytes."""
        if known.sent is not None and known.sent == self.sent[key]:
            return True
        return known.digest is not None and known.digest == self._digest(key)

    def read(self, resource: Resource, key: str) -> Incoming | Stop:
        """A record by the mapping, or why it cannot be read."""
        read = self.ahead.get(key)
        if read is None:
            read = read_record(resource, self.latest[key], self.sent[key])
        return read

    def _digest(self, key: str) -> bytes:
        read = self.ahead.get(key)
        if type(read) is Incoming:
            return read.digest
        try:
            return canonical.digest(self.latest[key].value)
        except RecordError:
            return b""


async def make_ready(resource: Resource, page: Page, *, news: bool) -> Ready:
    """The page with what is reckoned from it alone; `news`: most of it is expected to be new.

    Others have their turn after some records each, whatever the size of the page.
    """
    latest = {fetched.key: fetched for fetched in page.records}
    sent: dict[str, bytes] = {}
    ahead: dict[str, Incoming | Stop] = {}
    turns = _NEWS_A_TURN if news else _OLD_A_TURN
    for number, fetched in enumerate(latest.values(), 1):
        if not fetched.deleted:
            mark = sent[fetched.key] = canonical.mark(fetched.raw)
            if news:
                ahead[fetched.key] = read_record(resource, fetched, mark)
        if number % turns == 0:
            await asyncio.sleep(0)
    return Ready(page=page, latest=latest, sent=sent, ahead=ahead)


def stop_of(unreadable: Unreadable) -> Stop:
    """An item of a page that is no record, as it is parked."""
    return Stop(
        key=unreadable.key or f"{KEYLESS}{canonical.digest(unreadable.raw).hex()}",
        reason=unreadable.reason,
        field=unreadable.field,
        raw=unreadable.raw,
    )


def parked_of(stream: Stream) -> dict[str, str]:
    """Where the records of a stream are parked, by the names of the park."""
    return {
        "environment": stream.environment,
        "tenant": stream.tenant,
        "what": "record",
        "place": stream.connection,
        "resource": stream.resource,
    }


def read_record(resource: Resource, fetched: Fetched, sent: bytes | None = None) -> Incoming | Stop:
    """The record with its unified form, or the reason why it cannot be read."""
    kind = unified = None
    try:
        value = fetched.value
        subject = find(value, resource.subject) if resource.subject else None
        if resource.maps is not None:
            model = resource.maps.read(value)
            kind = model.kind
            unified = msgspec.json.encode(model, order="sorted").decode()
    except (RecordError, UnmappedCode) as error:
        return Stop(
            key=fetched.key,
            reason=str(error),
            field=getattr(error, "field", None),
            raw=fetched.raw,
        )
    return Incoming(
        key=fetched.key,
        raw=fetched.raw,
        sent=sent or canonical.mark(fetched.raw),
        digest=canonical.digest(value),
        version=fetched.version,
        kind=kind,
        unified=unified,
        subject=str(subject) if subject is not None else None,
    )

"""Reads a stream to hand it on: whole, or what changed behind a number of the feed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from landbridge.errors import InvalidInput
from landbridge.store import changes, exports, records
from landbridge.store.database import Database
from landbridge.store.records import Stored
from landbridge.store.syncs import Stream

PAGE = 1000
"""How many records are read at once."""

_TURN = 5000
"""How many entries of the feed are looked through at once."""


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Records of an export. `next` is the number that a later export goes on from, once all
    batches up to this one are kept; what it names may be among them already."""

    records: Sequence[Stored]
    next: int


async def reaches(db: Database, *, environment: str, since: int) -> bool:
    """Whether the feed still has everything behind a number; else an export has to be whole.

    Changes are forgotten after LANDBRIDGE_CHANGES_RETENTION_DAYS, and a database that was restored
    has not come to its former numbers yet. In doubt it says False.
    """
    oldest = await exports.oldest(db, environment=environment)
    if oldest is None:
        return since == 0
    return oldest <= since + 1 and since <= await changes.last(db, environment=environment)


async def export(
    db: Database,
    stream: Stream,
    *,
    since: int | None = None,
    deleted: bool = False,
    anew: bool = False,
) -> AsyncIterator[Batch]:
    """The stream's records in batches, at least one; with `since` those that changed behind that
    number, as they are now, also when they are deleted.

    A record that changes meanwhile may come in its new state, and comes again next time. With
    `deleted` a whole export has deleted records too. When the feed does not reach back to `since`,
    or has not come to it: InvalidInput, or with `anew` a whole export with deleted records.
    """
    if since is not None and since < 0:
        raise InvalidInput(f"since: {since} is below 0; give the number of an earlier export")
    if since is not None and not await reaches(db, environment=stream.environment, since=since):
        if not anew:
            last = await changes.last(db, environment=stream.environment)
            if since > last > 0:
                raise InvalidInput(
                    f"since: {since} is above the last number of the feed, {last}: it is of another"
                    " database or environment, or this one was restored; export it whole"
                    " (`anew`, --anew)"
                )
            raise InvalidInput(
                f"since: the feed of changes does not reach back to {since} any more; export it"
                " whole (`anew`, --anew), and keep changes for longer by"
                " LANDBRIDGE_CHANGES_RETENTION_DAYS"
            )
        since, deleted = None, True
    if since is None:
        first = await changes.last(db, environment=stream.environment)
        after = ""
        while True:
            page = await records.read(db, stream, after=after, most=PAGE, deleted=deleted)
            yield Batch(records=page, next=first)
            if len(page) < PAGE:
                return
            after = page[-1].key
    until = await changes.last(db, environment=stream.environment)
    place = since
    while (
        turn := await exports.turn(db, stream, after=place, until=until, most=_TURN)
    ) is not None:
        place = turn.last
        for begin in range(0, len(turn.keys), PAGE):
            found = await exports.named(db, stream, turn.keys[begin : begin + PAGE])
            last = begin + PAGE >= len(turn.keys)
            yield Batch(records=found, next=place if last else since)
        since = place
    yield Batch(records=(), next=place)

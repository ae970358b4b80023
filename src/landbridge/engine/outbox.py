"""Commits events that come without a transaction: those that come at once share one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from landbridge.engine.gather import GroupCommit
from landbridge.errors import DatabaseUnavailable
from landbridge.store import outbox
from landbridge.store.bell import Bell
from landbridge.store.database import Database

_MOST_BYTES = 64 * 1024 * 1024
_STATEMENT_BYTES = 4 * 1024 * 1024

Binds = Mapping[str, Any]


class Outbox:
    """Takes events one by one and commits them in groups; workers are woken after each.

    What waits is bounded, by number and by bytes: above that DatabaseUnavailable says so.
    """

    def __init__(self, db: Database, bell: Bell):
        self._db = db
        self._bell = bell
        self._size = 0
        self._commit = GroupCommit[Binds](self._store)

    async def put(self, binds: Binds) -> None:
        """Returns once the event is committed. `binds` are those of `engine.emit.prepare`.

        When it raises, the event was not committed, but for a connection that broke at that very
        moment; who tries again gives an idempotency key, so that it is not delivered twice.
        """
        size = _size(binds)
        if self._size and self._size + size > _MOST_BYTES:
            raise DatabaseUnavailable("too much is waiting to be written; try again in a moment")
        self._size += size
        try:
            await self._commit.add(binds)
        finally:
            self._size -= size

    async def _store(self, group: list[Binds]) -> None:
        parts = list(_parts(group))
        if len(parts) == 1:
            await outbox.insert_events(self._db, parts[0])
        else:
            async with self._db.transaction() as tx:
                for part in parts:
                    await outbox.insert_events(tx, part)
        self._bell.ring()


def _parts(group: Sequence[Binds]) -> Iterator[list[Binds]]:
    """The group in statements of a few megabytes each."""
    part: list[Binds] = []
    held = 0
    for each in group:
        size = _size(each)
        if part and held + size > _STATEMENT_BYTES:
            yield part
            part, held = [], 0
        part.append(each)
        held += size
    if part:
        yield part


def _size(binds: Binds) -> int:
    return len(binds["payload"]) + len(binds["older"] or b"") + len(binds["attachment"] or b"")

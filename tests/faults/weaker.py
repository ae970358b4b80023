"""Weaker ways to deliver, for the controls of rows that kill: right as long as nobody dies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from landbridge import ids
from landbridge.engine.deliver import Begun
from landbridge.store.database import Tx
from landbridge.store.parcels import Parcel, Try
from tests.faults.traps import Trapped

_TAKEN = "DELETE FROM landbridge.due WHERE id = ANY ($1)"
_TRIED = """
    INSERT INTO landbridge.attempt
        (environment, tenant, id, delivery, event, endpoint, number, outcome, took_ms)
    VALUES ($1, $2, $3, $4, $5, $6, $7, 'delivered', 1)"""


class Deletes(Trapped):
    """Stands for queues whose consumers take the row out of the table when they claim it."""

    async def begin(self, fresh: Sequence[Parcel]) -> Begun:
        async with self._db.transaction() as tx:
            await tx.execute(_TAKEN, [each.id for each in fresh])
        return await super().begin(fresh)

    async def write(self, owner: str, tries: Sequence[Try]) -> set[str]:
        async with self._db.transaction() as tx:
            await _record(tx, tries)
        return set()


class Torn(Trapped):
    """Stands for the ones that write the attempt first and then, by itself, end the row."""

    async def write(self, owner: str, tries: Sequence[Try]) -> set[str]:
        async with self._db.transaction() as tx:
            await _record(tx, tries)
        self._trap.reach("between")
        async with self._db.transaction() as tx:
            await tx.execute(_TAKEN, [each.parcel.id for each in tries])
        return set()


async def _record(tx: Tx, tries: Sequence[Try]) -> None:
    for each in tries:
        assert each.state == "delivered", "the controls' receiver takes everything at once"
        parcel: Any = each.parcel
        await tx.execute(
            _TRIED,
            parcel.environment,
            parcel.tenant,
            ids.new("att"),
            parcel.id,
            parcel.event,
            parcel.endpoint,
            parcel.attempt + 1,
        )

"""A worker that is stopped in the middle: `python -m tests.faults.pausing URL [unfenced]`.

For each line `claim` it claims one job, says its id and keeps renewing the lease; `finish` lets it
do the job and settle it, and it says what of that was accepted. Told to be `unfenced` it stands for
the queues that trust whoever knows a job's id.
"""

from __future__ import annotations

import asyncio
import json
import sys
from datetime import timedelta

from landbridge.store import due
from landbridge.store.database import Database, Tx
from landbridge.store.due import Claimed, LeaseLost
from landbridge.store.sql import Sql

LEASE = timedelta(milliseconds=300)
EFFECTS = "CREATE TABLE effect (job text NOT NULL, worker text NOT NULL)"

_ANYBODY = "The control: queues that ask for the job's id alone."
_RENEW = Sql(
    "control.renew",
    "UPDATE lb.due SET due_at = lb.now() + :lease::interval WHERE id = :id RETURNING id",
    across=_ANYBODY,
)
_DELETE = Sql("control.delete", "DELETE FROM lb.due WHERE id = :id RETURNING id", across=_ANYBODY)


class Fenced:
    """What a worker may do with a claim, as landbridge.store.due decides it."""

    def __init__(self, owner: str):
        self.owner = owner

    async def renew(self, db: Database, claim: Claimed) -> bool:
        """Whether the lease was made longer."""
        return claim.id in await due.heartbeat(db, self.owner, [claim], LEASE)

    async def write(self, db: Database, claim: Claimed) -> bool:
        """Whether the job's effect was committed."""
        try:
            async with db.transaction() as tx:
                await self.hold(tx, claim)
                await tx.execute("INSERT INTO effect VALUES ($1, $2)", claim.id, self.owner)
        except LeaseLost:
            return False
        return True

    async def hold(self, tx: Tx, claim: Claimed) -> None:
        """Fences the transaction."""
        await due.hold(tx, self.owner, claim)

    async def settle(self, db: Database, claim: Claimed) -> bool:
        """Whether the job counts as done by this worker."""
        return claim.id in await due.settle(db, self.owner, [claim])


class Unfenced(Fenced):
    """The same without asking who holds the row."""

    async def renew(self, db: Database, claim: Claimed) -> bool:
        return await db.row(_RENEW, id=claim.id, lease=LEASE) is not None

    async def hold(self, tx: Tx, claim: Claimed) -> None:
        """Trusts that the lease is still there."""

    async def settle(self, db: Database, claim: Claimed) -> bool:
        return await db.row(_DELETE, id=claim.id) is not None


async def claim_one(db: Database, owner: str) -> Claimed | None:
    """A due job, leased for LEASE."""
    claims = await due.claim(db, owner=owner, lanes=["system"], limit=1, per_shard=1, lease=LEASE)
    return claims[0] if claims else None


async def main(url: str, rules: Fenced) -> None:
    """Answers each line of standard input with a line of JSON."""
    db = await Database.open(url, budget=3)
    loop = asyncio.get_running_loop()
    claim: Claimed | None = None
    renewing: asyncio.Task[None] | None = None

    async def renew(held: Claimed) -> None:
        while True:
            await asyncio.sleep(LEASE.total_seconds() / 5)
            await rules.renew(db, held)

    while order := (await loop.run_in_executor(None, sys.stdin.readline)).strip():
        if order == "claim":
            claim = await claim_one(db, rules.owner)
            assert claim is not None
            renewing = asyncio.create_task(renew(claim))
            answer: object = claim.id
        else:
            assert claim is not None
            assert renewing is not None
            answer = {
                "renewed": await rules.renew(db, claim),
                "written": await rules.write(db, claim),
                "settled": await rules.settle(db, claim),
            }
            renewing.cancel()
        print(json.dumps(answer), flush=True)
    await db.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Unfenced("first") if "unfenced" in sys.argv else Fenced("first")))

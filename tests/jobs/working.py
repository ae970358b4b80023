"""A worker as a process of its own: `python -m tests.jobs.working URL`, ended by SIGTERM.

Its one kind of job writes a row into `effect`, in a transaction that its lease fences, a little
after it began: time enough to be killed in between.
"""

import asyncio
import signal
import sys
from datetime import timedelta

from landbridge.jobs import Done, Kind, Lease, Outcome, Worker, new_owner
from landbridge.store.database import Database
from landbridge.store.due import Claimed


async def work(url: str) -> None:
    """Works until SIGTERM."""
    db = await Database.open(url, budget=4)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)

    async def run(claim: Claimed, lease: Lease) -> Outcome:
        await asyncio.sleep(0.02)
        async with db.transaction() as tx:
            await lease.hold(tx)
            await tx.execute("INSERT INTO effect (job) VALUES ($1)", claim.id)
            await asyncio.sleep(0.02)
        return Done()

    kinds = {"write": Kind(name="write", run=run)}
    worker = Worker(db, new_owner(), kinds, {"system": 3}, lease=timedelta(seconds=1))
    await worker.run(stop)
    await db.close()


if __name__ == "__main__":
    asyncio.run(work(sys.argv[1]))

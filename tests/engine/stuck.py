"""`python -m tests.engine.stuck URL`: stuck in a handler that has written, there to be killed."""

from __future__ import annotations

import asyncio
import sys
from datetime import timedelta

from landbridge import Received, Tx
from landbridge.engine.received import Listener, Telling
from landbridge.jobs import Lease
from landbridge.providers import get
from landbridge.store import due
from landbridge.store.database import Database


async def hang(event: Received, tx: Tx) -> None:
    await tx.execute("INSERT INTO heard VALUES ($1)", event.vendor_id)
    print("in", flush=True)
    await asyncio.sleep(60)


async def main(url: str) -> None:
    db = await Database.open(url)
    those = [Listener(name="till", kinds=["invoice.paid"], run=hang)]
    telling = Telling(db, those, provider=lambda _slug: get("caldav"))
    (claim,) = await due.claim(
        db, owner="killed", lanes=["inbox"], limit=1, per_shard=1, lease=timedelta(minutes=1)
    )
    await telling.run(claim, Lease("killed", claim))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))

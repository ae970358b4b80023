"""A worker to be watched: `python -m tests.faults.draining '[ROLE, URL, KEY]'`.

It says `ready`, begins at the line `go`, and answers each `count` with the deliveries it has made.
What it delivers goes to nobody: how it works off a backlog is the question.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from datetime import timedelta

import structlog

from landbridge.engine.courier import Courier
from landbridge.engine.deliver import Deliveries
from landbridge.engine.dispatch import Dispatcher
from landbridge.jobs import new_owner
from landbridge.measures import ATTEMPTS, Measures
from landbridge.store import parcels
from landbridge.store.database import Database
from landbridge.vault import LocalKey, Vault
from tests.faults.sinking import Instant


async def worker(db: Database, vault: Vault) -> None:
    """Dispatches and delivers with the sizes that processes have by default."""
    measures = Measures()
    deliveries = Deliveries(db, vault, Instant(), measures=measures)
    courier = Courier(db, new_owner(), deliveries)
    await _line()
    tasks = [
        asyncio.create_task(courier.run(asyncio.Event())),
        asyncio.create_task(_dispatch(Dispatcher(db))),
    ]
    while await _line() == "count":
        print(int(sum(measures.counts(ATTEMPTS).values())), flush=True)
    for task in tasks:
        task.cancel()


async def _dispatch(dispatcher: Dispatcher) -> None:
    while True:
        if not await dispatcher.step():
            await asyncio.sleep(0.05)


async def greedy(db: Database, _vault: Vault) -> None:
    """The control: claims everything there is and holds it until it is done."""
    await _line()
    held = await parcels.claim(
        db, owner=new_owner(), lane="deliver", limit=1_000_000, lease=timedelta(minutes=5)
    )
    print(len(held), flush=True)
    await _line()


async def _line() -> str:
    loop = asyncio.get_running_loop()
    line: str = await loop.run_in_executor(None, sys.stdin.readline)
    return line.strip()


async def main(role: str, url: str, key: str) -> None:
    """Plays the role until standard input ends."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    db = await Database.open(url, budget=6)
    vault = Vault(db, LocalKey.from_text(key))
    print("ready", flush=True)
    await {"worker": worker, "greedy": greedy}[role](db, vault)


if __name__ == "__main__":
    asyncio.run(main(*json.loads(sys.argv[1])))

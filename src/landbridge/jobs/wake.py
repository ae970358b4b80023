"""Wakes a worker when something was put, so that it need not wait for its next poll."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from landbridge.errors import DatabaseUnavailable
from landbridge.store.database import Database
from landbridge.store.listen import hear

_LONGEST_WAIT = 5.0


async def listen(
    db: Database,
    wake: Callable[[str], None],
    *,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Calls `wake` with what each notification says until it is cancelled; reconnects when cut off.

    Behind a pooler in transaction mode without LANDBRIDGE_DIRECT_URL nothing can be heard: it
    returns at once, and polling alone finds the work.
    """
    log = structlog.get_logger("landbridge.jobs")
    if not db.listens:
        log.warning("wake.polls_only", hint="set LANDBRIDGE_DIRECT_URL to be woken at once")
        return
    wait = 0.1
    while True:
        connected = False

        def heard(what: str) -> None:
            nonlocal connected
            connected = True
            wake(what)

        try:
            await hear(db, heard)
        except DatabaseUnavailable:
            wait = 0.1 if connected else min(wait * 2, _LONGEST_WAIT)
            log.info("wake.lost", again_in=wait)
            await sleep(wait)

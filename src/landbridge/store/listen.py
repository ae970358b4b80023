"""Hears the NOTIFY that wakes workers, on a connection of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from landbridge.store.database import Database, unavailable

_CHECK_SECONDS = 30.0


async def hear(db: Database, heard: Callable[[str], None]) -> None:
    """Calls `heard` with what each notification says, until the connection is lost; then raises.

    DatabaseUnavailable is the only way it ends by itself. A connection that died without a word
    is found out by asking it twice a minute.
    """
    connection = await db.listener()
    lost = asyncio.Event()
    connection.add_termination_listener(lambda _connection: lost.set())
    try:
        with unavailable():
            await connection.add_listener(f"{db.schema}_wake", lambda *said: heard(str(said[3])))
            heard("")  # for what was notified before we listened
            while not connection.is_closed():
                try:
                    async with asyncio.timeout(_CHECK_SECONDS):
                        await lost.wait()
                except TimeoutError:
                    await connection.execute("SELECT 1", timeout=_CHECK_SECONDS)
            raise ConnectionResetError("the LISTEN connection was lost")
    finally:
        connection.terminate()

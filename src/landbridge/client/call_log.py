"""Tells of each call: a row in the call log, a line in the log, a span for OpenTelemetry.

Rows are gathered and written together, at most a second later; a call waits for none of it. When
Postgres is away the newest are kept, up to a bound. Lines are written where the logger
`landbridge.call` is enabled for INFO. Bodies, queries and ids in paths are in none of the three.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable

import structlog

from landbridge.client.paths import Paths
from landbridge.errors import DatabaseUnavailable
from landbridge.spec import Provider
from landbridge.store import calls
from landbridge.store.calls import Call
from landbridge.store.connections import Connection
from landbridge.store.database import Database

_LARGEST = 1000
_SWITCH = logging.getLogger("landbridge.call")


class CallLog:
    """Gathers calls and writes them down. `most` is how many wait while Postgres is away."""

    def __init__(
        self,
        db: Database,
        *,
        every: float = 1.0,
        most: int = 10_000,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ):
        self._db = db
        self._every = every
        self._sleep = sleep
        self._waiting: deque[Call] = deque(maxlen=most)
        self._writing: asyncio.Task[None] | None = None
        self._paths: dict[str, Paths] = {}
        self._log = structlog.get_logger("landbridge.call")

    def path(self, provider: Provider, connection: Connection, url: str) -> tuple[str, str | None]:
        """A URL's path as the page writes it, and the person whose record it is, if any."""
        found = self._paths.get(provider.slug)
        if found is None or found.provider is not provider:
            found = self._paths[provider.slug] = Paths(provider)
        return found.template(url, connection.settings.get("base") or provider.base)

    def add(self, provider: Provider, call: Call) -> None:
        """Takes a call in."""
        self._waiting.append(call)
        if _SWITCH.isEnabledFor(logging.INFO):
            self._line(provider, call)
        if self._writing is None or self._writing.done():
            self._writing = asyncio.get_running_loop().create_task(self._write_later())

    async def flush(self) -> None:
        """Writes what waits, now. DatabaseUnavailable leaves it waiting."""
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), _LARGEST))]
            try:
                await calls.add(self._db, batch)
            except DatabaseUnavailable:
                room = (self._waiting.maxlen or 0) - len(self._waiting)
                self._waiting.extendleft(reversed(batch[len(batch) - min(room, len(batch)) :]))
                raise

    async def close(self) -> None:
        """Writes what waits, once, and ends."""
        if self._writing is not None:
            self._writing.cancel()
            await asyncio.gather(self._writing, return_exceptions=True)
        try:
            await self.flush()
        except DatabaseUnavailable as error:
            self._log.warning("calls.lost", calls=len(self._waiting), reason=str(error))

    async def _write_later(self) -> None:
        while self._waiting:
            await self._sleep(self._every)
            try:
                await self.flush()
            except DatabaseUnavailable:
                continue

    def _line(self, provider: Provider, call: Call) -> None:
        say = self._log.info if call.outcome == "ok" else self._log.warning
        say(
            "call",
            provider=provider.slug,
            environment=call.environment,
            tenant=call.tenant,
            connection=call.connection,
            method=call.method,
            path=call.path,
            status=call.status,
            outcome=call.outcome,
            attempt=call.attempt,
            took_ms=call.took_ms,
            lane=call.lane,
            request_id=call.request_id,
            error=call.error,
        )

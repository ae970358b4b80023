"""Group commit: callers that come at the same time share one transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from landbridge.engine.room import WRONG
from landbridge.errors import DatabaseUnavailable

T = TypeVar("T")


class GroupCommit(Generic[T]):
    """Collects items while a flush is under way and writes them by the next one.

    There is no timer: an item that comes while nothing is being written is written at once. At
    most `limit` items wait; above that `add` raises DatabaseUnavailable, so memory stays bounded.
    """

    def __init__(
        self, flush: Callable[[list[T]], Awaitable[None]], *, batch: int = 500, limit: int = 5000
    ):
        self._flush = flush
        self._batch = batch
        self._limit = limit
        self._waiting: list[tuple[T, asyncio.Future[None]]] = []
        self._flusher: asyncio.Task[None] | None = None

    async def add(self, item: T) -> None:
        """Returns once the item is committed; raises what the flush of this very item raised."""
        if len(self._waiting) >= self._limit:
            raise DatabaseUnavailable("too much is waiting to be written; try again in a moment")
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, done))
        if self._flusher is None or self._flusher.done():
            self._flusher = asyncio.create_task(self._run())
        await done

    async def _run(self) -> None:
        while self._waiting:
            group = self._waiting[: self._batch]
            del self._waiting[: self._batch]
            try:
                await self._flush([item for item, _ in group])
            except WRONG as error:
                _settle(group, error)
            except Exception:  # noqa: BLE001 - each caller gets its own item's error
                await self._one_by_one(group)
            else:
                _settle(group, None)

    async def _one_by_one(self, group: list[tuple[T, asyncio.Future[None]]]) -> None:
        """A group that cannot be written whole is written singly: only the bad item fails."""
        for item, done in group:
            try:
                await self._flush([item])
            except Exception as error:  # noqa: BLE001 - the caller of `add` gets it
                _settle([(item, done)], error)
            else:
                _settle([(item, done)], None)


def _settle(group: list[tuple[T, asyncio.Future[None]]], error: Exception | None) -> None:
    for _, done in group:
        if done.done():
            continue
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)

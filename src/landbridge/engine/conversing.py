"""Leads a conversation with a provider, and stores its pages."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from landbridge.engine.page import Applied
from landbridge.protocols import Page
from landbridge.wire import Request, Response

Conversation = Generator[Request | Page, Response | frozenset[str] | None, None]
Send = Callable[[Request], Awaitable[Response]]
Store = Callable[[Page, datetime, float], Awaitable[Applied]]
"""Stores a page, which was asked for after that instant, and of whose records that share is
expected to be news."""

AT_ONCE = 10
"""Pages without news that are compared and noted together, at most."""
LONGEST = 0.25
"""Seconds that the first of them waits for others."""
_LARGEST = 4_000_000
"""Bytes of records that they hold together."""


@dataclass(frozen=True, kw_only=True)
class Old:
    """How several pages at once are found to bring nothing new.

    `fits` says of which pages that can be told; `note` notes them, which are in their order, and
    gives the present, or None where something may be new: each of them is stored then.
    """

    fits: Callable[[Page], bool]
    note: Callable[[Sequence[Page]], Awaitable[datetime | None]]


async def converse(
    conversation: Conversation,
    send: Send,
    store: Store,
    *,
    began: datetime,
    news: float = 0.0,
    old: Old | None = None,
) -> None:
    """Sends what a conversation asks for and stores its pages, until it is over or closed.

    `began` is an instant before its first request, `news` the share of the first page that is
    expected to be new. Each page is stored before the next one is asked for, so that a crash costs
    one call. With `old`, those behind one that brought no news are compared together while the next
    ones are asked for: a crash costs the calls of a quarter of a second (`LONGEST`), but no write.

    When a call fails, what was read before it is stored; when this is cancelled, it is not.
    """
    line = _Line(store, old, began, news)
    reply: Response | frozenset[str] | None = None
    try:
        while True:
            try:
                step = conversation.send(reply)
            except StopIteration:
                break
            if isinstance(step, Request):
                reply = await send(step)
            else:
                reply = await line.put(step)
    except Exception:
        await line.stored()
        raise
    except BaseException:
        await line.stop()
        raise
    await line.stored()


class _Line:
    """The pages that are being stored, or wait for others."""

    def __init__(self, store: Store, old: Old | None, began: datetime, news: float):
        self._store = store
        self._old = old
        self._asked = self._stored_at = began
        self._news = news
        self._nothing = False
        self._waiting: list[tuple[Page, datetime]] = []
        self._bytes = 0
        self._full = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def put(self, page: Page) -> frozenset[str] | None:
        """Takes a page behind those before; the keys that it wants, if that was waited for."""
        old, wanted = self._old, None
        if self._task is not None and not self._waiting:
            await self.stored()
        if old is None or not self._nothing or page.members is not None:
            await self.stored()
            wanted = await self._storing(page, self._asked)
        elif not old.fits(page):
            await self.stored()
            self._task = asyncio.create_task(self._alone(page, self._asked))
        else:
            self._waits(page, old)
        self._asked = self._stored_at
        return wanted

    def _waits(self, page: Page, old: Old) -> None:
        if self._task is None:
            self._full.clear()
            self._bytes = 0
            self._task = asyncio.create_task(self._noting(old))
        self._waiting.append((page, self._asked))
        self._bytes += sum([len(fetched.raw) for fetched in page.records])
        if len(self._waiting) >= AT_ONCE or self._bytes > _LARGEST:
            self._full.set()

    async def _noting(self, old: Old) -> None:
        """Notes what waits, once that is enough, or has waited for long enough."""
        with suppress(TimeoutError):
            async with asyncio.timeout(LONGEST):
                await self._full.wait()
        taken, self._waiting = self._waiting, []
        at = await old.note([page for page, _ in taken])
        if at is not None:
            self._stored_at = at
            return
        for page, asked in taken:
            await self._storing(page, asked)

    async def _alone(self, page: Page, asked: datetime) -> None:
        await self._storing(page, asked)

    async def _storing(self, page: Page, asked: datetime) -> frozenset[str] | None:
        applied = await self._store(page, asked, self._news)
        self._news = applied.news
        self._nothing = not applied.news
        self._stored_at = applied.at or self._stored_at
        return applied.wanted

    async def stored(self) -> None:
        """Waits until they are stored; raises what stopped that."""
        if self._task is not None:
            self._full.set()
            task, self._task = self._task, None
            await task

    async def stop(self) -> None:
        """Undoes what is being stored."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

"""Leads a conversation with a provider, and stores its pages."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator
from datetime import datetime

from landbridge.engine.page import Applied
from landbridge.protocols import Page
from landbridge.wire import Request, Response

Conversation = Generator[Request | Page, Response | frozenset[str] | None, None]
Send = Callable[[Request], Awaitable[Response]]
Store = Callable[[Page, datetime, float], Awaitable[Applied]]
"""Stores a page, which was asked for after that instant, and of whose records that share is
expected to be news."""


async def converse(
    conversation: Conversation,
    send: Send,
    store: Store,
    *,
    began: datetime,
    news: float = 0.0,
    ahead: bool = False,
) -> None:
    """Sends what a conversation asks for and stores its pages, until it is over or closed.

    `began` is an instant before its first request, `news` the share of the first page that is
    expected to be new. Each page is stored before the next one is asked for, so that a crash costs
    one call. With `ahead` one that brings no news, as far as can be told by the page before, is
    compared while the next one is asked for, and a crash costs two.

    When a call fails, what was read before it is stored; when this is cancelled, it is not.
    """
    line = _Line(store, began, news)
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
                waits = not ahead or step.members is not None
                reply = await line.put(step, waits=waits)
    except Exception:
        await line.stored()
        raise
    except BaseException:
        await line.stop()
        raise
    await line.stored()


class _Line:
    """The page that is being stored, if one is."""

    def __init__(self, store: Store, began: datetime, news: float):
        self._store = store
        self._asked = self._stored_at = began
        self._news = news
        self._task: asyncio.Task[frozenset[str] | None] | None = None

    async def put(self, page: Page, *, waits: bool) -> frozenset[str] | None:
        """Stores a page behind the one before; the keys that it wants, if that was waited for."""
        await self.stored()
        storing = self._storing(page, self._asked)
        if waits or self._news:
            wanted = await storing
        else:
            self._task, wanted = asyncio.create_task(storing), None
        self._asked = self._stored_at
        return wanted

    async def _storing(self, page: Page, asked: datetime) -> frozenset[str] | None:
        applied = await self._store(page, asked, self._news)
        self._news = applied.news
        self._stored_at = applied.at or self._stored_at
        return applied.wanted

    async def stored(self) -> None:
        """Waits until it is stored; raises what stopped it."""
        if self._task is not None:
            task, self._task = self._task, None
            await task

    async def stop(self) -> None:
        """Undoes what is being stored."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

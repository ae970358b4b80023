"""The queue between a simulator's events and the addresses that want them.

A simulator says what is sent (`Sender.post`) and what counts as taken. The rest is the same for
all: trying again after pauses, holding, losing, and a line in the journal for every try.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Container, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any, ClassVar, Generic, TypeVar

import aiohttp

from landbridge.testing.stage import Stage, among

RETRIES = (0.2, 0.5, 1.0, 2.0)
"""Pauses in seconds after tries that were not taken."""
MODES = ("send", "hold", "lose")
_AT_ONCE = 4

Job = TypeVar("Job")


@dataclass(frozen=True, kw_only=True)
class Post:
    """One try: where it goes, what it carries, and what the journal says of it besides."""

    url: str
    body: bytes
    headers: Mapping[str, str]
    noted: Mapping[str, object] = field(default_factory=dict)


@dataclass(kw_only=True)
class Sender(ABC, Generic[Job]):
    """Sends jobs. Modes: `send`, `hold` until `release`, `lose`: the webhook never comes."""

    TAKEN: ClassVar[Container[int]] = range(200, 300)
    """The answers after which a job is not tried again."""
    SECONDS: ClassVar[float] = 5
    """How long an address may take to answer."""

    stage: Stage
    retries: tuple[float, ...] = RETRIES
    mode: str = "send"

    def __post_init__(self) -> None:
        self._queue: asyncio.Queue[tuple[Job, int]] = asyncio.Queue()
        self._held: list[Job] = []
        self._later: set[asyncio.Task[None]] = set()
        self._sending = 0
        self._chance = Random(0)  # noqa: S311 - the same webhooks twice, each time
        self._session: aiohttp.ClientSession | None = None

    @abstractmethod
    def post(self, job: Job, tries: int, /) -> Post | None:
        """A job as it is sent after `tries` others; None where its address is gone."""

    def settle(self, job: Job) -> None:
        """What follows when a job was taken."""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Sends while the block lasts."""
        timeout = aiohttp.ClientTimeout(total=self.SECONDS)
        async with aiohttp.ClientSession(timeout=timeout, auto_decompress=False) as session:
            self._session = session
            tasks = [asyncio.ensure_future(self._send_on()) for _ in range(_AT_ONCE)]
            try:
                yield
            finally:
                tasks += self._later
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    def plan(self, job: Job) -> None:
        """Plans the first try of a job, unless the mode is another than `send`."""
        if self.mode == "hold":
            self._held.append(job)
        elif self.mode == "send":
            conduct = self.stage.conduct
            for _ in range(2 if self._chance.random() < conduct.duplicate else 1):
                if conduct.late:
                    self._put_off(job, 0, conduct.late)
                else:
                    self.plan_now(job)

    def plan_now(self, job: Job) -> None:
        """Plans the first try of a job, whatever the mode."""
        self._queue.put_nowait((job, 0))

    def set_mode(self, mode: str) -> None:
        """`send`, `hold` or `lose` from now on."""
        self.mode = among("mode", mode, MODES)

    def release(self, times: int) -> int:
        """Sends what was held, `times` over, and from now on; how many."""
        held = self._held * times
        self._held, self.mode = [], "send"
        for job in held:
            self.plan_now(job)
        return len(held)

    def waiting(self) -> int:
        """How many tries are held, queued, put off or under way."""
        return len(self._held) + self._queue.qsize() + len(self._later) + self._sending

    def addressed(self) -> dict[str, Any]:
        """Where events go."""
        return {}

    def shown(self) -> dict[str, Any]:
        """Where events go, the mode, and how many tries wait."""
        return {**self.addressed(), "mode": self.mode, "waiting": self.waiting()}

    async def answered(self, post: Post) -> int | None:
        """The status that a post is answered with, journalled; None where there is no answer."""
        assert self._session is not None
        status, error = None, None
        try:
            async with self._session.post(
                post.url, data=post.body, headers=post.headers, allow_redirects=False
            ) as answer:
                status = answer.status
                await answer.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as failure:
            error = type(failure).__name__
        self.stage.journal.write(
            kind="webhook",
            at=self.stage.clock.now(),
            method="POST",
            path=post.url,
            **post.noted,
            status=status,
            error=error,
        )
        return status

    async def _send_on(self) -> None:
        while True:
            job, tries = await self._queue.get()
            post = self.post(job, tries)
            if post is None:
                continue
            self._sending += 1
            try:
                status = await self.answered(post)
            finally:
                self._sending -= 1
            if status in self.TAKEN:
                self.settle(job)
            elif tries < len(self.retries):
                self._put_off(job, tries + 1, self.retries[tries])

    def _put_off(self, job: Job, tries: int, seconds: float) -> None:
        task = asyncio.ensure_future(self._later_on(job, tries, seconds))
        self._later.add(task)
        task.add_done_callback(self._later.discard)

    async def _later_on(self, job: Job, tries: int, seconds: float) -> None:
        await asyncio.sleep(seconds)
        self._queue.put_nowait((job, tries))

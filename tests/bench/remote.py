"""Parts of a measurement in processes of their own: started once, told what to do by lines of JSON,
ended with the run whatever ends it.

A part is an object whose public coroutines are what it can be asked: `perform(part)` in the child,
`Remote.ask("name", ...)` here.
"""

from __future__ import annotations

import asyncio
import cProfile
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import psutil
import uvloop

_LINE = 64 * 1024 * 1024
"""Bytes that an answer may have: tens of thousands of latencies are among them."""

_PATIENCE = 10.0


@dataclass(kw_only=True)
class Remote:
    """A running part. One question at a time."""

    process: asyncio.subprocess.Process
    watched: psutil.Process
    asking: asyncio.Lock

    async def ask(self, name: str, **arguments: Any) -> Any:
        """What the part's coroutine `name` gave; RuntimeError with what it raised instead."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        async with self.asking:
            self.process.stdin.write(json.dumps([name, arguments]).encode() + b"\n")
            line = await self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"a part of the run ended while it was asked to {name}")
        answer = json.loads(line)
        if "error" in answer:
            raise RuntimeError(f"{name}: {answer['error']}")
        return answer["value"]

    def cpu(self) -> float:
        """Seconds of CPU that it and its children have used."""
        times = self.watched.cpu_times()
        total = times.user + times.system + times.children_user + times.children_system
        for child in self.watched.children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                own = child.cpu_times()
                total += own.user + own.system
        return float(total)


@asynccontextmanager
async def remote(module: str, **options: Any) -> AsyncIterator[Remote]:
    """Starts `python -m MODULE OPTIONS`, waits until it is ready, and ends its whole group."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        module,
        json.dumps(options),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        limit=_LINE,
        start_new_session=True,  # Ctrl-C is for the run, which then ends its parts in order
    )
    try:
        part = Remote(process=process, watched=psutil.Process(process.pid), asking=asyncio.Lock())
        await part.ask("ready")
        yield part
    finally:
        await _end(process)


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.stdin is not None:
        process.stdin.close()  # the end of its standard input is a part's order to leave
    try:
        await asyncio.wait_for(process.wait(), _PATIENCE)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


def perform(make: Callable[..., Awaitable[Any]]) -> None:
    """The child's main: makes the part with the options of the command line and does as asked.

    With BENCH_PROFILE=DIRECTORY a profile of each part, in CPU time, is written there.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    directory = os.environ.get("BENCH_PROFILE", "")
    profile = cProfile.Profile(time.thread_time) if directory else None
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        if profile is None:
            runner.run(_performance(make))
            return
        profile.runcall(runner.run, _performance(make))
    name = make.__module__ if make.__module__ != "__main__" else sys.argv[0].rsplit("/", 1)[-1]
    profile.dump_stats(f"{directory}/{name}.{os.getpid()}.prof")


async def _performance(make: Callable[..., Awaitable[Any]]) -> None:
    loop = asyncio.get_running_loop()
    orders = asyncio.StreamReader(limit=_LINE)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    answers = os.dup(1)
    os.dup2(2, 1)  # what else is printed is no answer
    part = None
    while line := await orders.readline():
        name, arguments = json.loads(line)
        answer: dict[str, Any]
        try:
            if part is None:
                part = await make(**json.loads(sys.argv[1]))
            answer = {"value": None}
            if name != "ready":
                answer = {"value": await getattr(part, name)(**arguments)}
        except Exception as error:  # noqa: BLE001 - whoever asked is told
            answer = {"error": f"{type(error).__name__}: {error}"}
        await asyncio.to_thread(_write, answers, json.dumps(answer).encode() + b"\n")
    if part is not None:
        await part.close()


def _write(to: int, answer: bytes) -> None:
    while answer:
        answer = answer[os.write(to, answer) :]

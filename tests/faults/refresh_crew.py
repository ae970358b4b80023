"""Processes that refresh, forked by one that has all modules; they are stopped, or die."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from landbridge.store.connections import Connection
from tests.faults.refreshing import Spec

_READY = 60.0


@dataclass(frozen=True, kw_only=True)
class Process:
    """One that refreshes."""

    pid: int
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def ended(self) -> None:
        """Returns once it is dead: the kernel closes its end then."""
        with suppress(ConnectionError):
            while await self.reader.readline():
                pass

    def kill(self) -> None:
        """SIGKILL; nothing if it has ended."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)


@dataclass(frozen=True, kw_only=True)
class Nursery:
    """Where processes come from, and what all of them wrote to their logs."""

    address: Path
    log: Path

    async def start(self, spec: Spec) -> Process:
        """One that refreshes as `spec` says, ready."""
        async with asyncio.timeout(_READY):
            reader, writer = await self._connected()
            writer.write(json.dumps(asdict(spec)).encode() + b"\n")
            if not (line := await reader.readline()):
                raise RuntimeError(self.log.read_text())
        return Process(pid=int(line), reader=reader, writer=writer)

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        while True:
            with suppress(FileNotFoundError, ConnectionRefusedError):
                return await asyncio.open_unix_connection(self.address, limit=2**22)
            await asyncio.sleep(0.05)


@asynccontextmanager
async def nursery() -> AsyncIterator[Nursery]:
    """One of its own, until the end of the block."""
    with tempfile.TemporaryDirectory() as folder:
        made = Nursery(address=Path(folder, "socket"), log=Path(folder, "log"))
        parent = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.faults.refreshing", str(made.address), str(made.log))
        )
        try:
            yield made
        finally:
            parent.kill()
            await parent.wait()


class Crew:
    """Processes that refresh, all by one spec."""

    def __init__(self, processes: Sequence[Process]):
        self.processes = processes

    async def expire(
        self, some: Sequence[Connection], *, tasks: int = 1, first: int = 1, times: int = 1
    ) -> list[dict[str, Any]]:
        """What the processes say, all asked at once; one that died says nothing."""
        for process in self.processes:
            self.order(process, some, tasks=tasks, first=first, times=times)
        return [told for told in await asyncio.gather(*map(self.hear, self.processes)) if told]

    def order(
        self,
        process: Process,
        some: Sequence[Connection],
        *,
        tasks: int = 1,
        first: int = 1,
        times: int = 1,
        point: str = "",
    ) -> None:
        """Gives one of them its work."""
        asked = {
            "connections": [each.id for each in some],
            "tasks": tasks,
            "first": first,
            "times": times,
            "point": point,
        }
        process.writer.write(json.dumps(asked).encode() + b"\n")

    async def hear(self, process: Process) -> dict[str, Any] | None:
        """Its next answer."""
        line = await process.reader.readline()
        return json.loads(line) if line else None


@asynccontextmanager
async def crew(origin: Nursery, specs: Iterable[Spec]) -> AsyncIterator[Crew]:
    """A process by each spec, ready, until the end of the block."""
    processes = await asyncio.gather(*map(origin.start, specs))
    try:
        yield Crew(processes)
    finally:
        for process in processes:
            process.kill()
            await process.ended()
            process.writer.close()


async def stopped(process: Process) -> None:
    """Returns once the process stands still by SIGSTOP, or has ended."""
    async with asyncio.timeout(_READY):
        while True:
            if _state(process.pid) in "TZX":
                return
            await asyncio.sleep(0.01)


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return "X"


def wake(process: Process) -> None:
    """Lets a stopped process go on."""
    os.kill(process.pid, signal.SIGCONT)

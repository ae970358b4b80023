"""Processes of a demonstration: each in a session of its own with a log, and none left behind."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from landbridge.errors import LandbridgeError

T = TypeVar("T")

_PREFIX = "landbridge-demo-"
_LARGE, _SMALL = 500_000_000, 60_000_000
_PAUSE = 0.02
_TAIL = 12
_STOP_SECONDS = 8.0


class DemoFailed(LandbridgeError):
    """A step of the demonstration was not done. `.tail` ends the log of who is at fault."""

    def __init__(self, message: str, *, tail: str = ""):
        super().__init__(message)
        self.tail = tail


@dataclass(frozen=True, kw_only=True)
class Child:
    """A started process. Its output and its errors go to two files of its own."""

    name: str
    process: subprocess.Popen[bytes]
    output: Path
    errors: Path

    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self.process.poll() is None

    def tail(self) -> str:
        """The last lines that it wrote."""
        lines = [
            line
            for path in (self.output, self.errors)
            for line in path.read_text(encoding="utf-8", errors="replace").splitlines()
        ]
        return "\n".join(lines[-_TAIL:])


class Children:
    """Starts processes, and ends them all with the block; the folders are removed then.

    Both are in memory where there is room, unless TMPDIR says where they go: `folder` for all, and
    `small_folder` for who syncs many small files. A guard (see `guard`) ends and removes also when
    this process is killed.
    """

    def __init__(self) -> None:
        self.folder = _folder(_LARGE)
        self.small_folder = _folder(_SMALL)
        self._children: list[Child] = []
        self._processes: list[subprocess.Popen[bytes]] = []
        self._guard = subprocess.Popen(  # noqa: S603 - our own module
            python("-m", "landbridge.cli.demo.guard", str(self.folder), str(self.small_folder)),
            stdin=subprocess.PIPE,
            start_new_session=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def start(self, name: str, command: Sequence[str]) -> Child:
        """Starts a command in the folder; Ctrl-C at the terminal does not reach it."""
        logs = self.folder / "logs"
        logs.mkdir(mode=0o700, exist_ok=True)
        number = len(list(logs.glob("*.out")))
        output, errors = (logs / f"{number}-{name}.{kind}" for kind in ("out", "err"))
        with output.open("wb") as out, errors.open("wb") as err:
            process = subprocess.Popen(  # noqa: S603 - our own commands
                list(command),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                cwd=self.folder,
                start_new_session=True,
            )
        self.adopt(process)
        child = Child(name=name, process=process, output=output, errors=errors)
        self._children.append(child)
        return child

    def kill(self, child: Child) -> None:
        """SIGKILL, as a crash would; returns when it is gone."""
        self._children.remove(child)
        child.process.send_signal(signal.SIGKILL)
        child.process.wait()

    def adopt(self, process: subprocess.Popen[bytes]) -> None:
        """Ends this process with the others, whoever started it."""
        assert self._guard.stdin is not None
        self._guard.stdin.write(b"%d\n" % process.pid)
        self._guard.stdin.flush()
        self._processes.append(process)

    def check(self) -> None:
        """DemoFailed names a process that ended by itself."""
        for child in self._children:
            code = child.process.poll()
            if code is not None:
                raise DemoFailed(
                    f"the process {child.name!r} of the demonstration ended by itself with the"
                    f" status {code}",
                    tail=child.tail(),
                )

    def blamed(self, error: Exception) -> DemoFailed:
        """The error as the demonstration tells it: a process that ended by itself goes first."""
        try:
            self.check()
        except DemoFailed as found:
            return found
        if isinstance(error, DemoFailed):
            return error
        if isinstance(error, LandbridgeError):
            return DemoFailed(f"the demonstration cannot go on: {error}")
        return DemoFailed(
            f"the demonstration cannot go on: {type(error).__name__}: {error}",
            tail="".join(traceback.format_exception(error)[-_TAIL:]).rstrip(),
        )

    async def until(
        self,
        found: Callable[[], Awaitable[T | None]],
        *,
        what: str,
        blame: Child,
        seconds: float = 60.0,
        pause: float = _PAUSE,
    ) -> T:
        """What `found` gives as soon as it is not None; DemoFailed says `what` did not happen."""
        deadline = time.monotonic() + seconds
        while (answer := await found()) is None:
            self.check()
            if time.monotonic() > deadline:
                raise DemoFailed(
                    f"{what} did not happen within {seconds:.0f} s; the log of {blame.name!r}"
                    " stands above",
                    tail=blame.tail(),
                )
            await asyncio.sleep(pause)
        return answer

    def close(self) -> None:
        """Ends every process and waits for the guard to remove the folder. Twice is once."""
        assert self._guard.stdin is not None
        self._guard.stdin.close()
        for process in self._processes:
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._guard.wait()


def _folder(size: int) -> Path:
    """A new folder that only this user can list; in memory if there is this much of it."""
    memory = Path("/dev/shm")  # noqa: S108 - a new folder below it, by tempfile
    there = memory.is_dir() and os.access(memory, os.W_OK) and "TMPDIR" not in os.environ
    place = memory if there and shutil.disk_usage(memory).free > size else None
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=place))
    folder.chmod(0o711)  # root's Postgres runs as another user
    return folder


def python(*arguments: str) -> list[str]:
    """A command line of this very Python, where the folder it starts in cannot shadow a module."""
    return [sys.executable, "-P", *arguments]

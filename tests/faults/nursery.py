"""Processes to kill: a parent that has imported everything forks them in no time, and reaps them.

`python -m tests.faults.nursery` reads a line of JSON per process to start or to wait for. What runs
in the children is in `tests.faults.victims`; only there and here are crash points known.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from typing import Any, Self


class Nursery:
    """Starts children, kills them and tells how they ended. Use it as `async with`."""

    async def __aenter__(self) -> Self:
        self._parent = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.faults.nursery",
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._asking = asyncio.Lock()
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._parent.stdin is not None
        self._parent.stdin.close()
        await self._parent.wait()

    async def start(self, role: str, **options: Any) -> int:
        """The process id of a new child that plays the role."""
        return int((await self._ask(role=role, options=options))["pid"])

    def kill(self, pid: int) -> None:
        """SIGKILL; nothing if it has ended."""
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)

    async def ended(self, pid: int, within: float) -> int | None:
        """How the child ended: 0, an exit code, or minus the signal; None: it still runs."""
        deadline = asyncio.get_running_loop().time() + within
        while True:
            status = (await self._ask(wait=pid))["ended"]
            if status is not None or asyncio.get_running_loop().time() > deadline:
                return None if status is None else int(status)
            await asyncio.sleep(0.01)

    async def _ask(self, **order: Any) -> dict[str, Any]:
        assert self._parent.stdin is not None
        assert self._parent.stdout is not None
        async with self._asking:
            self._parent.stdin.write(json.dumps(order).encode() + b"\n")
            answer = await self._parent.stdout.readline()
        if not answer:
            raise RuntimeError("the nursery has ended; its error stands above")
        found: dict[str, Any] = json.loads(answer)
        return found


def _serve() -> None:
    from tests.faults.victims import ROLES

    children: set[int] = set()
    for line in sys.stdin:
        order = json.loads(line)
        if "role" in order:
            pid = os.fork()
            if pid == 0:
                _play(ROLES[order["role"]], order["options"])
            children.add(pid)
            answer: dict[str, Any] = {"pid": pid}
        else:
            found, status = os.waitpid(order["wait"], os.WNOHANG)
            answer = {"ended": os.waitstatus_to_exitcode(status) if found else None}
            children.discard(found)
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
    for pid in children:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _play(role: Any, options: dict[str, Any]) -> None:
    """Runs in the child, which ends here."""
    status = 1
    try:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(2, 1)
        asyncio.run(role(**options))
        status = 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
        raise
    finally:
        os._exit(status)


if __name__ == "__main__":
    _serve()

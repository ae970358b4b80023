"""Other tools that load an API into Postgres, for the row `sync`: each in an environment of its
own, made on first use from a lock with hashes."""

from __future__ import annotations

import asyncio
import json
import secrets
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

_ROOT = Path(__file__).parents[2]
_HOME = _ROOT / "build" / "bench"
_SCRIPTS = Path(__file__).with_name("pipelines")


@dataclass(frozen=True, kw_only=True)
class Peer:
    """A tool: its lock is `requirements/bench-NAME.txt`, its pipeline `pipelines/SCRIPT`."""

    name: str
    script: str


PEERS = (
    Peer(name="dlt", script="dlt_pipeline.py"),
    Peer(name="singer", script="singer_pipeline.py"),
    Peer(name="airbyte", script="airbyte_pipeline.py"),
)


async def environment(peer: Peer) -> Path:
    """The interpreter of the peer's environment, which is made unless it is there already."""
    lock = _ROOT / "requirements" / f"bench-{peer.name}.txt"
    home = _HOME / peer.name
    python, stamp = home / "bin" / "python", home / "lock"
    if not stamp.exists() or stamp.read_text() != lock.read_text():
        uv = [sys.executable, "-m", "uv"]
        await _run(*uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(home))
        await _run(
            *uv,
            *("pip", "install", "--quiet", "--python", str(python)),
            *("--require-hashes", "-r", str(lock)),
        )
        stamp.write_text(lock.read_text())
    return python


async def _run(*command: str) -> None:
    made = await asyncio.create_subprocess_exec(*command, stdin=subprocess.DEVNULL)
    if await made.wait():
        raise RuntimeError(f"{command[-1]}: the environment of a peer cannot be made")


class Pipeline:
    """A running pipeline of a peer."""

    def __init__(self, process: asyncio.subprocess.Process):
        self._process = process

    async def run(self) -> dict[str, Any]:
        """One run: `version`, `rows`, `seconds`, `cpu`, `peak` as `sync_ours` measures them."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(b"\n")
        line = await self._process.stdout.readline()
        if not line:
            raise RuntimeError("the pipeline of a peer ended")
        told: dict[str, Any] = json.loads(line)
        return told


@asynccontextmanager
async def peer(
    of: Peer, python: Path, *, source: str, database: str, size: int
) -> AsyncIterator[Pipeline]:
    """The peer's pipeline from `source` to an empty `database`; its files go with it."""
    with tempfile.TemporaryDirectory(prefix="landbridge-peer-") as home:
        options = {
            "name": f"bench_{secrets.token_hex(4)}",
            "source": source,
            "database": _with_host(database),
            "size": size,
            "home": home,
        }
        process = await asyncio.create_subprocess_exec(
            str(python),
            str(_SCRIPTS / of.script),
            json.dumps(options),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=home,
        )
        try:
            yield Pipeline(process)
        finally:
            assert process.stdin is not None
            process.stdin.close()
            await process.wait()


def _with_host(url: str) -> str:
    """The address with a host where tools demand one; the socket in its query overrules it."""
    parts = urlsplit(url)
    user = parts.netloc.rpartition("@")[0]
    return parts._replace(netloc=f"{user}@localhost:5432").geturl()

"""Prism by Stoplight: a mock of a vendor's API out of the vendor's own document, and a proxy that
holds what passes through it against the same document.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from landbridge.wire import Response
from tests.npm import free_port, installed, node

_HERE = Path(__file__).parent
_CLI = "node_modules/@stoplight/prism-cli/dist/index.js"
_START = 120.0


class _Violation(msgspec.Struct):
    location: list[str]
    message: str


class _Problem(msgspec.Struct):
    title: str
    detail: str = ""
    validation: list[_Violation] = []


def objections(answer: Response) -> list[str]:
    """What Prism says against a request or, as a proxy, against the answer of the server behind it.

    It keeps some of its own made-up answers for wrong; that is not told here.
    """
    told = msgspec.json.decode(answer.headers.get("sl-violations") or "[]", type=list[_Violation])
    if answer.headers.get("content-type", "").startswith("application/problem+json"):
        problem = msgspec.json.decode(answer.body, type=_Problem)
        if not problem.validation:
            return [f"{problem.title}: {problem.detail}"]
        told = problem.validation
    return [f"{'.'.join(one.location)}: {one.message}" for one in told]


@asynccontextmanager
async def mock(document: Mapping[str, Any]) -> AsyncIterator[str]:
    """The address of a server that answers what the document allows by what it shows, until the
    end of the block."""
    async with _started("mock", document) as url:
        yield url


@asynccontextmanager
async def proxy(document: Mapping[str, Any], upstream: str) -> AsyncIterator[str]:
    """The address of a server that passes on to `upstream`, and says 422 or 500 in its own words
    where a request or its answer is not as the document says."""
    async with _started("proxy", document, upstream, "--errors") as url:
        yield url


@asynccontextmanager
async def _started(command: str, document: Mapping[str, Any], *more: str) -> AsyncIterator[str]:
    folder = await asyncio.to_thread(installed, _HERE)
    port = free_port()
    with tempfile.TemporaryDirectory() as place:
        file = Path(place) / "document.json"
        file.write_text(json.dumps(document))
        process = await asyncio.create_subprocess_exec(
            *(node(), _CLI, command, str(file), *more, "--port", str(port)),
            cwd=folder,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            async with asyncio.timeout(_START):
                await _listening(process)
            assert process.stdout is not None
            drained = asyncio.create_task(process.stdout.read())  # else it waits for a reader
            yield f"http://127.0.0.1:{port}"
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()
        await drained


async def _listening(process: asyncio.subprocess.Process) -> None:
    assert process.stdout is not None
    log = b""
    while b"listening" not in log:
        line = await process.stdout.readline()
        if not line:
            raise RuntimeError(f"Prism did not start: {log.decode(errors='replace')[-2000:]}")
        log += line

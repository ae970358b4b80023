"""Landbridge in a demonstration: a server and a worker as processes, and a bridge to talk to."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from landbridge.app import Landbridge
from landbridge.cli.demo.children import Child, Children, python
from landbridge.store.embedded import Embedded

TENANT = "acme"
OTHER_TENANT = "globex"


def isolate(folder: Path) -> None:
    """Makes this process and those it starts an installation of their own, whatever is set."""
    for name in list(os.environ):
        if name.startswith("LANDBRIDGE_"):
            del os.environ[name]
    os.environ["LANDBRIDGE_HOME"] = str(folder)
    os.environ["LANDBRIDGE_ALLOW_NETWORKS"] = "127.0.0.0/8"
    os.environ["PYTHONUNBUFFERED"] = "1"


@dataclass(kw_only=True)
class Inside:
    """The installation. `worker` is replaced when it was killed."""

    children: Children
    bridge: Landbridge
    server: Child
    address: str
    worker: Child

    def kill_worker(self) -> None:
        """SIGKILL to the worker; nobody works until `hire`."""
        self.children.kill(self.worker)

    def hire(self) -> None:
        """Starts another worker."""
        self.worker = _worker(self.children)


@asynccontextmanager
async def running(children: Children) -> AsyncIterator[Inside]:
    """Server, worker and bridge over one embedded Postgres, as long as the block lasts."""
    database = Embedded.at(children.folder / "postgres")
    server = children.start("serve", _command("serve", "--port=0", "--json"))
    worker = _worker(children)

    async def serving() -> str | None:
        text = await asyncio.to_thread(server.output.read_text)
        return str(json.loads(text)["serving"]) if text.endswith("\n") else None

    # Both of them attach too; the database is made while they still import.
    with await asyncio.to_thread(database.attach):
        address = await children.until(serving, what="the start of the server", blame=server)
    async with Landbridge.from_env(public_url=address) as bridge:
        yield Inside(
            children=children, bridge=bridge, server=server, address=address, worker=worker
        )


def _worker(children: Children) -> Child:
    return children.start("worker", _command("worker"))


def _command(*arguments: str) -> list[str]:
    return python("-m", "landbridge.cli", *arguments)

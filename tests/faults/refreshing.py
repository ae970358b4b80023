"""Processes that refresh: `python -m tests.faults.refreshing SOCKET LOG` forks one per connection.

The first line is a process's spec (JSON), which it answers with its id. For each further line
`{"connections": [...], "first": v, "times": n, "tasks": t, "point": ""}` its tasks find the access
token of each connection refused, version after version, and it says what they were given. At a
`point` (`before`, `in` or `after` its post, or `stored`) it stops or dies, once.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
import time
from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import structlog

from landbridge.client import Client
from landbridge.client.guard import Guard
from landbridge.clock import SystemClock
from landbridge.engine.refresh import Refresher
from landbridge.errors import LandbridgeError, ReconnectRequired
from landbridge.measures import TOKEN_REFRESHES, Measures
from landbridge.spec import OAuth2, Provider, Resource
from landbridge.store import connections
from landbridge.store.connections import Connection
from landbridge.store.database import Database
from landbridge.vault import LocalKey, Vault
from landbridge.wire import Request, Response
from tests.faults.refresh_rules import RULES

SIGNALS = {"stop": signal.SIGSTOP, "kill": signal.SIGKILL}


@dataclass(frozen=True, kw_only=True)
class Spec:
    """How a process refreshes."""

    database: str
    key: str
    rule: str = "ours"
    window: float = 0.0
    lease: float = 1.0
    patience: float = 30.0
    signal: str = "stop"
    """What happens to it at a point: `stop` or `kill`."""


def page(window: float) -> Provider:
    """A provider whose refresh tokens rotate; `window` is its retry window in seconds."""
    return Provider(
        slug="peer",
        name="Peer",
        docs="https://peer.example/docs",
        checked="2026-11-27",
        auth=OAuth2(
            authorize="{url}/auth",
            token="{url}/token",
            scopes={"api": "Everything"},
            refresh_rotates=True,
            refresh_retry_window=timedelta(seconds=window) if window else None,
            access_lives=timedelta(minutes=30),
        ),
        base="{url}",
        resources=[
            Resource(
                name="thing",
                path="/things",
                key="id",
                records="data",
                needs=frozenset({"api"}),
            )
        ],
    )


class Fragile(Client):
    """The client, in which the process stops or dies at a point of its first post."""

    point = ""
    last = ""
    signal = signal.SIGSTOP

    async def exchange(
        self, request: Request, *, most: int = 1_000_000, timeout: float | None = None
    ) -> Response:
        point, self.point = self.point, ""
        self.last = point
        if point == "before":
            os.kill(os.getpid(), self.signal)
        if point == "in":
            posting = asyncio.create_task(super().exchange(request, most=most, timeout=timeout))
            await asyncio.sleep(0.15)
            os.kill(os.getpid(), self.signal)
            return await posting
        response = await super().exchange(request, most=most, timeout=timeout)
        if point == "after":
            os.kill(os.getpid(), self.signal)
        return response


def refresher(db: Database, spec: Spec) -> Refresher:
    """What a process of this kind refreshes with, by its rule."""
    vault, clock = Vault(db, LocalKey.from_text(spec.key)), SystemClock()
    client = Fragile(db, vault, Guard(allow=["127.0.0.0/8"]), clock=clock)
    client.signal = SIGNALS[spec.signal]
    peer = page(spec.window)
    return RULES[spec.rule](
        db,
        vault,
        client,
        provider=lambda _slug: peer,
        clock=clock,
        measures=Measures(),
        lease=timedelta(seconds=spec.lease),
        patience=spec.patience,
    )


async def expire(
    process: Refresher, connection: Connection, tasks: int, first: int, times: int
) -> tuple[Counter[str], list[float]]:
    """What so many tasks are given whose token was refused, version after version."""
    told: Counter[str] = Counter()
    waits: list[float] = []

    async def one(version: int) -> None:
        began = time.monotonic()
        try:
            await process.refused(connection, version)
            told["given"] += 1
            _stored(process)
        except ReconnectRequired as error:
            told[error.reason] += 1
        except LandbridgeError as error:
            told[type(error).__name__] += 1
        waits.append(time.monotonic() - began)

    for version in range(first, first + times):
        await asyncio.gather(*(one(version) for _ in range(tasks)))
    return told, waits


def _stored(process: Refresher) -> None:
    """The point `stored`: what was answered is committed, and nobody was told yet."""
    client = process._client
    if isinstance(client, Fragile) and client.last == "stored":
        os.kill(os.getpid(), client.signal)


async def main(spec: Spec) -> None:
    """Answers each line of standard input with a line of JSON."""
    db = await Database.open(spec.database, budget=4)
    process = refresher(db, spec)
    loop = asyncio.get_running_loop()
    print(os.getpid(), flush=True)
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        asked: dict[str, Any] = json.loads(line)
        found = [
            await connections.by_id(db, environment="test", id=each)
            for each in asked["connections"]
        ]
        client = process._client
        assert isinstance(client, Fragile)
        client.point = asked["point"]
        done = await asyncio.gather(
            *(
                expire(process, each, asked["tasks"], asked["first"], asked["times"])
                for each in found
                if each is not None
            )
        )
        told: Counter[str] = Counter()
        waits: list[float] = []
        for some, waited in done:
            told += some
            waits += waited
        outcomes = process._measures.counts(TOKEN_REFRESHES)
        answer = {
            "told": told,
            "waits": sorted(waits)[:: max(1, len(waits) // 500)],
            "outcomes": {labels[2]: n for labels, n in outcomes.items()},
        }
        print(json.dumps(answer), flush=True)
    await db.close()


def _serve(path: str, log: str) -> None:
    """Forks a process for each connection; it has all modules and starts in no time."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), 2)
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen(64)
        while True:
            connection, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                _child(connection)
            connection.close()


def _child(connection: socket.socket) -> None:
    """Runs in the process that was forked, which ends here."""
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for number in (0, 1):
            os.dup2(connection.fileno(), number)
        connection.close()
        asyncio.run(main(Spec(**json.loads(sys.stdin.readline()))))
    except BaseException:
        sys.excepthook(*sys.exc_info())
        raise
    finally:
        os._exit(0)


if __name__ == "__main__":
    _serve(*sys.argv[1:])

"""What tests of commands share: the command itself, a database, and a Stripe account to connect."""

from __future__ import annotations

import asyncio
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest

from landbridge.cli import main
from landbridge.testing.running import in_thread
from landbridge.testing.stripe import KEY, Amounts, Settings, Simulator
from landbridge.vault import new_key

SMALL = Amounts(customers=12, products=3, subscriptions=4, invoices=10, refunds=2)


@dataclass(frozen=True, kw_only=True)
class Done:
    """How a command ended."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What it printed, parsed."""
        return json.loads(self.out)


class Cli:
    """Calls `landbridge` in this process, with only these LANDBRIDGE_... variables."""

    def __init__(self, patch: pytest.MonkeyPatch, capture: pytest.CaptureFixture[str]):
        self._patch = patch
        self._capture = capture
        self.environment: dict[str, str] = {}

    def __call__(self, *words: str, stdin: str = "", **environment: str) -> Done:
        """The command's end; `stdin` is what it reads, `environment` adds variables."""
        with self._patch.context() as patch:
            for name in [each for each in os.environ if each.startswith("LANDBRIDGE_")]:
                patch.delenv(name)
            for name, value in (self.environment | environment).items():
                patch.setenv(name, value)
            patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
            self._capture.readouterr()
            status = main(words)
        out, err = self._capture.readouterr()
        return Done(status=status, out=out, err=err)

    def ok(self, *words: str, stdin: str = "", **environment: str) -> Done:
        """As a call; fails the test unless the command ends well."""
        done = self(*words, stdin=stdin, **environment)
        assert done.status == 0, done
        return done


@pytest.fixture
def bare_cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    """The command without any setting."""
    return Cli(monkeypatch, capsys)


@pytest.fixture
def cli(bare_cli: Cli, database_url: str) -> Cli:
    """The command on a migrated database of this test's own, with a fresh key."""
    bare_cli.environment = {
        "LANDBRIDGE_DATABASE_URL": database_url,
        "LANDBRIDGE_KEY": new_key(),
        "LANDBRIDGE_ALLOW_NETWORKS": "127.0.0.0/8",
    }
    return bare_cli


@dataclass(frozen=True, kw_only=True)
class Shop:
    """A Stripe account that runs here."""

    url: str
    simulator: Simulator


@pytest.fixture
def shop() -> Iterator[Shop]:
    """A small Stripe account, served by a thread."""
    simulator = Simulator(Settings(amounts=SMALL))
    with in_thread(simulator.app) as url:
        yield Shop(url=url, simulator=simulator)


def connect(cli: Cli, shop: Shop, *more: str) -> str:
    """The id of a fresh connection of the tenant acme; nothing is scheduled."""
    done = cli.ok(
        "connect", "stripe", "--tenant", "acme", "--url", shop.url, "--no-schedule", "--json",
        *more, LANDBRIDGE_CONNECT_KEY=KEY,
    )  # fmt: skip
    connection: str = done.json["connection"]
    return connection


async def control(shop: Shop, method: str, path: str, body: Any = None) -> Any:
    """A call to the simulator's control plane."""
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, f"{shop.url}/_sim/{path}", json=body) as answer,
    ):
        assert answer.status == 200, await answer.text()
        return await answer.json()


def run(shop: Shop, method: str, path: str, body: Any = None) -> Any:
    """The same, from a test that runs commands."""
    return asyncio.run(control(shop, method, path, body))


@contextmanager
def started(
    words: Sequence[str], environment: Mapping[str, str]
) -> Iterator[subprocess.Popen[str]]:
    """The command as a process of its own; killed at the end if it still runs."""
    bare = {name: value for name, value in os.environ.items() if not name.startswith("LANDBRIDGE_")}
    process = subprocess.Popen(
        [sys.executable, "-m", "landbridge.cli", *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**bare, "PYTHONUNBUFFERED": "1", **environment},
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()

"""A Postgres of a run's own: fsync on, the defaults, and the settings stated here. It ends with
the run."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlsplit

import asyncpg
import psutil
import psycopg

from landbridge.store.embedded import binaries
from landbridge.store.embedded._account import Account
from landbridge.store.embedded._binaries import runnable
from landbridge.store.embedded._home import Options
from landbridge.store.embedded._server import _ends_with_parent
from landbridge.store.migrate import upgrade
from tests.store.databases import SCHEMA, with_database

SETTINGS = {
    "fsync": "on",
    "synchronous_commit": "on",
    "shared_buffers": "256MB",
    "max_wal_size": "4GB",
    "max_connections": "200",
    "shared_preload_libraries": "pg_stat_statements",
    "pg_stat_statements.track_utility": "off",
    "timezone": "UTC",
}
"""What differs from the defaults or is stated to be seen; it stands in each row's detail."""

_PREFIX = "landbridge-bench-"
_PATIENCE = 30.0


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """A running server. `url` is of its first database."""

    url: str
    postmaster: psutil.Process
    version: str
    counts_statements: bool

    def cpu(self) -> float:
        """Seconds of CPU of all its processes since it started, those that have ended included."""
        own = self.postmaster.cpu_times()
        total = own.user + own.system + own.children_user + own.children_system
        for child in self.postmaster.children():
            with suppress(psutil.NoSuchProcess):
                times = child.cpu_times()
                total += times.user + times.system
        return float(total)

    async def database(self, *, migrated: bool = True, like: str = "") -> str:
        """The address of a new database: with our schema in it, empty, or a copy of another one
        that nobody is connected to."""
        name = f"b_{secrets.token_hex(4)}"
        url = with_database(self.url, name)
        copied = f" TEMPLATE {urlsplit(like).path[1:]} STRATEGY file_copy" if like else ""
        await self._run(self.url, f"CREATE DATABASE {name}{copied}")
        if migrated and not like:
            await upgrade(url, SCHEMA)
        if self.counts_statements and not like:
            await self._run(url, "CREATE EXTENSION pg_stat_statements SCHEMA public")
        return url

    async def settle(self) -> None:
        """Checkpoints, so that each measurement starts from the same place."""
        await self._run(self.url, "CHECKPOINT")

    @staticmethod
    async def _run(url: str, statement: str) -> None:
        connection = await asyncpg.connect(url)
        await connection.execute(statement)
        await connection.close()


@contextmanager
def cluster() -> Iterator[Cluster]:
    """A new server on a Unix socket with a password; stopped and removed at the end, which SIGTERM
    brings about as Ctrl-C does. What SIGKILL leaves on the disk the next run removes."""
    _drop_orphans()
    account = Account.choose()
    programs = runnable(binaries(), account, Options.shared)
    with ExitStack() as stack:
        before = signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
        stack.callback(signal.signal, signal.SIGTERM, before)
        home = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-"))
        stack.callback(shutil.rmtree, home, ignore_errors=True)
        home.chmod(0o711)
        for name in ("data", "run"):
            (home / name).mkdir(mode=0o700)
            account.own(home / name)
        password = secrets.token_hex(16)
        _initdb(programs, account, home, password)
        counts = (programs.parent / "lib" / "pg_stat_statements.so").exists()
        server = stack.enter_context(_running(programs, account, home, counts=counts))
        url = f"postgresql://owner:{password}@/postgres?host={quote(str(home / 'run'))}&port=5432"
        version = _until_up(url, server, home)
        yield Cluster(
            url=url,
            postmaster=psutil.Process(server.pid),
            version=version,
            counts_statements=counts,
        )


def _initdb(programs: Path, account: Account, home: Path, password: str) -> None:
    word = home / "run" / "password"
    word.touch(mode=0o600)
    word.write_text(password)
    account.own(word)
    subprocess.run(
        [
            str(programs / "initdb"),
            *f"-D {home / 'data'} --username=owner --auth=scram-sha-256 --pwfile={word}".split(),
            *"--encoding=UTF8 --locale=C --no-instructions --no-sync".split(),
        ],
        check=True,
        stdout=subprocess.DEVNULL,
        **account.as_user,
    )


@contextmanager
def _running(
    programs: Path, account: Account, home: Path, *, counts: bool
) -> Iterator[subprocess.Popen[bytes]]:
    settings = {
        name: value for name, value in SETTINGS.items() if counts or "pg_stat" not in name + value
    }
    settings |= {"listen_addresses": "", "unix_socket_directories": str(home / "run")}
    flags = [word for pair in settings.items() for word in ("-c", "=".join(pair))]
    with (home / "log").open("wb") as log:
        server = subprocess.Popen(
            [str(programs / "postgres"), "-D", str(home / "data"), *flags],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            preexec_fn=_ends_with_parent(),  # noqa: PLW1509 - before any thread of ours
            **account.as_user,
        )
    try:
        yield server
    finally:
        _stop(server)


def _stop(server: subprocess.Popen[bytes]) -> None:
    """Fast shutdown, and less patient ones if that does not do."""
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
        with suppress(subprocess.TimeoutExpired):
            server.send_signal(number)
            server.wait(_PATIENCE / 3)
            return


def _until_up(url: str, server: subprocess.Popen[bytes], home: Path) -> str:
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            with psycopg.connect(url) as connection:
                return str(connection.info.server_version)
        except psycopg.OperationalError:
            if server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError((home / "log").read_text()[-2000:]) from None
            time.sleep(0.02)


def _drop_orphans() -> None:
    """Removes what runs left behind that were killed."""
    for path in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        pid = path.name.removeprefix(_PREFIX).partition("-")[0]
        if pid.isdigit() and not psutil.pid_exists(int(pid)):
            shutil.rmtree(path, ignore_errors=True)

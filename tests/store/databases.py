"""Real Postgres for tests: one server per run, a fresh database per test."""

import asyncio
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg

from landbridge.errors import SettingsError
from landbridge.store.embedded import Attached, Embedded
from landbridge.store.migrate import upgrade

SCHEMA = "landbridge"
_TEMPLATE = "lb_template"
_TEMPLATE_LOCK = 0x4C42_7E57
_STALE_SECONDS = 3600
_ROOM = 4_000_000_000


@contextmanager
def shared_server(run: str) -> Iterator[Attached]:
    """The server of one test run, shared by all its processes; the last one out removes it."""
    base = _home()
    ours = f"landbridge-tests-{os.geteuid()}-"
    for stale in base.glob(f"{ours}*"):  # from runs that were killed
        with suppress(SettingsError, FileNotFoundError):
            if time.time() - stale.stat().st_mtime > _STALE_SECONDS:
                Embedded.at(stale).remove()
    embedded = Embedded.at(base / f"{ours}{run}", fsync=False)
    with embedded.attach() as attached:
        yield attached
    with suppress(SettingsError):  # others still use it
        embedded.remove()


def _home() -> Path:
    """In memory where there is room: a database is copied for each test, there ten times faster."""
    memory = Path("/dev/shm")
    if (
        os.access(memory, os.W_OK)
        and shutil.disk_usage(memory).free >= _ROOM
        and not os.statvfs(memory).f_flag & os.ST_NOEXEC  # some tests put programs there
    ):
        return memory
    return Path(tempfile.gettempdir())


@contextmanager
def reachable_directory() -> Iterator[Path]:
    """A directory that the server's unprivileged user can reach, which root's tmp_path is not."""
    directory = Path(tempfile.mkdtemp(prefix="landbridge-test-", dir=_home()))
    directory.chmod(0o711)
    yield directory
    shutil.rmtree(directory)


@contextmanager
def connected(url: str) -> Iterator[psycopg.Connection[Any]]:
    """A plain connection outside any transaction."""
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection


def with_database(url: str, name: str) -> str:
    """The same address, of another database of that server."""
    return urlsplit(url)._replace(path=f"/{name}").geturl()


def migrated_template(server: str) -> str:
    """The name of a migrated database to copy; made once per server, whoever asks first."""
    with connected(server) as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", [_TEMPLATE_LOCK])
        found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [_TEMPLATE])
        if not found.fetchone():
            draft = f"{_TEMPLATE}_draft"
            connection.execute(f"DROP DATABASE IF EXISTS {draft} WITH (FORCE)")
            connection.execute(f"CREATE DATABASE {draft}")
            with ThreadPoolExecutor(1) as thread:  # this one may already run an event loop
                thread.submit(asyncio.run, upgrade(with_database(server, draft), SCHEMA)).result()
            with connected(with_database(server, draft)) as inside:
                _drop_far_partitions(inside)
                inside.execute("VACUUM (FULL, FREEZE)")  # migrations leave catalogs twice as large
            with connected(with_database(server, draft)):
                pass  # who comes first writes down what Postgres itself looks up; it is copied too
            connection.execute(f"ALTER DATABASE {draft} ALLOW_CONNECTIONS false")
            connection.execute(f"ALTER DATABASE {draft} RENAME TO {_TEMPLATE}")
    return _TEMPLATE


def _drop_far_partitions(connection: psycopg.Connection[Any]) -> None:
    """Keeps yesterday's to tomorrow's: copying the others costs each test most of its time."""
    found = connection.execute(
        "SELECT format('DROP TABLE %%I.%%I', %s::text, c.relname) FROM pg_inherits AS i"
        " JOIN pg_class AS c ON c.oid = i.inhrelid"
        " WHERE c.relkind = 'r' AND c.relname ~ '_[0-9]{8}$'"
        " AND right(c.relname, 8) > to_char(now() + interval '1 day', 'YYYYMMDD')",
        [SCHEMA],
    )
    for (statement,) in found.fetchall():
        connection.execute(statement)


@contextmanager
def fresh_database(
    server: str, template: str = "template1", over: psycopg.Connection[Any] | None = None
) -> Iterator[str]:
    """The address of a new copy of `template`, dropped at the end whoever is still connected.

    Who makes many keeps a connection to the server and has them made `over` it.
    """
    name = f"t_{secrets.token_hex(6)}"
    with nullcontext(over) if over else connected(server) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
    yield with_database(server, name)
    with nullcontext(over) if over else connected(server) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")

"""The embedded server's life: who starts it, who stops it, and what it survives."""

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from landbridge.errors import SettingsError
from landbridge.store.embedded import Embedded
from tests.store.attachers import (
    attacher,
    eventually,
    kill,
    lives,
    ordinary_python,
    postmaster,
    supervisor,
)
from tests.store.databases import connected


@pytest.fixture
def home(server_directory: Path) -> Iterator[Path]:
    yield server_directory / "home"
    Embedded.at(server_directory / "home").remove()  # refuses when somebody was left behind


def embedded(home: Path, *, tcp: bool = False) -> Embedded:
    return Embedded.at(home, fsync=False, tcp=tcp, shared=home.parent / "shared")


def answers(url: str) -> bool:
    with suppress(psycopg.OperationalError), connected(url) as connection:
        return connection.execute("SELECT 1").fetchone() == (1,)
    return False


async def test_a_directory_becomes_a_database(home: Path) -> None:
    with Embedded.at(home).attach() as attached:
        connection = await asyncpg.connect(attached.dsn)
        row = await connection.fetchrow(
            "SELECT current_database(), current_user, current_setting('server_encoding'),"
            " current_setting('fsync'), current_setting('listen_addresses'),"
            " rolpassword LIKE 'SCRAM-SHA-256$%' FROM pg_authid WHERE rolname = current_user"
        )
        order = await connection.fetchval(
            "SELECT array_agg(x ORDER BY x) FROM unnest($1::text[]) x", ["é", "b", "a", "Z"]
        )
        await connection.close()
        assert tuple(row or ()) == ("landbridge", "owner", "UTF8", "on", "", True)
        assert order == ["Z", "a", "b", "é"], "sorted by code point, like in Python"
        url = attached.dsn.replace("postgresql://", "postgresql+asyncpg://")
        engine = create_async_engine(url)
        async with engine.connect() as sqlalchemy:
            assert await sqlalchemy.scalar(text("SELECT 1")) == 1
        await engine.dispose()


def test_the_password_is_needed_and_is_told_to_nobody(home: Path) -> None:
    with embedded(home).attach() as attached:
        password = urlsplit(attached.dsn).password
        assert password
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(attached.dsn.replace(password, "wrong"))
        assert password not in repr(attached) + repr(embedded(home)) + str(vars(attached))
        assert (home / "password").stat().st_mode & 0o777 == 0o600
        readable = [path for path in home.rglob("*") if path.stat().st_mode & 0o044]
        assert not readable, "nobody else reads anything in the directory"
        assert password not in (home / "server.log").read_text()


def test_secrets_of_the_application_are_not_lent_to_the_server(home: Path, tmp_path: Path) -> None:
    canary = "canary-73a1"
    program = (
        "import sys, pathlib; from landbridge.store.embedded import Embedded;"
        "a = Embedded.at(pathlib.Path(sys.argv[1]), fsync=False).attach();"
        "print(a.dsn, flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(home)],
        text=True,
        env=os.environ | {"LANDBRIDGE_KEY": canary, "STRIPE_KEY": canary},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout
        first = postmaster(process.stdout.readline().strip())
        seen = [
            Path(f"/proc/{number}/environ").read_bytes() for number in (first, supervisor(first))
        ]
        process.kill()
    assert all(b"PATH=" in environment for environment in seen)
    assert not any(canary.encode() in environment for environment in seen)


def test_a_failed_statement_does_not_reach_the_log(home: Path) -> None:
    with embedded(home).attach() as attached:
        with connected(attached.dsn) as connection, pytest.raises(psycopg.Error):
            connection.execute("SELECT 'canary-51c9' FROM no_such_table")
        words = (home / "server.log").read_text()
    assert "no_such_table" in words
    assert "canary-51c9" not in words


def test_the_last_one_out_stops_it_and_what_was_written_stays(home: Path) -> None:
    with embedded(home).attach() as one:
        first = postmaster(one.dsn)
        with embedded(home).attach() as other, connected(other.dsn) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
        assert lives(first), "one is still attached"
        with attacher(home) as third:
            assert third.says() == one.dsn
            third.leaves()
        assert lives(first)
    assert not lives(first)
    one.close()  # twice is nothing
    with embedded(home).attach() as again, connected(again.dsn) as connection:
        assert connection.execute("SELECT answer FROM kept").fetchone() == (42,)
        assert postmaster(again.dsn) != first


def test_a_hold_that_nobody_has_any_more_keeps_no_server_going(home: Path) -> None:
    attached = embedded(home).attach()
    pid = supervisor(postmaster(attached.dsn))
    assert lives(pid)
    del attached
    assert eventually(lambda: not lives(pid))


def test_many_at_the_same_moment_start_one_server(home: Path) -> None:
    with ExitStack() as stack:
        crowd = [stack.enter_context(attacher(home)) for _ in range(8)]
        with ThreadPoolExecutor(8) as threads:
            addresses = set(threads.map(lambda one: one.says(), crowd))
        assert len(addresses) == 1
        first = postmaster(addresses.pop())
        for one in crowd:
            assert lives(first)
            one.leaves()
        assert not lives(first)


def test_kill_9_of_the_last_attached_process_stops_it(home: Path) -> None:
    with attacher(home) as one, attacher(home) as other:
        first = postmaster(one.says())
        other.says()
        guard = supervisor(first)
        one.is_killed()
        assert answers(other.ensures())
        assert lives(first), "the other one is still attached"
        other.is_killed()
        assert eventually(lambda: not lives(first) and not lives(guard))


def test_kill_9_of_the_postmaster_is_healed_without_asking(home: Path) -> None:
    with embedded(home).attach() as attached:
        with connected(attached.dsn) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
        for _ in range(3):
            first = postmaster(attached.dsn)
            kill(first)
            assert eventually(Path(f"/proc/{first}").exists, becomes=False), "reaped"
            assert eventually(lambda: answers(attached.dsn))
            with connected(attached.dsn) as connection:
                assert connection.execute("SELECT answer FROM kept").fetchone() == (42,)


def test_kill_9_of_the_postmaster_under_a_busy_backend(home: Path) -> None:
    with embedded(home).attach() as attached, ThreadPoolExecutor(1) as thread:
        with connected(attached.dsn) as connection:
            backend = connection.info.backend_pid
            busy = thread.submit(
                connection.execute, "SELECT count(*) FROM generate_series(1, 1e12)"
            )
            with connected(attached.dsn) as other:
                row = "SELECT state FROM pg_stat_activity WHERE pid = %s"
                assert eventually(lambda: other.execute(row, [backend]).fetchone() == ("active",))
                kill(postmaster(attached.dsn))
            with pytest.raises(psycopg.OperationalError):
                busy.result()
        attached.ensure()
        assert answers(attached.dsn)
        assert not lives(backend)


@pytest.mark.parametrize("also_the_postmaster", [False, True])
def test_kill_9_of_the_supervisor(home: Path, also_the_postmaster: bool) -> None:
    with attacher(home) as one, embedded(home).attach() as two:
        address = one.says()
        first = postmaster(address)
        kill(supervisor(first))
        if also_the_postmaster:
            with suppress(ProcessLookupError):
                kill(first)
        assert eventually(lambda: not lives(first)), "no server without its supervisor"
        assert one.ensures() == address
        assert answers(address)
        two.ensure()
        assert two.dsn == address
        second = postmaster(address)
        one.leaves()
        assert lives(second), "who was attached before is attached to the new one"
    assert not lives(second)


def test_marks_of_a_server_that_died_do_not_stop_the_next(home: Path) -> None:
    with embedded(home).attach() as attached:
        sockets = home / "sockets"
        sample = (home / "cluster" / "postmaster.pid").read_text().split("\n")
        lock_file = (sockets / ".s.PGSQL.5432.lock").read_text().split("\n")
        owner = (home / "cluster").stat()
    # A zombie of the server's own user: Postgres by itself takes its number for a running server.
    user: dict[str, Any] = {"user": owner.st_uid, "group": owner.st_gid}
    if os.geteuid() != 0:
        user = {}
    with subprocess.Popen(["sleep", "600"], **user) as sleeper:
        sleeper.kill()
        assert eventually(lambda: not lives(sleeper.pid))
        for path, lines in (
            (home / "cluster" / "postmaster.pid", sample),
            (sockets / ".s.PGSQL.5432.lock", lock_file),
        ):
            path.write_text("\n".join([str(sleeper.pid), *lines[1:]]))
            os.chown(path, owner.st_uid, owner.st_gid)
            path.chmod(0o600)
        assert Path(f"/proc/{sleeper.pid}").exists(), "still a zombie"
        with embedded(home).attach() as attached:
            assert answers(attached.dsn)


def test_a_fork_that_ends_does_not_take_the_server_along(home: Path) -> None:
    program = (
        "import os, sys, pathlib; from landbridge.store.embedded import Embedded;"
        "a = Embedded.at(pathlib.Path(sys.argv[1]), fsync=False).attach();"
        "child = os.fork();"
        "(a.close(), os._exit(0)) if not child else os.waitpid(child, 0);"
        "print(a.dsn, flush=True); sys.stdin.read(); a.close()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(home)],
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout
        assert answers(process.stdout.readline().strip())


def test_tcp_is_there_for_who_asks(home: Path) -> None:
    with embedded(home).attach() as plain:
        assert plain.tcp_dsn is None
        with pytest.raises(SettingsError, match="already runs without TCP"):
            embedded(home, tcp=True).attach()
        assert answers(plain.dsn), "who was refused has changed nothing"
    with embedded(home, tcp=True).attach() as attached:
        assert attached.tcp_dsn
        assert answers(attached.tcp_dsn)
        assert answers(attached.dsn)
        password = urlsplit(attached.dsn).password or ""
        assert not answers(attached.tcp_dsn.replace(password, "wrong"))


def test_who_wants_fsync_does_not_join_a_server_without(home: Path) -> None:
    with embedded(home).attach(), pytest.raises(SettingsError, match="fsync=False"):
        Embedded.at(home).attach()


def test_a_lost_password_file_is_replaced(home: Path) -> None:
    with embedded(home).attach() as attached:
        before = urlsplit(attached.dsn).password
    (home / "password").unlink()
    with embedded(home).attach() as attached:
        assert urlsplit(attached.dsn).password != before
        assert answers(attached.dsn)


def test_removing_the_directory_ends_its_server(home: Path) -> None:
    with embedded(home).attach() as attached:
        first = postmaster(attached.dsn)
        for path in home.glob("*.lock"):
            path.unlink()
        assert eventually(lambda: not lives(first))


def test_remove_takes_everything_but_not_from_under_anyone(home: Path) -> None:
    embedded(home).remove()  # nothing there: nothing to do
    with embedded(home).attach() as attached:
        with pytest.raises(SettingsError, match="is in use"):
            embedded(home).remove()
        assert answers(attached.dsn)
    with pytest.raises(SettingsError, match="attach again"):
        attached.ensure()
    embedded(home).remove()
    assert not home.exists()


def test_a_long_log_is_set_aside(home: Path) -> None:
    embedded(home).attach().close()
    (home / "server.log").write_text("old words\n" * 200_000)
    with embedded(home).attach():
        assert "old words" not in (home / "server.log").read_text()
        assert "old words" in (home / "server.log.1").read_text()


def test_an_ordinary_user_has_it_all_as_well(server_directory: Path) -> None:
    server_directory.chmod(0o777)
    home = server_directory / "theirs"
    python = ordinary_python(server_directory)
    with attacher(home, python=python) as one, attacher(home, python=python) as other:
        address = one.says()
        assert other.says() == address
        first = postmaster(address)
        guard = supervisor(first)
        uid = (python.user or {"user": os.geteuid()})["user"]
        assert {home.stat().st_uid, (home / "cluster").stat().st_uid} == {uid}
        assert home.stat().st_mode & 0o777 == 0o700
        kill(first)
        assert other.ensures() == address
        kill(guard)
        assert eventually(lambda: not lives(guard))
        assert one.ensures() == address
        last = postmaster(address)
        other.is_killed()
        assert answers(address)
        one.is_killed()
        assert eventually(lambda: not lives(last))
    assert not (server_directory / "shared").exists(), "nothing lies elsewhere"

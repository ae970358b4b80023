"""The server as a child of the supervisor: started, watched, stopped, and cleared away when it
died in a way that left something behind."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from landbridge.errors import SettingsError
from landbridge.store.embedded._cluster import Cluster
from landbridge.store.embedded._home import WAY_OUT, Home, Options, Running
from landbridge.store.embedded._locks import EXCLUSIVE, PATIENCE, opened, take

_PR_SET_PDEATHSIG = 1
_PAUSE = 0.01
_TAKEN = "Address already in use"


class Server:
    """One server of one home; started and stopped as often as needed."""

    def __init__(self, home: Home, options: Options):
        self._home = home
        self._options = options
        self._cluster: Cluster | None = None
        self._child: subprocess.Popen[bytes] | None = None

    def start(self) -> Running:
        """Starts the server, on a new cluster if need be; returns once it accepts connections.

        SettingsError with the server's last words when it does not come up.
        """
        self._cluster = cluster = Cluster.find(self._home, self._options)
        lock = opened(cluster.lock)
        try:
            _clear(cluster, lock)
            cluster.ready(lock)
            sockets = cluster.sockets()
            for leftover in sockets.iterdir():
                leftover.unlink()
            try:
                return self._serve(cluster, sockets, lock)
            except SettingsError as error:
                if not self._options.tcp or _TAKEN not in str(error):
                    raise
                return self._serve(cluster, sockets, lock)  # someone took the free port first
        finally:
            os.close(lock)  # the server and all its children hold the same one

    def ended(self) -> int | None:
        """The exit status of a server that is no more, None while it runs. Reaps it."""
        return None if self._child is None else self._child.poll()

    def stop(self) -> None:
        """Fast shutdown: open transactions are undone, all else is on disk. Nothing is left."""
        if self._cluster is None or self._child is None:
            return
        for number, seconds in ((signal.SIGINT, PATIENCE), (signal.SIGKILL, None)):
            self._child.send_signal(number)
            with suppress(subprocess.TimeoutExpired):
                self._child.wait(seconds)
                break
        _kill(self._cluster)

    def _serve(self, cluster: Cluster, sockets: Path, lock: int) -> Running:
        port = cluster.port()
        since = self._home.log.stat().st_size
        self._child = child = subprocess.Popen(  # noqa: S603 - a program that was found, no shell
            cluster.serve(sockets, port),
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr,
            stderr=sys.stderr,
            pass_fds=[lock],
            preexec_fn=_ends_with_parent(),  # noqa: PLW1509 - the supervisor has one thread
            **cluster.account.as_user,
        )
        deadline = time.monotonic() + PATIENCE
        while _postmaster(cluster.path) != (child.pid, "ready"):
            if child.poll() is not None:
                raise self._home.did_not_start(self._home.last_words(since))
            if time.monotonic() > deadline:
                self.stop()
                late = f"it was not ready within {PATIENCE:.0f} seconds"
                raise self._home.did_not_start(f"{self._home.last_words(since)}\n{late}")
            time.sleep(_PAUSE)
        return Running(
            sockets=str(sockets),
            port=port,
            tcp=self._options.tcp,
            fsync=self._options.fsync,
            supervisor=os.getpid(),
            postmaster=child.pid,
        )


def _ends_with_parent() -> Callable[[], None] | None:
    """On Linux, what a child does before it becomes the server: ask for a fast shutdown when its
    parent is gone. Elsewhere the next start ends the server that was left behind."""
    if not sys.platform.startswith("linux"):
        return None
    prctl, parent = ctypes.CDLL(None).prctl, os.getpid()

    def tie() -> None:
        # After the change of user, which would undo it. The kernel watches the thread that forks:
        # the supervisor has one.
        prctl(_PR_SET_PDEATHSIG, signal.SIGINT)
        if os.getppid() != parent:
            os._exit(1)

    return tie


def _clear(cluster: Cluster, lock: int) -> None:
    """Takes the cluster's lock; what is left of an earlier server is ended first.

    Every process of a server inherits the lock. Once it is ours none of them lives, whatever
    postmaster.pid says: a zombie's or a foreign process's number in it means nothing.
    """
    if not take(lock, EXCLUSIVE, 0.3):
        postmaster, _ = _postmaster(cluster.path)
        if postmaster in _processes(cluster):
            os.kill(postmaster, signal.SIGINT)
            take(lock, EXCLUSIVE, PATIENCE / 3)
        _kill(cluster)
        if not take(lock, EXCLUSIVE, PATIENCE / 3):
            raise SettingsError(
                f"an earlier server of {cluster.home.root} still runs where it cannot be stopped"
                f" from here (in another container?): stop it there and try again, {WAY_OUT}"
            )
    (cluster.path / "postmaster.pid").unlink(missing_ok=True)


def _kill(cluster: Cluster) -> None:
    """Ends backends that outlived their postmaster: busy ones go on for as long as they like."""
    for process in _processes(cluster):
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)


def _postmaster(path: Path) -> tuple[int, str]:
    """Process number and state in postmaster.pid; (0, "") before it is written."""
    try:
        lines = (path / "postmaster.pid").read_text().split("\n")
    except FileNotFoundError:
        return 0, ""
    number = int(lines[0]) if lines[0].isdigit() else 0
    return number, lines[7].strip() if len(lines) > 7 else ""


def _processes(cluster: Cluster) -> list[int]:
    """The live processes of this cluster's server."""
    mark = cluster.name.encode()
    listing = Path("/proc")
    if not (listing / "self").exists():
        return _processes_by_ps(cluster.name)
    found = []
    for entry in listing.iterdir():
        with suppress(OSError):
            if entry.name.isdigit() and entry.stat().st_uid == cluster.account.uid:
                words = (entry / "cmdline").read_bytes()
                if words.startswith(b"postgres: " + mark) or b"cluster_name=" + mark in words:
                    found.append(int(entry.name))
    return found


def _processes_by_ps(mark: str) -> list[int]:
    listing = subprocess.run(
        ["/bin/ps", "-axo", "pid=,command="], capture_output=True, check=True, text=True
    )
    rows = [line.split(None, 1) for line in listing.stdout.splitlines()]
    marks = (f"postgres: {mark}", f"cluster_name={mark}")
    return [int(number) for number, command in rows if any(word in command for word in marks)]

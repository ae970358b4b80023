"""Attaching to the embedded server of a directory, and leaving it."""

import json
import os
import socket
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

import landbridge.errors
from landbridge.errors import SettingsError
from landbridge.store.embedded._cluster import DATABASE, USER, erase
from landbridge.store.embedded._home import Home, Options, Running
from landbridge.store.embedded._locks import (
    EXCLUSIVE,
    PATIENCE,
    SHARED,
    alone,
    held,
    opened,
    take,
)

_PAUSE = 0.01
# What the supervisor gets of our environment: no secret is among it.
_LEND = ("HOME", "LANG", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "PATH", "PYTHONHOME", "TMPDIR")


@dataclass(frozen=True, kw_only=True)
class Embedded:
    """The database of one directory; made by the first `attach`, kept until `remove`."""

    home: Home
    options: Options

    @classmethod
    def at(
        cls,
        directory: Path,
        *,
        fsync: bool = True,
        tcp: bool = False,
        shared: Path = Options.shared,
    ) -> "Embedded":
        """The database of `directory`, which need not exist yet.

        `fsync=False` is for tests: a power cut loses the database, a crash of the server does not.
        `tcp` also listens on a free port of 127.0.0.1. Where root's directory is closed to the
        server's unprivileged user, the cluster lies below `shared`, and the directory says where.
        """
        home = Home(root=Path(os.path.abspath(directory)))  # noqa: PTH100 - keeps symbolic links
        return cls(home=home, options=Options(fsync=fsync, tcp=tcp, shared=shared))

    def attach(self) -> "Attached":
        """A server that accepts connections: the one that runs here, else a new one.

        Blocks for about a second the first time, a tenth of one later. SettingsError when the
        directory cannot be used, no Postgres is installed, the server does not start, or one
        already runs here with less than what is asked for.
        """
        home = self.home
        try:
            home.make()
            with alone(home.starting):
                hold = opened(home.attached)
                try:
                    take(hold, SHARED, PATIENCE)  # a server that is just stopping has it
                    running = self.joined()
                    self._agree(running)
                except BaseException:
                    os.close(hold)
                    raise
        except OSError as error:
            raise home.explained(error) from error
        return Attached(self, hold, running)

    def remove(self) -> None:
        """Deletes the database and all that is in it; SettingsError while a process is attached."""
        if not self.home.root.exists():
            return
        try:
            with alone(self.home.starting):
                if not deserted(self.home):
                    raise SettingsError(
                        f"the embedded Postgres in {self.home.root} is in use: stop the processes"
                        " that are attached to it, then remove it"
                    )
                erase(self.home)
        except OSError as error:
            raise self.home.explained(error) from error

    def joined(self) -> Running:
        """What the server that runs here says about itself; started when there is none.

        Only for who holds the lock `starting`.
        """
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            if not held(self.home.supervised):
                self._start()
            running = self.home.running()
            if running and _answers(running):
                return running
            time.sleep(_PAUSE)
        raise self.home.did_not_start(self.home.last_words())

    def _start(self) -> None:
        package = str(Path(landbridge.errors.__file__).parents[1])
        paths = [package, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
        environment = {name: os.environ[name] for name in _LEND if name in os.environ}
        environment["PYTHONPATH"] = os.pathsep.join(map(os.path.abspath, paths))
        command = [sys.executable, "-P", "-m", "landbridge.store.embedded"]
        log = self.home.fresh_log()
        try:
            process = subprocess.Popen(  # noqa: S603 - ourselves
                [*command, str(self.home.root), self.options.line()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,  # Ctrl-C at a terminal is not meant for the server
                cwd="/",
                env=environment,
            )
        finally:
            os.close(log)
        with process:
            try:
                line, _ = process.communicate(timeout=3 * PATIENCE)
            except subprocess.TimeoutExpired:
                line = b""
        if not line:
            raise self.home.did_not_start(self.home.last_words())
        problem = json.loads(line)["problem"]
        if problem:
            raise SettingsError(problem)

    def _agree(self, running: Running) -> None:
        for lacking, what in (
            (self.options.tcp and not running.tcp, "without TCP"),
            (self.options.fsync and not running.fsync, "with fsync=False"),
        ):
            if lacking:
                raise SettingsError(
                    f"the embedded Postgres in {self.home.root} already runs {what}: stop the"
                    f" processes that are attached to it, or attach {what} as well"
                )


class Attached:
    """A process's hold on a running server, given back by `close`, by leaving `with`, and by the
    end of the process in whatever way.

    A fork shares the hold of its parent, whose `close` ends it for both: attach again in the child.
    """

    def __init__(self, embedded: Embedded, hold: int, running: Running):
        self._embedded = embedded
        self._hold: int | None = hold
        self._running = running
        self._owner = os.getpid()

    def __del__(self) -> None:
        # A hold that nobody came to have, as when its task was cancelled, keeps no server going.
        if self._hold is not None:
            os.close(self._hold)
            self._hold = None

    def __repr__(self) -> str:
        return f"Attached({self._embedded.home.root}{'' if self._hold else ', closed'})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def dsn(self) -> str:
        """The address with its password, for asyncpg, psycopg and libpq; over the Unix socket.

        The role `owner` owns the database `landbridge` and is a superuser of this server; were it
        called like our schema, Postgres would put that schema first for unqualified names.
        """
        host = quote(self._running.sockets)
        return f"postgresql://{self._login}@/{DATABASE}?host={host}&port={self._running.port}"

    @property
    def tcp_dsn(self) -> str | None:
        """The same over 127.0.0.1; None unless the server was started with `tcp=True`. The port
        changes when the server is started anew."""
        if not self._running.tcp:
            return None
        return f"postgresql://{self._login}@127.0.0.1:{self._running.port}/{DATABASE}"

    @property
    def _login(self) -> str:
        return f"{USER}:{self._embedded.home.password.read_text()}"

    def ensure(self) -> None:
        """Returns once the server accepts connections; starts it anew if somebody killed it.

        A server that dies is started anew by itself: this is for who cannot wait, and for a
        supervisor that was killed too. SettingsError as `attach`, and after `close`.
        """
        if self._hold is None:
            raise SettingsError("this hold on the embedded Postgres was closed: attach again")
        home = self._embedded.home
        try:
            with alone(home.starting):
                self._running = self._embedded.joined()
        except OSError as error:
            raise home.explained(error) from error

    def close(self) -> None:
        """Leaves; the last one out stops the server and returns when it has stopped. Twice is
        nothing."""
        if self._hold is None:
            return
        os.close(self._hold)
        self._hold = None
        home = self._embedded.home
        if os.getpid() == self._owner:
            # The hold is given back already; only the wait can fail, when the directory is gone.
            with suppress(OSError, SettingsError), alone(home.starting):
                deserted(home)


def deserted(home: Home) -> bool:
    """False when a process is attached; else True, once the server has stopped.

    Only for who holds the lock `starting`: nobody can attach in between.
    """
    attached = opened(home.attached)
    try:
        # What others hold shared can be shared; what the stopping supervisor holds cannot.
        if not take(attached, EXCLUSIVE) and take(attached, SHARED):
            return False
    finally:
        os.close(attached)
    deadline = time.monotonic() + PATIENCE
    while held(home.supervised) and time.monotonic() < deadline:
        time.sleep(_PAUSE)
    return not held(home.supervised)


def _answers(running: Running) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(f"{running.sockets}/.s.PGSQL.{running.port}")
        except OSError:
            return False
    return True

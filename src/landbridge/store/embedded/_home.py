"""The directory that stands for one embedded database: what lies in it, and who says what in it."""

import errno
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from landbridge.errors import SettingsError

WAY_OUT = "or set LANDBRIDGE_DATABASE_URL to a Postgres server of your own"
_LOG_CAP = 1_000_000  # bytes
_NO_SPACE = "No space left on device"  # the server speaks English: LC_ALL=C


@dataclass(frozen=True, kw_only=True)
class Options:
    """How the server is to run; the one who starts it decides, the others have to agree.

    `fsync=False` is for tests: a power cut loses the database, a crash of the server does not.
    `tcp` also listens on a free port of 127.0.0.1. `shared` is where root keeps what the server's
    unprivileged user could not reach in the directory itself.
    """

    fsync: bool = True
    tcp: bool = False
    shared: Path = Path("/var/lib/landbridge")

    def line(self) -> str:
        """One word for a command line; `read` understands it."""
        return json.dumps(asdict(self), default=str)

    @classmethod
    def read(cls, line: str) -> "Options":
        """What `line` wrote."""
        values = json.loads(line)
        return cls(fsync=values["fsync"], tcp=values["tcp"], shared=Path(values["shared"]))


@dataclass(frozen=True, kw_only=True)
class Running:
    """What a server that accepts connections says about itself."""

    sockets: str
    port: int
    tcp: bool
    fsync: bool
    supervisor: int
    postmaster: int


@dataclass(frozen=True, kw_only=True)
class Home:
    """The caller's directory: locks, password, log, and by default the cluster and its socket."""

    root: Path

    @property
    def starting(self) -> Path:
        """Locked while a process starts the server, joins it or leaves."""
        return self.root / "start.lock"

    @property
    def attached(self) -> Path:
        """Locked shared by every attached process, exclusively by a supervisor that stops."""
        return self.root / "attached.lock"

    @property
    def supervised(self) -> Path:
        """Locked by the supervisor as long as it lives."""
        return self.root / "supervisor.lock"

    @property
    def password(self) -> Path:
        """The password, for the directory's owner alone."""
        return self.root / "password"

    @property
    def log(self) -> Path:
        """What the server and its supervisor have to say."""
        return self.root / "server.log"

    @property
    def elsewhere(self) -> Path:
        """Names the place of the cluster when it could not lie here."""
        return self.root / "elsewhere"

    @property
    def _running(self) -> Path:
        return self.root / "running.json"

    def make(self) -> None:
        """Makes the directory when missing. Root's own can be passed through, not listed."""
        try:
            self.root.mkdir(mode=0o700, parents=True)
        except FileExistsError:
            return
        if os.geteuid() == 0:
            self.root.chmod(0o711)

    def announce(self, running: Running) -> None:
        """Tells everyone that the server accepts connections."""
        write_privately(self._running, json.dumps(asdict(running)))

    def withdraw(self) -> None:
        """Takes the announcement back."""
        self._running.unlink(missing_ok=True)

    def running(self) -> Running | None:
        """The announcement, or None while no server is ready. May be stale: see `supervised`."""
        try:
            return Running(**json.loads(self._running.read_text()))
        except FileNotFoundError:
            return None

    def fresh_log(self) -> int:
        """A descriptor that appends to the log; a long one is first set aside as server.log.1."""
        if self.log.exists() and self.log.stat().st_size > _LOG_CAP:
            self.log.replace(self.log.with_name("server.log.1"))
        return os.open(self.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def last_words(self, since: int = 0) -> str:
        """The end of the log, of what was written after its byte `since`."""
        try:
            with self.log.open("rb") as log:
                log.seek(max(since, log.seek(0, os.SEEK_END) - 8_000))
                return log.read().decode(errors="replace")
        except FileNotFoundError:
            return ""

    def did_not_start(self, said: str) -> SettingsError:
        """The error of a program that ended before the server was ready, from what it said."""
        lines = [line.strip() for line in said.splitlines() if line.strip()]
        for line in lines:
            if _NO_SPACE in line:
                return self._full(line)
        words = " / ".join(lines[-6:]) or "it said nothing"
        return SettingsError(
            f"the embedded Postgres in {self.root} did not start: {words}. The whole log is"
            f" {self.log}. Mend what it names, {WAY_OUT}"
        )

    def explained(self, error: OSError) -> SettingsError:
        """The sentence for a directory that cannot be used."""
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return self._full(str(error))
        return SettingsError(
            f"the embedded Postgres cannot use the directory {self.root} ({error}): choose one that"
            f" this user owns and may write to with LANDBRIDGE_HOME, {WAY_OUT}"
        )

    def _full(self, words: str) -> SettingsError:
        return SettingsError(
            f"the disk of the embedded Postgres in {self.root} is full ({words}): free some space"
            f" (a new database needs 100 MB), choose another directory with LANDBRIDGE_HOME,"
            f" {WAY_OUT}"
        )


def write_privately(path: Path, text: str) -> None:
    """Writes a file that only its owner may read, whole or not at all."""
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    draft.replace(path)

"""The cluster: where it lies, how it is made, and the command lines of its programs."""

import hashlib
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from landbridge.errors import SettingsError
from landbridge.store.embedded._account import Account, make_public, shared_place
from landbridge.store.embedded._binaries import binaries, major_of, runnable
from landbridge.store.embedded._home import WAY_OUT, Home, Options, write_privately
from landbridge.store.embedded._locks import EXCLUSIVE, PATIENCE, opened, take

USER = "owner"
DATABASE = "landbridge"
PORT = 5432
_SOCKET_PATH_BYTES = 107 if sys.platform.startswith("linux") else 103  # sockaddr_un
_ACCESS = "local all all scram-sha-256\nhost all all 127.0.0.1/32 scram-sha-256\n"


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """One cluster on disk, the user who owns it and the programs that fit it."""

    home: Home
    options: Options
    account: Account
    place: Path
    programs: Path

    @classmethod
    def find(cls, home: Home, options: Options) -> "Cluster":
        """Where the cluster is, or will be; which user and which programs serve it."""
        place = _remembered(home)
        here = (place or home.root) / "cluster"
        account = Account.choose(here.stat().st_uid if here.exists() else None)
        version = here / "PG_VERSION"
        major = int(version.read_text()) if version.exists() else None
        programs = runnable(binaries(major=major), account, options.shared)
        if place is None:
            reached = account.reaches(home.root)
            if here.exists() and not reached:
                raise SettingsError(
                    f"the user {account.name}, who owns the database in {home.root}, can no longer"
                    f" pass through the directories above it: open them with chmod a+x, {WAY_OUT}"
                )
            place = home.root if reached else _elsewhere(home, options)
        return cls(home=home, options=options, account=account, place=place, programs=programs)

    @property
    def path(self) -> Path:
        """What Postgres calls its data directory."""
        return self.place / "cluster"

    @property
    def lock(self) -> Path:
        """Held by every process of the server, down to the last backend, and by initdb."""
        return self.place / "server.lock"

    @property
    def name(self) -> str:
        """Marks every process of this server; also what `ps` shows."""
        return "landbridge-" + hashlib.sha256(os.fsencode(self.path)).hexdigest()[:16]

    def ready(self, lock: int) -> None:
        """Makes the cluster, and its password, unless both are there."""
        if self.path.exists():
            if not self.home.password.exists():
                self._single(self.path, lock, self._set_password())
            return
        for stale in self.place.glob("cluster.*"):  # from a start that was killed
            shutil.rmtree(stale)
        draft = Path(tempfile.mkdtemp(prefix="cluster.", dir=self.place))
        self.account.own(draft)
        self._initdb(draft, lock)
        (draft / "pg_hba.conf").write_text(_ACCESS)
        self._single(draft, lock, f"CREATE DATABASE {DATABASE}\n{self._set_password()}")
        draft.rename(self.path)
        _sync(self.place)

    def sockets(self) -> Path:
        """The private directory of the Unix socket, made when missing.

        It lies beside the cluster, or in a short directory for temporary files when its name
        would be too long for a socket, or has a comma, which means two hosts in an address.
        """
        beside, note = self.place / "sockets", self.place / "sockets.elsewhere"
        if _fits(beside):
            self._private(beside)
            return beside
        if note.exists() and self._private(Path(note.read_text())):
            return Path(note.read_text())
        short = Path(tempfile.mkdtemp(prefix="landbridge-", dir=_short_temporary()))
        self.account.own(short)
        write_privately(note, str(short))
        return short

    def serve(self, sockets: Path, port: int) -> list[str]:
        """The command that runs the server in the foreground."""
        quoted = str(sockets).replace('"', '""')
        settings = {
            "listen_addresses": "127.0.0.1" if self.options.tcp else "",
            "port": str(port),
            "unix_socket_directories": f'"{quoted}"',
            "unix_socket_permissions": "0700",
            "cluster_name": self.name,
            "fsync": "on" if self.options.fsync else "off",
            "shared_buffers": "128MB",
            "max_connections": "100",
            "timezone": "UTC",
            "log_timezone": "UTC",
            "log_checkpoints": "off",
            # A statement that failed may hold a secret; its error says enough.
            "log_min_error_statement": "panic",
        }
        flags = [word for pair in settings.items() for word in ("-c", "=".join(pair))]
        return [str(self.programs / "postgres"), "-D", str(self.path), *flags]

    def port(self) -> int:
        """The usual port, which only names the socket; with TCP one that is free now."""
        if not self.options.tcp:
            return PORT
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            free: int = probe.getsockname()[1]
            return free

    def _initdb(self, path: Path, lock: int) -> None:
        builtin = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        self._run(
            ["initdb", "-D", str(path), f"--username={USER}", "--auth=reject", "--encoding=UTF8"]
            + ["--locale=C", "--no-instructions"]
            + (builtin if major_of(self.programs) >= 17 else [])
            + ([] if self.options.fsync else ["--no-sync"]),
            lock,
        )

    def _single(self, path: Path, lock: int, sql: str) -> None:
        """Runs SQL, a statement per line, without a server and without its access rules."""
        fsync = "on" if self.options.fsync else "off"
        command = ["postgres", "--single", "-D", str(path), "-c", f"fsync={fsync}"]
        command += ["-c", "log_min_error_statement=panic", "-c", "log_checkpoints=off", "template1"]
        self._run(command, lock, sql)

    def _run(self, command: list[str], lock: int, text: str = "") -> None:
        done = subprocess.run(  # noqa: S603 - a program that was found, no shell
            [str(self.programs / command[0]), *command[1:]],
            input=text,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
            pass_fds=[lock],
            **self.account.as_user,
        )
        if done.returncode or "ERROR:" in done.stdout:  # a single user's error is no exit status
            raise self.home.did_not_start(done.stdout)

    def _set_password(self) -> str:
        password = secrets.token_urlsafe(24)
        write_privately(self.home.password, password)
        return f"ALTER ROLE {USER} PASSWORD '{password}'\n"

    def _private(self, path: Path) -> bool:
        """Whether the directory is the server's own, for nobody else; made when missing."""
        try:
            path.mkdir(mode=0o700)
            self.account.own(path)
        except FileExistsError:
            pass
        except FileNotFoundError:
            return False
        seen = path.lstat()
        return path.is_dir() and not path.is_symlink() and seen.st_uid == self.account.uid


def erase(home: Home) -> None:
    """Deletes the directory and what lies elsewhere for it, once no process of a server is left."""
    place = _remembered(home) or home.root
    lock = opened(place / "server.lock")
    try:
        if not take(lock, EXCLUSIVE, PATIENCE):
            raise SettingsError(f"a server still runs on {place}: stop it, then remove {home.root}")
        note = place / "sockets.elsewhere"
        elsewhere = [Path(note.read_text())] if note.exists() else []
        for path in (*elsewhere, place, home.root):
            if path.exists():
                shutil.rmtree(path)
    finally:
        os.close(lock)


def _remembered(home: Home) -> Path | None:
    """The place that the directory's note names, None without a note."""
    try:
        place = Path(home.elsewhere.read_text())
    except FileNotFoundError:
        return None
    if not place.is_dir():
        raise SettingsError(
            f"the database of {home.root} was in {place}, which is gone: bring it back, remove"
            f" {home.elsewhere} to begin with an empty one, {WAY_OUT}"
        )
    origin = Path((place / "origin").read_text())
    if origin != home.root:
        if (origin / home.elsewhere.name).exists():
            raise SettingsError(
                f"{home.root} is a copy of {origin}, and both name the one database in {place}:"
                f" remove {home.elsewhere} to begin with an empty one, {WAY_OUT}"
            )
        write_privately(place / "origin", str(home.root))
    return place


def _elsewhere(home: Home, options: Options) -> Path:
    clusters = shared_place(options.shared) / "clusters"
    make_public(clusters)
    for stale in clusters.iterdir():
        _drop_if_orphaned(stale)
    place = Path(tempfile.mkdtemp(prefix=f"{home.root.name.strip('.')}-", dir=clusters))
    place.chmod(0o711)
    write_privately(place / "origin", str(home.root))
    write_privately(home.elsewhere, str(place))
    return place


def _drop_if_orphaned(place: Path) -> None:
    """Deletes the cluster of a temporary directory that is gone. Any other absent directory may be
    on a disk that is not mounted at present, so its cluster stays."""
    try:
        origin = Path((place / "origin").read_text())
    except FileNotFoundError:
        return
    if origin.exists() or Path(tempfile.gettempdir()) not in origin.parents:
        return
    lock = opened(place / "server.lock")
    try:
        if take(lock, EXCLUSIVE):
            shutil.rmtree(place)
    finally:
        os.close(lock)


def _fits(sockets: Path) -> bool:
    longest = os.fsencode(sockets / ".s.PGSQL.65535")
    return len(longest) <= _SOCKET_PATH_BYTES and b"," not in longest


def _short_temporary() -> Path:
    """The usual directory for temporary files, or the system's when a socket would not fit."""
    usual = Path(tempfile.gettempdir())
    return usual if _fits(usual / "landbridge-12345678") else Path("/tmp")  # noqa: S108 - made by mkdtemp


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

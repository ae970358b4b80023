"""Processes that attach to an embedded server, so that tests can kill them."""

import os
import pwd
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import landbridge
from landbridge.store.embedded import binaries
from tests.store.databases import connected

# Attaches, says the address, and again after each line it is told; leaves at end of file.
_PROGRAM = """
import sys
from pathlib import Path
from landbridge.errors import SettingsError
from landbridge.store.embedded import Embedded
try:
    embedded = Embedded.at(Path(sys.argv[1]), fsync=False, shared=Path(sys.argv[2]))
    with embedded.attach() as attached:
        print(attached.dsn, flush=True)
        for _ in sys.stdin:
            attached.ensure()
            print(attached.dsn, flush=True)
except SettingsError as error:
    print("refused:", error, flush=True)
"""


@dataclass(frozen=True, kw_only=True)
class Python:
    """An interpreter with Landbridge on its path, and who runs it."""

    program: str = sys.executable
    path: str = str(Path(landbridge.__path__[0]).parent)
    user: dict[str, Any] | None = None
    prefix: Sequence[str] = ()
    variables: tuple[tuple[str, str], ...] = ()


class Attacher:
    """One such process."""

    def __init__(self, process: subprocess.Popen[str]):
        self.process = process

    def says(self) -> str:
        """Its next line: an address, or `refused: ` and the reason."""
        assert self.process.stdout
        return self.process.stdout.readline().strip()

    def ensures(self) -> str:
        """The address after it asked again."""
        assert self.process.stdin
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return self.says()

    def leaves(self) -> None:
        """Leaves in good order."""
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait()

    def is_killed(self) -> None:
        """Leaves by kill -9."""
        self.process.kill()
        self.process.wait()


@contextmanager
def attacher(
    directory: Path, *, python: Python | None = None, shared: Path | None = None
) -> Iterator[Attacher]:
    """A process that attaches to `directory`; ended at the end if it still runs."""
    python, beside = python or Python(), directory.parent / "shared"
    process = subprocess.Popen(
        [*python.prefix, python.program, "-c", _PROGRAM, directory, shared or beside],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd="/",
        env=os.environ | {"PYTHONPATH": python.path} | dict(python.variables),
        **(python.user or {}),
    )
    with process:
        try:
            yield Attacher(process)
        finally:
            process.kill()


def ordinary_python(directory: Path) -> Python:
    """An interpreter run by a user who is not root, with copies of what that user cannot read."""
    if os.geteuid() != 0:
        return Python()
    packages = directory / "packages"
    packages.mkdir()
    packages.chmod(0o755)
    _copy(packages, Path(landbridge.__path__[0]), *_wheel())
    nobody = pwd.getpwnam("nobody")
    user: dict[str, Any] = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
    for program in (sys.executable, "/usr/bin/python3", "/usr/local/bin/python3"):
        check = [program, "-c", "import sys; sys.exit(sys.version_info < (3, 11))"]
        try:
            if not subprocess.run(check, check=False, cwd="/", **user).returncode:
                return Python(program=program, path=str(packages), user=user)
        except OSError:
            continue
    raise AssertionError("no Python 3.11 that nobody may run: apt-get install python3")


def wheel_copy(directory: Path) -> None:
    """Copies the wheel's package into `directory`."""
    _copy(directory, *_wheel())


def _copy(into: Path, *sources: Path) -> None:
    for source in sources:
        shutil.copytree(source, into / source.name, copy_function=_linked)


def _linked(source: str, target: str) -> None:
    """The file under a second name, which costs next to nothing, where both places allow it."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def _wheel() -> list[Path]:
    package = binaries().parents[1]
    return [package, package.with_name(f"{package.name}.libs")]


def postmaster(url: str) -> int:
    """The process number of the server's first process."""
    with connected(url) as connection:
        row = connection.execute("SELECT pg_read_file('postmaster.pid')").fetchone()
    assert row
    return int(row[0].split("\n")[0])


def supervisor(postmaster: int) -> int:
    """The process number of the postmaster's parent."""
    status = Path(f"/proc/{postmaster}/status").read_text()
    return int(status.split("PPid:")[1].split()[0])


def lives(process: int) -> bool:
    """Whether the process runs; a zombie does not."""
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def kill(process: int) -> None:
    os.kill(process, signal.SIGKILL)


def eventually(condition: Callable[[], bool], *, becomes: bool = True, seconds: float = 60) -> bool:
    """Whether the condition becomes so; the time only ends a wait that is in vain."""
    deadline = time.monotonic() + seconds
    while condition() != becomes:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True

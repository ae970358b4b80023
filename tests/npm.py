"""Servers from npm's registry, installed once into a cache folder by a lock file of hashes.

They need `npm` (in .ci/run); they run on the Node that comes with Playwright, or the system's.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path

import playwright

_LOCKED = ("package.json", "package-lock.json", ".npmrc")


def installed(home: Path, files: Sequence[str] = ()) -> Path:
    """The folder with what the lock file in `home` names, and these files; made on first use."""
    names = (*_LOCKED, *files)
    content = b"".join((home / name).read_bytes() for name in names)
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "landbridge-tests"
    folder = cache / f"{home.name}-{hashlib.sha256(content).hexdigest()[:16]}"
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / f"{home.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            fresh = folder.with_suffix(".new")
            shutil.rmtree(fresh, ignore_errors=True)
            fresh.mkdir()
            for name in names:
                shutil.copy(home / name, fresh)
            subprocess.run(
                [npm(), "ci", "--ignore-scripts"], cwd=fresh, check=True, capture_output=True
            )
            fresh.rename(folder)
    return folder


def npm() -> str:
    """The command that installs; RuntimeError says where it comes from."""
    found = shutil.which("npm")
    if found is None:
        raise RuntimeError("npm is missing: the package `npm` has it, see .ci/run")
    return found


def node() -> str:
    """The command that runs what was installed."""
    driver = Path(playwright.__file__).parent / "driver" / "node"
    return str(driver) if driver.exists() else "node"


def free_port() -> int:
    """A loopback port that nobody listens on at the moment."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port

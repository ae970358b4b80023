"""Advisory locks on files. The kernel gives them back however a process ends, zombies included."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from landbridge.errors import SettingsError

SHARED = fcntl.LOCK_SH
EXCLUSIVE = fcntl.LOCK_EX
PATIENCE = 60.0  # seconds: a start after a crash may have to replay a gigabyte of log
_PAUSE = 0.01


def opened(path: Path) -> int:
    """A descriptor for `take`; the file is made when missing. A program that we start never
    inherits it unless told to, a fork shares it."""
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def take(descriptor: int, mode: int, seconds: float = 0) -> bool:
    """Whether the lock was granted within `seconds`; 0 tries once. Another mode replaces ours."""
    deadline = time.monotonic() + seconds
    while True:
        with suppress(BlockingIOError):
            fcntl.flock(descriptor, mode | fcntl.LOCK_NB)
            return True
        if time.monotonic() >= deadline:
            return False
        time.sleep(_PAUSE)


def held(path: Path) -> bool:
    """Whether some process holds the lock exclusively at this moment."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        return not take(descriptor, SHARED)
    finally:
        os.close(descriptor)


def still_there(descriptor: int, path: Path) -> bool:
    """Whether the descriptor's file is still the one at `path`; a removed one locks nobody out."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


@contextmanager
def alone(path: Path, seconds: float = PATIENCE) -> Iterator[None]:
    """Only one process at a time is inside; SettingsError when another stays for `seconds`."""
    while True:
        descriptor = opened(path)
        try:
            if not take(descriptor, EXCLUSIVE, seconds):
                raise SettingsError(
                    f"another process has held {path} for {seconds:.0f} seconds: it starts or stops"
                    " the embedded Postgres and does not finish; end that process and try again"
                )
            if still_there(descriptor, path):
                yield
                return
        finally:
            os.close(descriptor)

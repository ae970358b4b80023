"""Ends what a demonstration started and removes its folders, however the demonstration ended.

A process of its own, `python -m landbridge.cli.demo.guard FOLDER...`. It reads ids of processes
from standard input, one a line; when that closes, also because its parent was killed, it ends
those and then removes the folders. A database may be in the first, under `postgres`.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from pathlib import Path

from landbridge.errors import SettingsError
from landbridge.store.embedded import Embedded

_GRACE = 6.0
_PATIENCE = 20.0
_PAUSE = 0.02


def main() -> int:
    """The exit code: 0 when nothing was left over, 1 when the folder could not be removed."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # only the end of standard input ends it
    folder, *more = map(Path, sys.argv[1:])
    end({int(line) for line in sys.stdin if line.strip().isdigit()})
    for each in more:
        shutil.rmtree(each, ignore_errors=True)
    return 0 if remove(folder) else 1


def end(pids: set[int]) -> None:
    """SIGTERM to each, then SIGKILL to those that are still there after a while."""
    deadline = time.monotonic() + _GRACE
    left = {pid for pid in pids if _signal(pid, signal.SIGTERM)}
    while left and time.monotonic() < deadline:
        time.sleep(_PAUSE)
        left = {pid for pid in left if _signal(pid, 0)}
    for pid in left:
        _signal(pid, signal.SIGKILL)


def _signal(pid: int, number: int) -> bool:
    """Signals a process, with its group where it leads one; False: there is none."""
    try:
        if os.getpgid(pid) == pid:
            os.killpg(pid, number)
        else:
            os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def remove(folder: Path) -> bool:
    """Removes the folder with the database in it, once the database's server has stopped."""
    deadline = time.monotonic() + _PATIENCE
    while folder.exists() and time.monotonic() < deadline:
        try:
            Embedded.at(folder / "postgres").remove()
        except SettingsError:  # a process that is just ending is still attached
            time.sleep(_PAUSE)
        else:
            shutil.rmtree(folder, ignore_errors=True)
    return not folder.exists()


if __name__ == "__main__":
    sys.exit(main())

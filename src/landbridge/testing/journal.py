"""What a simulator saw, one JSON line per request, written before the answer goes out.

A line is one `write` to a file opened for appending: it survives a SIGKILL of the simulator (not
a crash of the machine: nothing is synced). A journal opened on an existing file goes on from it.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any


class Journal:
    """An append-only list of entries; with a path also a file of JSON lines."""

    def __init__(self, path: Path | None = None):
        self.entries: list[dict[str, Any]] = []
        self._file: int | None = None
        if path is None:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            self.entries = [json.loads(line) for line in _whole_lines(path)]
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def write(self, **entry: Any) -> None:
        """Adds an entry under the next number, `seq`, from 1."""
        numbered = {"seq": len(self.entries) + 1, **entry}
        self.entries.append(numbered)
        if self._file is not None:
            line = json.dumps(numbered, separators=(",", ":"), default=str)
            os.write(self._file, line.encode() + b"\n")

    def close(self) -> None:
        """Closes the file; the entries stay readable."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


def _whole_lines(path: Path) -> list[str]:
    """All complete lines; a line cut off by a full disk is removed, the next one starts clean."""
    text = path.read_text(encoding="utf-8")
    whole, _, rest = text.rpartition("\n")
    if rest:
        path.write_text(whole + "\n" if whole else "", encoding="utf-8")
    return whole.splitlines()

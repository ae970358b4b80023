"""The command behind `make faults`, `make bench` and `make peers`."""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import pkgutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import FrameType
from typing import NoReturn

import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from tests.rows._page import PAGES, write_page
from tests.rows._row import Row, RowResult, Size, Trial

_SEED = 20261122
_AT_ONCE = 2
_IN_CI = ("faults", "ci")
_CHILD = "import sys; from tests.rows import main; main('faults', package=sys.argv[1])"
_WIDE = 160
"""Columns of the table in a file or a log."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """One finished row, as the table, the page and the JSON file show it."""

    code: str
    title: str
    value: str
    goal: str
    holds: bool
    seconds: float
    detail: dict[str, object]


def rows_of(package: str) -> list[Row]:
    """Every row in the modules of `package`, ordered by code. ValueError: a code twice."""
    home = importlib.import_module(package)
    found: dict[str, Row] = {}
    for module in pkgutil.iter_modules(home.__path__, f"{package}."):
        if module.name.endswith("__main__"):
            continue
        for value in vars(importlib.import_module(module.name)).values():
            if isinstance(value, Row) and found.setdefault(value.code, value) is not value:
                raise ValueError(f"{package} has two rows {value.code}.")
    return sorted(found.values(), key=lambda each: each.code)


def choose(rows: Sequence[Row], only: str) -> list[Row]:
    """The rows whose code begins with a word of `only` (comma or space between); all for none.

    ValueError when a word begins no code: a typing mistake must not pass for a green run.
    """
    words = only.replace(",", " ").split()
    for word in words or [""]:
        if not any(each.code.lower().startswith(word.lower()) for each in rows):
            there_are = ", ".join(each.code for each in rows) or "none"
            raise ValueError(f"ONLY={only} matches no row at {word!r}. The rows are: {there_are}.")
    return [
        each
        for each in rows
        if not words or any(each.code.lower().startswith(word.lower()) for word in words)
    ]


def main(command: str, *, package: str | None = None) -> NoReturn:
    """Runs the rows of `package`, or of `tests.<command>`, as the environment asks, and exits.

    ONLY, N, SEED, JSON and WRITE are what `make` passes on: see `make help`. At `N=smoke`, and with
    `make faults N=ci`, rows that judge no time run two at a time, each in a process of its own.

    Exit 0: every row holds. 1: one falls short. 2: asked for what there is not.
    """
    try:
        if package is None and sys.argv[1:]:
            raise ValueError(
                f"{sys.argv[1]!r}: takes no arguments but ONLY, N, SEED, JSON and WRITE"
                f" in the environment, as in: make {command} ONLY=F01 N=ci"
            )
        size = Size.parse(os.environ.get("N", ""))
        seed = int(os.environ.get("SEED") or _SEED)
        every = rows_of(package or f"tests.{command}")
        rows = choose(every, os.environ.get("ONLY", ""))
        page = _page(command, every) if os.environ.get("WRITE") else None
    except (ValueError, OSError) as problem:
        print(problem, file=sys.stderr)
        sys.exit(2)
    beside = _side_by_side(rows, command, size)
    found = _beside(beside, package or f"tests.{command}")
    found += _run([each for each in rows if each not in beside], size=size, seed=seed)
    lines = sorted(found, key=lambda line: line.code)
    _show(command, lines, size=size, seed=seed)
    failed = sum(not line.holds for line in lines)
    if target := os.environ.get("JSON"):
        report = {
            "command": command,
            "size": size.name,
            "seed": seed,
            "rows": msgspec.to_builtins(lines),
            "passed": len(lines) - failed,
            "failed": failed,
        }
        Path(target).write_text(json.dumps(report, indent=2) + "\n")
    if page is not None:
        cells = [(each.code, each.title, each.value, each.goal, each.holds) for each in lines]
        write_page(page, cells, size=size.name, known=[each.code for each in every])
    for line in lines:
        if not line.holds:
            print(f"{line.code} falls short: {line.value}. The goal: {line.goal}")
    print(f"{len(lines) - failed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


def _side_by_side(rows: Sequence[Row], command: str, size: Size) -> list[Row]:
    if len(rows) == 1:
        return []
    if size.name == "smoke":
        return list(rows)
    return [each for each in rows if not each.alone] if (command, size.name) == _IN_CI else []


def _page(command: str, every: Sequence[Row]) -> Path:
    if command not in PAGES:
        raise ValueError(f"{command} has no page to write: {' and '.join(PAGES)} have one.")
    # Writing nothing now finds a page that cannot take results before an hour is spent on them.
    write_page(PAGES[command], [], size="", known=[each.code for each in every])
    return PAGES[command]


def _run(rows: Sequence[Row], *, size: Size, seed: int) -> list[Line]:
    terminal = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    lines: list[Line] = []
    with Progress(
        *columns, console=terminal, transient=True, disable=not terminal.is_terminal
    ) as bar:
        for each in rows:
            task = bar.add_task(f"{each.code} {each.title}", total=None)

            def step(done: int, total: int, task: object = task) -> None:
                bar.update(task, completed=done, total=total)  # type: ignore[arg-type]

            trial = Trial(size=size, seed=seed, step=step)
            start = time.monotonic()
            result = _attempt(each, trial)
            lines.append(
                Line(
                    code=each.code,
                    title=each.title,
                    value=result.value,
                    goal=each.goal,
                    holds=result.holds,
                    seconds=round(time.monotonic() - start, 3),
                    detail=dict(result.detail),
                )
            )
            bar.remove_task(task)
    return lines


def _beside(rows: Sequence[Row], package: str) -> list[Line]:
    """Runs rows in processes of their own, some at a time."""
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        return list(threads.map(partial(_apart, package=package), rows))


def _apart(each: Row, *, package: str) -> Line:
    """Runs one row in a process of its own; what it logs is passed on once it is over."""
    with tempfile.TemporaryDirectory() as room:
        report = Path(room) / "row.json"
        start = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-c", _CHILD, package],
            env={**os.environ, "ONLY": each.code, "JSON": str(report), "WRITE": ""},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
        sys.stderr.write(done.stderr)
        if report.exists():
            (line,) = json.loads(report.read_text())["rows"]
            return Line(**line)
    return Line(
        code=each.code,
        title=each.title,
        value=f"broke: its process ended with {done.returncode}",
        goal=each.goal,
        holds=False,
        seconds=round(time.monotonic() - start, 3),
        detail={},
    )


def _attempt(each: Row, trial: Trial) -> RowResult:
    def late(_signal: int, _frame: FrameType | None) -> None:
        raise TimeoutError(f"not done within {each.limit} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(each.limit)
    try:
        return asyncio.run(each.run(trial))
    except Exception as error:  # noqa: BLE001  (a row that breaks falls short, the others still run)
        print(f"{each.code} broke:", file=sys.stderr)
        traceback.print_exc()
        reason = f"broke: {type(error).__name__}: {error}"
        return RowResult(value=reason.splitlines()[0], holds=False)
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def _show(command: str, lines: Sequence[Line], *, size: Size, seed: int) -> None:
    console = Console() if sys.stdout.isatty() else Console(width=_WIDE)
    table = Table(title=f"{command}, N={size.name}, SEED={seed}", title_justify="left")
    for heading in ("row", "", "value", "goal", "holds", "s"):
        table.add_column(heading, overflow="fold", justify="right" if heading == "s" else "left")
    for line in lines:
        holds = "yes" if line.holds else "[bold red]NO[/]"
        table.add_row(line.code, line.title, line.value, line.goal, holds, f"{line.seconds:.1f}")
    console.print(table)

"""How long a person waits for the first line, and a process for a provider's page."""

from __future__ import annotations

import pkgutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

import landbridge.providers
from tests.rows import RowResult, Trial, row

_HELP_LIMIT_MS = 400
_PAGE_LIMIT_MS = 150
_TIMED_IMPORT = (
    "import importlib, time; start = time.perf_counter(); "
    "importlib.import_module({module!r}); print((time.perf_counter() - start) * 1000)"
)


@row(
    "start",
    title="`landbridge --help`, and the import of a provider's page",
    goal=f"help < {_HELP_LIMIT_MS} ms, page < {_PAGE_LIMIT_MS} ms (medians)",
)
def start(trial: Trial) -> RowResult:
    runs = max(trial.size.pick(small=1, medium=9), 7 if trial.size.judges_time else 1)
    pages = [
        f"landbridge.providers.{found.name}.provider"
        for found in pkgutil.iter_modules(landbridge.providers.__path__)
        if found.ispkg
    ]
    _help_ms()  # the first run compiles; what is measured is every later one
    taken: dict[str, list[float]] = {"help": [], **{page: [] for page in pages}}
    for number in range(runs):
        taken["help"].append(_help_ms())
        for page in pages:
            taken[page].append(_import_ms(page))
        trial.step(number + 1, runs)
    medians = {what: statistics.median(times) for what, times in taken.items()}
    slowest = max(pages, key=lambda page: medians[page])
    return trial.timed(
        value=f"help {medians['help']:.0f} ms, {slowest.split('.')[-2]} {medians[slowest]:.0f} ms",
        holds=medians["help"] < _HELP_LIMIT_MS and medians[slowest] < _PAGE_LIMIT_MS,
        detail={"runs": runs, "milliseconds": taken},
    )


def _help_ms() -> float:
    command = [str(Path(sys.executable).with_name("landbridge")), "--help"]
    start = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return (time.perf_counter() - start) * 1000


def _import_ms(module: str) -> float:
    command = [sys.executable, "-c", _TIMED_IMPORT.format(module=module)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)

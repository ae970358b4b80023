"""The runner behind `make faults`, `make bench` and `make peers`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.rows import Comparison, Size, pairs

_ROOT = Path(__file__).parents[2]
Run = Callable[..., subprocess.CompletedProcess[str]]
_ROWS = """
from collections import Counter
from tests.rows import RowResult, Trial, row

@row("A01", title="holds", goal="0 lost")
async def holds(trial: Trial) -> RowResult:
    tried = trial.size.pick(small=3, medium=30)
    trial.step(tried, tried)
    return RowResult(value=f"0 lost of {tried}", holds=True, detail=Counter(tried=tried))

@row("A02", title="falls short", goal="0 lost")
def falls_short(trial: Trial) -> RowResult:
    return RowResult(value="2 lost", holds=False)

@row("B01", title="breaks", goal="nothing breaks")
def breaks(trial: Trial) -> RowResult:
    raise RuntimeError("no server")

@row("B02", title="slow", goal="< 1 ms")
def slow(trial: Trial) -> RowResult:
    return trial.timed(value="5 ms", holds=False)

@row("B03", title="never ends", goal="ends", limit=1)
async def never_ends(trial: Trial) -> RowResult:
    import asyncio
    await asyncio.Event().wait()
    raise AssertionError
"""


@pytest.fixture
def run(tmp_path: Path) -> Run:
    package = tmp_path / "sample_rows"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "some.py").write_text(_ROWS)

    def run(**asked: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [
                sys.executable,
                "-c",
                "import tests.rows as r; r.main('faults', package='sample_rows')",
            ],
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": f"{_ROOT}:{tmp_path}",
                "COLUMNS": "200",
                **asked,
            },
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def test_a_row_that_holds_exits_0_and_prints_its_line(run: Run) -> None:
    done = run(ONLY="A01")
    assert done.returncode == 0
    assert "0 lost of 30" in done.stdout
    assert done.stdout.splitlines()[-1] == "1 passed, 0 failed"


def test_a_row_that_falls_short_exits_1(run: Run) -> None:
    done = run(ONLY="a")
    assert done.returncode == 1
    assert "2 lost" in done.stdout
    assert done.stdout.splitlines()[-1] == "1 passed, 1 failed"


def test_a_row_that_breaks_falls_short_and_the_next_one_runs(run: Run) -> None:
    done = run(ONLY="B01, A01")
    assert done.returncode == 1
    assert "broke: RuntimeError: no server" in done.stdout
    assert "0 lost of 30" in done.stdout


def test_rows_that_run_beside_each_other_are_told_as_others_are(run: Run) -> None:
    done = run(ONLY="A B01", N="ci", JSON="report.json")
    assert done.returncode == 1
    assert "0 lost of 3" in done.stdout
    assert "B01 falls short: broke: RuntimeError: no server. The goal: nothing breaks" in (
        done.stdout
    )
    assert "B01 broke:" in done.stderr
    assert done.stdout.splitlines()[-1] == "1 passed, 2 failed"


def test_a_row_that_never_ends_is_ended(run: Run) -> None:
    done = run(ONLY="B03")
    assert done.returncode == 1
    assert "not done within 1 s" in done.stdout


def test_only_that_matches_nothing_exits_2_and_names_the_rows(run: Run) -> None:
    done = run(ONLY="A01 Z")
    assert done.returncode == 2
    assert "ONLY=A01 Z matches no row at 'Z'. The rows are: A01, A02, B01, B02, B03." in done.stderr


def test_an_unknown_size_exits_2_and_names_the_sizes(run: Run) -> None:
    done = run(N="huge")
    assert done.returncode == 2
    assert "N=huge is no size: it is ci, smoke, medium or a whole number above 0." in done.stderr


def test_smoke_judges_no_time(run: Run) -> None:
    assert run(ONLY="B02").returncode == 1
    smoke = run(ONLY="B02", N="smoke")
    assert smoke.returncode == 0
    assert "5 ms (not judged)" in smoke.stdout


def test_the_json_file_holds_what_the_table_shows(run: Run, tmp_path: Path) -> None:
    run(ONLY="A", N="7", SEED="5", JSON="out.json")
    report = json.loads((tmp_path / "out.json").read_text())
    assert {key: report[key] for key in ("command", "size", "seed", "passed", "failed")} == {
        "command": "faults",
        "size": "7",
        "seed": 5,
        "passed": 1,
        "failed": 1,
    }
    first = report["rows"][0]
    assert first.pop("seconds") >= 0
    assert first == {
        "code": "A01",
        "title": "holds",
        "value": "0 lost of 7",
        "goal": "0 lost",
        "holds": True,
        "detail": {"tried": 7},
    }


def test_the_page_keeps_the_rows_of_earlier_runs_and_drops_unknown_ones(
    run: Run, tmp_path: Path
) -> None:
    page = tmp_path / "docs/operations/faults.md"
    page.parent.mkdir(parents=True)
    page.write_text(
        "Before.\n<!-- results: written by the command, not by hand -->\n"
        "| A02 | falls short | 9 lost | 0 lost | **no** | medium |\n"
        "| A99 | gone | - | - | yes | ci |\n<!-- end of results -->\nAfter.\n"
    )
    assert run(ONLY="A01", WRITE="1").returncode == 0
    written = page.read_text()
    assert "| A01 | holds | 0 lost of 30 | 0 lost | yes | medium |\n| A02 | falls" in written
    assert "A99" not in written
    assert written.startswith("Before.\n")
    assert written.endswith("<!-- end of results -->\nAfter.\n")


def test_a_page_without_a_place_for_results_exits_2_before_a_row_runs(
    run: Run, tmp_path: Path
) -> None:
    page = tmp_path / "docs/operations/faults.md"
    page.parent.mkdir(parents=True)
    page.write_text("Nothing here.\n")
    done = run(WRITE="1")
    assert done.returncode == 2
    assert "docs/operations/faults.md has no place for results" in done.stderr
    assert done.stdout == ""


async def test_pairs_take_turns_and_find_a_real_difference() -> None:
    order: list[str] = []

    async def ours() -> float:
        order.append("ours")
        return 2.0

    async def control() -> float:
        order.append("control")
        return 1.0

    found = await pairs(ours, control, rounds=6)
    assert order[:4] == ["ours", "control", "control", "ours"]
    assert str(found) == "2.00 (2.00 to 2.00)"
    assert not found.at_most(1.5)
    assert found.at_least(1.5)


def test_a_comparison_fails_only_when_the_whole_interval_is_on_the_wrong_side() -> None:
    wide = Comparison(ratio=1.2, low=1.0, high=1.4, ours=(), control=())
    assert wide.at_most(1.1)
    assert wide.at_least(1.3)
    assert not wide.at_most(0.9)
    assert not wide.at_least(1.5)


async def test_fewer_than_five_pairs_are_refused() -> None:
    async def one() -> float:
        return 1.0

    with pytest.raises(ValueError, match="4 rounds say nothing: take 5 or more"):
        await pairs(one, one, rounds=4)


@pytest.mark.parametrize(
    ("asked", "number"), [("ci", 3), ("smoke", 3), ("", 30), ("medium", 30), ("500", 500)]
)
def test_a_size_picks_the_number_of_a_row(asked: str, number: int) -> None:
    assert Size.parse(asked).pick(small=3, medium=30) == number


async def test_what_five_rounds_deny_is_measured_on_and_all_of_it_counts() -> None:
    asked: list[str] = []

    async def ours() -> float:
        asked.append("ours")
        return 2.0 if len(asked) <= 10 else 1.0

    async def theirs() -> float:
        asked.append("theirs")
        return 1.0

    found = await pairs(ours, theirs, enough=lambda one: one.at_most(1.1))
    assert len(found.ours) == 10
    assert found.ours[:5] == (2.0,) * 5
    assert found.at_most(1.1)
    never = await pairs(theirs, theirs, enough=lambda one: one.at_most(0.5))
    assert len(never.ours) == 20
    assert not never.at_most(0.5)

"""The demonstration: it matches, it finds what is planted, and it leaves nothing behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

_PATIENCE = 120.0
_ABSENT = "import sys\nsys.modules.update(radicale=None, standardwebhooks=None)\n"


class Run:
    """A demonstration as a process; everything that it starts can be told by its folder."""

    def __init__(self, room: Path, *options: str, **environment: str):
        self.room = room
        command = [sys.executable, "-m", "landbridge.cli", "demo", *options]
        self.process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"TMPDIR": str(room)} | environment,
        )

    def end(self) -> tuple[int, str, str]:
        """Exit status, standard output and standard error; nothing of it is left over."""
        out, err = self.process.communicate(timeout=_PATIENCE)
        assert self.strays() == []
        assert list(self.room.glob("landbridge-demo-*")) == []
        return self.process.returncode, out, err

    def strays(self) -> list[str]:
        """The command lines of living processes that know of our room, but for the first."""
        found = []
        for each in Path("/proc").glob("[0-9]*"):
            try:
                line, environment = (each / "cmdline").read_bytes(), (each / "environ").read_bytes()
            except OSError:
                continue
            ours = int(each.name) == self.process.pid
            if line and not ours and str(self.room).encode() in line + environment:
                found.append(line.replace(b"\0", b" ").decode())
        return found

    def has(self, word: str) -> bool:
        """Whether a process with this word in its command line runs."""
        return any(word in line for line in self.strays())

    def pid_of(self, word: str) -> int:
        """The process with this word in its command line."""
        for each in Path("/proc").glob("[0-9]*"):
            try:
                line, environment = (each / "cmdline").read_bytes(), (each / "environ").read_bytes()
            except OSError:
                continue
            if word.encode() in line and str(self.room).encode() in line + environment:
                return int(each.name)
        raise AssertionError(f"no process {word!r}")


@pytest.fixture
def room() -> Iterator[Path]:
    """Where temporary files go, in memory if there is some."""
    memory = Path("/dev/shm")
    place = memory if os.access(memory, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="landbridge-test-", dir=place) as folder:
        Path(folder).chmod(0o711)
        yield Path(folder)


@pytest.fixture
def start(room: Path) -> Iterator[Callable[..., Run]]:
    """Starts a demonstration; one that still runs at the end of the test is killed."""
    runs: list[Run] = []

    def started(*options: str, **environment: str) -> Run:
        runs.append(Run(room, *options, **environment))
        return runs[-1]

    yield started
    for run in runs:
        if run.process.poll() is None:
            run.process.kill()
            run.process.communicate()


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_everything_matches_and_stays_up_also_where_the_optional_packages_are_missing(
    start: Callable[..., Run], tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text(_ABSENT)
    picture = tmp_path / "demo.svg"
    run = start(
        "--size=small",
        "--stay",
        f"--picture={picture}",
        "--json",
        PYTHONPATH=str(tmp_path),
    )
    assert run.process.stderr is not None
    shown = [line for line in iter(run.process.stderr.readline, "  landbridge doctor\n") if line]
    assert run.has("worker")
    run.process.send_signal(signal.SIGINT)
    status, out, err = run.end()
    assert (status, err) == (0, "")

    outcome = json.loads(out)
    assert outcome["differences"] == []
    assert (outcome["matched"], outcome["lost"]) == (True, 0)
    assert outcome["connected"] == outcome["refused"] == 2
    assert outcome["parked"] == 1
    assert outcome["emitted"] == 100
    assert outcome["rolled_back"] > 0
    assert outcome["failed_on_purpose"] > 0
    assert 0 < outcome["worker_killed_after"] < outcome["delivered"]
    assert outcome["webhooks_repeated"] == 2
    assert "simulator" in outcome["sides"]["calendar"]
    assert "standardwebhooks" not in outcome["sides"]["deliveries_verified_by"]

    assert any("Radicale is not installed" in line for line in shown)
    assert any("Everything matched" in line for line in shown)
    assert any(f"LANDBRIDGE_HOME={run.room}" in line for line in shown)
    drawn = picture.read_text()
    assert drawn.startswith("<svg")
    assert "http" not in drawn.replace("http://www.w3.org/2000/svg", "")
    assert "matched,&#160;record&#160;by&#160;record" in drawn


def test_planted_faults_are_found(start: Callable[..., Run]) -> None:
    planted = ("lost-delivery", "lost-record", "forged")
    run = start("--size=least", "--json", *(f"--plant={fault}" for fault in planted))
    status, out, _ = run.end()
    outcome: dict[str, Any] = json.loads(out)
    assert (status, outcome["matched"], outcome["lost"]) == (1, False, 2)
    assert outcome["planted"] == sorted(planted)
    for said in (
        "never arrived at",
        "is missing from the mirror",
        "which no event stands behind, was accepted",
    ):
        assert [each for each in outcome["differences"] if said in each], said
    assert outcome["sides"]["calendar"].startswith("Radicale")
    assert outcome["sides"]["deliveries_verified_by"] == "standardwebhooks"


def test_ctrl_c_in_the_middle_leaves_nothing(start: Callable[..., Run]) -> None:
    run = start("--size=least")
    until(lambda: run.has("postgres") and run.has("worker"))
    run.process.send_signal(signal.SIGINT)
    status, _, err = run.end()
    assert (status, err) == (130, "")


def test_a_kill_leaves_nothing(start: Callable[..., Run]) -> None:
    run = start("--size=least")
    until(lambda: run.has("postgres") and run.has("worker"))
    run.process.kill()
    until(lambda: not run.strays())
    assert run.end()[0] == -signal.SIGKILL


def test_a_process_that_dies_is_named_with_the_end_of_its_log(start: Callable[..., Run]) -> None:
    run = start("--size=least")
    until(lambda: run.has("serve stripe") and run.has("postgres"))
    os.kill(run.pid_of("stripe"), signal.SIGKILL)
    status, out, err = run.end()
    assert status == 1
    assert err.splitlines()[-1] == (
        "error: the process 'stripe' of the demonstration ended by itself with the status -9"
    )
    assert "Traceback" not in err + out


def test_an_unknown_fault_is_refused_before_anything_starts(start: Callable[..., Run]) -> None:
    status, out, err = start("--plant", "lost-deliverey").end()
    assert (status, out) == (2, "")
    assert "Did you mean 'lost-delivery'?" in err

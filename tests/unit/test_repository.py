"""House rules that no linter knows."""

from __future__ import annotations

import importlib.util
import re
import subprocess
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType

import pytest

from tests import reference

_ROOT = Path(__file__).parents[2]
_LOCKS = sorted((_ROOT / "requirements").glob("*.txt"))
_MOST_LINES = 500
_MOST_BYTES = 30 * 1024 * 1024

_LONGER_FILES: MappingProxyType[str, str] = MappingProxyType(
    {"src/landbridge/models/payments.py": "one domain's words, which users import from one place"}
)
"""Files of ours that may be longer, each with the reason."""

_NOT_OURS = {".git", ".venv", ".landbridge", "__pycache__", "build", "dist"}
_UNFINISHED = re.compile(r"\b(?:TO" r"DO|FIX" r"ME|XX" r"X|HA" r"CK)\b")


def _ours(pattern: str) -> Iterator[Path]:
    """The repository's files of this name, without what tools leave behind."""
    for path in sorted(_ROOT.rglob(pattern)):
        parts = path.relative_to(_ROOT).parts
        if path.is_file() and not any(_is_left_behind(part) for part in parts):
            yield path


def _is_left_behind(part: str) -> bool:
    return part in _NOT_OURS or part.endswith("_cache") or part == ".hypothesis"


def test_no_file_of_ours_is_too_long_to_read() -> None:
    too_long = {
        str(path.relative_to(_ROOT)): lines
        for path in _ours("*.py")
        if "src" in path.parts
        and (lines := len(path.read_text().splitlines())) > _MOST_LINES
        and str(path.relative_to(_ROOT)) not in _LONGER_FILES
    }
    assert not too_long


def test_the_list_of_longer_files_names_only_longer_files() -> None:
    for name, reason in _LONGER_FILES.items():
        assert len((_ROOT / name).read_text().splitlines()) > _MOST_LINES, name
        assert reason


def test_nothing_is_left_unfinished() -> None:
    left = [
        f"{path.relative_to(_ROOT)}:{number}: {line.strip()}"
        for pattern in (
            "*.py",
            "*.sql",
            "*.md",
            "*.toml",
            "*.in",
            "*.html",
            "*.css",
            "*.js",
            "Makefile",
        )
        for path in _ours(pattern)
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        if _UNFINISHED.search(line)
    ]
    assert not left


@pytest.mark.parametrize("lock", _LOCKS, ids=lambda path: path.stem)
def test_a_lock_is_exact_and_names_no_address(lock: Path) -> None:
    text = lock.read_text()
    assert not re.search(r"https?:|file:|://|--(?:extra-)?index-url|--find-links", text)
    entries = re.split(r"^(?=[a-zA-Z])", text, flags=re.MULTILINE)[1:]
    assert entries
    for entry in entries:
        assert re.match(r"[\w.\[\],-]+==[\w.+!-]+ ", entry), entry.splitlines()[0]
        assert "--hash=sha256:" in entry, entry.splitlines()[0]


def test_each_set_of_requirements_contains_the_one_before() -> None:
    pins = [
        set(re.findall(r"^[\w.-]+==[^ ]+", lock.read_text(), re.MULTILINE))
        for name in ("runtime", "demo", "test", "check")
        for lock in [_ROOT / "requirements" / f"{name}.txt"]
    ]
    for smaller, larger in pairwise(pins):
        assert smaller
        assert smaller < larger


def _stale_locks() -> list[str]:
    spec = importlib.util.spec_from_file_location("lock", _ROOT / "requirements/lock.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    stale: list[str] = module.stale()
    return stale


_GENERATED: MappingProxyType[str, Callable[[], list[str]]] = MappingProxyType(
    {"make lock": _stale_locks, "python -m tests.reference": reference.stale}
)
"""What commands write into the repository: the command, and what finds its stale files."""


@pytest.mark.parametrize("command", _GENERATED)
def test_what_a_command_generates_is_fresh(command: str) -> None:
    assert _GENERATED[command]() == [], f"run `{command}`"


def test_the_repository_is_small() -> None:
    tracked = subprocess.run(
        ["git", "ls-files", "-z"], cwd=_ROOT, capture_output=True, text=True, check=False
    )
    files = (
        [_ROOT / name for name in tracked.stdout.split("\0") if name]
        if tracked.returncode == 0
        else list(_ours("*"))
    )
    assert sum(path.stat().st_size for path in files if path.is_file()) < _MOST_BYTES


def test_users_get_our_types() -> None:
    assert (_ROOT / "src/landbridge/py.typed").is_file()


def test_the_runtime_dependencies_are_the_ones_that_are_locked() -> None:
    """What `pip install landbridge` asks for is what requirements/runtime.in names."""
    project = (_ROOT / "pyproject.toml").read_text().partition("dependencies = [")[2]
    asked = re.findall(r'^    "([\w.-]+)', project.partition("\n]")[0], re.MULTILINE)
    named = re.findall(r"^([\w.-]+)", (_ROOT / "requirements/runtime.in").read_text(), re.MULTILINE)
    assert set(named) == {*asked, "hatchling", "editables"}

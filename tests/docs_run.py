"""Runs the documentation: `python -m tests.docs_run [PAGE...]`, a step of `make check`.

What runs, in README.md and docs/**/*.md:

- Blocks fenced as ```` ```python run ````. A page's blocks are one program, top to bottom.
- Blocks fenced as ```` ```console ```` in which a `$` line calls `landbridge`. Each `$` line runs
  in bash, and the lines below it are its output: `...` stands for anything within a line, and
  alone on a line for any lines. A command must exit 0, unless `(exit N)` is its last line.
  ```` ```console no-run ```` is left alone.

A page runs in an empty folder of its own, with no LANDBRIDGE_ settings but those it sets itself.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

_ROOT = Path(__file__).parents[1]
_SECONDS = 120
_AT_ONCE = 2
_FENCE = re.compile(r"^(?P<indent> *)(?P<marks>`{3,})(?P<words>.*)$")
_EXIT = re.compile(r"\(exit (\d+)\)")


@dataclass(frozen=True, kw_only=True)
class Block:
    """One fenced block: the words behind its opening marks, its lines, the first one's number."""

    words: tuple[str, ...]
    lines: tuple[str, ...]
    number: int


@dataclass(frozen=True, kw_only=True)
class Command:
    """One `$` line of a console block with the output that the page shows."""

    text: str
    expected: tuple[str, ...]
    number: int


def blocks(text: str) -> Iterator[Block]:
    """The fenced blocks of a Markdown page. ValueError when one is not closed."""
    opened: re.Match[str] | None = None
    first, lines = 0, list[str]()
    for number, line in enumerate(text.splitlines(), start=1):
        fence = _FENCE.match(line)
        if opened is None:
            if fence:
                opened, first, lines = fence, number + 1, []
        elif fence and not fence["words"].strip() and len(fence["marks"]) >= len(opened["marks"]):
            words = tuple(opened["words"].split())
            yield Block(words=words, lines=tuple(lines), number=first)
            opened = None
        else:
            lines.append(line.removeprefix(opened["indent"]))
    if opened is not None:
        raise ValueError(f"the block that starts above line {first} is not closed")


def program(page: Sequence[Block]) -> str | None:
    """The runnable Python of a page as one program that keeps its line numbers; None for none."""
    lines: list[str] = []
    for block in page:
        if block.words[:2] == ("python", "run"):
            lines += [""] * (block.number - 1 - len(lines))
            lines += block.lines
    return "\n".join(lines) + "\n" if lines else None


def commands(block: Block) -> list[Command]:
    """The `$` lines of a console block that runs; empty for any other block."""
    if block.words[:1] != ("console",) or "no-run" in block.words:
        return []
    found: list[Command] = []
    continued = False
    for number, line in enumerate(block.lines, start=block.number):
        if line.startswith("$ "):
            found.append(Command(text=line[2:], expected=(), number=number))
        elif found and continued:
            last = found.pop()
            found.append(Command(text=f"{last.text}\n{line}", expected=(), number=last.number))
        elif found:
            last = found.pop()
            expected = (*last.expected, line)
            found.append(Command(text=last.text, expected=expected, number=last.number))
        continued = line.endswith("\\") and (line.startswith("$ ") or continued)
    ours = any(re.search(r"\blandbridge\b", each.text) for each in found)
    return found if ours else []


def matches(expected: Sequence[str], shown: Sequence[str]) -> bool:
    """Whether the output is what the page shows; spaces at the ends of lines do not count."""
    parts = [
        r"(?:.*\n)*" if line.strip() == "..." else _line(line) + r"[ \t]*\n" for line in expected
    ]
    return re.fullmatch("".join(parts), "".join(f"{line}\n" for line in shown)) is not None


def _line(line: str) -> str:
    return ".*".join(re.escape(part) for part in line.rstrip().split("..."))


def run_page(page: Path, *, environment: Mapping[str, str]) -> tuple[int, list[str]]:
    """How many pieces of the page ran, and a sentence for each that is not as the page says."""
    try:
        name = str(page.relative_to(_ROOT))
    except ValueError:
        name = str(page)
    try:
        found = list(blocks(page.read_text()))
    except ValueError as problem:
        return 1, [f"{name}: {problem}"]
    ran, problems = 0, list[str]()
    with tempfile.TemporaryDirectory(prefix="landbridge-docs-") as folder:
        Path(folder).chmod(0o755)  # the embedded server may run as another user
        there = {**environment, "HOME": folder}
        if source := program(found):
            ran += 1
            done = _run([sys.executable, "-"], source, folder, there)
            if done.returncode != 0:
                problems.append(f"{name}: its Python fails\n{done.stdout.replace('<stdin>', name)}")
        for command in (each for block in found for each in commands(block)):
            ran += 1
            done = _run(["bash", "-c", command.text], "", folder, there)
            problems += [f"{name}:{command.number}: {each}" for each in _wrong(command, done)]
    return ran, problems


def _wrong(command: Command, done: subprocess.CompletedProcess[str]) -> list[str]:
    expected = list(command.expected)
    while expected and not expected[-1].strip():
        expected.pop()
    code = 0
    if expected and (exits := _EXIT.fullmatch(expected[-1].strip())):
        code = int(exits[1])
        expected.pop()
    if done.returncode == code and matches(expected, done.stdout.rstrip("\n").splitlines()):
        return []
    shown = "\n".join(f"    {line}" for line in done.stdout.splitlines())
    return [f"`{command.text}` exits {done.returncode} (the page says {code}) and prints\n{shown}"]


def _run(
    command: Sequence[str], given: str, folder: str, environment: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command,
            input=given,
            cwd=folder,
            env=environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 124, f"nothing after {_SECONDS} s\n")


def _environment() -> dict[str, str]:
    """This process's variables less the Landbridge settings, for output that never varies."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LANDBRIDGE_")}
    kept["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{kept.get('PATH', os.defpath)}"
    return {**kept, "COLUMNS": "100", "NO_COLOR": "1", "TERM": "dumb"}


def main(pages: Sequence[str]) -> int:
    """Runs these pages, or all; 0 when each is as it says."""
    paths = [Path(page).resolve() for page in pages] or [
        *(page for page in [_ROOT / "README.md"] if page.exists()),
        *sorted((_ROOT / "docs").rglob("*.md")),
    ]
    total, problems = 0, list[str]()
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for ran, wrong in pool.map(partial(run_page, environment=_environment()), paths):
            total += ran
            problems += wrong
    for problem in problems:
        print(problem, file=sys.stderr)
    print(f"Documentation: {total} pieces ran, {len(problems)} are not as the pages say")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""What a person sees of a demonstration: a line for each step, bars while it pulls, a table."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TextColumn
from rich.table import Table
from rich.text import Text

from landbridge.cli.demo.outcome import Line, Outcome

WIDTH = 100
_SHOWN = 12
_SVG = """<svg class="rich-terminal" viewBox="0 0 {width} {height}" role="img"
     aria-label="A run of landbridge demo" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{ font-family: ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace;
  font-size: {char_height}px; line-height: {line_height}px; font-variant-east-asian: full-width; }}
.{unique_id}-title {{ font-size: 18px; font-weight: bold; font-family: sans-serif; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" />
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""
"""Rich's own picture, less the font that it would load from elsewhere."""


@dataclass
class Step:
    """A step under way; `said` is the line that stays when it is done."""

    said: str


class Screen:
    """Prints to standard output, or with `json` to standard error."""

    def __init__(self, *, json: bool = False, picture: bool = False):
        stream = sys.stderr if json else sys.stdout
        self._live = Console(file=stream)
        width = WIDTH if picture or not self._live.is_terminal else None
        self._kept = Console(file=stream, record=picture, width=width, highlight=False)
        if picture:
            self._live = Console(file=stream, width=WIDTH)

    def title(self, text: str) -> None:
        """The first line."""
        self._kept.print(Text(text, style="bold"))
        self._kept.print()

    @contextmanager
    def step(self, doing: str) -> Iterator[Step]:
        """Shows what is being done; then the line that the step left and how long it took."""
        step = Step(said=doing)
        begun = time.monotonic()
        with self._live.status(doing, spinner="dots"):
            yield step
        self._done(step.said, time.monotonic() - begun)

    @contextmanager
    def pulling(self, names: dict[str, int]) -> Iterator[Bars]:
        """Bars for what is pulled; `names` with the number of records that there are."""
        bars = Bars(self._live, names)
        with bars.progress:
            yield bars
        for name, seconds in bars.took.items():
            self._kept.print(_bar(name, bars.count(name), seconds))
        total, longest = sum(map(bars.count, names)), max(bars.took.values())
        self._done(f"pulled {total:,} records, {total / longest:,.0f} rows/s", longest)

    def _done(self, said: str, seconds: float) -> None:
        first, *more = said.split("\n")
        line = Table.grid(padding=(0, 1), expand=True)
        line.add_column(width=1)
        line.add_column(ratio=1)
        line.add_column(justify="right", width=8)
        line.add_row(Text("✔", style="green"), first, Text(f"{seconds:.1f} s", style="dim"))
        for each in more:
            line.add_row("", Text(each, style="dim"), "")
        self._kept.print(line)

    def outcome(self, outcome: Outcome) -> None:
        """The table, and below it what did not match."""
        table = Table(box=SIMPLE_HEAD, pad_edge=False, expand=True)
        table.add_column("")
        table.add_column("Landbridge", justify="right")
        table.add_column("their journals", justify="right")
        table.add_column("")
        table.add_column("", ratio=1)
        for line in outcome.lines:
            table.add_row(*_row(line))
        table.add_row("duplicated", "", f"{outcome.duplicated:,}", "", Text(_ALLOWED, style="dim"))
        style = "bold red" if outcome.lost else "bold green"
        table.add_row(*(Text(each, style=style) for each in ("lost", "", f"{outcome.lost:,}")))
        self._kept.print(table)
        for text in outcome.differences[:_SHOWN]:
            self._kept.print(Text(f"✘ {text}", style="red"))
        rest = len(outcome.differences) - _SHOWN
        if rest > 0:
            self._kept.print(Text(f"  and {rest:,} more", style="red"))
        verdict = (
            Text("Everything matched, record by record", style="bold green")
            if outcome.matched
            else Text("Not everything matched", style="bold red")
        )
        self._kept.print(verdict.append(f", in {outcome.seconds:.0f} s.", style="default"))

    def say(self, text: str) -> None:
        """A paragraph that is not part of the picture's story."""
        self._live.print(text, highlight=False, soft_wrap=True)

    def fault(self, tail: str) -> None:
        """The end of a log, on standard error."""
        if tail:
            Console(stderr=True, soft_wrap=True, highlight=False).print(Text(tail, style="dim"))

    def save(self, path: Path) -> None:
        """Writes what was shown as a picture (SVG)."""
        path.write_text(self._kept.export_svg(title="landbridge demo", code_format=_SVG))


_ALLOWED = "allowed: the same id came again"


def _row(line: Line) -> tuple[Text | str, ...]:
    mark = Text("✔", style="green") if line.matched else Text("✘", style="bold red")
    note = Text(line.note, style="dim")
    return line.what, f"{line.ours:,}", f"{line.theirs:,}", mark, note


class Bars:
    """The bars of a pull."""

    def __init__(self, console: Console, names: dict[str, int]):
        self.progress = Progress(
            SpinnerColumn("dots"),
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            TextColumn("{task.completed:,.0f} of {task.total:,.0f}"),
            _Rate(),
            console=console,
            transient=True,
        )
        self.took: dict[str, float] = {}
        """Seconds from the first request to the last row, to be filled in by who knows them."""
        self._tasks = {
            name: self.progress.add_task(name.ljust(9), total=count)
            for name, count in names.items()
        }

    def show(self, name: str, count: int) -> None:
        """So many records of this are there."""
        self.progress.update(self._tasks[name], completed=count)

    def count(self, name: str) -> int:
        """How many records of this there were last."""
        return int(self.progress.tasks[self._tasks[name]].completed)


class _Rate(ProgressColumn):
    """Rows per second since the pull began."""

    def render(self, task: Task) -> Text:
        """The rate as text; nothing before the first row."""
        seconds = task.elapsed or 0.0
        rate = f"{task.completed / seconds:,.0f} rows/s" if task.completed and seconds else ""
        return Text(rate, style="cyan")


def _bar(name: str, count: int, seconds: float) -> Text:
    line = Text("  ").append(name.ljust(9)).append("━" * 30, style="green")
    line.append(f"  {count:>6,} records")
    return line.append(f"  {count / seconds:>6,.0f} rows/s", style="cyan")

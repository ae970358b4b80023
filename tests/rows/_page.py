"""The result tables of the documentation, which only the commands write."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

PAGES = {
    "faults": Path("docs/operations/faults.md"),
    "bench": Path("docs/operations/performance.md"),
}
_BEGIN = "<!-- results: written by the command, not by hand -->"
_END = "<!-- end of results -->"
_HEAD = ("| row | what | value | goal | holds | N |", "| --- | --- | --- | --- | --- | --- |")


def write_page(
    page: Path,
    lines: Iterable[tuple[str, str, str, str, bool]],
    *,
    size: str,
    known: Iterable[str],
) -> None:
    """Puts the rows (code, what, value, goal, holds) into the page's table, between its markers.

    Rows of an earlier run stay unless this run has them or they are no longer `known`.
    ValueError when the page lacks the markers.
    """
    text = page.read_text()
    before, begin, rest = text.partition(_BEGIN)
    old, end, after = rest.partition(_END)
    if not begin or not end:
        raise ValueError(f"{page} has no place for results: add {_BEGIN} and {_END}.")
    table = {found[1]: found[0] for found in re.finditer(r"^\| (\S+) \|.*$", old, re.MULTILINE)}
    for code, what, value, goal, holds in lines:
        cells = (code, what, value, goal, "yes" if holds else "**no**", size)
        table[code] = f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"
    kept = [table[code] for code in sorted(set(table) & set(known))]
    page.write_text(f"{before}{_BEGIN}\n" + "\n".join((*_HEAD, *kept)) + f"\n{_END}{after}")

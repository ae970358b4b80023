"""How commands answer: a table or facts for a person, one JSON object for a program.

On a terminal tables are drawn; elsewhere they are plain columns. What a stranger sent cannot
steer the terminal: control characters are shown, not obeyed.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import typer

Row = Mapping[str, Any]


def print_json(value: Any) -> None:
    """One JSON document on standard output; instants are ISO 8601, amounts and the like text."""
    typer.echo(json.dumps(value, default=_as_json, indent=2, ensure_ascii=False))


def print_rows(
    noun: str, rows: Sequence[Row], columns: Sequence[str], *, as_json: bool, none: str = ""
) -> None:
    """The rows under their noun as JSON with everything, or these columns of them as a table.

    `none` is the sentence for a person when there are no rows.
    """
    if as_json:
        print_json({noun: rows})
    elif not rows:
        typer.echo(none or f"no {noun}")
    elif is_terminal():
        _draw(rows, columns)
    else:
        _line_up(rows, columns)


def print_page(
    noun: str,
    rows: Sequence[Row],
    columns: Sequence[str],
    *,
    limit: int,
    as_json: bool,
    key: str | None = None,
    none: str = "",
) -> None:
    """As `print_rows` prints `limit` rows, and says so where there is one more than that.

    `key` names the column that `--after` takes to go on: it is `next` in the JSON, null at the end.
    Without one the JSON has `more`.
    """
    page, more = rows[:limit], len(rows) > limit
    if as_json:
        going_on = (page[-1][key] if more else None) if key else more
        print_json({noun: page, "next" if key else "more": going_on})
        return
    print_rows(noun, page, columns, as_json=False, none=none)
    if more:
        way = f"--after {visible(page[-1][key])}" if key else f"--limit {limit * 10}"
        typer.echo(f"there are more: {way}", err=True)


def print_facts(facts: Row, *, as_json: bool) -> None:
    """One thing: all of it as JSON, or a line for each fact that there is."""
    if as_json:
        print_json(facts)
        return
    shown = {name: cell(value) for name, value in facts.items() if value not in (None, "", [])}
    width = max((len(name) for name in shown), default=0)
    for name, text in shown.items():
        typer.echo(f"{_words(name):{width}}  {text}".rstrip())


def watched(*, as_json: bool = False) -> bool:
    """Whether somebody sees how far a command is: progress goes to standard error, beside JSON none
    does."""
    return not as_json and sys.stderr.isatty()


def is_terminal() -> bool:
    """Whether a person watches standard output."""
    return sys.stdout.isatty()


def cell(value: Any) -> str:
    """A value in one line of text."""
    match value:
        case None:
            text = ""
        case bool():
            text = "yes" if value else "no"
        case datetime():
            text = value.strftime("%Y-%m-%d %H:%M:%SZ")
        case list() | tuple():
            text = ", ".join(cell(item) for item in value)
        case dict():
            text = json.dumps(value, default=_as_json, ensure_ascii=False)
        case _:
            text = str(value)
    return visible(text)


def visible(text: str) -> str:
    r"""The text with control characters written as `\x1b` and the like."""
    if text.isprintable():
        return text
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in text
    )


def _draw(rows: Sequence[Row], columns: Sequence[str]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for name in columns:
        numbers = all(isinstance(row.get(name), int | None) for row in rows)
        table.add_column(
            _words(name),
            overflow="fold",
            no_wrap=name == columns[0],  # an id is there to be copied
            justify="right" if numbers and not isinstance(rows[0].get(name), bool) else "left",
        )
    for row in rows:
        table.add_row(*(Text(cell(row.get(name))) for name in columns))
    Console().print(table)


def _line_up(rows: Sequence[Row], columns: Sequence[str]) -> None:
    lines = [[_words(name) for name in columns]]
    lines += [[cell(row.get(name)) for name in columns] for row in rows]
    widths = [max(len(line[place]) for line in lines) for place in range(len(columns))]
    for line in lines:
        padded = (text.ljust(width) for text, width in zip(line, widths, strict=True))
        typer.echo("  ".join(padded).rstrip())


def _words(name: str) -> str:
    return name.replace("_", " ")


def _as_json(value: Any) -> Any:
    match value:
        case datetime() | date():
            return value.isoformat()
        case timedelta():
            return value.total_seconds()
        case Decimal():
            return str(value)
        case set() | frozenset():
            return sorted(value)
        case Mapping():
            return dict(value)
    raise TypeError(f"{type(value).__name__} has no form in JSON")

"""How settings of an endpoint are written on the command line, and shown."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from landbridge.cli.usage import WrongUsage

_SPAN = re.compile(r"(\d{1,9}(?:\.\d{1,3})?)(ms|s|m|h|d)")
_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
_LARGEST_FILE = 1_000_000

Types = Annotated[
    list[str] | None,
    typer.Option("--type", help="invoice.paid, or invoice.* for all of these; none: every one."),
]
Description = Annotated[str | None, typer.Option(help="What it is for, in your own words.")]
Filter = Annotated[
    str | None,
    typer.Option(
        help='What a body has to hold, as JSON: {"data.amount": {"gte": 1000}}; or @FILE.',
        metavar="JSON",
    ),
]
Header = Annotated[
    list[str] | None,
    typer.Option(
        "--header",
        help="Sent with each post, 'Name: value', and never shown again; @FILE has one a line.",
        metavar="LINE",
    ),
]
ApiVersion = Annotated[
    str | None, typer.Option(help="The version of bodies that the receiver reads.")
]
Schedule = Annotated[
    str | None,
    typer.Option(
        help="The waits between tries: 5s,30s,2m,1h; `once`: a single try.", metavar="WAITS"
    ),
]
Concurrency = Annotated[int | None, typer.Option(help="Posts at a time, 1 to 1000.")]
Rate = Annotated[float | None, typer.Option(help="Posts a second, 0.01 to 10000.")]
Ordered = Annotated[
    bool | None,
    typer.Option("--ordered/--unordered", help="Events of one ordering key one after the other."),
]
SkipAfter = Annotated[
    int | None,
    typer.Option(help="Ordered: one that failed so often steps aside and lets the next ones go."),
]
Overlap = Annotated[
    str, typer.Option(help="How long what it replaces signs as well: 24h; 0s: not at all.")
]


def settings(
    *,
    types: Sequence[str] | None,
    description: str | None,
    filter: str | None,
    header: Sequence[str] | None,
    api_version: str | None,
    schedule: str | None,
    concurrency: int | None,
    rate: float | None,
    ordered: bool | None,
    skip_after: int | None,
) -> dict[str, Any]:
    """What was given, as `bridge.endpoints` takes it."""
    given = {
        "types": types or None,
        "description": description,
        "filter": None if filter is None else _text("--filter", filter),
        "headers": None if not header else _headers(header),
        "api_version": api_version,
        "schedule": None if schedule is None else _waits(schedule),
        "concurrency": concurrency,
        "rate": rate,
        "ordered": ordered,
        "skip_after": skip_after,
    }
    return {name: value for name, value in given.items() if value is not None}


BLANK: dict[str, Any] = {
    "type": ("types", ["*"]),
    "description": ("description", ""),
    "filter": ("filter", None),
    "header": ("headers", None),
    "api-version": ("api_version", ""),
    "schedule": ("schedule", None),
    "concurrency": ("concurrency", None),
    "rate": ("rate", None),
    "skip-after": ("skip_after", None),
}
"""What `--clear` takes: the option's name, and the setting with its blank value."""


def cleared(names: Sequence[str], given: dict[str, Any]) -> dict[str, Any]:
    """The settings that `--clear` names; `WrongUsage`: none such, or also given."""
    from landbridge.errors import did_you_mean

    found = {}
    for name in names:
        if name not in BLANK:
            raise WrongUsage(
                f"--clear: {name!r} is none of {', '.join(BLANK)}.{did_you_mean(name, BLANK)}"
            )
        setting, value = BLANK[name]
        if setting in given:
            raise WrongUsage(f"--clear {name}: --{name} is given as well; give one of the two")
        found[setting] = value
    return found


def span(text: str, option: str) -> timedelta:
    """The length of time that an option names, such as 30s, 2m or 1.5h."""
    found = _SPAN.fullmatch(text.strip())
    if found is None:
        raise WrongUsage(f"{option}: {text!r} is no length of time such as 5s, 2m, 1h or 1d")
    return timedelta(seconds=float(found[1]) * _UNITS[found[2]])


def written(wait: timedelta) -> str:
    """The shortest way to write a length of time: 5s, 2m, 1.5h."""
    seconds = wait.total_seconds()
    for unit in ("d", "h", "m"):
        size = _UNITS[unit]
        if seconds and seconds % size == 0:
            return f"{seconds / size:.0f}{unit}"
    return f"{seconds:g}s" if seconds < 1e6 else f"{seconds:.0f}s"


def _waits(text: str) -> list[timedelta]:
    if text.strip() == "once":
        return []
    return [span(each, "--schedule") for each in text.split(",")]


def _headers(lines: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    place = 0
    for given in lines:
        for line in _text("--header", given).splitlines() if given.startswith("@") else [given]:
            if given.startswith("@") and not line.strip():
                continue
            place += 1
            name, colon, value = line.partition(":")
            if not colon or not name.strip():
                raise WrongUsage(
                    f"--header number {place} has no name and colon: write 'Name: value'"
                )
            if name.strip() in found:
                raise WrongUsage(f"--header number {place}: {name.strip()} is given twice")
            found[name.strip()] = value.strip()
    return found


def _text(option: str, given: str) -> str:
    """The text itself, or that of the file behind an `@`."""
    if not given.startswith("@"):
        return given
    file = Path(given[1:])
    try:
        if file.stat().st_size > _LARGEST_FILE:
            raise WrongUsage(f"{option}: {file} is larger than {_LARGEST_FILE} bytes")
        return file.read_text()
    except OSError as error:
        raise WrongUsage(f"{option}: {file} cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise WrongUsage(f"{option}: {file} is not text in UTF-8") from None

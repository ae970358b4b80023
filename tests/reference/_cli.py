"""docs/reference/cli.md: every command with its help."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from landbridge.cli.app import group
from tests.reference._markdown import page, table

_WIDTH = 96
_HEAD = """
Every command takes `--json` and then prints one JSON object (`serve` and `worker`: one line
when they are ready). Tables are drawn on a terminal and are plain columns elsewhere.

`landbridge --help` lists the commands, `landbridge COMMAND --help` shows what is below.
"""
_STATUSES = (
    ("0", "done"),
    (
        "1",
        (
            "failed, or found something wrong: one line `error: ...` on standard error says what,"
            ' and the way out; with `--json` it is `{"error": {"type", "message"}}` on standard'
            " output"
        ),
    ),
    ("2", "called wrongly; told in the same way"),
    ("130", "stopped by Ctrl-C"),
)


def cli_page() -> str:
    """The page."""
    statuses = table(["exit status", "means"], _STATUSES)
    return page("Commands", _HEAD, statuses, *_sections())


def _sections() -> Iterator[str]:
    for words, command in _commands(group(), ("landbridge",)):
        with command.make_context(
            " ".join(words),
            [],
            resilient_parsing=True,
            terminal_width=_WIDTH,
            max_content_width=_WIDTH,
        ) as context:
            text = command.get_help(context)
        yield f"## {' '.join(words)}\n\n```text\n{_trimmed(text)}\n```"


def _commands(command: Any, words: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    if not hasattr(command, "list_commands"):
        yield words, command
        return
    context = command.make_context(" ".join(words), [], resilient_parsing=True)
    for name in command.list_commands(context):
        yield from _commands(command.get_command(context, name), (*words, name))


def _trimmed(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.strip().splitlines())

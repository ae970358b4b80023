"""Small pieces of Markdown, and what stands under a name in source code."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterable, Sequence
from types import ModuleType

GENERATED = "<!-- Written by `python -m tests.reference`; change the code, not this page. -->"


def page(title: str, *parts: str) -> str:
    """A page: its title, the note that it is generated, and its parts with empty lines between."""
    return "\n\n".join([f"# {title}", GENERATED, *(part.strip("\n") for part in parts)]) + "\n"


def table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table; bars and line ends in cells are escaped."""
    lines = [_line(heads), _line(["---"] * len(heads))]
    return "\n".join([*lines, *(_line([cell(each) for each in row]) for row in rows)])


def cell(value: object) -> str:
    """A value that stands in a table's cell, and is no HTML."""
    return " ".join(str(value).replace("|", "\\|").replace("<", "&lt;").split())


def code(value: object) -> str:
    """Inline code; nothing for nothing."""
    return f"`{value}`" if value not in ("", None) else ""


def flat(text: str | None) -> str:
    """A docstring in one line."""
    return " ".join((text or "").split())


def field_notes(module: ModuleType) -> dict[str, dict[str, str]]:
    """Per class of a module: the string that stands below each of its fields."""
    found: dict[str, dict[str, str]] = {}
    for node in ast.parse(inspect.getsource(module)).body:
        if isinstance(node, ast.ClassDef):
            found[node.name] = _notes(node)
    return found


def _notes(node: ast.ClassDef) -> dict[str, str]:
    notes: dict[str, str] = {}
    last = ""
    for each in node.body:
        if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name):
            last = each.target.id
        elif isinstance(each, ast.Expr) and isinstance(each.value, ast.Constant) and last:
            notes[last] = flat(str(each.value.value))
            last = ""
        else:
            last = ""
    return notes


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"

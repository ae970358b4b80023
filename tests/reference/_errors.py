"""docs/reference/errors.md: the tree of errors, and what each means."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path

import landbridge
from landbridge import errors
from tests.reference._markdown import code, flat, page, table

_HEAD = """
Everything that Landbridge raises on purpose is a `LandbridgeError`; `landbridge.errors` has
them all. A message is one sentence: what is wrong, with the field or setting it is about, and
the way out. It never holds a secret.

Errors of a provider answer three questions: `.transient` (may the same call succeed later?),
`.retry_at` (when, if the provider said so) and `.request_id` (what its support asks for).
"""
_MORE = """
Raised by single parts, below one of the classes above:
"""


def errors_page() -> str:
    """The page."""
    tree = (errors.__doc__ or "").partition("\n\n")[2]
    rows = [[code(name), flat(doc)] for name, doc in _classes(inspect.getsource(errors))]
    more = [[code(name), code(module), flat(doc)] for name, module, doc in _elsewhere()]
    return page(
        "Errors",
        _HEAD,
        f"```text\n{tree.strip()}\n```",
        table(["error", "what it means"], rows),
        _MORE,
        table(["error", "module", "what it means"], more),
    )


def _classes(source: str) -> Iterator[tuple[str, str]]:
    for node in ast.parse(source).body:
        if isinstance(node, ast.ClassDef):
            yield node.name, ast.get_docstring(node) or ""


def _elsewhere() -> Iterator[tuple[str, str, str]]:
    """Errors that other modules of the package define for their users."""
    home = Path(landbridge.__file__).parent
    ours = {name for name, value in vars(errors).items() if isinstance(value, type)}
    for path in sorted(home.rglob("*.py")):
        module = path.relative_to(home.parent).with_suffix("").as_posix().replace("/", ".")
        if path.name == "errors.py" or ".demo." in module or "._" in module:
            continue
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                bases = {base.id for base in node.bases if isinstance(base, ast.Name)}
                if bases & ours:
                    yield node.name, module, ast.get_docstring(node) or ""

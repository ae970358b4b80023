"""The documentation names only what there is: pages, settings, commands; and it names all of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from landbridge.app.settings import Settings
from landbridge.cli.app import group
from tests.docs_run import blocks

_ROOT = Path(__file__).parents[2]
_PAGES = sorted([*_ROOT.glob("*.md"), *(_ROOT / "docs").rglob("*.md")])
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_SETTING = re.compile(r"\bLANDBRIDGE_[A-Z]+[0-9]*(?:_[A-Z]+)*\b")
_CALL = re.compile(r"(?:`|\$ |: |with |first: |\| )landbridge ([a-z]+)(?: ([a-z-]+))?")
_OF_COMMANDS = re.compile(r"LANDBRIDGE_(CONNECT|VERIFY)(_[A-Z]+)+")


def _anchors(page: Path) -> set[str]:
    heads = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", _PAGES, ids=lambda page: str(page.relative_to(_ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for link in _LINK.findall(page.read_text()):
        if link.startswith(("https://", "http://", "mailto:")):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in _anchors(target), link


@pytest.mark.parametrize("page", _PAGES, ids=lambda page: str(page.relative_to(_ROOT)))
def test_examples_are_python(page: Path) -> None:
    for block in blocks(page.read_text()):
        if block.words[:1] == ("python",):
            compile("\n".join(block.lines), f"{page.name}:{block.number}", "exec")


def _settings() -> set[str]:
    return {
        field.alias or f"LANDBRIDGE_{name.upper()}" for name, field in Settings.model_fields.items()
    }


def test_only_settings_that_there_are_get_named() -> None:
    named = {
        name
        for path in [*_PAGES, *sorted((_ROOT / "src").rglob("*.py"))]
        for name in _SETTING.findall(path.read_text())
        if not _OF_COMMANDS.fullmatch(name)
    }
    assert _settings() <= named
    assert named - _settings() <= {"LANDBRIDGE_CONNECT", "LANDBRIDGE_VERIFY"}


def _commands() -> Iterator[tuple[str, set[str] | None]]:
    """Every command, and the verbs of those that are nouns."""
    root = group()
    context = root.make_context("landbridge", [], resilient_parsing=True)
    for name in root.list_commands(context):
        command = root.get_command(context, name)
        verbs = getattr(command, "commands", None)
        yield name, set(verbs) if isinstance(command, typer.core.TyperGroup) and verbs else None


def test_only_commands_that_there_are_get_named() -> None:
    """In the documentation, and in every message that tells the way out."""
    there = dict(_commands())
    wrong = [
        f"{path.relative_to(_ROOT)}: landbridge {noun} {verb}"
        for path in [*_PAGES, *sorted((_ROOT / "src").rglob("*.py"))]
        for noun, verb in _CALL.findall(path.read_text())
        if noun not in there or (verb and verb not in (there[noun] or {verb}))
    ]
    assert not wrong


def test_a_decision_is_less_than_a_page() -> None:
    decisions = sorted((_ROOT / "docs/adr").glob("*.md"))
    assert [page.name[:4] for page in decisions] == [
        f"{n:04}" for n in range(1, len(decisions) + 1)
    ]
    for page in decisions:
        text = page.read_text()
        assert len(text.splitlines()) <= 50, page.name
        for part in ("**Context.**", "**Decision.**", "**Consequences.**"):
            assert part in text, page.name

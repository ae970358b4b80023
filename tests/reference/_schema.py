"""docs/reference/schema.md: the tables of our schema, for who looks after the database."""

from __future__ import annotations

import re
from collections.abc import Iterator

from landbridge.store import migrate
from tests.reference._markdown import code, page, table

_HEAD = """
All of it lies in one schema (`LANDBRIDGE_SCHEMA`, here `landbridge`) and nothing outside it is
touched. `landbridge db sql` prints every statement, `landbridge db sql --app-role NAME` adds
the GRANTs for a role that owns nothing. The tables are no interface: read them, but write
through the package.

`environment` and `tenant` stand in every key of tenants' rows. Ids are text that sorts by the
time of its making. Secrets are sealed bytes (`secret`, `secrets`, `wrapped`).
"""
_TABLE = re.compile(r"^CREATE TABLE landbridge\.(\w+) \((.*?)^\)(.*?);?$", re.MULTILINE | re.DOTALL)
_COMMENT = re.compile(r"COMMENT ON TABLE landbridge\.(\w+) IS\s*'((?:[^']|'')*)'")
_COLUMN = re.compile(r"^    ([a-z_]+)\s+([a-z]+(?:\[\])?)(.*?),?$")
_CONSTRAINTS = {"primary", "unique", "check", "foreign", "constraint"}


def schema_page() -> str:
    """The page."""
    statements = migrate.sql()
    comments = {name: text.replace("''", "'") for name, text in _COMMENT.findall(statements)}
    return page("Schema", _HEAD, *_sections(statements, comments))


def _sections(statements: str, comments: dict[str, str]) -> Iterator[str]:
    for name, body, rest in _TABLE.findall(statements):
        if name == "migration":
            continue
        kept = "Partitioned by day; `LANDBRIDGE_RETENTION_DAYS` says for how long days are kept."
        parts = [f"## {name}", comments.get(name, "")]
        parts += [kept] if "PARTITION BY" in rest else []
        parts += [table(["column", "type", ""], _columns(body))]
        yield "\n\n".join(part for part in parts if part)


def _columns(body: str) -> Iterator[list[str]]:
    for line in body.splitlines():
        found = _COLUMN.match(line)
        if found and found[1].lower() not in _CONSTRAINTS:
            yield [code(found[1]), code(found[2]), _note(found[3])]


def _note(rest: str) -> str:
    notes = []
    if "NOT NULL" not in rest and "PRIMARY KEY" not in rest:
        notes.append("may be null")
    if words := re.search(r"IN \(([^)]*)\)", rest):
        notes.append("one of " + words[1].replace("'", "`"))
    return "; ".join(notes)

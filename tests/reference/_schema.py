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
_ALTERED = re.compile(r"^ALTER TABLE landbridge\.(\w+)\s(.*?);$", re.MULTILINE | re.DOTALL)
_ADDED = re.compile(
    r"ADD COLUMN ([a-z_]+)\s+([a-z]+[0-9]*(?:\[\])?)((?:[^,('\n]|\([^)]*\)|'[^']*')*)"
)
_CHECKED = re.compile(r"CHECK \((\w+) IN \(([^)]*)\)\)")
_ON_COLUMN = re.compile(
    r"COMMENT ON COLUMN landbridge\.(\w+)\.(\w+) IS\s*'((?:[^']|'')*)'", re.DOTALL
)
_COMMENT = re.compile(r"COMMENT ON TABLE landbridge\.(\w+) IS\s*'((?:[^']|'')*)'")
_COLUMN = re.compile(r"^    ([a-z_]+)\s+([a-z]+[0-9]*(?:\[\])?)(.*?),?$")
_CONSTRAINTS = {"primary", "unique", "check", "foreign", "constraint"}


def schema_page() -> str:
    """The page."""
    statements = migrate.sql()
    comments = {name: text.replace("''", "'") for name, text in _COMMENT.findall(statements)}
    return page("Schema", _HEAD, *_sections(statements, comments))


def _sections(statements: str, comments: dict[str, str]) -> Iterator[str]:
    later: dict[str, str] = {}
    for name, change in _ALTERED.findall(statements):
        later[name] = f"{later.get(name, '')}\n{change}"
    told = {(name, column): [text] for name, column, text in _ON_COLUMN.findall(statements)}
    for name, body, rest in _TABLE.findall(statements):
        if name == "migration":
            continue
        kept = "Partitioned by day; `LANDBRIDGE_RETENTION_DAYS` says for how long days are kept."
        parts = [f"## {name}", comments.get(name, "")]
        parts += [kept] if "PARTITION BY" in rest else []
        rows = [
            [code(column), code(kind), "; ".join([*notes, *told.get((name, column), [])])]
            for column, kind, notes in _columns(body, later.get(name, ""))
        ]
        parts += [table(["column", "type", ""], rows)]
        yield "\n\n".join(part for part in parts if part)


def _columns(body: str, later: str) -> Iterator[tuple[str, str, list[str]]]:
    """Name, type and notes of the columns that a table was made with, and of those added later."""
    found = [each.groups() for line in body.splitlines() if (each := _COLUMN.match(line))]
    checked = dict(_CHECKED.findall(later))
    for name, kind, rest in [*found, *_ADDED.findall(later)]:
        if name.lower() not in _CONSTRAINTS:
            yield name, kind, list(_notes(rest, checked.get(name, "")))


def _notes(rest: str, checked: str) -> Iterator[str]:
    if "NOT NULL" not in rest and "PRIMARY KEY" not in rest:
        yield "may be null"
    words = re.search(r"IN \(([^)]*)\)", rest)
    listed = checked or (words[1] if words else "")
    if listed:
        yield "one of " + listed.replace("'", "`")

"""SQL statements as values: named binds, our schema under the name `lb`, and whose rows they touch.

A statement is module-level text. `:name` is a bind, `lb.` stands for the installation's schema.
`across` states the reason when a statement works on rows of all tenants; without it every table
with a tenant must be held to a bound environment and tenant, which a lint checks on the parsed SQL
and a two-tenant test on the running one.
"""

from __future__ import annotations

import re
from typing import Any

from landbridge.errors import SettingsError

_BIND = re.compile(r"(?<![:\w]):([a-z_][a-z0-9_]*)")
_SCHEMA = re.compile(r"\blb\.")
_NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")


class Sql:
    """One statement. `across` is the reason why it may touch several tenants' rows."""

    __slots__ = ("_rendered", "across", "binds", "name", "text")

    def __init__(self, name: str, text: str, *, across: str = ""):
        self.name = name
        self.across = across
        binds: list[str] = []

        def number(match: re.Match[str]) -> str:
            bind = match[1]
            if bind not in binds:
                binds.append(bind)
            return f"${binds.index(bind) + 1}"

        self.text = _BIND.sub(number, text.strip())
        self.binds = tuple(binds)
        self._rendered: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"Sql({self.name})"

    def render(self, schema: str) -> str:
        """The statement for this schema, with `$1` binds in the order of `.binds`."""
        rendered = self._rendered.get(schema)
        if rendered is None:
            rendered = self._rendered[schema] = in_schema(self.text, schema)
        return rendered

    def arguments(self, values: dict[str, Any]) -> list[Any]:
        """The binds' values in order; a missing or unknown one is a TypeError."""
        try:
            ordered = [values[name] for name in self.binds]
        except KeyError as missing:
            raise TypeError(f"{self.name}: the bind {missing} is missing") from None
        if len(values) != len(ordered):
            unknown = sorted(set(values) - set(self.binds))
            raise TypeError(f"{self.name}: no bind is called {unknown}")
        return ordered


def in_schema(text: str, schema: str) -> str:
    """SQL text with `lb.` replaced by a real schema's name."""
    return _SCHEMA.sub(f"{checked_schema(schema)}.", text)


def checked_schema(schema: str) -> str:
    """The schema's name, if Postgres takes it without quotes; SettingsError otherwise."""
    if not _NAME.fullmatch(schema):
        raise SettingsError(
            f"LANDBRIDGE_SCHEMA: {schema!r} is not a plain lower-case name such as landbridge"
        )
    return schema

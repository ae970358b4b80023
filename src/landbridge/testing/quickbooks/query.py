"""QuickBooks' query language, as far as it is asked: one entity, conditions joined by AND, order,
place and number of rows."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from landbridge.testing.quickbooks.wire import Invalid, Obj, exact, instant

MOST = 1000
ORDINARY = 100
_FORM = re.compile(
    r"select\s+(?P<what>\*|count\(\*\))\s+from\s+(?P<kind>\w+)"
    r"(\s+where\s+(?P<where>.+?))?"
    r"(\s+order\s*by\s+(?P<order>[\w.]+)(\s+(?P<way>asc|desc))?)?"
    r"(\s+startposition\s+(?P<start>\d+))?(\s+maxresults\s+(?P<most>\d+))?\s*",
    re.IGNORECASE | re.DOTALL,
)
_ONE = re.compile(
    r"\s*([\w.]+)\s*(<=|>=|=|<|>|\bin\b|\blike\b)\s*(\(.*\)|'(?:[^'\\]|\\.)*'|\w+)\s*",
    re.IGNORECASE,
)


@dataclass(frozen=True, kw_only=True)
class Query:
    """What a statement asks for. `start` is the place of the first row, from 1 on."""

    kind: str
    count: bool
    conditions: tuple[tuple[str, str, Any], ...]
    order: str
    descending: bool
    start: int
    most: int

    def rows(self, objs: Iterable[Obj], by_id: Callable[[Obj], Any]) -> list[Obj]:
        """The rows that match, in order; without one in that of their ids, as `by_id` has it."""
        found = [obj for obj in objs if self._matches(obj)]
        order = by_id if self.order in ("", "Id") else lambda obj: str(at(obj, self.order))
        return sorted(found, key=order, reverse=self.descending)

    def page(self, rows: list[Obj]) -> list[Obj]:
        """Those that are shown."""
        return rows[self.start - 1 : self.start - 1 + self.most]

    def _matches(self, obj: Obj) -> bool:
        if not any(path == "Active" for path, _, _ in self.conditions) and not obj.get(
            "Active", True
        ):
            return False
        return all(_holds(at(obj, path), sign, value) for path, sign, value in self.conditions)


def parsed(text: str) -> Query:
    """The query of a statement; `Invalid` (4000) unless it is one."""
    form = _FORM.fullmatch(text.strip())
    if form is None:
        raise _unparsed(text)
    start, most = int(form["start"] or 1), int(form["most"] or ORDINARY)
    if start < 1 or not 1 <= most <= MOST:
        raise Invalid("4001", "Invalid query", f"startposition {start}, maxresults {most}")
    conditions = []
    for each in re.split(r"\s+and\s+", form["where"] or "", flags=re.IGNORECASE):
        one = _ONE.fullmatch(each) if each else None
        if each and one is None:
            raise _unparsed(text)
        if one is not None:
            conditions.append((one[1], one[2].lower(), _values(one[3])))
    return Query(
        kind=form["kind"],
        count=form["what"] != "*",
        conditions=tuple(conditions),
        order=form["order"] or "",
        descending=(form["way"] or "").lower() == "desc",
        start=start,
        most=most,
    )


def at(obj: Obj, path: str) -> Any:
    """What is at a dotted path; None if there is nothing."""
    found: Any = obj
    for name in path.split("."):
        found = found.get(name) if isinstance(found, dict) else None
    return found


def _unparsed(text: str) -> Invalid:
    return Invalid("4000", "Error parsing query", f"QueryParserError: {text[:200]}")


def _values(told: str) -> Any:
    if told.startswith("("):
        return [_values(each.strip()) for each in told[1:-1].split(",")]
    if told.startswith("'"):
        return re.sub(r"\\(.)", r"\1", told[1:-1])
    return {"true": True, "false": False}.get(told.lower(), told)


def _holds(found: Any, sign: str, value: Any) -> bool:
    if sign == "in":
        return found in value
    if sign == "like":
        pattern = ".*".join(re.escape(part) for part in str(value).split("%"))
        return isinstance(found, str) and re.fullmatch(pattern, found) is not None
    if sign == "=":
        return bool(found == value)
    if found is None:
        return False
    ours, theirs = _comparable(found, value)
    return bool(
        {"<": ours < theirs, ">": ours > theirs, "<=": ours <= theirs, ">=": ours >= theirs}[sign]
    )


def _comparable(found: Any, value: Any) -> tuple[Any, Any]:
    if isinstance(found, str) and "T" in found:
        return instant(found), instant(str(value))
    if isinstance(found, str):
        return found, str(value)
    return exact(found), exact(value)

"""Reads the store's SQL and says where it could touch another tenant's rows, and more.

What is followed: a bind is a value of the caller's; a column is bound when it must equal a bind, by
an AND-ed equality, through other bound columns, a CTE, a subquery or unnest. Every table with an
environment and a tenant must have both bound, wherever it is read or written.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

import sqlglot
from sqlglot import exp

from landbridge.store.sql import Sql

Tables = Mapping[str, frozenset[str]]

_OWN = ("environment", "tenant")
_NOW = (
    exp.CurrentDate,
    exp.CurrentDatetime,
    exp.CurrentTime,
    exp.CurrentTimestamp,
    exp.Localtime,
    exp.Localtimestamp,
)
_NOW_NAMES = {"now", "clock_timestamp", "statement_timestamp", "transaction_timestamp", "timeofday"}
_PARAMETER = re.compile(r"\$(\d+)")
_TABLE = re.compile(r"CREATE TABLE lb\.(\w+) \(\n(.*?)\n\)", re.DOTALL)
_COLUMN = re.compile(r"^ {4}([a-z_]+) +[a-z]", re.MULTILINE)
_CHANGED = re.compile(r"ALTER TABLE lb\.(\w+)\s(.*?)(?:\n\n|\Z)", re.DOTALL)
_ADDED = re.compile(r"ADD COLUMN ([a-z_]+)")


def tables() -> Tables:
    """The columns of every table, by its name, as the migrations create them."""
    found: dict[str, frozenset[str]] = {}
    versions = files("landbridge.store").joinpath("migrations", "versions")
    for script in sorted(each.name for each in versions.iterdir() if each.name.endswith(".sql")):
        text = versions.joinpath(script).read_text()
        for name, body in _TABLE.findall(text):
            found[name] = frozenset(_COLUMN.findall(body))
        for name, body in _CHANGED.findall(text):
            found[name] |= frozenset(_ADDED.findall(body))
    return found


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What is wrong with a statement; `across` are the faults that a reason may excuse."""

    faults: tuple[str, ...]
    across: tuple[str, ...] = ()
    owned: bool = True
    """Whether it touches a table with an environment at all."""

    @property
    def reach(self) -> str:
        """Whose rows it could touch, in words."""
        if not self.owned:
            return "no tenant's rows"
        held = not any("environment" in fault for fault in self.across)
        return "one environment" if held else "every environment"


def judge(statement: Sql, known: Tables) -> Verdict:
    """Everything that is wrong with a statement, in its order."""
    text = _PARAMETER.sub(r":bind_\1", statement.text)
    if (highest := max(map(int, _PARAMETER.findall(statement.text)), default=0)) > len(
        statement.binds
    ):
        return Verdict(faults=(f"${highest} is no bind of this statement",))
    lint = _Lint(known)
    try:
        parsed = sqlglot.parse(text, read="postgres")
    except sqlglot.errors.SqlglotError as error:
        return Verdict(faults=(f"cannot be parsed: {error}",))
    if len(parsed) != 1 or parsed[0] is None:
        return Verdict(faults=("is not one statement",))
    lint.query(parsed[0], None, {})
    lint.clock(parsed[0])
    touched = {each.name for each in parsed[0].find_all(exp.Table) if each.db == "lb"}
    owned = any("environment" in known.get(name, ()) for name in touched)
    return Verdict(faults=tuple(lint.faults), across=tuple(lint.across), owned=owned)


@dataclass(kw_only=True)
class _Source:
    """Something in a FROM: a table with its columns, or rows of a CTE, subquery or function."""

    name: str
    table: str | None = None
    columns: list[str] | None = None
    bound: set[str] = field(default_factory=set)


@dataclass(kw_only=True)
class _Scope:
    outer: _Scope | None
    sources: list[_Source] = field(default_factory=list)

    def find(self, column: exp.Column) -> _Source | None:
        """Where a column comes from; None when that cannot be told."""
        if column.table:
            here = [each for each in self.sources if each.name == column.table]
        else:
            here = [each for each in self.sources if column.name in (each.columns or [])]
            if not here and len(self.sources) == 1 and self.sources[0].columns is None:
                here = self.sources
        if here:
            return here[0] if len(here) == 1 else None
        return self.outer.find(column) if self.outer else None


_Output = list[tuple[str, bool]]
"""A query's columns in order: the name and whether it is bound."""

_Condition = tuple[Any, _Source | None]
"""Something that holds for every row, and the only source that it restricts (None: all)."""


class _Lint:
    def __init__(self, known: Tables):
        self._known = known
        self.faults: list[str] = []
        self.across: list[str] = []

    # Queries of every kind; each gives its output's columns

    def query(self, node: Any, outer: _Scope | None, ctes: Mapping[str, _Output]) -> _Output:
        inner = dict(ctes)
        if (within := node.args.get("with_")) is not None:
            for cte in within.expressions:
                if within.args.get("recursive") and isinstance(cte.this, exp.SetOperation):
                    # Its first part says what its rows are; the whole is read below.
                    inner[cte.alias] = _Lint(self._known).query(cte.this.left, outer, inner)
                inner[cte.alias] = self.query(cte.this, outer, inner)
        match node:
            case exp.Subquery():
                return self.query(node.this, outer, inner)
            case exp.SetOperation():
                left = self.query(node.left, outer, inner)
                right = self.query(node.right, outer, inner)
                return [(a[0], a[1] and b[1]) for a, b in zip(left, right, strict=False)]
            case exp.Select():
                return self._select(node, outer, inner)
            case exp.Insert():
                return self._insert(node, outer, inner)
            case exp.Update() | exp.Delete():
                return self._change(node, outer, inner)
            case _:
                self.faults.append(f"is a kind of statement nobody checks: {type(node).__name__}")
                return []

    def _select(self, node: exp.Select, outer: _Scope | None, ctes: Any) -> _Output:
        start = node.args.get("from_")
        from_nodes = [start.this] if start else []
        scope = self._scope(from_nodes, node.args.get("joins") or [], node, outer, ctes)
        for each in node.expressions:
            self._no_star(each, scope)
        self._nested(node, scope, ctes)
        return self._output(node.expressions, scope)

    def _change(self, node: exp.Update | exp.Delete, outer: _Scope | None, ctes: Any) -> _Output:
        more = [node.args["from_"].this] if node.args.get("from_") else node.args.get("using") or []
        scope = self._scope([node.this, *more], [], node, outer, ctes)
        self._nested(node, scope, ctes)
        return self._returning(node, scope)

    def _insert(self, node: exp.Insert, outer: _Scope | None, ctes: Any) -> _Output:
        schema = node.this
        if not isinstance(schema, exp.Schema):
            self.faults.append("INSERT names no columns")
            return []
        target = self._source(schema.this, ctes)
        names = [each.name for each in schema.expressions]
        if isinstance(node.expression, exp.Values):
            scope = _Scope(outer=outer)
            rows = [each.expressions for each in node.expression.expressions]
            given = [
                all(self._bound(row[place], scope) for row in rows) for place in range(len(names))
            ]
        else:
            given = [bound for _, bound in self.query(node.expression, outer, ctes)]
        target.bound = {name for name, bound in zip(names, given, strict=False) if bound}
        own = [each for each in _OWN if each in (target.columns or [])]
        for each in own:
            if each not in names:
                self.faults.append(f"INSERT INTO {target.table} names no {each}")
            elif each not in target.bound:
                self.across.append(f"INSERT INTO {target.table}: {each} is no bind's value")
        conflict = node.args.get("conflict")
        if conflict is not None and "UPDATE" in str(conflict.args.get("action")):
            keys = {each.this.name for each in conflict.args.get("conflict_keys") or []}
            for each in own:
                if each not in keys:
                    self.across.append(
                        f"ON CONFLICT DO UPDATE of {target.table}: its key lacks the {each}"
                    )
        scope = _Scope(outer=outer, sources=[target])
        if conflict is not None:
            self._nested(conflict, scope, ctes)
        return self._returning(node, scope)

    def _returning(self, node: Any, scope: _Scope) -> _Output:
        returning = node.args.get("returning")
        if returning is None:
            return []
        for each in returning.expressions:
            self._no_star(each, scope)
        return self._output(returning.expressions, scope)

    # Where the rows come from

    def _scope(
        self,
        nodes: Iterable[Any],
        joins: Iterable[exp.Join],
        node: Any,
        outer: _Scope | None,
        ctes: Any,
    ) -> _Scope:
        scope = _Scope(outer=outer)
        pending: list[tuple[_Source, Any]] = []
        conditions: list[_Condition] = [(each, None) for each in _conjuncts(node.args.get("where"))]
        for each, join in _flat(nodes, joins):
            if isinstance(each, (exp.Subquery, exp.Lateral)) and isinstance(
                each.this, (exp.Query, exp.Subquery)
            ):
                source = _Source(name=each.alias)
                pending.append((source, each.this))
            else:
                source = self._source(each, ctes)
            scope.sources.append(source)
            if join is not None and join.side in ("RIGHT", "FULL"):
                self.faults.append(f"{join.side} JOIN: write it as a LEFT JOIN")
            if join is not None:
                only = source if join.side == "LEFT" else None
                conditions += [(one, only) for one in _conjuncts(join.args.get("on"))]
        self._spread(conditions, scope)
        for source, query in pending:
            output = self.query(query, scope, ctes)
            source.columns = [name for name, _ in output]
            source.bound = {name for name, bound in output if bound}
            self._spread(conditions, scope)
        for source in scope.sources:
            for column in _OWN:
                if source.table and column in (source.columns or []) and column not in source.bound:
                    self.across.append(f"{source.table} AS {source.name}: {column} is not bound")
        return scope

    def _source(self, node: Any, ctes: Mapping[str, _Output]) -> _Source:
        function = node.this if isinstance(node, exp.Lateral) else node
        if isinstance(function, exp.Unnest):
            names = [each.name for each in node.args["alias"].columns] or [node.alias]
            values = zip(names, function.expressions, strict=False)
            bound = {name for name, value in values if self._bound(value, _Scope(outer=None))}
            return _Source(name=node.alias, columns=names, bound=bound)
        if not isinstance(node, exp.Table) or not isinstance(node.this, exp.Identifier):
            alias = node.args.get("alias")
            names = [each.name for each in alias.columns] if alias else []
            return _Source(name=node.alias, columns=names or None)
        name, schema = node.name, node.db
        if not schema and name in ctes:
            output = ctes[name]
            return _Source(
                name=node.alias_or_name,
                columns=[each for each, _ in output],
                bound={each for each, bound in output if bound},
            )
        if not schema and not name.startswith("pg_"):
            self.faults.append(f"{name}: an unqualified table; our schema is written lb.{name}")
        if schema == "lb" and name not in self._known:
            self.faults.append(f"lb.{name}: no migration creates it")
        columns = sorted(self._known.get(name, ())) if schema == "lb" else None
        return _Source(name=node.alias_or_name, table=name, columns=columns)

    def _spread(self, conditions: list[_Condition], scope: _Scope) -> None:
        """Marks what equalities bind, until nothing changes; a LEFT JOIN binds its right side."""
        grew = True
        while grew:
            grew = False
            for condition, only in conditions:
                if not isinstance(condition, (exp.EQ, exp.NullSafeEQ)):
                    continue
                for one, other in (
                    (condition.this, condition.expression),
                    (condition.expression, condition.this),
                ):
                    if not isinstance(one, exp.Column) or not self._bound(other, scope):
                        continue
                    source = scope.find(one)
                    if source is None or (only is not None and source is not only):
                        continue
                    if source in scope.sources and one.name not in source.bound:
                        source.bound.add(one.name)
                        grew = True

    def _bound(self, value: Any, scope: _Scope) -> bool:
        match value:
            case exp.Placeholder():
                return True
            case exp.Cast() | exp.Paren() | exp.Any() | exp.Alias():
                return self._bound(value.this, scope)
            case exp.Column():
                source = scope.find(value)
                return source is not None and value.name in source.bound
            case _:
                return False

    # What comes out, and what is forbidden

    def _output(self, expressions: list[Any], scope: _Scope) -> _Output:
        output: _Output = []
        for place, each in enumerate(expressions):
            if isinstance(each, exp.Star) or (isinstance(each, exp.Column) and each.is_star):
                for source in scope.sources:
                    if isinstance(each, exp.Star) or source.name == each.table:
                        output += [(name, name in source.bound) for name in source.columns or []]
            else:
                output.append((each.alias_or_name or f"?{place}", self._bound(each, scope)))
        return output

    def _no_star(self, each: Any, scope: _Scope) -> None:
        if not each.is_star or isinstance(each, exp.Count):
            return
        for source in scope.sources:
            if source.table and (isinstance(each, exp.Star) or source.name == each.table):
                self.faults.append(f"SELECT * of {source.table}: name the columns")

    def _nested(self, node: Any, scope: _Scope, ctes: Mapping[str, _Output]) -> None:
        """Queries inside expressions: EXISTS, IN, ARRAY, scalar ones."""
        own = (
            {"with_", "from_", "joins", "using", "this"}
            if not isinstance(node, exp.OnConflict)
            else set()
        )
        waiting = [
            child
            for name, value in node.args.items()
            if name not in own
            for child in (value if isinstance(value, list) else [value])
        ]
        waiting += [join.args.get("on") for join in node.args.get("joins") or []]
        while waiting:
            child = waiting.pop()
            if isinstance(child, exp.Query):
                self.query(child, scope, ctes)
            elif isinstance(child, exp.Expression):
                waiting += child.iter_expressions()

    def clock(self, tree: Any) -> None:
        """Any clock but `lb.now()`: it would not move with the tests, nor agree with the rest."""
        for node in tree.walk():
            name = node.name.lower() if isinstance(node, exp.Anonymous) else ""
            ours = isinstance(node.parent, exp.Dot) and node.parent.this.name == "lb"
            if isinstance(node, _NOW) or (name in _NOW_NAMES and not ours):
                self.faults.append(f"{node.sql(dialect='postgres')}: the clock is lb.now()")


def _flat(nodes: Iterable[Any], joins: Iterable[exp.Join]) -> Iterator[tuple[Any, Any]]:
    for node in nodes:
        yield node, None
        for join in node.args.get("joins") or []:
            yield join.this, join
    for join in joins:
        yield join.this, join


def _conjuncts(node: Any) -> list[Any]:
    """The AND-ed parts of a condition; anything else in it binds nothing."""
    if node is None:
        return []
    if isinstance(node, (exp.Where, exp.Paren)):
        return _conjuncts(node.this)
    if isinstance(node, exp.And):
        return _conjuncts(node.left) + _conjuncts(node.right)
    return [node]

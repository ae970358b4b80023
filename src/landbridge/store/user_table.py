"""A table of the user's own, read and written by the columns that a link maps.

Values go through Postgres' own JSON: a column of any type is read as JSON and written from it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec

from landbridge.errors import InvalidInput, SettingsError, did_you_mean
from landbridge.store.database import Row, Tx
from landbridge.store.sql import Sql, in_schema

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_$]{0,62}")

_COLUMNS = Sql(
    "user_table.columns",
    """
    SELECT a.attname, format_type(a.atttypid, a.atttypmod) FROM pg_attribute AS a
    WHERE a.attrelid = to_regclass(:relation) AND a.attnum > 0 AND NOT a.attisdropped
    """,
    across="It reads the database's own catalogue.",
)

_TRIGGER = Sql(
    "user_table.trigger",
    """
    SELECT EXISTS (SELECT 1 FROM pg_trigger
        WHERE tgrelid = to_regclass(:relation) AND tgname = :trigger AND tgenabled <> 'D')
    """,
    across="It reads the database's own catalogue.",
)


@dataclass(frozen=True, kw_only=True)
class RowOfTable:
    """A row: its mapped columns as JSON text by the model's field, and when it last changed."""

    local: str
    values: bytes
    changed_at: datetime | None


@dataclass
class UserTable:
    """Statements on one table, made once its columns are known.

    `columns` gives the column of each field of the model.
    """

    name: str
    id: str
    tenant: str
    columns: Mapping[str, str]
    updated_at: str | None = None
    _types: dict[str, str] = field(default_factory=dict, init=False)
    _made: dict[str, Sql] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        for part in self.name.split("."):
            _check(part, "table")
        for column in (self.id, self.tenant, *self.columns.values()):
            _check(column, "column")

    @property
    def relation(self) -> str:
        """The table's name in quotes."""
        return ".".join(_quoted(part) for part in self.name.split("."))

    def trigger(self, link: str, environment: str) -> str:
        """The name of the trigger that notes changes for a link."""
        return f"landbridge_{environment}_{link}"[:63]

    def trigger_sql(self, schema: str, link: str, environment: str) -> str:
        """What makes that trigger; its owner has to run it. Running it again changes nothing."""
        arguments = ", ".join(
            "'" + each.replace("'", "''") + "'"
            for each in (environment, link, self.id, self.tenant)
        )
        made = in_schema(f"lb.note_local_change({arguments})", schema)
        return (
            f"CREATE OR REPLACE TRIGGER {_quoted(self.trigger(link, environment))}\n"
            f"AFTER INSERT OR UPDATE OR DELETE ON {self.relation}\n"
            f"FOR EACH ROW EXECUTE FUNCTION {made}"
        )

    async def noted(self, tx: Tx, link: str, environment: str) -> bool:
        """Whether the trigger is there."""
        found: bool = await tx.value(
            _TRIGGER, relation=self.relation, trigger=self.trigger(link, environment)
        )
        return found

    async def read(self, tx: Tx, tenant: str, local: str) -> RowOfTable | None:
        """A tenant's row, locked until `tx` ends; None: there is none."""
        await self._learn(tx)
        statement = self._statement(
            "read",
            f"SELECT {self._id}::text, {self._shown('t')}::text, {self._changed}"
            f" FROM {self.relation} AS t WHERE {self._own} FOR NO KEY UPDATE",
        )
        row = await tx.row(statement, tenant=tenant, local=local)
        return _row(row) if row else None

    async def insert(self, tx: Tx, tenant: str, values: Mapping[str, Any]) -> RowOfTable:
        """A new row; columns without a value get their defaults. As the table holds it then."""
        await self._learn(tx)
        names = [name for name, value in values.items() if value is not None]
        columns = [_quoted(self.columns[name]) for name in names]
        chosen = "".join(f", v.{column}" for column in columns)
        statement = self._statement(
            f"insert {' '.join(names)}",
            f"INSERT INTO {self.relation} AS t ({_quoted(self.tenant)}"
            f"{''.join(f', {column}' for column in columns)})"
            f" SELECT :tenant::text::{self._types[self.tenant]}{chosen}"
            f" FROM jsonb_populate_record(NULL::{self.relation}, :values::jsonb) AS v"
            f" RETURNING {self._id}::text, {self._shown('t')}::text, {self._changed}",
        )
        row = await tx.row(statement, tenant=tenant, values=self._json(values, names))
        assert row is not None
        return _row(row)

    async def update(
        self, tx: Tx, tenant: str, local: str, values: Mapping[str, Any]
    ) -> RowOfTable | None:
        """Sets these columns of a row. As the table holds it then; None: the row is gone."""
        await self._learn(tx)
        names = list(values)
        columns = [_quoted(self.columns[name]) for name in names]
        statement = self._statement(
            f"update {' '.join(names)}",
            f"UPDATE {self.relation} AS t"
            f" SET {', '.join(f'{column} = v.{column}' for column in columns)}"
            f" FROM jsonb_populate_record(NULL::{self.relation}, :values::jsonb) AS v"
            f" WHERE {self._own}"
            f" RETURNING {self._id}::text, {self._shown('t')}::text, {self._changed}",
        )
        row = await tx.row(statement, tenant=tenant, local=local, values=self._json(values, names))
        return _row(row) if row else None

    async def delete(self, tx: Tx, tenant: str, local: str) -> None:
        """Deletes a row; one that is gone already stays gone."""
        await self._learn(tx)
        statement = self._statement("delete", f"DELETE FROM {self.relation} AS t WHERE {self._own}")
        await tx.run(statement, tenant=tenant, local=local)

    async def find(self, tx: Tx, tenant: str, values: Mapping[str, str], most: int) -> list[str]:
        """The ids of rows with these texts, whatever their case and the blanks around them."""
        await self._learn(tx)
        same = " AND ".join(
            f"lower(btrim(t.{_quoted(self.columns[name])}::text)) = lower(btrim(:v{number}))"
            for number, name in enumerate(values)
        )
        statement = self._statement(
            f"find {' '.join(values)}",
            f"SELECT {self._id}::text FROM {self.relation} AS t WHERE {self._tenants} AND {same}"
            f" ORDER BY {self._id} LIMIT :most",
        )
        binds = {f"v{number}": value for number, value in enumerate(values.values())}
        rows = await tx.fetch(statement, tenant=tenant, most=most, **binds)
        return [row[0] for row in rows]

    async def scan(self, tx: Tx, tenant: str, after: str, most: int) -> list[str]:
        """The ids of a tenant's rows behind `after`, in the order of the ids."""
        await self._learn(tx)
        beyond = f" AND {self._id} > :after::text::{self._types[self.id]}" if after else ""
        statement = self._statement(
            f"scan {bool(after)}",
            f"SELECT {self._id}::text FROM {self.relation} AS t WHERE {self._tenants}{beyond}"
            f" ORDER BY {self._id} LIMIT :most",
        )
        binds = {"after": after} if after else {}
        rows = await tx.fetch(statement, tenant=tenant, most=most, **binds)
        return [row[0] for row in rows]

    async def _learn(self, tx: Tx) -> None:
        if self._types:
            return
        rows = await tx.fetch(_COLUMNS, relation=self.relation)
        types = {row[0]: row[1] for row in rows}
        if not types:
            raise SettingsError(f"table: there is no {self.name} in this database")
        wanted = [self.id, self.tenant, *self.columns.values()]
        if self.updated_at is not None:
            wanted.append(self.updated_at)
        for column in wanted:
            if column not in types:
                raise SettingsError(
                    f"table: {self.name} has no column {column!r}.{did_you_mean(column, types)}"
                )
        self._types = types

    def _statement(self, name: str, text: str) -> Sql:
        made = self._made.get(name)
        if made is None:
            made = self._made[name] = Sql(f"{self.name}.{name}", text)
        return made

    def _json(self, values: Mapping[str, Any], names: Sequence[str]) -> str:
        return msgspec.json.encode({self.columns[name]: values[name] for name in names}).decode()

    def _shown(self, alias: str) -> str:
        pairs = ", ".join(
            f"'{name}', {alias}.{_quoted(column)}" for name, column in self.columns.items()
        )
        return f"jsonb_strip_nulls(jsonb_build_object({pairs}))"

    @property
    def _id(self) -> str:
        return f"t.{_quoted(self.id)}"

    @property
    def _changed(self) -> str:
        if self.updated_at is None:
            return "NULL::timestamptz"
        return f"t.{_quoted(self.updated_at)}::timestamptz"

    @property
    def _tenants(self) -> str:
        return f"t.{_quoted(self.tenant)} = :tenant::text::{self._types[self.tenant]}"

    @property
    def _own(self) -> str:
        return f"{self._id} = :local::text::{self._types[self.id]} AND {self._tenants}"


def _row(row: Row) -> RowOfTable:
    return RowOfTable(local=row[0], values=row[1].encode(), changed_at=row[2])


def _quoted(name: str) -> str:
    return f'"{name}"'


def _check(name: str, what: str) -> None:
    if not _NAME.fullmatch(name):
        raise InvalidInput(
            f"{what}: {name!r} is not a plain name of letters, digits and _; give such a view"
        )

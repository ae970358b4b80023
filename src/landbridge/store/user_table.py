"""A table of the user's own, read and written by the columns that a link maps.

Values go through Postgres' own JSON: a column of any type is read as JSON and written from it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import asyncpg
import msgspec

from landbridge.errors import InvalidInput, RecordError, SettingsError, did_you_mean
from landbridge.store.database import Row, Tx
from landbridge.store.sql import Sql, in_schema

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_$]{0,62}")

# A cast to `varchar(3)`, or to a domain over it, cuts what is longer without a word: one tenant's
# rows would be another one's. So types come without their lengths, and domains as what they are of.
_COLUMNS = Sql(
    "user_table.columns",
    """
    WITH RECURSIVE typed (name, oid, modifier) AS (
        SELECT a.attname, a.atttypid, a.atttypmod FROM pg_attribute AS a
        WHERE a.attrelid = to_regclass(:relation) AND a.attnum > 0 AND NOT a.attisdropped
        UNION ALL
        SELECT typed.name, t.typbasetype, t.typtypmod FROM typed
        JOIN pg_type AS t ON t.oid = typed.oid WHERE t.typtype = 'd'
    )
    SELECT typed.name, format_type(typed.oid, -1),
        CASE WHEN t.oid IN ('varchar'::regtype, 'bpchar'::regtype) AND typed.modifier > 4
            THEN typed.modifier - 4 END
    FROM typed JOIN pg_type AS t ON t.oid = typed.oid WHERE t.typtype <> 'd'
    """,
    across="It reads the database's own catalogue.",
)

_TRIGGER = Sql(
    "user_table.trigger",
    """
    SELECT EXISTS (SELECT 1 FROM pg_trigger
        WHERE tgrelid = to_regclass(:relation) AND tgname = :trigger AND tgenabled <> 'D'
          AND tgargs = :arguments::bytea)
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
    _longest: dict[str, int] = field(default_factory=dict, init=False)
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
        """Whether the trigger is there, with the columns of now."""
        given = (environment, link, self.id, self.tenant)
        found: bool = await tx.value(
            _TRIGGER,
            relation=self.relation,
            trigger=self.trigger(link, environment),
            arguments="".join(f"{each}\0" for each in given).encode(),
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
        with self._fitting():
            row = await tx.row(statement, tenant=tenant, local=local)
        return _row(row) if row else None

    async def insert(self, tx: Tx, tenant: str, values: Mapping[str, Any]) -> RowOfTable:
        """A new row; columns without a value get their defaults. As the table holds it then.

        RecordError: a text that is longer than its column.
        """
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
        with self._fitting():
            row = await tx.row(statement, tenant=tenant, values=self._json(values, names))
        assert row is not None
        return _row(row)

    async def update(
        self, tx: Tx, tenant: str, local: str, values: Mapping[str, Any]
    ) -> RowOfTable | None:
        """Sets these columns of a row. As the table holds it then; None: the row is gone.

        RecordError: a text that is longer than its column.
        """
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
        given = self._json(values, names)
        with self._fitting():
            row = await tx.row(statement, tenant=tenant, local=local, values=given)
        return _row(row) if row else None

    async def delete(self, tx: Tx, tenant: str, local: str) -> None:
        """Deletes a row; one that is gone already stays gone."""
        await self._learn(tx)
        statement = self._statement("delete", f"DELETE FROM {self.relation} AS t WHERE {self._own}")
        with self._fitting():
            await tx.run(statement, tenant=tenant, local=local)

    async def gone(
        self, tx: Tx, tenant: str, *, environment: str, name: str, connection: str
    ) -> tuple[int, int]:
        """Of a link's pairs with a record and a row: how many rows there are no more, and how many
        pairs that is of."""
        await self._learn(tx)
        statement = self._statement(
            "gone",
            f"SELECT count(*) FILTER (WHERE {self._id} IS NULL), count(*) FROM lb.link AS link"
            f" LEFT JOIN {self.relation} AS t ON {self._id}::text = link.local AND {self._tenants}"
            " WHERE link.environment = :environment AND link.tenant = :tenant"
            " AND link.name = :name AND link.connection = :connection"
            " AND link.key IS NOT NULL AND link.local IS NOT NULL",
        )
        with self._fitting():
            row = await tx.row(
                statement, tenant=tenant, environment=environment, name=name, connection=connection
            )
        assert row is not None
        return row[0], row[1]

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
        with self._fitting():
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
        with self._fitting():
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
        self._longest = {row[0]: row[2] for row in rows if row[2] is not None}

    @contextmanager
    def _fitting(self) -> Iterator[None]:
        """Turns what Postgres says of a table that is no longer as it was declared into our words;
        it is looked at anew then."""
        try:
            yield
        except (asyncpg.SyntaxOrAccessError, asyncpg.InvalidSchemaNameError) as error:
            self._types = {}
            self._made.clear()
            raise SettingsError(
                f"table: {self.name} is not as its link says: {error.args[0]}; declare it as it is,"
                " or give its columns and rights back"
            ) from error

    def _statement(self, name: str, text: str) -> Sql:
        made = self._made.get(name)
        if made is None:
            made = self._made[name] = Sql(f"{self.name}.{name}", text)
        return made

    def _json(self, values: Mapping[str, Any], names: Sequence[str]) -> str:
        for name in names:
            column, value = self.columns[name], values[name]
            most = self._longest.get(column)
            if most is not None and isinstance(value, str) and len(value.rstrip()) > most:
                self._types = {}  # it may be wider when it is tried again
                raise RecordError(
                    f"{self.name}: {column} takes {most} characters, and {name} has {len(value)};"
                    " widen the column, or shorten it there",
                    field=name,
                )
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


def refusal(error: BaseException) -> str | None:
    """What Postgres has against the values of a row (a constraint, a check of a trigger), without
    them; None: it is about something else."""
    if not isinstance(
        error,
        (
            asyncpg.IntegrityConstraintViolationError,
            asyncpg.DataError,
            asyncpg.WithCheckOptionViolationError,
            asyncpg.PLPGSQLError,
        ),
    ) or not isinstance(error, asyncpg.PostgresError):
        return None
    where = f"{error.table_name}: " if getattr(error, "table_name", None) else ""
    return f"your table refuses it: {where}{error.args[0]}"


def _row(row: Row) -> RowOfTable:
    return RowOfTable(local=row[0], values=row[1].encode(), changed_at=row[2])


def _quoted(name: str) -> str:
    return f'"{name}"'


def _check(name: str, what: str) -> None:
    if not _NAME.fullmatch(name):
        raise InvalidInput(
            f"{what}: {name!r} is not a plain name of letters, digits and _; give such a view"
        )

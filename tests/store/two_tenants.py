"""A database where two tenants have the same-looking rows in two environments, in every table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg

from landbridge.store.sql import Sql
from tests.store.samples import CELLS, ID, LATER, OWN, THEN

SCHEMA = "landbridge"
OTHERS = (("test", "other"), ("live", "acme"), ("live", "other"))

# More rows of a table, which differ from the first in this.
MORE: dict[str, list[dict[str, Any]]] = {
    "due": [
        {"id": "any_pull", "kind": "pull", "lane": "pull", "owner": None, "due_at": LATER},
        {"id": "any_push", "kind": "push", "lane": "push"},
        {"id": "any_held", "kind": "push", "lane": "push", "key": None, "owner": None},
        {"id": "any_waiting", "key": None, "owner": None, "due_at": LATER},
        {"id": "any_replayed", "key": f"{ID}/event", "owner": None, "lane": "replay", "attempt": 0},
    ],
    "access_grant": [{"id": "any_unused"}],
    "attempt": [{"outcome": "delivered", "number": 6, "delivery": "any_done"}],
    "connection": [
        {"id": "any_unbegun", "account": "unbegun", "token": "unbegun"},
        {"id": "any_refused", "account": "refused", "token": "refused", "state": "needs_reauth"},
        {"id": "any_pending", "account": "pending", "token": "pending", "state": "pending"},
    ],
    "endpoint_health": [{"endpoint": "any_unnoticed", "noticed_at": None}],
    "shadow_call": [
        {"id": "any_sending", "state": "sending", "idempotency": ""},
        {"id": "any_sent", "state": "sent", "idempotency": "", "action": "create", "sent_key": "k"},
    ],
    "sync": [
        {"resource": "paused", "paused_at": THEN},
        {"resource": "loaded", "backfill": '{"state": "done", "generation": 1}'},
    ],
    "link": [
        {"id": "any_unmade", "key": None, "local": "8"},
        {"id": "any_reviewed", "key": "r", "local": None, "state": "review", "candidates": ["7"]},
    ],
    "parked": [{"id": "any_push", "what": "push", "key": ID}],
    "overlay": [{"resource": "", "connection": "any_other"}],
    "record": [{"key": "deleted", "deleted_at": THEN}, {"key": "unseen"}],
}


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column, its type as Postgres calls it, and whether a row must not repeat another's."""

    name: str
    type: str
    unique: bool


async def columns(connection: asyncpg.Connection) -> dict[str, list[Column]]:
    """The columns of every table that has an environment, generated ones left out.

    `unique` is the last column of a unique index that has not both environment and tenant (or has
    no tenant where the table has none): there the rows must differ.
    """
    rows = await connection.fetch(
        """
        SELECT c.relname AS name, a.attname AS column, format_type(a.atttypid, a.atttypmod) AS type,
               a.attidentity <> '' AS generated,
               EXISTS (
                   SELECT FROM pg_index AS i
                   WHERE i.indrelid = c.oid AND i.indisunique
                     AND i.indkey[i.indnkeyatts - 1] = a.attnum
                     AND NOT (SELECT array_agg(k.attname::text) FROM pg_attribute AS k
                              WHERE k.attrelid = c.oid AND k.attnum = ANY (i.indkey))
                             @> own.names
               ) AS unique
        FROM pg_class AS c
        JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        CROSS JOIN LATERAL (
            SELECT array_agg(k.attname::text) AS names FROM pg_attribute AS k
            WHERE k.attrelid = c.oid AND k.attname IN ('environment', 'tenant')
        ) AS own
        WHERE c.relnamespace = $1::regnamespace AND c.relkind IN ('r', 'p')
          AND NOT c.relispartition AND 'environment' = ANY (own.names)
        ORDER BY c.relname, a.attnum
        """,
        SCHEMA,
    )
    found: dict[str, list[Column]] = {}
    for row in rows:
        if not row["generated"]:
            found.setdefault(row["name"], []).append(
                Column(
                    name=row["column"],
                    type=row["type"],
                    unique=row["unique"],
                )
            )
    return found


async def fill(connection: asyncpg.Connection, *, everyone: bool) -> None:
    """The rows of OWN, and with `everyone` the same-looking ones of the others."""
    for table, its in (await columns(connection)).items():
        tenanted = any(each.name == "tenant" for each in its)
        for whose in (OWN, *OTHERS) if everyone else (OWN,):
            if not tenanted and whose[1] != OWN[1]:
                continue
            for changed in ({}, *MORE.get(table, [])):
                row = {each.name: _cell(table, each, whose, changed) for each in its}
                binds = ", ".join(f"${number + 1}" for number in range(len(row)))
                await connection.execute(
                    f"INSERT INTO {SCHEMA}.{table} ({', '.join(row)}) VALUES ({binds})",
                    *row.values(),
                )
    await connection.execute(
        f"INSERT INTO {SCHEMA}.listener (name, kinds) VALUES ($1, $2)",
        CELLS["listener"],
        [CELLS["kind"]],
    )


def mark(whose: tuple[str, str]) -> str:
    """What stands in the rows of this environment and tenant, and in no others'."""
    return f"<<{whose[0]}:{whose[1]}>>"


def _cell(table: str, column: Column, whose: tuple[str, str], changed: Mapping[str, Any]) -> object:
    name = column.name
    known = {"environment": whose[0], "tenant": whose[1], **changed}
    for cells, key in ((known, name), (CELLS, f"{table}.{name}"), (CELLS, name)):
        if key in cells:
            value = cells[key]
            distinct = column.unique and whose != OWN and isinstance(value, str)
            return f"{value}{mark(whose)}" if distinct else value
    return _of_type(column.type, whose)


def _of_type(name: str, whose: tuple[str, str]) -> object:
    place = (OWN, *OTHERS).index(whose)
    values: dict[str, object] = {
        "text": mark(whose),
        "bytea": mark(whose).encode(),
        "jsonb": f'{{"mark": "{mark(whose)}"}}',
        "text[]": [mark(whose)],
        "integer[]": [place],
        "integer": 1000 + place,
        "bigint": 1000 + place,
        "smallint": place,
        "boolean": False,
        "interval": timedelta(minutes=place),
        "interval[]": [timedelta(minutes=place)],
        "double precision": 1000.0 + place,
        "timestamp with time zone": THEN + timedelta(days=place),
    }
    return values[name]


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What a statement did: the rows it gave, whose rows it changed, and what should not be."""

    rows: list[tuple[Any, ...]]
    met_own: bool
    """Whether it gave or changed anything of OWN's: one that meets nothing proves nothing."""
    others_changed: list[str]
    foreign: list[str]
    """What the given rows have of others."""


class World:
    """A filled database, looked at over one connection."""

    def __init__(self, connection: asyncpg.Connection, its: Mapping[str, list[Column]]):
        self.connection = connection
        self.columns = its
        self._untouched: dict[bool, dict[str, asyncpg.Record]] = {}

    @classmethod
    async def of(cls, connection: asyncpg.Connection, *, everyone: bool) -> World:
        """The database of this connection, after it is filled."""
        async with connection.transaction():
            await fill(connection, everyone=everyone)
        return cls(connection, await columns(connection))

    async def look(self, statement: Sql, binds: Mapping[str, Any], *, tenant: bool) -> Seen:
        """Runs a statement as OWN, sees what it did, and undoes it.

        With `tenant` False everything in OWN's environment counts as its own.
        """
        before = await self._before(tenant=tenant)
        transaction = self.connection.transaction()
        await transaction.start()
        try:
            rows = await self.connection.fetch(
                statement.render(SCHEMA), *statement.arguments(dict(binds))
            )
            wrote = await self.connection.fetchval(
                "SELECT pg_current_xact_id_if_assigned() IS NOT NULL"
            )
            after = await self._digests(tenant=tenant) if wrote else before
        finally:
            await transaction.rollback()
        own_changed = any(before[name]["own"] != after[name]["own"] for name in before)
        return Seen(
            rows=[tuple(_steady(value) for value in row.values()) for row in rows],
            met_own=own_changed or any(any(row.values()) for row in rows),
            others_changed=[
                name for name in before if before[name]["others"] != after[name]["others"]
            ],
            foreign=[
                f"{name}={value!r}"
                for row in rows
                for name, value in row.items()
                if _is_foreign(name, value, tenant=tenant)
            ],
        )

    async def _before(self, *, tenant: bool) -> dict[str, asyncpg.Record]:
        """As every look finds it: what the one before it did is undone."""
        if tenant not in self._untouched:
            self._untouched[tenant] = await self._digests(tenant=tenant)
        return self._untouched[tenant]

    async def _digests(self, *, tenant: bool) -> dict[str, asyncpg.Record]:
        sql = _fingerprints(self.columns, tenant=tenant)
        return {row["name"]: row for row in await self.connection.fetch(sql)}


def _fingerprints(its: Mapping[str, list[Column]], *, tenant: bool) -> str:
    """Per table the digest of OWN's rows and that of everybody else's."""
    parts = []
    for table, those in its.items():
        mine = f"t.environment = '{OWN[0]}'"
        if tenant and any(each.name == "tenant" for each in those):
            mine += f" AND t.tenant = '{OWN[1]}'"
        digest = "md5(string_agg(t::text, '|' ORDER BY t::text) FILTER (WHERE {} ({})))"
        parts.append(
            f"SELECT '{table}' AS name, {digest.format('', mine)} AS own,"
            f" {digest.format('NOT', mine)} AS others FROM {SCHEMA}.{table} AS t"
        )
    return " UNION ALL ".join(parts)


def _is_foreign(name: str, value: object, *, tenant: bool) -> bool:
    if name == "environment":
        return value != OWN[0]
    if name == "tenant" and tenant:
        return value != OWN[1]
    return any(mark(each) in str(value) for each in OTHERS if tenant or each[0] != OWN[0])


def _steady(value: object) -> object:
    """The value, unless it is a moment of this test run."""
    recent = isinstance(value, datetime) and abs(datetime.now(UTC) - value) < timedelta(days=2)
    return "recently" if recent else value

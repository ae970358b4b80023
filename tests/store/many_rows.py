"""A database with so many rows that reading a whole table would be noticed, and what plans do."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import asyncpg

from landbridge import ids
from landbridge.store.sql import Sql
from tests.store.databases import connected, migrated_template, with_database
from tests.store.two_tenants import SCHEMA

MANY = 20_000
_MORE = {"emit_key": 50_000, "inbox_key": 50_000}
"""A batch that is deleted from these is found by the index only where it is a small part."""
_NAME = "lb_many"
_LOCK = 0x4C42_3A4E

# Rows n = 1..MANY: every fiftieth is acme's, all are in the environment test. `moment(n)` spreads
# them over the last hour, `made(prefix)` is an id of today.
_FUNCTIONS = """
CREATE FUNCTION pg_temp.tenant(n int) RETURNS text LANGUAGE sql IMMUTABLE AS
$$ SELECT CASE WHEN n % 50 = 0 THEN 'acme' ELSE 'tenant_' || n % 997 END $$;
CREATE FUNCTION pg_temp.moment(n int) RETURNS timestamptz LANGUAGE sql STABLE AS
$$ SELECT now() - interval '1 hour' * n / 20000 $$;
"""
_ROWS: Mapping[str, str] = {
    "due (environment, tenant, id, lane, kind, shard, due_at, ref, target, key, owner, fence)": """
        'test', pg_temp.tenant(n), made('due'),
        CASE WHEN n % 5 = 0 THEN 'pull' ELSE 'deliver' END,
        CASE WHEN n % 5 = 0 THEN 'pull' ELSE 'deliver' END,
        landbridge.shard('test', pg_temp.tenant(n)),
        CASE WHEN n % 3 = 0 THEN now() + interval '1 hour' * n / 20000 ELSE pg_temp.moment(n) END,
        'evt_' || n, 'end_' || n % 100, CASE WHEN n % 5 = 0 THEN 'con_' || n || '/invoice' END,
        CASE WHEN n % 100 = 0 THEN 'owner' END, 7""",
    "event (environment, tenant, id, number, type, schema_version, content_type, payload, digest,"
    " created_at)": """
        'test', pg_temp.tenant(n), made('evt'), n, 'invoice.paid', 1,
        'application/json', '{}', '', pg_temp.moment(n)""",
    "emitted (environment, tenant, id, type, payload)": """
        'test', pg_temp.tenant(n), made('evt'), 'invoice.paid', '{}'""",
    "emit_key (environment, tenant, key, event, expires_at)": """
        'test', pg_temp.tenant(n), 'key_' || n, made('evt'),
        pg_temp.moment(n) + interval '1 day'""",
    "attempt (environment, tenant, id, delivery, event, endpoint, number, outcome, took_ms)": """
        'test', pg_temp.tenant(n), made('att'), 'dlv_' || n / 2, 'evt_' || n / 2,
        'end_' || n % 100, 1 + n % 2, 'failing', 5""",
    "record (environment, tenant, connection, resource, key, raw, digest)": """
        'test', pg_temp.tenant(n), 'con_' || n % 50, 'invoice', 'in_' || n, '{}', ''""",
    "change (environment, tenant, id, connection, resource, key)": """
        'test', pg_temp.tenant(n), made('chg'), 'con_' || n % 50, 'invoice',
        'in_' || n""",
    "change_order (number, environment, change)": "n, 'test', made('chg')",
    "change_new (changes)": "ARRAY[made('chg')]",
    "arrival (environment, id, app, headers, body)": """
        'test', made('arr'), 'app_1', '', '{}'""",
    "inbox_event (environment, tenant, id, app, connection, arrival, vendor_id, topic,"
    " outcome)": """
        'test', pg_temp.tenant(n), made('inb'), 'app_1', 'con_' || n % 50,
        made('arr'), 'evt_' || n, 'invoice.paid', 'pull'""",
    "inbox_line (environment, tenant, listener, line, event)": """
        'test', pg_temp.tenant(n), 'listener_' || n % 5, 'line_' || n % 1000, made('inb')""",
    "inbox_key (environment, tenant, app, key, expires_at)": """
        'test', pg_temp.tenant(n), 'app_1', 'evt_' || n, pg_temp.moment(n) + interval '1 day'""",
    "intent (environment, tenant, id, connection, resource, action)": """
        'test', pg_temp.tenant(n), made('int'), 'con_' || n % 50, 'invoice', 'create'""",
    "shadow_call (environment, tenant, id, shadow, connection, key, idempotency, request,"
    " response)": """
        'test', pg_temp.tenant(n), made('shc'), 'shd_' || n % 9, 'con_' || n % 50, 'in_' || n,
        'int_' || n, '', ''""",
    "parked (environment, tenant, id, what, place, key, reason)": """
        'test', pg_temp.tenant(n), made('prk'), CASE WHEN n % 4 = 0 THEN 'event' ELSE 'record' END,
        CASE WHEN n % 4 = 0 THEN 'name' ELSE 'con_' || n % 50 END, 'in_' || n, 'unreadable'""",
    "run (environment, tenant, id, connection, resource, state)": """
        'test', pg_temp.tenant(n), made('run'), 'con_' || n % 50, 'invoice', 'done'""",
    "seen (environment, tenant, connection, resource, listing, page, keys)": """
        'test', pg_temp.tenant(n), 'con_' || n % 50, 'invoice', 'listing_' || n / 50, n % 50,
        ARRAY['in_' || n]""",
    "connection (environment, tenant, id, app, access_grant, provider, account, token, state)": """
        'test', pg_temp.tenant(n), 'con_' || n, 'app_1', 'grt_' || n, 'stripe', 'acct_' || n,
        'token_' || n, 'active'""",
    "access_grant (environment, tenant, id, app, kind)": """
        'test', pg_temp.tenant(n), 'grt_' || n, 'app_1', 'api_key'""",
    "sync (environment, tenant, connection, resource, id)": """
        'test', pg_temp.tenant(n), 'con_' || n, 'invoice', made('syn')""",
    "endpoint (environment, tenant, id, url, secrets)": """
        'test', pg_temp.tenant(n), 'end_' || n, 'https://example.com', ''""",
    "line (environment, tenant, endpoint, ordering_key, number, event, delivery)": """
        'test', pg_temp.tenant(n), 'end_' || n % 100, 'order_' || n % 1000, n, 'evt_' || n,
        'dlv_' || n""",
    "endpoint_health (environment, tenant, endpoint)": """
        'test', pg_temp.tenant(n), 'end_' || n""",
    "quota (environment, place, name, most, step, used)": """
        'test', 'account/stripe/acct_' || n, 'minute', 60, 3, array_fill(0, ARRAY[21])""",
    "tenant_key (environment, tenant, version, wrapped, wrapped_by)": """
        'test', 'tenant_' || n, 1, '', 'key'""",
}
_MADE = re.compile(r"made\('(\w+)'\)")
BIG = frozenset(head.split(" ")[0] for head in _ROWS)


def filled(server: str) -> str:
    """The address of such a database; made once per server, whoever asks first."""
    with connected(server) as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", [_LOCK])
        found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [_NAME])
        if not found.fetchone():
            template, draft = migrated_template(server), f"{_NAME}_draft"
            connection.execute(f"DROP DATABASE IF EXISTS {draft} WITH (FORCE)")
            connection.execute(f"CREATE DATABASE {draft} TEMPLATE {template} STRATEGY file_copy")
            with ThreadPoolExecutor(1) as thread:  # this one may already run an event loop
                thread.submit(asyncio.run, _fill(with_database(server, draft))).result()
            connection.execute(f"ALTER DATABASE {draft} RENAME TO {_NAME}")
    return with_database(server, _NAME)


async def _fill(url: str) -> None:
    connection = await asyncpg.connect(url)
    await fill_many(connection)
    await connection.close()


async def fill_many(connection: asyncpg.Connection) -> None:
    """MANY rows or more in every table of BIG, and fresh statistics."""
    await connection.execute(_FUNCTIONS)
    for head, values in _ROWS.items():
        rows = _MADE.sub(lambda found: _id(found[1]), values)
        most = _MORE.get(head.split(" ")[0], MANY)
        await connection.execute(
            f"INSERT INTO {SCHEMA}.{head} SELECT {rows} FROM generate_series(1, {most}) AS n"
        )
    await connection.execute("ANALYZE")


def _id(prefix: str) -> str:
    now = ids.bound(prefix, datetime.now(UTC))
    return f"'{now[:-16]}' || lpad(n::text, 16, '0')"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How Postgres would run a statement, partitions counted as the table they belong to."""

    scanned: frozenset[str]
    """Tables of BIG that are read from one end to the other."""
    indexes: frozenset[str]
    """Indexes on tables of BIG, those that decide conflicts included."""
    text: str


@dataclass(frozen=True, kw_only=True)
class Planner:
    """Asks for plans over one connection, and knows the tables that they speak of."""

    connection: asyncpg.Connection
    parents: Mapping[str, str]
    """The table that a partition, or its index, belongs to."""
    small: frozenset[str]
    owners: Mapping[str, str]
    """The table of an index."""

    @classmethod
    async def of(cls, connection: asyncpg.Connection) -> Planner:
        """The one of a database whose tables stay as they are."""
        parents = {
            row["child"]: row["parent"]
            for row in await connection.fetch(
                """SELECT c.relname AS child, p.relname AS parent FROM pg_inherits AS i
                   JOIN pg_class AS c ON c.oid = i.inhrelid
                   JOIN pg_class AS p ON p.oid = i.inhparent"""
            )
        }
        small = await connection.fetch("SELECT relname FROM pg_class WHERE reltuples < 1000")
        indexes = await connection.fetch("SELECT indexname, tablename FROM pg_indexes")
        return cls(
            connection=connection,
            parents=parents,
            small=frozenset(row["relname"] for row in small),
            owners={
                row["indexname"]: parents.get(row["tablename"], row["tablename"]) for row in indexes
            },
        )

    async def explain(self, statement: Sql, binds: Mapping[str, Any]) -> Plan:
        """The plan for these binds, with every setting of the planner as it comes."""
        answer = await self.connection.fetchval(
            f"EXPLAIN (FORMAT JSON) {statement.render(SCHEMA)}", *statement.arguments(dict(binds))
        )
        nodes = list(_nodes(json.loads(answer)[0]["Plan"]))
        scanned = {name for name in _of(nodes, "Seq Scan") if name not in self.small}
        indexes = {name for node in nodes for name in _indexes(node)}
        return Plan(
            scanned=frozenset(self.parents.get(name, name) for name in scanned) & BIG,
            indexes=frozenset(
                self.parents.get(name, name) for name in indexes if self.owners.get(name) in BIG
            ),
            text=answer,
        )


def _nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for each in node.get("Plans", []):
        yield from _nodes(each)


def _of(nodes: list[dict[str, Any]], kind: str) -> list[str]:
    return [str(node["Relation Name"]) for node in nodes if node["Node Type"] == kind]


def _indexes(node: dict[str, Any]) -> list[str]:
    named = [node["Index Name"]] if "Index Name" in node else []
    return [*named, *node.get("Conflict Arbiter Indexes", [])]

"""The call log: what was asked of providers, without bodies, for a few days."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from landbridge import ids
from landbridge.store.database import Database, Row, Tx
from landbridge.store.sql import Sql


class Call(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One try of one call.

    `path` is a template: ids in it stand as `{id}`. `status` is None when no answer came. `outcome`
    is ok, retry, throttle, refresh, refusal, unknown, broken, stale or gone; `error` the provider's
    code, or why no answer came: never its words, which may name people. `subject` is the person
    whose record it was about, where the page tells.
    """

    environment: str
    tenant: str
    connection: str
    method: str
    path: str
    status: int | None
    attempt: int
    took_ms: int
    outcome: str
    lane: str
    request_id: str | None
    error: str | None
    subject: str | None
    created_at: datetime
    id: str = ""


_FIELDS = Call.__struct_fields__[:-1]
_COLUMNS = ", ".join((*_FIELDS, "id"))
_GIVEN = ", ".join(f"w.{name}" for name in (*_FIELDS, "id"))

_ADD = Sql(
    "calls.add",
    f"""
    INSERT INTO lb.call ({_COLUMNS})
    SELECT {_GIVEN} FROM unnest(:environments::text[], :tenants::text[], :connections::text[],
        :methods::text[], :paths::text[], :statuses::int[], :tries::int[], :took::int[],
        :outcomes::text[], :call_lanes::text[], :request_ids::text[], :call_errors::text[],
        :subjects::text[], :moments::timestamptz[], :ids::text[])
        AS w({_COLUMNS})
    """,
)

_OF_CONNECTION = Sql(
    "calls.of_connection",
    f"""
    SELECT {_COLUMNS} FROM lb.call
    WHERE environment = :environment AND tenant = :tenant AND connection = :connection
      AND (NOT :failed::bool OR outcome <> 'ok')
    ORDER BY id DESC LIMIT :most
    """,
)

_BINDS = (
    "environments",
    "tenants",
    "connections",
    "methods",
    "paths",
    "statuses",
    "tries",
    "took",
    "outcomes",
    "call_lanes",
    "request_ids",
    "call_errors",
    "subjects",
    "moments",
)


async def add(db: Database | Tx, calls: Sequence[Call]) -> None:
    """Writes calls down, in one statement; their ids are made here, in their order."""
    if not calls:
        return
    columns: dict[str, list[Any]] = {
        bind: [getattr(call, name) for call in calls]
        for bind, name in zip(_BINDS, _FIELDS, strict=True)
    }
    made = sorted(ids.many(ids.PREFIXES["call"], len(calls)))
    await db.run(_ADD, **columns, ids=made)


async def of_connection(
    db: Database,
    *,
    environment: str,
    tenant: str,
    connection: str,
    failed: bool = False,
    most: int = 100,
) -> list[Call]:
    """The last calls of a connection, newest first; `failed`: only those that did not work."""
    rows = await db.fetch(
        _OF_CONNECTION,
        environment=environment,
        tenant=tenant,
        connection=connection,
        failed=failed,
        most=most,
    )
    return [_call(row) for row in rows]


def _call(row: Row) -> Call:
    return Call(**dict(row))

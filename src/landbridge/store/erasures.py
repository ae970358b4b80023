"""Erasures: orders to erase what is kept of a tenant or of one subject, and their reports."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

import msgspec

from landbridge.store import erasing
from landbridge.store.database import Database, Row, Tx
from landbridge.store.due import LANES
from landbridge.store.erasing_subjects import NOBODY
from landbridge.store.sql import Sql

KIND = "erase"
"""The kind of the due row that an erasure runs by."""


@dataclass(frozen=True, kw_only=True)
class Erasure:
    """An erasure. `report` has the rows taken so far, by table.

    `subject` is None for a whole tenant. Once it is done, the person's name for us is replaced by
    what `digest` makes of it.
    """

    environment: str
    tenant: str
    id: str
    subject: str | None
    state: Literal["running", "done"]
    report: Mapping[str, int]
    created_at: datetime
    ended_at: datetime | None


_COLUMNS = "environment, tenant, id, subject, state, report, created_at, ended_at"

_ADD = Sql(
    "erasures.add",
    """
    INSERT INTO lb.erasure (environment, tenant, id, subject)
    VALUES (:environment, :tenant, :id, :subject)
    """,
)

_ONE = Sql(
    "erasures.one",
    f"""
    SELECT {_COLUMNS} FROM lb.erasure
    WHERE environment = :environment AND tenant = :tenant AND id = :id
    """,
)

_BY_ID = Sql(
    "erasures.by_id",
    f"SELECT {_COLUMNS} FROM lb.erasure WHERE environment = :environment AND id = :id",
    across="The operator's commands name an erasure by its id alone, whichever tenant it has.",
)

_LIST = Sql(
    "erasures.list",
    f"""
    SELECT {_COLUMNS} FROM lb.erasure
    WHERE environment = :environment AND (:tenant::text IS NULL OR tenant = :tenant)
    ORDER BY id DESC LIMIT :most
    """,
    across="The operator's list shows every tenant of an environment unless one is named.",
)

_NOTE = Sql(
    "erasures.note",
    """
    UPDATE lb.erasure SET report = :report::jsonb
    WHERE environment = :environment AND tenant = :tenant AND id = :id
    """,
)

_FINISH = Sql(
    "erasures.finish",
    """
    UPDATE lb.erasure SET state = 'done', subject = :subject, ended_at = lb.now()
    WHERE environment = :environment AND tenant = :tenant AND id = :id AND state = 'running'
    """,
)

_FORGET = Sql(
    "erasures.forget",
    """
    DELETE FROM lb.erasure AS r
    WHERE (r.environment, r.tenant, r.id) IN (
        SELECT o.environment, o.tenant, o.id FROM lb.erasure AS o
        WHERE o.ended_at < lb.now() - :keep::interval
        LIMIT :most)
    """,
    across="Reports of erasures end at their stated time, whosever they are.",
)


async def add(tx: Tx, *, environment: str, tenant: str, id: str, subject: str | None) -> None:
    """Stores a new erasure, running."""
    await tx.run(_ADD, environment=environment, tenant=tenant, id=id, subject=subject)


async def one(db: Database | Tx, *, environment: str, tenant: str, id: str) -> Erasure | None:
    """The tenant's erasure with this id."""
    row = await db.row(_ONE, environment=environment, tenant=tenant, id=id)
    return None if row is None else _erasure(row)


async def by_id(db: Database | Tx, *, environment: str, id: str) -> Erasure | None:
    """The erasure with this id, whichever tenant it has."""
    row = await db.row(_BY_ID, environment=environment, id=id)
    return None if row is None else _erasure(row)


async def every(
    db: Database | Tx, *, environment: str, tenant: str | None = None, most: int = 100
) -> list[Erasure]:
    """Erasures, newest first; of one tenant if it is named."""
    rows = await db.fetch(_LIST, environment=environment, tenant=tenant, most=most)
    return [_erasure(row) for row in rows]


async def erase(tx: Tx, order: Erasure, statement: Sql, *, most: int) -> dict[str, int]:
    """Takes one batch away by a statement of `store.erasing`: how many rows, by table."""
    row = await tx.row(statement, **_binds(order, statement, most))
    assert row is not None
    return {table: count for table, count in row.items() if count}


async def end_connections(tx: Tx, order: Erasure) -> None:
    """Ends the tenant's connections, so that nobody pulls, pushes or receives for it any more."""
    await tx.run(erasing.END_CONNECTIONS, environment=order.environment, tenant=order.tenant)


async def addresses(db: Database, order: Erasure) -> list[Row]:
    """Where webhooks for this tenant alone came in: `app`, `whole` or some `connections` of it."""
    return await db.fetch(erasing.ADDRESSES, environment=order.environment, tenant=order.tenant)


async def erase_arrivals(
    tx: Tx, order: Erasure, address: Row, *, after: str, most: int
) -> tuple[dict[str, int], str | None]:
    """Takes those of the next `most` arrivals of an app that came to the tenant's address: how many
    rows, by table, and the last id looked at; None at the end."""
    row = await tx.row(
        erasing.ARRIVALS,
        environment=order.environment,
        app=address["app"],
        whole=address["whole"],
        connections=address["connections"],
        nobody=NOBODY,
        after=after,
        most=most,
    )
    assert row is not None
    counts = {table: row[table] for table in ("arrival", "parked") if row[table]}
    return counts, row["last"]


async def note(tx: Tx, order: Erasure, report: Mapping[str, int]) -> None:
    """Writes the report so far, in the transaction that took the rows."""
    await tx.run(
        _NOTE,
        environment=order.environment,
        tenant=order.tenant,
        id=order.id,
        report=msgspec.json.encode(report).decode(),
    )


async def finish(tx: Tx, order: Erasure) -> None:
    """Ends it; from then on the row names no person."""
    await tx.run(
        _FINISH,
        environment=order.environment,
        tenant=order.tenant,
        id=order.id,
        subject=None if order.subject is None else digest(order.id, order.subject),
    )


async def count(
    db: Database, *, environment: str, tenant: str, subject: str | None, most: int
) -> dict[str, int]:
    """How many rows an erasure would take, by table, each counted up to `most`."""
    statements = erasing.COUNT_TENANT if subject is None else erasing.COUNT_SUBJECT
    found: dict[str, int] = {}
    for table, statement in statements.items():
        binds: dict[str, Any] = {"environment": environment, "tenant": tenant, "most": most}
        if "subject" in statement.binds:
            binds["subject"] = subject
        if "lanes" in statement.binds:
            binds["lanes"] = LANES
        if rows := await db.value(statement, **binds):
            found[table] = rows
    return found


async def forget(db: Database, *, keep: timedelta, limit: int) -> int:
    """How many erasures that ended longer ago than `keep` were forgotten, `limit` at most."""
    return await db.run(_FORGET, keep=keep, most=limit)


def digest(id: str, subject: str) -> str:
    """What is left of the subject of an erasure that is done: whoever knows the subject can show
    that it was this one, and two erasures of one person have nothing in common."""
    return f"sha256:{hashlib.sha256(f'{id}/{subject}'.encode()).hexdigest()}"


def _binds(order: Erasure, statement: Sql, most: int) -> dict[str, Any]:
    known: dict[str, Any] = {
        "environment": order.environment,
        "tenant": order.tenant,
        "subject": order.subject,
        "nobody": NOBODY,
        "lanes": list[str](LANES),
        "most": most,
    }
    return {name: known[name] for name in statement.binds}


def _erasure(row: Row) -> Erasure:
    values = dict(row)
    values["report"] = msgspec.json.decode(values["report"], type=dict[str, int])
    return Erasure(**values)


def total(reports: Sequence[Mapping[str, int]]) -> dict[str, int]:
    """Reports added up."""
    sums: dict[str, int] = {}
    for report in reports:
        for table, rows in report.items():
            sums[table] = sums.get(table, 0) + rows
    return sums

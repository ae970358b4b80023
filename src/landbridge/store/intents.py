"""Intents: each is one remote effect that was promised, and what became of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec

from landbridge.store.database import Database, Row, Tx
from landbridge.store.sql import Sql


@dataclass(frozen=True, kw_only=True)
class Intent:
    """One promised write. `state` is waiting, done, refused, conflict, unknown, or
    shadowed: what it would have sent is kept by a shadow. `shadow` is the one that keeps it, before
    that the one of the handler that promised it."""

    environment: str
    tenant: str
    id: str
    connection: str
    resource: str
    action: str
    key: str | None
    document: dict[str, Any] | None
    state: str
    reason: str
    problems: dict[str, str] | None
    subject: str | None
    shadow: str | None
    tried_at: datetime | None
    """When it was first sent, where sending it twice would make two, for links, and for documents
    whose totals were proved."""
    seen: dict[str, Any] | None
    """For a link: the fields to write, with what the record held when that was decided."""
    answer: dict[str, Any] | None
    """For a link: what the provider answered that those fields are after the write."""
    link: str | None
    """The pair of a link that it is for."""
    created_at: datetime
    now: datetime = field(compare=False)


_COLUMNS = """environment, tenant, id, connection, resource, action, key, document, state, reason,
    problems, subject, shadow, tried_at, seen, answer, link, created_at, lb.now() AS now"""

ADD = Sql(
    "intents.add",
    """
    WITH promised AS (
        INSERT INTO lb.intent (environment, tenant, id, connection, resource, action, key,
            document, subject, shadow, seen, link)
        VALUES (:environment, :tenant, :id, :connection, :resource, :action, :key,
            :document::jsonb, :subject, :shadow, :seen::jsonb, :link)
        RETURNING environment, tenant, id
    )
    INSERT INTO lb.due (environment, tenant, id, lane, kind, shard, due_at, ref)
    SELECT promised.environment, promised.tenant, :due, 'push', 'push',
        lb.shard(:environment, :tenant), lb.now(), promised.id
    FROM promised
    WHERE promised.environment = :environment AND promised.tenant = :tenant
    """,
)
"""One statement for the caller's transaction: the intent and its due row."""

_ONE = Sql(
    "intents.one",
    f"""
    SELECT {_COLUMNS} FROM lb.intent
    WHERE environment = :environment AND tenant = :tenant AND id = :id
    """,
)

_TRY = Sql(
    "intents.try",
    """
    UPDATE lb.intent SET tried_at = coalesce(tried_at, lb.now())
    WHERE environment = :environment AND tenant = :tenant AND id = :id
    """,
)

_FORGET_TRY = Sql(
    "intents.forget_try",
    """
    UPDATE lb.intent SET tried_at = :before
    WHERE environment = :environment AND tenant = :tenant AND id = :id
    """,
)

_SETTLE = Sql(
    "intents.settle",
    """
    WITH unheld AS (
        DELETE FROM lb.parked AS k
        WHERE k.environment = :environment AND k.tenant = :tenant AND k.what = 'push'
          AND k.place = :connection AND k.resource = :resource AND k.key = :id
    )
    UPDATE lb.intent SET state = :state, key = coalesce(:key, key), reason = :reason,
        problems = :problems::jsonb, answer = :answer::jsonb, settled_at = lb.now(),
        shadow = coalesce(:shadow, shadow)
    WHERE environment = :environment AND tenant = :tenant AND id = :id
    """,
)


# A row that a worker holds is woken: it may have read the code tables as they were.
_WAKE = Sql(
    "intents.wake",
    """
    WITH held AS MATERIALIZED (
        SELECT d.id FROM lb.parked AS k JOIN lb.due AS d ON d.ref = k.key
        WHERE k.environment = :environment AND k.tenant = :tenant AND k.what = 'push'
          AND k.place = ANY(:connections::text[]) AND (:id::text IS NULL OR k.key = :id)
          AND d.environment = :environment AND d.tenant = :tenant AND d.kind = 'push'
        ORDER BY d.id
        FOR UPDATE OF d
    )
    UPDATE lb.due AS d
    SET due_at = CASE WHEN d.owner IS NULL THEN least(d.due_at, lb.now()) ELSE d.due_at END,
        woken = d.owner IS NOT NULL
    FROM held AS h
    WHERE d.id = h.id AND d.environment = :environment AND d.tenant = :tenant
    """,
)

_CANCEL = Sql(
    "intents.cancel",
    """
    DELETE FROM lb.due AS d USING lb.parked AS k
    WHERE d.environment = :environment AND d.tenant = :tenant AND d.kind = 'push' AND d.ref = :id
      AND d.owner IS NULL
      AND k.environment = :environment AND k.tenant = :tenant AND k.what = 'push'
      AND k.place = :connection AND k.resource = :resource AND k.key = :id
    """,
)


async def wake(
    tx: Database | Tx,
    *,
    environment: str,
    tenant: str,
    connections: Sequence[str],
    id: str | None = None,
) -> int:
    """Makes the pushes due that are parked at these connections (only `id`, if it is given); how
    many there are."""
    return await tx.run(
        _WAKE, environment=environment, tenant=tenant, connections=list(connections), id=id
    )


async def cancel(tx: Tx, intent: Intent) -> bool:
    """Takes away the work of carrying out an intent that is held; False: it is not held, or it is
    tried just now."""
    gone = await tx.run(
        _CANCEL,
        environment=intent.environment,
        tenant=intent.tenant,
        id=intent.id,
        connection=intent.connection,
        resource=intent.resource,
    )
    return gone > 0


async def one(db: Database | Tx, *, environment: str, tenant: str, id: str) -> Intent | None:
    """The intent with this id."""
    row = await db.row(_ONE, environment=environment, tenant=tenant, id=id)
    return _intent(row) if row else None


async def note_try(db: Database, intent: Intent) -> None:
    """Writes down, before it is sent, that an intent may have happened from now on."""
    await db.run(_TRY, environment=intent.environment, tenant=intent.tenant, id=intent.id)


async def forget_try(db: Database, intent: Intent) -> None:
    """Takes the note of the latest try back: it cannot have happened. What is known of earlier ones
    stays as it was when the intent was read."""
    await db.run(
        _FORGET_TRY,
        environment=intent.environment,
        tenant=intent.tenant,
        id=intent.id,
        before=intent.tried_at,
    )


async def settle(
    db: Database | Tx,
    intent: Intent,
    *,
    state: str,
    key: str | None = None,
    reason: str = "",
    problems: dict[str, str] | None = None,
    answer: dict[str, Any] | None = None,
    shadow: str | None = None,
) -> None:
    """Writes down what became of an intent. `shadow` is the one that keeps what it would send."""
    await db.run(
        _SETTLE,
        environment=intent.environment,
        tenant=intent.tenant,
        id=intent.id,
        connection=intent.connection,
        resource=intent.resource,
        state=state,
        key=key,
        reason=reason,
        problems=msgspec.json.encode(problems).decode() if problems else None,
        answer=msgspec.json.encode(answer).decode() if answer is not None else None,
        shadow=shadow,
    )


def _intent(row: Row) -> Intent:
    values = dict(row)
    for name in ("document", "problems", "seen", "answer"):
        if values[name] is not None:
            values[name] = msgspec.json.decode(values[name])
    return Intent(**values)

"""Writes that a shadow kept back: request, made-up answer, and what became of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import msgspec

from landbridge.store.database import Database, Row, Tx
from landbridge.store.sql import Sql
from landbridge.wire import Headers, Request, Response

STATES = ("recorded", "sending", "sent", "refused", "unknown", "discarded")


@dataclass(frozen=True, kw_only=True)
class Kept:
    """One write that was kept back. `key` may be made up; `sent_key` is the provider's own.

    `state` is recorded, sending, sent, refused (with `error`), unknown (it may have happened) or
    discarded. `diff` has `path`, `before` and `after` of each difference to the remote record.
    """

    environment: str
    tenant: str
    id: str
    shadow: str
    connection: str
    resource: str
    action: str
    key: str
    idempotency: str = ""
    intent: str | None = None
    state: str = "recorded"
    error: str = ""
    sent_key: str | None = None
    request: Request
    response: Response
    diff: list[dict[str, Any]]
    subject: str | None = None
    created_at: datetime | None = None


class _Message(msgspec.Struct, omit_defaults=True):
    """A request or a response, as it is stored."""

    body: bytes
    headers: list[tuple[str, str]]
    method: str = ""
    url: str = ""
    query: list[tuple[str, str]] = []
    status: int = 0


_COLUMNS = """environment, tenant, id, shadow, connection, resource, action, key, idempotency,
    intent, state, error, sent_key, request, response, diff, subject, created_at"""

_ADD = Sql(
    "shadow_calls.add",
    """
    INSERT INTO lb.shadow_call (environment, tenant, id, shadow, connection, resource, action, key,
        idempotency, intent, state, error, request, response, diff, subject)
    VALUES (:environment, :tenant, :id, :shadow, :connection, :resource, :action, :key,
        :idempotency, :intent, :state, :error, :request, :response, :diff::jsonb, :subject)
    ON CONFLICT DO NOTHING
    """,
)

_ONCE = Sql(
    "shadow_calls.once",
    f"""
    SELECT {_COLUMNS} FROM lb.shadow_call
    WHERE environment = :environment AND tenant = :tenant AND shadow = :shadow
      AND idempotency = :idempotency AND idempotency <> ''
    """,
)

_LAST = Sql(
    "shadow_calls.last",
    f"""
    SELECT {_COLUMNS} FROM lb.shadow_call
    WHERE environment = :environment AND tenant = :tenant AND connection = :connection
      AND key = :key AND shadow = :shadow AND error = '' AND state <> 'discarded'
    ORDER BY id DESC LIMIT 1
    """,
)

_NAMED = Sql(
    "shadow_calls.named",
    """
    SELECT shadow FROM lb.shadow_call
    WHERE environment = :environment AND tenant = :tenant AND connection = :connection
      AND key = ANY (:keys::text[]) AND action = 'create'
    ORDER BY id DESC LIMIT 1
    """,
)

_PAGE = Sql(
    "shadow_calls.page",
    f"""
    SELECT {_COLUMNS} FROM lb.shadow_call
    WHERE environment = :environment AND shadow = :shadow AND id > :after
      AND state = ANY (:states::text[])
    ORDER BY id LIMIT :most
    """,
    across="A shadow without a tenant keeps back every tenant's writes; each names its own.",
)

_COUNTS = Sql(
    "shadow_calls.counts",
    """
    SELECT resource, action, state, count(*) AS calls,
        count(*) FILTER (WHERE error <> '') AS errors
    FROM lb.shadow_call WHERE environment = :environment AND shadow = :shadow
    GROUP BY resource, action, state ORDER BY resource, action, state
    """,
    across="A shadow's report counts over every tenant that it holds for.",
)

_KEYS = Sql(
    "shadow_calls.keys",
    """
    SELECT key, max(sent_key) AS sent_key FROM lb.shadow_call
    WHERE environment = :environment AND tenant = :tenant AND shadow = :shadow
      AND connection = :connection AND action = 'create' AND key <> ''
    GROUP BY key
    """,
)

# A claim that nobody settled for so long is open to others: its holder died.
_CLAIM = Sql(
    "shadow_calls.claim",
    """
    UPDATE lb.shadow_call SET state = 'sending', tried_at = lb.now()
    WHERE environment = :environment AND tenant = :tenant AND id = :id
      AND (state = 'recorded'
           OR (state = 'sending' AND tried_at < lb.now() - :lease::interval))
    """,
)

_SETTLE = Sql(
    "shadow_calls.settle",
    """
    UPDATE lb.shadow_call SET state = :state, error = :error, sent_key = :sent_key
    WHERE environment = :environment AND tenant = :tenant AND id = :id AND state = 'sending'
    """,
)

_DISCARD = Sql(
    "shadow_calls.discard",
    """
    UPDATE lb.shadow_call SET state = 'discarded'
    WHERE environment = :environment AND shadow = :shadow AND state = 'recorded'
      AND (:ids::text[] IS NULL OR id = ANY (:ids::text[]))
    """,
    across="A shadow without a tenant keeps back every tenant's writes; it is discarded as one.",
)


_TAKE_BACK = Sql(
    "shadow_calls.take_back",
    """
    UPDATE lb.shadow_call SET state = 'discarded'
    WHERE environment = :environment AND tenant = :tenant AND shadow = :shadow
      AND intent = :intent AND state = 'recorded'
    """,
)

_OF_LINKS = Sql(
    "shadow_calls.of_links",
    """
    SELECT call.id, link.tenant, link.id AS pair FROM lb.shadow_call AS call
    JOIN lb.intent AS intent ON intent.environment = call.environment
      AND intent.tenant = call.tenant AND intent.id = call.intent
    JOIN lb.link AS link ON link.environment = intent.environment
      AND link.tenant = intent.tenant AND link.id = intent.link AND link.intent = intent.id
    WHERE call.environment = :environment AND call.shadow = :shadow AND call.id > :after
    ORDER BY call.id LIMIT :most
    """,
    across="A shadow without a tenant keeps back every tenant's writes; each names its own.",
)


async def add(db: Database | Tx, call: Kept) -> bool:
    """Keeps a write; False: one with its idempotency key is kept already."""
    request, response = call.request, call.response
    added = await db.run(
        _ADD,
        environment=call.environment,
        tenant=call.tenant,
        id=call.id,
        shadow=call.shadow,
        connection=call.connection,
        resource=call.resource,
        action=call.action,
        key=call.key,
        idempotency=call.idempotency,
        intent=call.intent,
        state=call.state,
        error=call.error,
        request=msgspec.json.encode(
            _Message(
                method=request.method,
                url=request.url,
                query=list(request.query),
                headers=list(request.headers.pairs()),
                body=request.body,
            )
        ),
        response=msgspec.json.encode(
            _Message(
                status=response.status,
                headers=list(response.headers.pairs()),
                body=response.body,
            )
        ),
        diff=msgspec.json.encode(call.diff).decode(),
        subject=call.subject,
    )
    return bool(added)


async def once(
    db: Database | Tx, *, environment: str, tenant: str, shadow: str, idempotency: str
) -> Kept | None:
    """The write that was kept under this idempotency key."""
    row = await db.row(
        _ONCE, environment=environment, tenant=tenant, shadow=shadow, idempotency=idempotency
    )
    return _kept(row) if row else None


async def last(
    db: Database | Tx, *, environment: str, tenant: str, shadow: str, connection: str, key: str
) -> Kept | None:
    """The latest write of a shadow to this key that would have been accepted."""
    row = await db.row(
        _LAST,
        environment=environment,
        tenant=tenant,
        shadow=shadow,
        connection=connection,
        key=key,
    )
    return _kept(row) if row else None


async def named(
    db: Database | Tx, *, environment: str, tenant: str, connection: str, keys: Sequence[str]
) -> str | None:
    """The latest shadow in which one of these keys of the connection was created."""
    found: str | None = await db.value(
        _NAMED, environment=environment, tenant=tenant, connection=connection, keys=list(keys)
    )
    return found


async def page(
    db: Database,
    *,
    environment: str,
    shadow: str,
    after: str = "",
    states: Sequence[str] = STATES,
    most: int = 100,
) -> list[Kept]:
    """Kept writes in the order in which they came."""
    rows = await db.fetch(
        _PAGE, environment=environment, shadow=shadow, after=after, states=list(states), most=most
    )
    return [_kept(row) for row in rows]


async def counts(db: Database, *, environment: str, shadow: str) -> list[dict[str, Any]]:
    """How many there are by `resource`, `action` and `state`: `calls`, and `errors` among them."""
    rows = await db.fetch(_COUNTS, environment=environment, shadow=shadow)
    return [dict(row) for row in rows]


async def made_keys(db: Database, call: Kept) -> dict[str, str | None]:
    """Keys that were made up on this connection, and the provider's own of those that were sent."""
    rows = await db.fetch(
        _KEYS,
        environment=call.environment,
        tenant=call.tenant,
        shadow=call.shadow,
        connection=call.connection,
    )
    return {row["key"]: row["sent_key"] for row in rows}


async def claim(db: Database, call: Kept, *, lease: timedelta) -> bool:
    """Takes a write to send it; False: somebody else has it, or it is settled."""
    taken = await db.run(
        _CLAIM, environment=call.environment, tenant=call.tenant, id=call.id, lease=lease
    )
    return bool(taken)


async def settle(
    db: Database | Tx, call: Kept, state: str, *, error: str = "", sent_key: str | None = None
) -> None:
    """Writes down what became of a write that was taken."""
    await db.run(
        _SETTLE,
        environment=call.environment,
        tenant=call.tenant,
        id=call.id,
        state=state,
        error=error,
        sent_key=sent_key,
    )


async def discard(
    db: Database, *, environment: str, shadow: str, ids: Sequence[str] | None = None
) -> int:
    """Gives up writes that were not sent, all of them or these; how many."""
    return await db.run(
        _DISCARD,
        environment=environment,
        shadow=shadow,
        ids=None if ids is None else list(ids),
    )


async def take_back(tx: Tx, *, environment: str, tenant: str, shadow: str, intent: str) -> int:
    """Gives up what was kept of an intent and not sent; how many writes."""
    return await tx.run(
        _TAKE_BACK, environment=environment, tenant=tenant, shadow=shadow, intent=intent
    )


async def of_links(
    db: Database | Tx, *, environment: str, shadow: str, after: str = "", most: int = 500
) -> list[tuple[str, str, str]]:
    """The kept writes that a pair of a link waits for, in their order behind `after`: the write's
    id, and the tenant and id of the pair."""
    rows = await db.fetch(_OF_LINKS, environment=environment, shadow=shadow, after=after, most=most)
    return [(row["id"], row["tenant"], row["pair"]) for row in rows]


def _kept(row: Row) -> Kept:
    values: dict[str, Any] = dict(row)
    asked = msgspec.json.decode(values["request"], type=_Message)
    told = msgspec.json.decode(values["response"], type=_Message)
    values["request"] = Request(
        method=asked.method,
        url=asked.url,
        query=tuple(asked.query),
        headers=Headers(asked.headers),
        body=asked.body,
    )
    values["response"] = Response(
        status=told.status, headers=Headers(told.headers), body=told.body, url=asked.url
    )
    values["diff"] = msgspec.json.decode(values["diff"])
    return Kept(**values)

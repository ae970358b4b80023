"""Shadows: a provider, connection or handler whose writes are kept back, and until when."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import msgspec

from landbridge.store.connections import Connection
from landbridge.store.database import Database, Row, Tx
from landbridge.store.sql import Sql

EVERYONE = ""
"""The tenant of a shadow that holds for all of them."""


@dataclass(frozen=True, kw_only=True)
class Rule:
    """When a shadow is promoted by itself at the end of its window."""

    threshold: float = 0.0
    """The largest share of compared fields that may differ, for any field."""
    errors: int = 0
    """How many recorded writes may be such that the provider would have refused them."""
    auto: bool = True
    """False: only by hand."""
    writes: bool = True
    """False: writes go out; only the candidate is compared."""
    candidate: str = ""
    """The name under which the application gives a candidate page; empty: there is none."""


@dataclass(frozen=True, kw_only=True)
class Shadow:
    """One shadow. `kind` is provider, connection or handler, `place` its slug, id or name.

    `state` is running, failed (the window is over, the rule did not hold, and writes are still
    kept back), promoted or stopped. An empty `tenant` means every tenant.
    """

    environment: str
    tenant: str
    id: str
    place: str
    kind: str
    state: str
    reason: str
    rule: Rule = field(default_factory=Rule)
    created_at: datetime
    until: datetime
    ended_at: datetime | None

    @property
    def holds(self) -> bool:
        """Whether it keeps writes back."""
        return self.state in ("running", "failed")


_COLUMNS = """environment, tenant, id, place, kind, state, reason, rule, created_at, until,
    ended_at"""

_ADD = Sql(
    "shadows.add",
    f"""
    INSERT INTO lb.shadow (environment, tenant, id, place, kind, state, rule, until)
    VALUES (:environment, :tenant, :id, :place, :kind, 'running', :rule::jsonb,
        lb.now() + :during::interval)
    ON CONFLICT DO NOTHING
    RETURNING {_COLUMNS}
    """,
)

_COVERING = Sql(
    "shadows.covering",
    f"""
    SELECT {_COLUMNS} FROM lb.shadow
    WHERE environment = :environment AND place = ANY (:places::text[])
      AND tenant IN (:tenant, '') AND state IN ('running', 'failed') AND kind = ANY (:kinds::text[])
      AND (:all::bool OR rule ->> 'writes' = 'true')
    ORDER BY kind = 'connection' DESC, tenant DESC LIMIT 1
    """,
    across="A shadow without a tenant holds for every tenant's connections to a provider.",
)

_BY_ID = Sql(
    "shadows.by_id",
    f"""
    SELECT {_COLUMNS} FROM lb.shadow WHERE environment = :environment AND id = :id
    """,
    across="The operator's commands name a shadow by its id alone, whichever tenant it has.",
)

_LIST = Sql(
    "shadows.list",
    f"""
    SELECT {_COLUMNS} FROM lb.shadow
    WHERE environment = :environment AND (:tenant::text IS NULL OR tenant = :tenant)
    ORDER BY id DESC LIMIT :most
    """,
    across="The operator's list shows every tenant of an environment unless one is named.",
)

_END = Sql(
    "shadows.end",
    """
    UPDATE lb.shadow SET state = :state, reason = :reason,
        ended_at = CASE WHEN :state = 'failed' THEN NULL ELSE lb.now() END
    WHERE environment = :environment AND tenant = :tenant AND id = :id
      AND state = ANY (:states::text[])
    """,
)


async def add(
    tx: Tx,
    *,
    environment: str,
    tenant: str,
    id: str,
    place: str,
    kind: str,
    rule: Rule,
    during: timedelta,
) -> Shadow | None:
    """A new shadow, running from now on; None: one holds this place already."""
    row = await tx.row(
        _ADD,
        environment=environment,
        tenant=tenant,
        id=id,
        place=place,
        kind=kind,
        rule=msgspec.json.encode(rule).decode(),
        during=during,
    )
    return _shadow(row) if row else None


async def of_connection(
    db: Database | Tx, connection: Connection, *, all: bool = False
) -> Shadow | None:
    """The shadow that keeps a connection's writes back: its own, else one of its provider.

    `all`: also one that lets writes go out and only compares.
    """
    places = [connection.id, connection.provider]
    return await _covering(
        db,
        connection.environment,
        connection.tenant,
        places,
        ["connection", "provider"],
        all=all,
    )


async def of_handler(db: Database | Tx, *, environment: str, name: str) -> Shadow | None:
    """The shadow that keeps back what a handler pushes."""
    return await _covering(db, environment, EVERYONE, [name], ["handler"])


async def _covering(
    db: Database | Tx,
    environment: str,
    tenant: str,
    places: list[str],
    kinds: list[str],
    *,
    all: bool = False,
) -> Shadow | None:
    row = await db.row(
        _COVERING, environment=environment, tenant=tenant, places=places, kinds=kinds, all=all
    )
    return _shadow(row) if row else None


async def by_id(db: Database | Tx, *, environment: str, id: str) -> Shadow | None:
    """The shadow with this id."""
    row = await db.row(_BY_ID, environment=environment, id=id)
    return _shadow(row) if row else None


async def every(
    db: Database, *, environment: str, tenant: str | None = None, most: int = 100
) -> list[Shadow]:
    """Shadows, the newest first."""
    rows = await db.fetch(_LIST, environment=environment, tenant=tenant, most=most)
    return [_shadow(row) for row in rows]


async def end(
    db: Database | Tx, shadow: Shadow, state: str, *, states: list[str], reason: str = ""
) -> bool:
    """Moves a shadow on; False if it is in none of these states any more."""
    moved = await db.run(
        _END,
        environment=shadow.environment,
        tenant=shadow.tenant,
        id=shadow.id,
        state=state,
        states=states,
        reason=reason,
    )
    return bool(moved)


def _shadow(row: Row) -> Shadow:
    values: dict[str, Any] = dict(row)
    values["rule"] = msgspec.json.decode(values["rule"], type=Rule)
    return Shadow(**values)

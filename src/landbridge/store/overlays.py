"""Overlays: the fields and objects that tenants added at their providers, and their code tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from landbridge.store.database import Database, Tx
from landbridge.store.sql import Sql


@dataclass(frozen=True, kw_only=True)
class Overlay:
    """One custom field of a resource, or with an empty `field` the custom object itself; without a
    resource the code table `field`, whose facts are its lines.

    `whole`: it holds for all connections of its tenant to the provider, not for one alone.
    """

    resource: str
    field: str
    facts: Mapping[str, Any]
    whole: bool


OF_CONNECTION = """(
        SELECT jsonb_agg(jsonb_build_object('resource', o.resource, 'field', o.field,
            'facts', o.facts, 'whole', o.connection = '')
            ORDER BY o.resource, o.field, o.connection)
        FROM lb.overlay AS o
        WHERE o.environment = connection.environment AND o.tenant = connection.tenant
          AND o.provider = connection.provider AND o.connection IN ('', connection.id)
    ) AS overlay"""
"""A column of `lb.connection`: what `laid` reads."""

_SET = Sql(
    "overlays.set",
    """
    INSERT INTO lb.overlay (environment, tenant, provider, connection, resource, field, facts)
    VALUES (:environment, :tenant, :provider, :connection, :resource, :field, :facts::jsonb)
    ON CONFLICT (environment, tenant, provider, connection, resource, field) DO UPDATE
    SET facts = excluded.facts, changed_at = lb.now()
    """,
)

_REMOVE = Sql(
    "overlays.remove",
    """
    DELETE FROM lb.overlay
    WHERE environment = :environment AND tenant = :tenant AND provider = :provider
      AND resource = :resource
      AND (connection = :connection AND field = :field
           OR :field::text = '' AND (connection = :connection OR :connection::text = ''))
    """,
)

_STREAMS = Sql(
    "overlays.streams",
    """
    SELECT sync.connection FROM lb.connection AS connection
    JOIN lb.sync AS sync
      ON sync.environment = :environment AND sync.tenant = :tenant
     AND sync.connection = connection.id AND sync.resource = :resource
    WHERE connection.environment = :environment AND connection.tenant = :tenant
      AND connection.provider = :provider
      AND (connection.id = :connection OR :connection::text = '')
    ORDER BY sync.connection
    """,
)

_PLACES = Sql(
    "overlays.places",
    """
    SELECT id FROM lb.connection
    WHERE environment = :environment AND tenant = :tenant AND provider = :provider
      AND (id = :connection OR :connection::text = '')
    ORDER BY id
    """,
)

_END = Sql(
    "overlays.end",
    """
    DELETE FROM lb.sync
    WHERE environment = :environment AND tenant = :tenant AND connection = :connection
      AND resource = :resource
    """,
)


_HISTORY = Sql(
    "overlays.history",
    """
    SELECT line.key AS theirs, line.value AS ours,
        count(*) FILTER (WHERE o.tenant = :tenant) AS own,
        count(DISTINCT o.tenant) FILTER (WHERE o.tenant <> :tenant) AS others
    FROM lb.overlay AS o CROSS JOIN LATERAL jsonb_each_text(o.facts) AS line
    WHERE o.environment = :environment AND o.provider = :provider
      AND o.resource = '' AND o.field = :field
      AND NOT (o.tenant = :tenant AND o.connection IN ('', :connection))
    GROUP BY line.key, line.value
    ORDER BY line.key, line.value
    """,
    across="Other tenants' lines are only counted, and only where this one has the same code.",
)


@dataclass(frozen=True, kw_only=True)
class Line:
    """A line of code tables elsewhere: in `own` tables of the same tenant, and in those of `others`
    (how many tenants)."""

    theirs: str
    ours: str
    own: int
    others: int


async def history(
    db: Database | Tx, *, environment: str, tenant: str, provider: str, connection: str, table: str
) -> list[Line]:
    """The lines of this code table at other connections to the provider."""
    rows = await db.fetch(
        _HISTORY,
        environment=environment,
        tenant=tenant,
        provider=provider,
        connection=connection,
        field=table,
    )
    return [Line(**dict(row)) for row in rows]


async def put(
    tx: Tx,
    *,
    environment: str,
    tenant: str,
    provider: str,
    connection: str,
    resource: str,
    field: str,
    facts: Mapping[str, Any],
) -> None:
    """Sets one; `connection` empty: for all of the tenant's connections to the provider."""
    await tx.run(
        _SET,
        environment=environment,
        tenant=tenant,
        provider=provider,
        connection=connection,
        resource=resource,
        field=field,
        facts=msgspec.json.encode(facts).decode(),
    )


async def remove(
    tx: Tx,
    *,
    environment: str,
    tenant: str,
    provider: str,
    connection: str,
    resource: str,
    field: str,
) -> None:
    """Takes one away; with an empty `field` all of a custom object, also fields of it that are set
    for connections alone."""
    await tx.run(
        _REMOVE,
        environment=environment,
        tenant=tenant,
        provider=provider,
        connection=connection,
        resource=resource,
        field=field,
    )


async def streams(
    tx: Tx, *, environment: str, tenant: str, provider: str, connection: str, resource: str
) -> list[str]:
    """The connections that pull this resource: that one, or with an empty id all of the
    tenant's to the provider."""
    rows = await tx.fetch(
        _STREAMS,
        environment=environment,
        tenant=tenant,
        provider=provider,
        connection=connection,
        resource=resource,
    )
    return [row["connection"] for row in rows]


async def places(
    tx: Tx, *, environment: str, tenant: str, provider: str, connection: str
) -> list[str]:
    """The connections that an overlay holds for: that one, or with an empty id all of the tenant's
    to the provider."""
    rows = await tx.fetch(
        _PLACES, environment=environment, tenant=tenant, provider=provider, connection=connection
    )
    return [row["id"] for row in rows]


async def end(tx: Tx, *, environment: str, tenant: str, connection: str, resource: str) -> None:
    """Ends the standing order of a custom object that is no more; its records stay."""
    await tx.run(
        _END, environment=environment, tenant=tenant, connection=connection, resource=resource
    )


def laid(text: str | None) -> tuple[Overlay, ...]:
    """What the column `OF_CONNECTION` holds; one of the connection's own stands above the
    tenant's of the same name."""
    rows: Sequence[Overlay] = msgspec.json.decode(text, type=list[Overlay]) if text else []
    return tuple({(row.resource, row.field): row for row in rows}.values())

"""Conflicts: fields that both sides of a pair changed, with both values, until one is taken."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from landbridge import ids
from landbridge.store.database import Database, Row, Tx
from landbridge.store.links import Pair
from landbridge.store.sql import Sql


@dataclass(frozen=True, kw_only=True)
class OpenConflict:
    """A field in conflict. `*` as a field is the record as a whole, null for the side that deleted
    it; `local` and `key` say which record. `take` is set once somebody chose a side."""

    environment: str
    tenant: str
    id: str
    link: str
    name: str
    connection: str
    resource: str
    local: str | None
    key: str | None
    field: str
    baseline: Any
    ours: Any
    theirs: Any
    take: str | None
    opened_at: datetime
    resolved_at: datetime | None


_COLUMNS = """conflict.environment, conflict.tenant, conflict.id, conflict.link, link.name,
    link.connection, link.resource, link.local, link.key, conflict.field, conflict.baseline,
    conflict.ours, conflict.theirs, conflict.take, conflict.opened_at, conflict.resolved_at"""

_FROM = """FROM lb.conflict AS conflict
    JOIN lb.link AS link ON link.environment = conflict.environment
      AND link.tenant = conflict.tenant AND link.id = conflict.link"""

_OF = Sql(
    "conflicts.of",
    f"""
    SELECT {_COLUMNS} {_FROM}
    WHERE conflict.environment = :environment AND conflict.tenant = :tenant
      AND conflict.link = :link AND conflict.resolved_at IS NULL
    """,
)

_LIST = Sql(
    "conflicts.list",
    f"""
    SELECT {_COLUMNS} {_FROM}
    WHERE conflict.environment = :environment
      AND (:tenant::text IS NULL OR conflict.tenant = :tenant)
      AND (:name::text IS NULL OR link.name = :name) AND conflict.resolved_at IS NULL
      AND conflict.id > :after
    ORDER BY conflict.id LIMIT :most
    """,
    across="The SaaS's own staff looks at the conflicts of all of its tenants.",
)

_ONE = Sql(
    "conflicts.one",
    f"SELECT {_COLUMNS} {_FROM} WHERE conflict.environment = :environment AND conflict.id = :id",
    across="An id that staff was shown; the row names its tenant.",
)

_OPEN = Sql(
    "conflicts.open",
    """
    INSERT INTO lb.conflict (environment, tenant, id, link, field, baseline, ours, theirs)
    VALUES (:environment, :tenant, :id, :link, :field, :baseline::jsonb, :ours::jsonb,
        :theirs::jsonb)
    ON CONFLICT (environment, tenant, link, field) WHERE resolved_at IS NULL DO UPDATE SET
        baseline = excluded.baseline, ours = excluded.ours, theirs = excluded.theirs,
        take = CASE WHEN conflict.ours IS NOT DISTINCT FROM excluded.ours
            AND conflict.theirs IS NOT DISTINCT FROM excluded.theirs THEN conflict.take END
    """,
)

_CLOSE = Sql(
    "conflicts.close",
    """
    UPDATE lb.conflict SET resolved_at = lb.now()
    WHERE environment = :environment AND tenant = :tenant AND link = :link
      AND resolved_at IS NULL AND NOT (field = ANY(:fields::text[]))
    """,
)

_TAKE = Sql(
    "conflicts.take",
    """
    UPDATE lb.conflict SET take = :take
    WHERE environment = :environment AND tenant = :tenant AND id = :id AND resolved_at IS NULL
    """,
)


async def of(db: Database | Tx, pair: Pair) -> list[OpenConflict]:
    """The open conflicts of a pair."""
    rows = await db.fetch(_OF, environment=pair.environment, tenant=pair.tenant, link=pair.id)
    return [_conflict(row) for row in rows]


async def every(
    db: Database,
    *,
    environment: str,
    tenant: str | None = None,
    name: str | None = None,
    after: str = "",
    most: int = 100,
) -> list[OpenConflict]:
    """Open conflicts, oldest first."""
    rows = await db.fetch(
        _LIST, environment=environment, tenant=tenant, name=name, after=after, most=most
    )
    return [_conflict(row) for row in rows]


async def one(db: Database, *, environment: str, id: str) -> OpenConflict | None:
    """The conflict with this id, also a resolved one."""
    row = await db.row(_ONE, environment=environment, id=id)
    return _conflict(row) if row else None


async def keep(tx: Tx, pair: Pair, found: Sequence[tuple[str, Mapping[str, Any]]]) -> None:
    """Writes down the pair's conflicts, a field and its `baseline`, `ours`, `theirs` each (one that
    is missing is not there); others of it are over. A choice between other values does not count.
    """
    for field, values in found:
        await tx.run(
            _OPEN,
            environment=pair.environment,
            tenant=pair.tenant,
            id=ids.new("cfl"),
            link=pair.id,
            field=field,
            **{
                side: msgspec.json.encode(values[side]).decode() if side in values else None
                for side in ("baseline", "ours", "theirs")
            },
        )
    await tx.run(
        _CLOSE,
        environment=pair.environment,
        tenant=pair.tenant,
        link=pair.id,
        fields=[field for field, _ in found],
    )


async def take(tx: Tx | Database, conflict: OpenConflict, side: str) -> None:
    """Notes which side was chosen."""
    await tx.run(
        _TAKE,
        environment=conflict.environment,
        tenant=conflict.tenant,
        id=conflict.id,
        take=side,
    )


def _conflict(row: Row) -> OpenConflict:
    values = dict(row)
    for side in ("baseline", "ours", "theirs"):
        if values[side] is not None:
            values[side] = msgspec.json.decode(values[side])
    return OpenConflict(**values)

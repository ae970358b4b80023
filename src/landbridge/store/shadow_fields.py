"""What a dual run found: per field, how often the candidate and the current page differ."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from landbridge.store.database import Database, Row, Tx
from landbridge.store.sql import Sql

MOST_SAMPLES = 5
"""Samples that are kept of one field of a tenant's resource."""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """A record in which a field differs."""

    environment: str
    tenant: str
    resource: str
    field: str
    key: str
    current: Any
    candidate: Any
    subject: str | None = None


@dataclass(frozen=True, kw_only=True)
class Divergence:
    """A field of a resource over all tenants of the shadow."""

    resource: str
    field: str
    compared: int
    diverged: int
    samples: list[Sample] = dataclasses.field(default_factory=list)

    @property
    def share(self) -> float:
        """The part of the compared records in which it differs, from 0 to 1."""
        return self.diverged / self.compared if self.compared else 0.0


_COUNT = Sql(
    "shadow_fields.count",
    """
    INSERT INTO lb.shadow_field AS f (environment, tenant, shadow, resource, field, compared,
        diverged)
    SELECT :environment, :tenant, :shadow, :resource, t.field, t.compared, t.diverged
    FROM unnest(:fields::text[], :compareds::bigint[], :divergeds::bigint[])
        AS t(field, compared, diverged)
    ORDER BY t.field
    ON CONFLICT (environment, tenant, shadow, resource, field) DO UPDATE
    SET compared = f.compared + excluded.compared, diverged = f.diverged + excluded.diverged
    """,
)

_SAMPLE = Sql(
    "shadow_fields.sample",
    """
    INSERT INTO lb.shadow_sample (environment, tenant, shadow, resource, field, key, current,
        candidate, subject)
    SELECT :environment, :tenant, :shadow, :resource, :field, :key, :current::jsonb,
        :candidate::jsonb, :subject
    WHERE (SELECT count(*) FROM lb.shadow_sample AS s
           WHERE s.environment = :environment AND s.tenant = :tenant AND s.shadow = :shadow
             AND s.resource = :resource AND s.field = :field) < :most
    ON CONFLICT DO NOTHING
    """,
)

_READ = Sql(
    "shadow_fields.read",
    """
    SELECT resource, field, sum(compared)::bigint AS compared, sum(diverged)::bigint AS diverged
    FROM lb.shadow_field WHERE environment = :environment AND shadow = :shadow
    GROUP BY resource, field ORDER BY resource, field
    """,
    across="A shadow without a tenant compares every tenant's records; its report adds them up.",
)

_SAMPLES = Sql(
    "shadow_fields.samples",
    """
    SELECT environment, tenant, resource, field, key, current, candidate, subject
    FROM lb.shadow_sample WHERE environment = :environment AND shadow = :shadow
    ORDER BY resource, field, tenant, key LIMIT :most
    """,
    across="A shadow without a tenant compares every tenant's records; each sample names its own.",
)


async def count(
    tx: Tx,
    *,
    environment: str,
    tenant: str,
    shadow: str,
    resource: str,
    fields: dict[str, tuple[int, int]],
) -> None:
    """Adds to the counts of fields: how many records were compared, and how many differ."""
    await tx.run(
        _COUNT,
        environment=environment,
        tenant=tenant,
        shadow=shadow,
        resource=resource,
        fields=list(fields),
        compareds=[each[0] for each in fields.values()],
        divergeds=[each[1] for each in fields.values()],
    )


async def sample(tx: Tx, shadow: str, samples: Sequence[Sample]) -> None:
    """Keeps samples, up to `MOST_SAMPLES` of a field."""
    for each in samples:
        await tx.run(
            _SAMPLE,
            environment=each.environment,
            tenant=each.tenant,
            shadow=shadow,
            resource=each.resource,
            field=each.field,
            key=each.key,
            current=msgspec.json.encode(each.current).decode(),
            candidate=msgspec.json.encode(each.candidate).decode(),
            subject=each.subject,
            most=MOST_SAMPLES,
        )


async def read(db: Database, *, environment: str, shadow: str) -> list[Divergence]:
    """Every field that was compared, by resource and name, with samples where it differs."""
    rows = await db.fetch(_READ, environment=environment, shadow=shadow)
    kept: dict[tuple[str, str], list[Sample]] = {}
    for row in await db.fetch(_SAMPLES, environment=environment, shadow=shadow, most=1000):
        kept.setdefault((row["resource"], row["field"]), []).append(_sample(row))
    return [
        Divergence(**dict(row), samples=kept.get((row["resource"], row["field"]), []))
        for row in rows
    ]


def _sample(row: Row) -> Sample:
    values: dict[str, Any] = dict(row)
    for name in ("current", "candidate"):
        values[name] = None if values[name] is None else msgspec.json.decode(values[name])
    return Sample(**values)

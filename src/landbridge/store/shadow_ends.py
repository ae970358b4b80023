"""What is left of a shadow that ended: the provider's ids for those that were made up, and how long
its writes are kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from landbridge.store.database import Database, Tx
from landbridge.store.shadow_calls import Kept
from landbridge.store.sql import Sql


@dataclass(frozen=True, kw_only=True)
class RealId:
    """A record that a shadow made up and that exists at the provider since it was sent.

    `id` is the write's (`shc_...`); give the last one as `after` to read on.
    """

    id: str
    tenant: str
    connection: str
    resource: str
    made_up: str
    real: str


_REAL_IDS = Sql(
    "shadow_ends.real_ids",
    """
    SELECT id, tenant, connection, resource, key AS made_up, sent_key AS real FROM lb.shadow_call
    WHERE environment = :environment AND shadow = :shadow AND id > :after
      AND action = 'create' AND state = 'sent' AND sent_key IS NOT NULL AND sent_key <> key
      AND (:made_up::text[] IS NULL OR key = ANY (:made_up::text[]))
    ORDER BY id LIMIT :most
    """,
    across="A shadow without a tenant made up records of every tenant; each row names its own.",
)

_SUBJECT = Sql(
    "shadow_ends.subject",
    """
    UPDATE lb.shadow_call SET subject = :real
    WHERE environment = :environment AND tenant = :tenant AND subject = :made_up
    """,
)

_INTENTS_SUBJECT = Sql(
    "shadow_ends.intents_subject",
    """
    UPDATE lb.intent SET subject = :real
    WHERE environment = :environment AND tenant = :tenant AND subject = :made_up
    """,
)

_OVER = Sql(
    "shadow_ends.over",
    """
    SELECT environment, id FROM lb.shadow
    WHERE state IN ('promoted', 'stopped') AND ended_at < lb.now() - :keep::interval
    """,
    across="Retention ends every tenant's shadows.",
)


def _rows(table: str) -> Sql:
    return Sql(
        f"shadow_ends.forget_{table}",
        f"""
        DELETE FROM lb.{table} AS t
        WHERE t.environment = :environment AND t.ctid = ANY (ARRAY(
            SELECT o.ctid FROM lb.{table} AS o
            WHERE o.environment = :environment AND o.shadow = :shadow LIMIT :most))
        """,
        across="Retention ends what a shadow kept of every tenant that it held for.",
    )


_KEPT = {table: _rows(table) for table in ("shadow_call", "shadow_sample", "shadow_field")}

_FORGET = Sql(
    "shadow_ends.forget",
    "DELETE FROM lb.shadow WHERE environment = :environment AND id = :shadow",
    across="Retention ends a shadow by its id, whichever tenant it has.",
)


async def real_ids(
    db: Database,
    *,
    environment: str,
    shadow: str,
    made_up: Sequence[str] | None = None,
    after: str = "",
    most: int = 1000,
) -> list[RealId]:
    """The provider's ids of what was sent, in the order of the writes; all, or for these."""
    rows = await db.fetch(
        _REAL_IDS,
        environment=environment,
        shadow=shadow,
        made_up=None if made_up is None else list(made_up),
        after=after,
        most=most,
    )
    return [RealId(**dict(row)) for row in rows]


async def rename_subject(tx: Tx, call: Kept, real: str) -> None:
    """A person whose record was made up is known by the provider's id from now on.

    Otherwise nobody who erases them by it would find what was kept of them.
    """
    for statement in (_SUBJECT, _INTENTS_SUBJECT):
        await tx.run(
            statement,
            environment=call.environment,
            tenant=call.tenant,
            made_up=call.key,
            real=real,
        )


async def forget(db: Database, *, keep: timedelta, limit: int) -> dict[str, int]:
    """Removes shadows that ended so long ago with what they kept, sent or not; rows by table."""
    removed = dict.fromkeys([*_KEPT, "shadow"], 0)
    for over in await db.fetch(_OVER, keep=keep):
        binds = {"environment": over["environment"], "shadow": over["id"]}
        for table, statement in _KEPT.items():
            some = limit
            while some == limit:
                some = await db.run(statement, **binds, most=limit)
                removed[table] += some
        removed["shadow"] += await db.run(_FORGET, **binds)
    return removed

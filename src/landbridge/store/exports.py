"""What an export reads: whole streams by key, and later the records that the feed names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from landbridge.store.database import Database
from landbridge.store.records import Stored
from landbridge.store.sql import Sql
from landbridge.store.syncs import Stream


@dataclass(frozen=True, kw_only=True)
class Turn:
    """A piece of the feed: the number that it ends with, and which records of the stream it names,
    each once."""

    last: int
    keys: Sequence[str]


_OLDEST = Sql(
    "exports.oldest",
    "SELECT min(number) FROM lb.change_order WHERE environment = :environment",
)

# One probe by the id for each entry: by the tenant it would read all changes of the stream.
_TURN = Sql(
    "exports.turn",
    """
    WITH piece AS MATERIALIZED (
        SELECT number, change FROM lb.change_order
        WHERE environment = :environment AND number > :after AND number <= :until
        ORDER BY number LIMIT :most
    )
    SELECT max(piece.number) AS last,
        coalesce(array_agg(DISTINCT change.key) FILTER (WHERE change.key IS NOT NULL), '{}') AS keys
    FROM piece LEFT JOIN LATERAL (
        SELECT one.environment, one.tenant, one.connection, one.resource, one.key
        FROM lb.change AS one WHERE one.id = piece.change LIMIT 1
    ) AS change
      ON change.environment = :environment AND change.tenant = :tenant
     AND change.connection = :connection AND change.resource = :resource
    """,
    across="An entry of the feed is looked up by its id to tell whose it is; others' are left out.",
)

_NAMED = Sql(
    "exports.named",
    """
    SELECT environment, tenant, connection, resource, key, raw, version, scope, kind, unified,
        subject, deleted_at, changed_at
    FROM lb.record
    WHERE environment = :environment AND tenant = :tenant AND connection = :connection
      AND resource = :resource AND key = ANY(:keys::text[])
    ORDER BY key
    """,
)


async def oldest(db: Database, *, environment: str) -> int | None:
    """The lowest number that the feed still has; None when it has none."""
    number: int | None = await db.value(_OLDEST, environment=environment)
    return number


async def turn(db: Database, stream: Stream, *, after: int, until: int, most: int) -> Turn | None:
    """The next `most` entries of the feed, of whatever stream; None at `until`."""
    row = await db.row(_TURN, **stream.binds(), after=after, until=until, most=most)
    if row is None or row["last"] is None:
        return None
    return Turn(last=row["last"], keys=row["keys"])


async def named(db: Database, stream: Stream, keys: Sequence[str]) -> list[Stored]:
    """Those records as they are now, deleted or not; one that was erased is left out."""
    found = []
    for row in await db.fetch(_NAMED, **stream.binds(), keys=list(keys)):
        values = dict(row)
        if values["unified"] is not None:
            values["unified"] = msgspec.json.decode(values["unified"])
        found.append(Stored(**values))
    return found

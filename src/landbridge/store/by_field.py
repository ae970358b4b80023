"""Records by what a field of their unified form says."""

from __future__ import annotations

from typing import Any

from landbridge.store.database import Database
from landbridge.store.sql import Sql
from landbridge.store.syncs import Stream

_SAYING = Sql(
    "by_field.saying",
    """
    SELECT key, unified FROM lb.record
    WHERE environment = :environment AND tenant = :tenant AND connection = :connection
      AND resource = :resource AND deleted_at IS NULL
      AND unified ->> CAST(:field AS text) = CAST(:word AS text)
    ORDER BY key LIMIT :most
    """,
)


async def saying(
    db: Database, stream: Stream, *, field: str, word: str, most: int = 100
) -> dict[str, dict[str, Any]]:
    """The unified forms, by their keys, of records whose field is this text. Reads them all: for a
    write, which takes longer anyway."""
    rows = await db.fetch(_SAYING, **stream.binds(), field=field, word=word, most=most)
    return {row["key"]: row["unified"] for row in rows}

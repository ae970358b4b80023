"""Many committed events at once, as applications leave them for the dispatcher."""

from __future__ import annotations

import asyncpg

from landbridge import ids

_EMIT = """
    INSERT INTO landbridge.emitted (environment, tenant, id, type, payload)
    SELECT 'test', $1, i.id, 'order.placed', $3 FROM unnest($2::text[]) AS i(id)"""


async def emit_many(
    connection: asyncpg.Connection, events: int, *, tenant: str, size: int = 200
) -> list[str]:
    """Commits so many events of `size` bytes with one statement; their ids."""
    made = ids.many("evt", events)
    body = b'{"text": "%s"}' % (b"x" * (size - 12))
    await connection.execute(_EMIT, tenant, made, body)
    return made

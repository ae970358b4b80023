"""Bodies too large to be posted, as they are fetched: in pieces, so that no reader holds one."""

from __future__ import annotations

from dataclasses import dataclass

from landbridge.store.database import Database
from landbridge.store.sql import Sql


@dataclass(frozen=True, kw_only=True, slots=True)
class Attached:
    """An event that has an attachment, and what was posted of it."""

    environment: str
    tenant: str
    id: str
    payload: bytes
    older: bytes | None


_FIND = Sql(
    "attachments.find",
    """
    SELECT e.environment, e.tenant, e.id, e.payload, e.older
    FROM lb.event AS e
    WHERE e.id = :id AND EXISTS (
        SELECT FROM lb.attachment AS a
        WHERE a.id = e.id AND a.environment = e.environment AND a.tenant = e.tenant)
    LIMIT 1
    """,
    across="Who fetches a body proves by its token, not by a tenant, that it is theirs.",
)

_PIECE = Sql(
    "attachments.piece",
    """
    SELECT substring(a.body FROM :start::int FOR :size::int)
    FROM lb.attachment AS a
    WHERE a.id = :id AND a.environment = :environment AND a.tenant = :tenant
    LIMIT 1
    """,
)


async def find(db: Database, id: str) -> Attached | None:
    """The event with this id, if it has an attachment that is still kept."""
    row = await db.row(_FIND, id=id)
    return None if row is None else Attached(**dict(row))


async def piece(db: Database, of: Attached, *, start: int, size: int) -> bytes:
    """Up to `size` bytes of the attachment from `start` (the first is 1); empty past its end."""
    found: bytes | None = await db.value(
        _PIECE,
        environment=of.environment,
        tenant=of.tenant,
        id=of.id,
        start=start,
        size=size,
    )
    return found or b""

"""What tests of failing endpoints share: one that was registered, and what is known of it."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

from landbridge import ids
from landbridge.engine.health import Seen, Watch
from landbridge.store import health
from landbridge.store.database import Database
from landbridge.store.health import Health

URL = "https://user:pass@hooks.shop.example:8443/hook/s3cret?token=t0ken"
NAMED: dict[str, Any] = {"environment": "test", "tenant": "acme"}
At = Callable[[str], Awaitable[Database]]


async def register(db: Database) -> Seen:
    """A new endpoint, as the courier sees it after three tries that failed."""
    made = ids.new("end")
    await write(
        db,
        "INSERT INTO landbridge.endpoint (environment, tenant, id, url, secrets)"
        " VALUES ('test', 'acme', $1, $2, '')",
        made,
        URL,
    )
    return Seen(
        **NAMED, endpoint=made, url=URL, delivered=0, failed=3, error="HTTP 503", failing=True
    )


async def write(db: Database, sql: str, *values: object) -> list[Any]:
    async with db.transaction() as tx:
        return list(await tx.execute(sql, *values))


async def alter(db: Database, seen: Seen, name: str, value: object) -> None:
    await write(
        db, f"UPDATE landbridge.endpoint SET {name} = $2 WHERE id = $1", seen.endpoint, value
    )


def watch(db: Database, **more: Any) -> Watch:
    return Watch(db, chance=lambda: 0.5, **more)


async def health_of(db: Database, seen: Seen) -> Health | None:
    return await health.of(db, **NAMED, endpoint=seen.endpoint)


async def known(db: Database, seen: Seen) -> Health:
    found = await health_of(db, seen)
    assert found is not None
    return found


async def state_of(db: Database, seen: Seen) -> tuple[str, str]:
    (row,) = await write(
        db, "SELECT state, reason FROM landbridge.endpoint WHERE id = $1", seen.endpoint
    )
    return row["state"], row["reason"]


async def emitted(db: Database) -> list[dict[str, Any]]:
    found = await write(
        db, "SELECT environment, tenant, payload FROM landbridge.emitted ORDER BY place"
    )
    assert all(row["environment"] == "test" and row["tenant"] == "acme" for row in found)
    return [json.loads(row["payload"]) for row in found]


async def rows(db: Database) -> int:
    found = await write(db, "SELECT count(*) FROM landbridge.endpoint_health")
    return int(found[0][0])

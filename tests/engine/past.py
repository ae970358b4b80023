"""What tests of replays and erasure share: events of some tenants, and what became of them."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from landbridge import ids
from landbridge.jobs import Lease
from landbridge.store import due, endpoints, outbox
from landbridge.store.database import Database
from landbridge.store.due import Claimed


@dataclass(kw_only=True)
class Past:
    """Emits, dispatches and settles, on one database."""

    db: Database
    owner: str = "worker"
    numbers: dict[str, int] = field(default_factory=dict)

    async def endpoint(self, *types: str, tenant: str = "acme", **more: Any) -> str:
        """The id of a new endpoint, whose secrets are none."""
        made = await endpoints.add(
            self.db,
            environment="test",
            tenant=tenant,
            id=ids.new("end"),
            url="https://example.com/hook",
            types=list(types or ("*",)),
            secrets=b"",
        )
        for column, value in more.items():
            await self.sql(
                f"UPDATE landbridge.endpoint SET {column} = $2 WHERE id = $1", made.id, value
            )
        return made.id

    async def emit(
        self, many: int = 1, *, type: str = "invoice.paid", tenant: str = "acme", **more: Any
    ) -> list[str]:
        """Ids of that many events, dispatched; `days_ago` makes them older."""
        at = datetime.now(UTC) - timedelta(days=more.pop("days_ago", 0))
        data = more.pop("data", {"total": 1})
        made = [
            ids.make("evt", int(at.timestamp() * 1000) + place, int.from_bytes(os.urandom(10)))
            for place in range(many)
        ]
        fields: dict[str, Any] = {
            "schema_version": 1,
            "content_type": "application/json",
            "idempotency_key": None,
            "ordering_key": None,
            "subject": None,
            "payload": json.dumps({"type": type, "data": data}).encode(),
        }
        async with self.db.transaction() as tx:
            await outbox.insert_events(
                tx,
                [
                    outbox.insert_event(
                        environment="test", tenant=tenant, id=each, type=type, **fields | more
                    )[1]
                    for each in made
                ],
            )
        await outbox.move(self.db, limit=100_000)
        return made

    async def ended(self, outcome: str, *, of: list[str] | None = None, number: int = 1) -> None:
        """Ends the deliveries that are due (of these events), with one attempt each."""
        rows = await self.sql(
            """DELETE FROM landbridge.due WHERE kind = 'deliver'
               AND ($1::text[] IS NULL OR ref = ANY ($1)) RETURNING *""",
            of,
        )
        await self.sql(
            """INSERT INTO landbridge.attempt (environment, tenant, id, delivery, event,
                   endpoint, number, outcome, took_ms)
               SELECT each.*, $7, $8, 5
               FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[])
                   AS each""",
            *([row[column] for row in rows] for column in ("environment", "tenant")),
            [ids.new("att") for _ in rows],
            *([row[column] for row in rows] for column in ("id", "ref", "target")),
            number,
            outcome,
        )  # fmt: skip

    async def due(self, kind: str = "deliver") -> list[Any]:
        """The due rows of a kind, by their times."""
        return await self.sql(
            "SELECT * FROM landbridge.due WHERE kind = $1 ORDER BY due_at, id", kind
        )

    async def count(self, table: str, tenant: str = "acme") -> int:
        """How many rows a tenant has in a table."""
        (row,) = await self.sql(
            f"SELECT count(*) FROM landbridge.{table} WHERE tenant = $1", tenant
        )
        found: int = row[0]
        return found

    async def sql(self, text: str, *values: Any) -> list[Any]:
        """Runs plain SQL."""
        async with self.db.transaction() as tx:
            return list(await tx.execute(text, *values))

    async def take(self, kind: str, key: str, *, owner: str = "") -> tuple[Claimed, Lease]:
        """The claim on a keyed job of the tenant acme, whenever it is due."""
        owner = owner or self.owner
        claim = await due.take(
            self.db,
            owner=owner,
            environment="test",
            tenant="acme",
            kind=kind,
            key=key,
            lease=timedelta(seconds=60),
        )
        assert claim is not None, f"nobody may take {kind} {key} now"
        return claim, Lease(owner, claim)

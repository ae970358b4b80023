"""Faults that are put in on purpose, from the outside: the comparison has to find each of them."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path

from landbridge.store.database import Database
from landbridge.store.sql import Sql
from landbridge.store.syncs import Stream

FORGERS_SECRET = "whsec_not_the_secret"
"""What the Stripe simulator signs with when it is told to forge."""

_LOSE_RECORD = Sql(
    "demo.lose_record",
    """
    DELETE FROM lb.record
    WHERE environment = :environment AND tenant = :tenant AND connection = :connection
      AND resource = :resource AND key = (
        SELECT min(held.key) FROM lb.record AS held
        WHERE held.environment = :environment AND held.tenant = :tenant
          AND held.connection = :connection AND held.resource = :resource
          AND held.deleted_at IS NULL)
    """,
)


class Plant(StrEnum):
    """A fault to plant."""

    LOST_DELIVERY = "lost-delivery"
    """A line of the receiver's journal goes, as if that delivery had never come."""
    LOST_RECORD = "lost-record"
    """A record goes from our mirror behind Landbridge's back."""
    FORGED = "forged"
    """The connection believes the forger's secret, so that the forged webhook is let in."""


def lose_delivery(journal: Path) -> None:
    """Takes every delivery of one event to one endpoint out of the receiver's journal."""
    entries = [json.loads(line) for line in journal.read_text().splitlines()]
    victim = next((e["endpoint"], e["webhook_id"]) for e in entries if e.get("status") == 200)
    kept = [e for e in entries if (e.get("endpoint"), e.get("webhook_id")) != victim]
    journal.write_text("".join(json.dumps(entry) + "\n" for entry in kept))


async def lose_record(db: Database, stream: Stream) -> None:
    """Deletes the row of one live record."""
    await db.run(_LOSE_RECORD, **stream.binds())

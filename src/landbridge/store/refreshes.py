"""Refreshes that may have reached the provider: one row per grant, until the outcome is known.

While such an intent is open nobody else posts for this version of the grant. Its holder keeps it
with heartbeats; once they stop, others decide what the provider allows. All times are `lb.now()`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from landbridge.store.database import Database, Row, Tx
from landbridge.store.grants import Grant
from landbridge.store.sql import Sql


@dataclass(frozen=True, kw_only=True)
class Intent:
    """An open intent. `owner` is empty when the last try was answered, without tokens.

    `tries` counts the posts for this version of the grant, `opened_at` is the moment of the first,
    `until` the end of the holder's lease. `now` is when it was read.
    """

    version: int
    owner: str
    tries: int
    opened_at: datetime
    until: datetime
    now: datetime = field(compare=False)

    @property
    def silent(self) -> bool:
        """Whether its holder was stopped, or died: its lease has ended."""
        return self.until <= self.now


# The grant is locked first, by all who write here: an intent for a version that was replaced a
# moment ago would post a used token.
_OPEN = Sql(
    "refreshes.open",
    """
    WITH g AS (
        SELECT environment, tenant, id, version FROM lb.access_grant
        WHERE environment = :environment AND tenant = :tenant AND id = :id
          AND version = :version AND state = 'live'
        FOR NO KEY UPDATE
    )
    INSERT INTO lb.refresh_intent AS i
        (environment, tenant, access_grant, version, owner, tries, until)
    SELECT environment, tenant, id, version, :owner, 1, lb.now() + :lease FROM g
    ON CONFLICT (environment, tenant, access_grant) DO UPDATE
    SET owner = excluded.owner, until = excluded.until, version = excluded.version,
        tries = CASE WHEN i.version = excluded.version THEN i.tries + 1 ELSE 1 END,
        opened_at = CASE WHEN i.version = excluded.version THEN i.opened_at ELSE lb.now() END
    WHERE i.version < excluded.version OR i.owner = ''
       OR (i.until <= lb.now() AND i.opened_at > lb.now() - :window::interval)
       OR i.owner = excluded.owner
    RETURNING version, owner, tries, opened_at, until, lb.now() AS now
    """,
)

_ONE = Sql(
    "refreshes.one",
    """
    SELECT version, owner, tries, opened_at, until, lb.now() AS now FROM lb.refresh_intent
    WHERE environment = :environment AND tenant = :tenant AND access_grant = :id
    """,
)

_KEEP = Sql(
    "refreshes.keep",
    """
    UPDATE lb.refresh_intent SET until = lb.now() + :lease
    WHERE environment = :environment AND tenant = :tenant AND access_grant = :id
      AND version = :version AND owner = :owner
    """,
)

_GIVE_UP = Sql(
    "refreshes.give_up",
    """
    UPDATE lb.refresh_intent
    SET owner = CASE WHEN :answered THEN '' ELSE owner END, until = lb.now()
    WHERE environment = :environment AND tenant = :tenant AND access_grant = :id
      AND version = :version AND owner = :owner
    """,
)

_CLOSE = Sql(
    "refreshes.close",
    """
    DELETE FROM lb.refresh_intent
    WHERE environment = :environment AND tenant = :tenant AND access_grant = :id
      AND version <= :version
    """,
)

_UNSENT = Sql(
    "refreshes.unsent",
    """
    DELETE FROM lb.refresh_intent
    WHERE environment = :environment AND tenant = :tenant AND access_grant = :id
      AND version = :version AND owner = :owner AND tries = 1
    """,
)

_HOLD = Sql(
    "refreshes.hold",
    """
    SELECT version, owner, tries, opened_at, until, lb.now() AS now FROM lb.refresh_intent
    WHERE environment = :environment AND tenant = :tenant AND access_grant = :id
      AND version = :version
    FOR UPDATE
    """,
)


async def open_intent(
    db: Database, grant: Grant, *, owner: str, lease: timedelta, window: timedelta
) -> Intent | None:
    """The intent, `owner`'s from now on: it may post once. None: another's is open, or the grant
    has newer tokens than were read.

    `window` is how long after the first post another may follow whose outcome is not known.
    """
    row = await db.row(
        _OPEN, **_key(grant), version=grant.version, owner=owner, lease=lease, window=window
    )
    return _intent(row) if row else None


async def one(db: Database | Tx, grant: Grant) -> Intent | None:
    """The open intent of a grant, whoever holds it."""
    row = await db.row(_ONE, **_key(grant))
    return _intent(row) if row else None


async def hold(tx: Tx, grant: Grant) -> Intent | None:
    """The intent of this version of the grant, which nobody else changes before `tx` ends."""
    row = await tx.row(_HOLD, **_key(grant), version=grant.version)
    return _intent(row) if row else None


async def keep(db: Database, grant: Grant, *, owner: str, lease: timedelta) -> None:
    """Lengthens the lease of `owner`'s intent."""
    await db.run(_KEEP, **_key(grant), version=grant.version, owner=owner, lease=lease)


async def give_up(db: Database | Tx, grant: Grant, owner: str, *, answered: bool) -> None:
    """Leaves an intent whose post brought no tokens.

    `answered`: the provider said so, anybody may try again. Otherwise nobody knows, and only the
    provider's retry window allows another try.
    """
    await db.run(_GIVE_UP, **_key(grant), version=grant.version, owner=owner, answered=answered)


async def unsent(db: Database, grant: Grant, owner: str) -> None:
    """Takes back an intent whose post used nothing up; earlier tries stay remembered."""
    async with db.transaction() as tx:
        await tx.run(_UNSENT, **_key(grant), version=grant.version, owner=owner)
        await give_up(tx, grant, owner, answered=True)


async def close(tx: Tx, grant: Grant) -> None:
    """Ends the intent of this version, or an earlier one, whoever holds it: all is known."""
    await tx.run(_CLOSE, **_key(grant), version=grant.version)


def _key(grant: Grant) -> dict[str, str]:
    return {"environment": grant.environment, "tenant": grant.tenant, "id": grant.id}


def _intent(row: Row) -> Intent:
    return Intent(**dict(row))

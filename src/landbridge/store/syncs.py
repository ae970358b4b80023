"""Standing orders to pull a resource of a connection, their cursors, and what each run did."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import msgspec

from landbridge import ids
from landbridge.errors import NotFound
from landbridge.store.database import Database, Row, Tx
from landbridge.store.sql import Sql


@dataclass(frozen=True, kw_only=True)
class Run:
    """One execution of a pull. `state` is running, done, failed or cancelled."""

    environment: str
    tenant: str
    id: str
    connection: str
    resource: str
    state: str
    reason: str
    started_at: datetime
    ended_at: datetime | None
    pages: int
    seen: int
    changed: int
    gone: int
    parked: int


_ADD = Sql(
    "syncs.add",
    """
    INSERT INTO lb.sync (environment, tenant, connection, resource, id, every, least, most)
    SELECT :environment, :tenant, :connection, wanted.resource, wanted.id, :apart::interval,
        :apart::interval, :apart::interval
    FROM unnest(:resources::text[], :ids::text[]) AS wanted (resource, id)
    ON CONFLICT DO NOTHING
    """,
)

_CURSOR = Sql(
    "syncs.cursor",
    """
    SELECT cursor FROM lb.sync
    WHERE environment = :environment AND tenant = :tenant AND connection = :connection
      AND resource = :resource
    """,
)

# The commit waits for no disk. A crash of the server loses the last pages, their place with them;
# whatever is committed later is on the disk no sooner than they are.
_STEP = Sql(
    "syncs.step",
    """
    WITH counted AS (
        UPDATE lb.run SET pages = pages + :pages, seen = seen + :seen, changed = changed + :changed,
            gone = gone + :gone, parked = parked + :parked
        WHERE environment = :environment AND tenant = :tenant AND id = :run
    )
    UPDATE lb.sync SET cursor = :cursor::jsonb, run = :run,
        reading = CASE WHEN reading = :reading OR cursor IS NULL AND reading = '' THEN :reading
                       ELSE '' END
    WHERE environment = :environment AND tenant = :tenant AND connection = :connection
      AND resource = :resource
    RETURNING reading = '' AS mixed, lb.now() AS at,
        set_config('synchronous_commit', 'off', true)
    """,
)

_FINISHED = Sql(
    "syncs.finished",
    """
    WITH before AS (
        SELECT pulled_at FROM lb.sync
        WHERE environment = :environment AND tenant = :tenant AND connection = :connection
          AND resource = :resource
    )
    UPDATE lb.sync SET pulled_at = lb.now()
    WHERE environment = :environment AND tenant = :tenant AND connection = :connection
      AND resource = :resource
    RETURNING reading <> :reading AS mixed, lb.now() AS now,
        (SELECT before.pulled_at FROM before) AS earlier
    """,
)

_MIX = Sql(
    "syncs.mix",
    """
    UPDATE lb.sync SET reading = CASE WHEN cursor IS NULL AND reading = '' THEN :reading ELSE '' END
    WHERE environment = :environment AND tenant = :tenant AND connection = :connection
      AND resource = :resource AND reading <> :reading
    RETURNING reading = ''
    """,
)

_LIST = Sql(
    "syncs.list",
    """
    SELECT resource, pulled_at FROM lb.sync
    WHERE environment = :environment AND tenant = :tenant AND connection = :connection
    ORDER BY id
    """,
)

_START = Sql(
    "runs.start",
    """
    INSERT INTO lb.run (environment, tenant, id, connection, resource, state)
    VALUES (:environment, :tenant, :id, :connection, :resource, 'running')
    RETURNING lb.now()
    """,
)

_END = Sql(
    "runs.end",
    """
    UPDATE lb.run SET state = :state, reason = :reason, ended_at = lb.now()
    WHERE environment = :environment AND tenant = :tenant AND id = :id AND state = 'running'
    """,
)

_ABANDONED = Sql(
    "runs.abandoned",
    """
    UPDATE lb.run SET state = 'failed', ended_at = lb.now(),
        reason = 'the process that ran it ended; a later run went on from its last page'
    WHERE environment = :environment AND tenant = :tenant AND connection = :connection
      AND resource = :resource AND state = 'running'
    """,
)

_RUNS = Sql(
    "runs.latest",
    """
    SELECT environment, tenant, id, connection, resource, state, reason, started_at, ended_at,
        pages, seen, changed, gone, parked
    FROM lb.run
    WHERE environment = :environment AND tenant = :tenant AND connection = :connection
    ORDER BY id DESC LIMIT :most
    """,
)

_SEE = Sql(
    "syncs.see",
    """
    INSERT INTO lb.seen (environment, tenant, connection, resource, listing, page, keys)
    SELECT :environment, :tenant, :connection, :resource, :listing,
        coalesce(max(earlier.page), 0) + 1, ARRAY(SELECT jsonb_array_elements_text(:keys::jsonb))
    FROM lb.seen AS earlier
    WHERE earlier.environment = :environment AND earlier.tenant = :tenant
      AND earlier.connection = :connection AND earlier.resource = :resource
      AND earlier.listing = :listing
    """,
)

_FORGET = Sql(
    "syncs.forget_listings",
    """
    DELETE FROM lb.seen
    WHERE environment = :environment AND tenant = :tenant AND connection = :connection
      AND resource = :resource AND listing = :listing
    """,
)


@dataclass(frozen=True, kw_only=True)
class Stream:
    """One resource of one connection: what every statement about pulling is held to."""

    environment: str
    tenant: str
    connection: str
    resource: str

    def binds(self) -> dict[str, Any]:
        """The four values, by their bind names."""
        return {
            "environment": self.environment,
            "tenant": self.tenant,
            "connection": self.connection,
            "resource": self.resource,
        }


async def add(
    tx: Tx,
    *,
    environment: str,
    tenant: str,
    connection: str,
    resources: Sequence[str],
    every: timedelta | None = None,
) -> None:
    """Standing orders for these resources, pulled so often (None: by hand alone); those that exist
    stay as they are."""
    await tx.run(
        _ADD,
        environment=environment,
        tenant=tenant,
        connection=connection,
        resources=list(resources),
        ids=[ids.new("syn") for _ in resources],
        apart=every,
    )


async def every(
    db: Database, *, environment: str, tenant: str, connection: str
) -> list[tuple[str, datetime | None]]:
    """The connection's resources and when each was last pulled to its end."""
    rows = await db.fetch(_LIST, environment=environment, tenant=tenant, connection=connection)
    return [(row["resource"], row["pulled_at"]) for row in rows]


async def cursor(db: Database | Tx, stream: Stream) -> dict[str, Any] | None:
    """Where the last page ended; None before the first."""
    text = await db.value(_CURSOR, **stream.binds())
    return msgspec.json.decode(text) if text else None


async def step(
    tx: Tx,
    stream: Stream,
    run: str,
    *,
    cursor: dict[str, Any],
    reading: str,
    pages: int = 1,
    seen: int = 0,
    changed: int = 0,
    gone: int = 0,
    parked: int = 0,
) -> tuple[bool, datetime]:
    """Stores the cursor behind a page, or the last one of several that brought nothing new, in
    their own transaction, and adds them to what the run did. The commit of this transaction does
    not wait for the disk.

    `reading` is the mapping that read the page. Gives whether other records of the stream were read
    by another one, so that they have to be read again, and the present. NotFound: the connection
    was erased meanwhile.
    """
    row = await tx.row(
        _STEP,
        **stream.binds(),
        run=run,
        cursor=msgspec.json.encode(cursor).decode(),
        reading=reading,
        pages=pages,
        seen=seen,
        changed=changed,
        gone=gone,
        parked=parked,
    )
    if row is None:
        raise NotFound(f"nothing orders pulls of {stream.resource} of {stream.connection} any more")
    return row["mixed"], row["at"]


async def mix(tx: Tx, stream: Stream, *, reading: str) -> bool:
    """Notes that a record was read by this mapping; whether others were read by another one."""
    return bool(await tx.value(_MIX, **stream.binds(), reading=reading))


async def finished(tx: Tx, stream: Stream, *, reading: str) -> tuple[bool, timedelta | None]:
    """Notes that the resource was pulled to its end just now; whether records of it were read by
    another mapping than this, and how long after the pull before, if there was one."""
    row = await tx.row(_FINISHED, **stream.binds(), reading=reading)
    if row is None:
        return False, None
    return row["mixed"], row["earlier"] and row["now"] - row["earlier"]


async def start(db: Database, stream: Stream) -> tuple[str, datetime]:
    """Opens a run and gives its id and the present; a run that never ended is marked as failed."""
    run = ids.new("run")
    async with db.transaction() as tx:
        await tx.run(_ABANDONED, **stream.binds())
        began: datetime = await tx.value(_START, **stream.binds(), id=run)
    return run, began


async def end(db: Database, stream: Stream, run: str, *, state: str, reason: str = "") -> None:
    """Closes a run."""
    await db.run(
        _END,
        environment=stream.environment,
        tenant=stream.tenant,
        id=run,
        state=state,
        reason=reason,
    )


async def runs(
    db: Database, *, environment: str, tenant: str, connection: str, most: int = 20
) -> list[Run]:
    """The latest runs of a connection, newest first."""
    rows = await db.fetch(
        _RUNS, environment=environment, tenant=tenant, connection=connection, most=most
    )
    return [_run(row) for row in rows]


async def see(tx: Tx, stream: Stream, *, listing: str, keys: Sequence[str]) -> None:
    """Notes the keys that a page of a full listing met."""
    text = msgspec.json.encode(keys).decode()
    await tx.run(_SEE, **stream.binds(), listing=listing, keys=text)


async def forget_listing(tx: Tx, stream: Stream, listing: str) -> None:
    """Drops the notes of a listing that is over."""
    await tx.run(_FORGET, **stream.binds(), listing=listing)


def _run(row: Row) -> Run:
    return Run(**dict(row))

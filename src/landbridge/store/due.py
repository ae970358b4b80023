"""Work with a time: put, claim, heartbeat, hold, settle. What happens later is a row here.

A row waits until `due_at` (owner null) or is leased until `due_at` (owner set); once that moment
has passed anybody may claim it, and its fence rises. What a holder may do is decided by owner and
fence together, never by a clock of its own: a worker that slept through its lease finds that
heartbeat, hold and settle refuse it. All times are the database's, `lb.now()`.

Rows with a key are locked in the order (environment, tenant, kind, key), so that workers who put
and settle the same keys never wait for each other in a circle; claim and heartbeat never wait.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol

import msgspec

from landbridge import ids
from landbridge.errors import InvalidInput, LandbridgeError
from landbridge.store import due_sql
from landbridge.store.database import Database, Row, Tx
from landbridge.store.lookout import Lookout
from landbridge.store.schedule import check_repeat, next_time

LANES = (
    "deliver",
    "retry",
    "slow",
    "replay",
    "receive",
    "pull",
    "push",
    "consume",
    "inbox",
    "system",
)
"""Each lane has workers of its own: a crowd in one does not hold up another."""

AT_ONCE = timedelta()
_COUNTED = 10_000


class LeaseLost(LandbridgeError):
    """Somebody else holds this row now, or it was cancelled: undo the work, settle nothing."""


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """Work to put. Due `at` a moment, else `after` a delay from now.

    Jobs of one (environment, tenant, kind, key) are one row; without a key every put is a row.
    `ref` is what the work is about and `target` where it goes, both ids. `repeat` is `every 300s`
    or a cron line in UTC; such a row stays, and is due again after each settle.
    """

    environment: str
    tenant: str
    lane: str
    kind: str
    ref: str | None = None
    target: str | None = None
    key: str | None = None
    args: dict[str, Any] | None = None
    at: datetime | None = None
    after: timedelta = AT_ONCE
    repeat: str | None = None

    def __post_init__(self) -> None:
        if self.lane not in LANES:
            raise InvalidInput(f"lane: {self.lane!r} is none of {', '.join(LANES)}")
        if self.at is not None and self.at.tzinfo is None:
            raise InvalidInput("at: a moment without a zone; use datetime.now(UTC) or the like")
        if self.repeat is not None:
            if self.key is None:
                raise InvalidInput("repeat: a repeating job needs a key, else each put adds a row")
            check_repeat(self.repeat)


class Claimed(msgspec.Struct, frozen=True, kw_only=True):
    """A row that its owner may work on until `due_at`, or longer by heartbeats."""

    id: str
    environment: str
    tenant: str
    lane: str
    kind: str
    ref: str | None
    target: str | None
    key: str | None
    args: dict[str, Any]
    repeat: str | None
    attempt: int
    fence: int
    created_at: datetime
    claimed_at: datetime
    due_at: datetime


class Leased(Protocol):
    """A claim of whatever form: which row, and the fence that it was given."""

    @property
    def id(self) -> str: ...  # noqa: D102 - as in Claimed
    @property
    def environment(self) -> str: ...  # noqa: D102
    @property
    def tenant(self) -> str: ...  # noqa: D102
    @property
    def fence(self) -> int: ...  # noqa: D102


class Again(msgspec.Struct, frozen=True, kw_only=True):
    """A claim to run again: `at` a moment, else `after` a delay, as this attempt, in this lane."""

    claim: Claimed
    attempt: int
    at: datetime | None = None
    after: timedelta = AT_ONCE
    error: str | None = None
    lane: str | None = None


class Depth(msgspec.Struct, frozen=True, kw_only=True):
    """How far a lane is behind: rows due by now that nobody holds, and since when the oldest is.

    `count` is exact up to 10,000 rows in each of the 64 shards and never above that; `oldest` is
    None when nothing is due.
    """

    lane: str
    count: int
    oldest: datetime | None


async def put(tx: Tx | Database, jobs: Sequence[Job]) -> list[str]:
    """The jobs' row ids, in the jobs' order; the rows exist once `tx` commits.

    A job whose key is there already coalesces with it: a waiting row becomes due at the earlier
    of both times, a leased one runs once more after its settle (early rather than never), and
    lane, args and repeat are the newer ones. Such a row stays locked until `tx` ends: keep that
    transaction short. Adds to `tx.wakes`; whoever commits wakes the workers (`Database.notify`).
    """
    if not jobs:
        return []
    fresh = [ids.new("due") for _ in jobs]
    encode = msgspec.json.encode
    if isinstance(tx, Tx):
        tx.wakes.add("")
    rows = await tx.fetch(
        due_sql.PUT,
        ids=fresh,
        environments=[job.environment for job in jobs],
        tenants=[job.tenant for job in jobs],
        lanes=[job.lane for job in jobs],
        kinds=[job.kind for job in jobs],
        refs=[job.ref for job in jobs],
        targets=[job.target for job in jobs],
        keys=[job.key for job in jobs],
        args=[None if job.args is None else encode(job.args).decode() for job in jobs],
        ats=[job.at for job in jobs],
        afters=[job.after for job in jobs],
        repeats=[job.repeat for job in jobs],
    )
    keyed = {(row[1], row[2], row[3], row[4]): row[0] for row in rows if row[4] is not None}
    return [
        own if job.key is None else keyed[job.environment, job.tenant, job.kind, job.key]
        for own, job in zip(fresh, jobs, strict=True)
    ]


async def claim(
    db: Tx | Database,
    *,
    owner: str,
    lanes: Sequence[str],
    limit: int,
    per_shard: int,
    lease: timedelta,
    start: int | None = None,
    lookout: Lookout | None = None,
) -> list[Claimed]:
    """Up to `limit` due rows, leased to `owner` for `lease`, oldest ids first; [] if none is due.

    Lanes are served in the order given. Within a lane every shard (a 64th of the tenants) gives at
    most `per_shard` rows, beginning at a random one (`start`, for tests), so that a tenant with a
    million rows does not keep the others waiting; what is then still free goes to whoever has more.
    Who claims again and again keeps a `lookout`.
    """
    if limit <= 0:
        return []
    rows = await (lookout or Lookout()).claim(
        db,
        due_sql.CLAIM,
        owner=owner,
        lanes=lanes,
        limit=limit,
        per_shard=min(per_shard, limit),
        lease=lease,
        start=os.urandom(1)[0] & 63 if start is None else start,
    )
    return [_claimed(row) for row in rows]


async def take(
    db: Tx | Database,
    *,
    owner: str,
    environment: str,
    tenant: str,
    kind: str,
    key: str,
    lease: timedelta,
) -> Claimed | None:
    """The row of this key, leased to `owner` before its time; None while another holds it."""
    row = await db.row(
        due_sql.TAKE,
        owner=owner,
        environment=environment,
        tenant=tenant,
        kind=kind,
        key=key,
        lease=lease,
    )
    return None if row is None else _claimed(row)


async def take_ref(
    db: Tx | Database,
    *,
    owner: str,
    environment: str,
    tenant: str,
    kind: str,
    ref: str,
    lease: timedelta,
) -> Claimed | None:
    """The row that is about this id, leased to `owner` before its time; None while another holds
    it, or when there is none."""
    row = await db.row(
        due_sql.TAKE_REF,
        owner=owner,
        environment=environment,
        tenant=tenant,
        kind=kind,
        ref=ref,
        lease=lease,
    )
    return _claimed(row) if row else None


async def ready(
    db: Tx | Database, lanes: Sequence[str], lookout: Lookout | None = None
) -> set[str]:
    """Those of the lanes in which a claim would find something."""
    rows = await (lookout or Lookout()).ready(db, due_sql.READY, lanes=lanes)
    return {row[0] for row in rows}


async def heartbeat(
    db: Tx | Database, owner: str, claims: Sequence[Leased], lease: timedelta
) -> set[str]:
    """The ids that `owner` still holds, their leases now ending `lease` from now.

    A row that is missing in the answer was taken by another worker or cancelled. One that is
    locked at the moment (by `hold`, or by a put that wakes it) is left as it is and counts as
    held: nobody can take it while it is locked.
    """
    if not claims:
        return set()
    rows = await db.fetch(
        due_sql.HEARTBEAT,
        ids=[claim.id for claim in claims],
        environments=[claim.environment for claim in claims],
        tenants=[claim.tenant for claim in claims],
        fences=[claim.fence for claim in claims],
        owner=owner,
        lease=lease,
    )
    return {row[0] for row in rows}


async def hold(tx: Tx, owner: str, claim: Claimed) -> None:
    """Locks the row until `tx` ends, so that what `tx` writes is written by its only holder.

    LeaseLost if another worker claimed the row meanwhile or it was cancelled.
    """
    row = await tx.row(
        due_sql.HOLD,
        id=claim.id,
        environment=claim.environment,
        tenant=claim.tenant,
        owner=owner,
        fence=claim.fence,
    )
    if row is None:
        raise LeaseLost(
            f"{claim.kind} {claim.id}: the lease ran out and another worker has it, or it was"
            " cancelled; nothing was written"
        )


async def settle(
    db: Tx | Database,
    owner: str,
    done: Sequence[Claimed] = (),
    again: Sequence[Again] = (),
) -> set[str]:
    """The ids that were settled; one that `owner` no longer holds is refused and not among them.

    `done` rows go, or wait for their next time if they repeat. A row that was put again while it
    was leased is due at once, whatever its settle says. A claim twice in one call is a TypeError.
    """
    words = [*map(_after_done, done), *((each, False) for each in again)]
    if not words:
        return set()
    if len({each.claim.id for each, _ in words}) != len(words):
        raise TypeError("settle: one claim is there twice; each has one outcome")
    words.sort(key=_lock_order)
    rows = await db.fetch(
        due_sql.SETTLE,
        ids=[each.claim.id for each, _ in words],
        environments=[each.claim.environment for each, _ in words],
        tenants=[each.claim.tenant for each, _ in words],
        fences=[each.claim.fence for each, _ in words],
        ends=[ends for _, ends in words],
        ats=[each.at for each, _ in words],
        afters=[each.after for each, _ in words],
        attempts=[each.attempt for each, _ in words],
        errors=[each.error for each, _ in words],
        lanes=[each.lane for each, _ in words],
        owner=owner,
    )
    return {row[0] for row in rows}


async def cancel(
    tx: Tx | Database,
    *,
    environment: str,
    tenant: str,
    ids: Sequence[str] = (),
    ref: str | None = None,
    kind: str | None = None,
    key: str | None = None,
) -> int:
    """How many of the tenant's rows were removed: those with these ids, this ref, or this key.

    Leased ones go too: their holders' hold and settle are refused from then on.
    """
    if not ids and ref is None and (kind is None or key is None):
        raise TypeError("cancel: say which rows: ids, ref, or kind and key")
    return await tx.run(
        due_sql.CANCEL, environment=environment, tenant=tenant, ids=ids, ref=ref, kind=kind, key=key
    )


async def depth(db: Tx | Database) -> dict[str, Depth]:
    """How far each lane is behind, for every lane; bounded work however long the backlog is."""
    rows = await db.fetch(due_sql.DEPTH, lanes=LANES, cap=_COUNTED)
    return {row[0]: Depth(lane=row[0], count=row[1], oldest=row[2]) for row in rows}


def _after_done(claim: Claimed) -> tuple[Again, bool]:
    if claim.repeat is None:
        return Again(claim=claim, attempt=0), True
    return Again(claim=claim, attempt=0, at=next_time(claim.repeat, claim.claimed_at)), False


def _lock_order(word: tuple[Again, bool]) -> tuple[str, str, str, str, str]:
    claim = word[0].claim
    return claim.environment, claim.tenant, claim.kind, claim.key or "", claim.id


def _claimed(row: Row) -> Claimed:
    args = row["args"]
    return Claimed(
        id=row["id"],
        environment=row["environment"],
        tenant=row["tenant"],
        lane=row["lane"],
        kind=row["kind"],
        ref=row["ref"],
        target=row["target"],
        key=row["key"],
        args={} if args is None else msgspec.json.decode(args),
        repeat=row["repeat"],
        attempt=row["attempt"],
        fence=row["fence"],
        created_at=row["created_at"],
        claimed_at=row["claimed_at"],
        due_at=row["due_at"],
    )

"""Replays: orders to deliver past events to an endpoint again, and how far each has come.

Events are read in the order of their numbers, which are given after the commit: what is read up to
`until`, the last number when the replay was ordered, is the same whenever it is read. Each part
puts deliveries into `due` in the transaction that moves the cursor, so no event is left out or
taken twice. A delivery that is under way (a due row, or a place in a line) stays as it is; one that
has ended begins anew and its attempts are numbered on. The `key` of a replay's due rows is its id
and the event's, so that they are found, counted and cancelled by it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

import msgspec

from landbridge import ids
from landbridge.store import replays_sql
from landbridge.store.database import Database, Row, Tx

State = Literal["planned", "running", "paused", "done", "cancelled"]
Which = Literal["all", "failed", "missed", "undelivered"]
WHICH: tuple[Which, ...] = ("all", "failed", "missed", "undelivered")

KIND = "replay"
"""The kind of the due row that a replay runs by."""


class Selection(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which events: of these types, emitted in [since, until), and with which past.

    `failed`: the last delivery to this endpoint was given up; `missed`: there never was one;
    `undelivered`: one of these two; `all`: whatever became of it. `every` leaves the endpoint's own
    types and filter aside.
    """

    types: tuple[str, ...] = ("*",)
    since: datetime | None = None
    until: datetime | None = None
    state: Which = "all"
    events: tuple[str, ...] | None = None
    every: bool = False


@dataclass(frozen=True, kw_only=True)
class Replay:
    """A replay. `total` is how many deliveries it comes to, or more than that if not `exact`.

    `done` of them were handed over (or were under way already), `waiting` are not through yet. A
    planned one is the answer to a dry run: it has no id and nothing happens.
    """

    environment: str
    tenant: str
    id: str
    endpoint: str
    selection: Selection
    state: State
    reason: str
    rate: float
    total: int
    exact: bool
    done: int
    waiting: int
    speed: float
    """Deliveries handed over a second, since it began or went on; 0 while that is not known."""
    created_at: datetime | None
    ended_at: datetime | None

    @property
    def time_to_go(self) -> timedelta | None:
        """About how long it still takes; None when it does not run or that cannot be said."""
        if self.state != "running" or not self.exact or self.speed <= 0:
            return None
        return timedelta(seconds=round(max(self.total - self.done, 0) / self.speed))


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a running replay is, locked until the transaction ends. Times are the database's."""

    endpoint: str
    selection: Selection
    rate: float
    cursor: int
    until: int
    paced_until: datetime
    now: datetime
    waiting: int
    enabled: bool | None
    """Whether the endpoint is; None: it was deleted."""
    why_disabled: str


@dataclass(frozen=True, kw_only=True)
class Part:
    """What one look at the feed of events found.

    `looked` events up to the number `last` were looked at, `matched` of them are to be delivered;
    `put` are the deliveries that began with it, the others were under way.
    """

    looked: int
    matched: int
    last: int
    put: Sequence[str]


async def latest_event(db: Database, *, environment: str, tenant: str) -> int:
    """The number of the tenant's latest event, 0 without any."""
    number: int | None = await db.value(replays_sql.LATEST, environment=environment, tenant=tenant)
    return number or 0


async def count(
    db: Database | Tx, selection: Selection, *, look: int, most: int, **place: Any
) -> Part:
    """How many of the next `look` events match. `place`: environment, tenant, endpoint, the
    numbers `after` and `until`."""
    row = await db.row(replays_sql.COUNT, look=look, most=most, **_binds(selection), **place)
    assert row is not None
    return Part(looked=row["looked"], matched=row["matched"], last=row["last"] or 0, put=())


async def put(
    tx: Tx,
    selection: Selection,
    *,
    replay: str,
    start: datetime,
    rate: float,
    look: int,
    most: int,
    **place: Any,
) -> Part:
    """Puts up to `most` deliveries of the next `look` events, the first due at `start` and the
    others behind it at `rate` a second. `place` is as in `count`."""
    binds = _binds(selection)
    row = await tx.row(
        replays_sql.PUT,
        replay=replay,
        start=start,
        rate=rate,
        look=look,
        most=most,
        **binds,
        **place,
    )
    assert row is not None
    if row["put"]:
        await tx.run(
            replays_sql.NUMBER,
            ids=row["put"],
            tried=binds["tried"],
            environment=place["environment"],
            tenant=place["tenant"],
        )
        tx.wakes.add("")
    return Part(looked=row["looked"], matched=row["matched"], last=row["last"] or 0, put=row["put"])


async def add(
    tx: Tx,
    *,
    environment: str,
    tenant: str,
    id: str,
    endpoint: str,
    selection: Selection,
    rate: float,
    until: int,
    total: int,
    exact: bool,
) -> None:
    """Stores a new replay, running."""
    await tx.run(
        replays_sql.ADD,
        environment=environment,
        tenant=tenant,
        id=id,
        endpoint=endpoint,
        selection=msgspec.json.encode(selection).decode(),
        rate=rate,
        until=until,
        total=total,
        exact=exact,
    )


async def place(tx: Tx, *, environment: str, tenant: str, id: str, most: int) -> Place | None:
    """Where a running replay is, its waiting deliveries counted up to `most`; None: it does not
    run, or is no more."""
    row = await tx.row(replays_sql.PLACE, environment=environment, tenant=tenant, id=id, most=most)
    if row is None:
        return None
    values = dict(row)
    values["selection"] = msgspec.json.decode(values["selection"], type=Selection)
    values["why_disabled"] = values["why_disabled"] or ""
    return Place(**values)


async def move(
    tx: Tx,
    *,
    environment: str,
    tenant: str,
    id: str,
    cursor: int,
    done: int,
    paced_until: datetime,
) -> None:
    """Moves a replay on, in the transaction that put its deliveries."""
    await tx.run(
        replays_sql.MOVE,
        environment=environment,
        tenant=tenant,
        id=id,
        cursor=cursor,
        done=done,
        paced_until=paced_until,
    )


async def set_state(
    tx: Tx,
    *,
    environment: str,
    tenant: str,
    id: str,
    state: State,
    of: Sequence[State],
    reason: str = "",
) -> bool:
    """Whether the replay was in one of the states `of` and is in the new one now."""
    changed = await tx.run(
        replays_sql.SET_STATE,
        environment=environment,
        tenant=tenant,
        id=id,
        state=state,
        states=list(of),
        reason=reason,
    )
    return changed == 1


async def take_back(tx: Tx, *, environment: str, tenant: str, id: str) -> int:
    """How many deliveries of a replay were taken back: those that were not tried yet."""
    return await tx.run(replays_sql.TAKE_BACK, environment=environment, tenant=tenant, id=id)


async def by_id(db: Database | Tx, *, environment: str, id: str) -> Replay | None:
    """The replay with this id, whichever tenant it has."""
    row = await db.row(replays_sql.BY_ID, environment=environment, id=id)
    return None if row is None else _replay(row)


async def every(
    db: Database | Tx,
    *,
    environment: str,
    tenant: str | None = None,
    endpoint: str | None = None,
    most: int = 100,
) -> list[Replay]:
    """Replays, newest first; of one tenant or endpoint if it is named."""
    rows = await db.fetch(
        replays_sql.LIST, environment=environment, tenant=tenant, endpoint=endpoint, most=most
    )
    return [_replay(row) for row in rows]


async def forget(db: Database, *, keep: timedelta, limit: int) -> int:
    """How many replays that ended longer ago than `keep` were forgotten, `limit` at most."""
    return await db.run(replays_sql.FORGET, keep=keep, most=limit)


def _binds(selection: Selection) -> dict[str, Any]:
    """What `WANTED` needs of a selection. An attempt is no older than its event, but for clocks
    that are a day apart at most."""
    event, attempt = ids.PREFIXES["event"], ids.PREFIXES["attempt"]
    since, until = selection.since, selection.until
    first = f"{event}_" if since is None else ids.bound(event, since)
    last = f"{event}_~" if until is None else ids.bound(event, until)
    if selection.events:
        first, last = max(first, min(selection.events)), min(last, f"{max(selection.events)}~")
        since = ids.made_at(min(selection.events))
    return {
        "first": first,
        "last": last,
        "tried": f"{attempt}_" if since is None else ids.bound(attempt, since - timedelta(days=1)),
        "events": None if selection.events is None else list(selection.events),
        "types": list(selection.types),
        "which": selection.state,
        "every": selection.every,
    }


def _replay(row: Row) -> Replay:
    values = dict(row)
    values["selection"] = msgspec.json.decode(values["selection"], type=Selection)
    return Replay(**values)

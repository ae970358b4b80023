"""Ends all connections of a provider, as after a breach: paced, resumable, a report per grant.

Each grant is revoked at the provider before its tokens are forgotten. Where the provider does not
do it (it is down, it refuses), the tokens stay sealed here and the connection is paused, so that a
later call can revoke them: a token that is forgotten unrevoked is one that a thief may keep.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime

from landbridge.engine.disconnect import disconnect, pause
from landbridge.engine.withdraw import Withdrawn
from landbridge.store import connections, drills
from landbridge.store.connections import Connection
from landbridge.store.database import Database
from landbridge.store.drills import Drill

_BATCH = 200
_OUTCOMES = {
    "revoked": "revoked",
    "unknown_token": "revoked",
    "forgotten": "revoked",
    "no_way": "unsupported",
    "failed": "failed",
}

Withdraw = Callable[[Connection], Awaitable[Withdrawn]]
Progress = Callable[[int, int], object]
"""Told how many connections are through, and how many there were."""


@dataclass(frozen=True, kw_only=True)
class Told:
    """What became of one grant: revoked, failed (its tokens are kept for another try), or
    unsupported (the provider has no way to do it; our copy is forgotten)."""

    tenant: str
    access_grant: str
    outcome: str
    reason: str
    at: datetime


@dataclass(frozen=True, kw_only=True)
class Revoked:
    """What a drill came to. `resumed`: it went on with one that was left half done."""

    drill: str
    resumed: bool
    connections: int
    """Those that this call ended or paused."""
    grants: list[Told] = field(repr=False)
    """Of the whole drill, those of an earlier call included."""

    @property
    def counts(self) -> dict[str, int]:
        """How many grants were revoked, failed, unsupported."""
        found = Counter(each.outcome for each in self.grants)
        return {outcome: found[outcome] for outcome in ("revoked", "failed", "unsupported")}


async def revoke_all(
    db: Database,
    withdraw: Withdraw,
    *,
    environment: str,
    provider: str,
    rate: float = 10.0,
    progress: Progress = lambda _done, _total: None,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> Revoked:
    """Ends every connection of a provider in an environment, at most `rate` a second.

    A second call goes on where the first was killed; after one that came to its end it tries those
    again that failed. Of several connections behind one grant the last one has it revoked.
    """
    args = {"provider": provider}
    drill, resumed = await drills.begin(db, environment=environment, kind="revoke", args=args)
    whose = {"environment": environment, "provider": provider}
    total = await connections.count_of_provider(db, **whose, after=drill.cursor)
    counts: Counter[str] = Counter(drill.counts)
    after, done = drill.cursor, 0
    while found := await connections.of_provider(db, **whose, after=after, most=_BATCH):
        for connection in found:
            counts[await _end(db, drill, withdraw, connection)] += 1
            after, done = connection.id, done + 1
            await drills.note(db, drill, cursor=after, counts=counts)
            progress(done, total)
            await sleep(1 / rate)
    await drills.end(db, drill, counts=counts)
    grants = [Told(**dict(row)) for row in await drills.report(db, drill)]
    return Revoked(drill=drill.id, resumed=resumed, connections=done, grants=grants)


async def _end(db: Database, drill: Drill, withdraw: Withdraw, connection: Connection) -> str:
    """Ends one connection; what became of its grant, or `kept` while others live by it."""
    told = await withdraw(connection)
    outcome = _OUTCOMES.get(told.state, "")
    if outcome:
        await drills.put_grant(
            db,
            drill,
            tenant=connection.tenant,
            access_grant=connection.access_grant,
            outcome=outcome,
            reason=told.detail,
        )
    if outcome == "failed":
        await pause(db, connection, "its revocation failed; see the report of the drill")
    else:
        await disconnect(db, connection)
    return outcome or "kept"

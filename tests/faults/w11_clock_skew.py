"""W11: workers whose clocks are ten minutes off, and receivers at the edge of the time window."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
import standardwebhooks

from landbridge.client.guard import Guard
from landbridge.engine.endpoints import Endpoints
from landbridge.errors import TooOld
from landbridge.signing.standard import sign, verify
from landbridge.store import outbox
from landbridge.store.database import Database
from landbridge.testing.running import in_thread
from landbridge.vault import LocalKey, Vault, new_key
from landbridge.wire import Headers
from tests.faults.emitting import emit_many
from tests.faults.senders import SENDERS
from tests.faults.serving import database
from tests.faults.sinking import Sink
from tests.faults.skewing import CONTROL, LEASE, clocks, start
from tests.rows import RowResult, Trial, row

_SKEWS = {600: "lean", -600: "aiohttp", 0: "lean"}
"""Seconds by which a worker's clock is wrong, and what it delivers by."""

_LATER = "interval '1 s'"
_SECRET = "whsec_" + "a" * 43 + "="


class Verifying(Sink):
    """Verifies with the public library, whose clock is right; at `/slow` it takes longer to answer
    than a lease lasts."""

    def __init__(self) -> None:
        super().__init__()
        self.refused = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        if scope["path"] == "/slow":
            await asyncio.sleep(1.5 * LEASE.total_seconds())
        if not _taken(lambda: standardwebhooks.Webhook(_SECRET).verify(body, headers)):
            self.refused += 1
            await send({"type": "http.response.start", "status": 401, "headers": []})
            await send({"type": "http.response.body", "body": b""})
            return

        async def nothing() -> dict[str, Any]:
            return {"type": "http.request", "body": b"", "more_body": False}

        await super().__call__(scope, nothing, send)


@row(
    "W11",
    title="clock skew of ten minutes in workers; receiver at 299 and 301 s",
    goal="0 early, 0 twice, 0 lost, 0 refused by who verifies; 299 s taken, 301 s refused by both"
    " verifiers",
)
async def clock_skew(trial: Trial) -> RowResult:
    """Three processes deliver together, with clocks ten minutes ahead, behind and right, by either
    sender, to a receiver that verifies; all are due in a moment, and half take longer than a lease.
    Then those with wrong clocks are killed over their work. The control writes the ends of leases
    by its own clock."""
    events = trial.size.pick(small=60, medium=2_000)
    with clocks() as library:
        async with database() as url:
            found = await _delivered(url, events, library, trial)
            control = {skew: await _control(url, library, skew) for skew in ((0, 0), (0, -600))}
    edges = _edges()
    wrong = [name for name, right in edges.items() if not right]
    calm, skewed = control[0, 0], control[0, -600]
    told = "" if library else "; clocks were not moved: there is no C compiler"
    return RowResult(
        value=f"{events} deliveries by {' and '.join(SENDERS)}: {found['early']} early,"
        f" {found['twice']} twice, {found['lost']} lost, {found['refused']} refused;"
        f" {len(edges) - len(wrong)} of {len(edges)} edges exact"
        f" (control: {skewed} twice){told}",
        holds=not any(found[each] for each in ("early", "twice", "lost", "refused"))
        and not (wrong or calm)
        and (skewed > 0 or library is None),
        detail={"tried": events, "wrong_edges": wrong, "control_twice": skewed, **found},
    )


async def _delivered(url: str, events: int, library: Path | None, trial: Trial) -> dict[str, int]:
    key, sink = new_key(), Verifying()
    db = await Database.open(url, budget=3)
    admin = await asyncpg.connect(url)
    endpoints = Endpoints(db, Vault(db, LocalKey.from_text(key)), Guard(["127.0.0.0/8"]))
    with in_thread(sink) as address:
        for tenant, path in (("quick", "/"), ("slow", "/slow")):
            await endpoints.create(
                environment="test", tenant=tenant, url=f"{address}{path}", secret=_SECRET
            )
        async with _workers(url, key, library) as skewed:
            first = await _promise(db, admin, events // 2)
            await _drained(admin, "landbridge.due WHERE kind = 'deliver'")
            twice = sum(count - 1 for count in sink.times.values())
            trial.step(1, 2)
            second = await _promise(db, admin, events - events // 2)
            await asyncio.sleep(1.3)
            for each in skewed:
                each.kill()
            await _drained(admin, "landbridge.due WHERE kind = 'deliver'")
    promised = first + second
    early = await admin.fetchval(
        "SELECT count(*) FROM landbridge.attempt AS a JOIN promised AS p ON p.id = a.delivery"
        " WHERE a.created_at < p.due_at"
    )
    delivered = await admin.fetchval(
        "SELECT count(DISTINCT delivery) FROM landbridge.attempt WHERE outcome = 'delivered'"
    )
    await admin.close()
    await db.close()
    return {
        "early": early,
        "twice": twice,
        "lost": len(promised) - delivered,
        "refused": sink.refused,
        "again_after_kills": sum(count - 1 for count in sink.times.values()) - twice,
    }


async def _promise(db: Database, admin: asyncpg.Connection, events: int) -> list[str]:
    """Events whose deliveries are due in a moment, by the database's clock; their ids."""
    made = await emit_many(admin, events // 2, tenant="quick")
    made += await emit_many(admin, events - events // 2, tenant="slow")
    async with db.transaction() as tx:
        await tx.execute("CREATE TABLE IF NOT EXISTS promised (id text, due_at timestamptz)")
        moved = await outbox.move(tx, limit=events)
        assert moved.deliveries == events
        await tx.execute(
            f"UPDATE landbridge.due SET due_at = landbridge.now() + {_LATER} WHERE kind = 'deliver'"
        )
        await tx.execute(
            "INSERT INTO promised SELECT id, due_at FROM landbridge.due WHERE kind = 'deliver'"
        )
    return made


@asynccontextmanager
async def _workers(
    url: str, key: str, library: Path | None
) -> AsyncIterator[list[asyncio.subprocess.Process]]:
    """Three that deliver; gives the two whose clocks are wrong."""
    every = await asyncio.gather(
        *(
            start("deliver", url, key, sender, library=library, skew=seconds)
            for seconds, sender in _SKEWS.items()
        )
    )
    try:
        yield [each for each, skew in zip(every, _SKEWS, strict=True) if skew]
    finally:
        for each in every:
            if each.returncode is None:
                each.kill()
            await each.wait()


async def _drained(admin: asyncpg.Connection, table: str) -> None:
    """Returns when the table is empty."""
    async with asyncio.timeout(60):
        left = True
        while left:
            await asyncio.sleep(0.05)
            left = await admin.fetchval(f"SELECT EXISTS (SELECT FROM {table})")


async def _control(url: str, library: Path | None, skews: tuple[int, int]) -> int:
    """Jobs that were done twice by two workers with these clocks."""
    admin = await asyncpg.connect(url)
    await admin.execute(f"DROP TABLE IF EXISTS leased, effect; {CONTROL}")
    both = await asyncio.gather(
        *(start("control", url, library=library, skew=each) for each in skews)
    )
    await admin.execute(
        "INSERT INTO leased SELECT n, now() - interval '1 h' FROM generate_series(1, 6) AS n"
    )
    await _drained(admin, "leased")
    for each in both:
        each.kill()
        await each.wait()
    twice: int = await admin.fetchval("SELECT count(*) - count(DISTINCT id) FROM effect")
    await admin.close()
    return twice


def _edges() -> dict[str, bool]:
    """Whether the verifiers take what is 299 s old, or early, and refuse what is 301 s off."""
    body = b'{"hello": "world"}'
    library = standardwebhooks.Webhook(_SECRET)
    found = {}
    for seconds in (-301, -300, -299, 0, 299, 300, 301):
        whole = datetime(2026, 11, 24, 12, tzinfo=UTC)
        headers = sign(_SECRET, "msg_1", whole - timedelta(seconds=seconds), body)
        found[f"ours at {seconds} s"] = _taken_by_ours(headers, body, whole) == (
            abs(seconds) <= 300
        )
        if abs(seconds) == 300:
            continue  # the library reads the clock itself, which is past the whole second
        at = datetime.now(UTC).replace(microsecond=0) - timedelta(seconds=seconds)
        headers = sign(_SECRET, "msg_1", at, body)
        found[f"standardwebhooks at {seconds} s"] = _taken(
            partial(library.verify, body, headers)
        ) == (abs(seconds) < 300)
    return found


def _taken_by_ours(headers: dict[str, str], body: bytes, now: datetime) -> bool:
    return _taken(lambda: verify([_SECRET], Headers(headers), body, now))


def _taken(check: Callable[[], object]) -> bool:
    try:
        check()
    except (TooOld, standardwebhooks.WebhookVerificationError):
        return False
    return True

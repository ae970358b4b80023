"""W18: replays and redeliveries by hand while retries of the same deliveries fall due."""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from collections.abc import Coroutine, Iterable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random

from structlog.testing import capture_logs

from landbridge.engine.courier import Courier
from landbridge.engine.deliver import Deliveries
from landbridge.engine.replaying import Replaying
from landbridge.engine.replays import Replays
from landbridge.jobs import Worker, new_owner
from landbridge.store import deliveries
from landbridge.store.database import Database
from landbridge.vault import LocalKey, Vault, new_key
from tests.engine.outbound import LOCAL, Office
from tests.faults.senders import posting, share
from tests.rows import RowResult, Trial, row
from tests.store.databases import fresh_database, migrated_template, shared_server
from tests.store.pgbouncer import pgbouncer

_LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
_POLL = timedelta(milliseconds=20)
_REFUSED = b"HTTP/1.1 503 X\r\ncontent-length: 0\r\n\r\n"
_TAKEN = b"HTTP/1.1 200 X\r\ncontent-length: 0\r\n\r\n"

_NAIVE = """
    INSERT INTO landbridge.due (environment, tenant, id, lane, kind, shard, due_at, ref, target)
    SELECT environment, tenant, 'dlv_' || substr(md5(random()::text), 1, 26), 'replay', 'deliver',
        shard, landbridge.now(), ref, target
    FROM landbridge.due WHERE kind = 'deliver' AND ref = ANY ($1)
"""
"""The control: what is to be sent again is queued again."""


@dataclass
class _Receiver:
    """Refuses each message at first, takes its time, and counts how many of one id are there."""

    now: Counter[str] = field(default_factory=Counter)
    most: Counter[str] = field(default_factory=Counter)
    posts: Counter[str] = field(default_factory=Counter)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                fields = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if line)
                await reader.readexactly(int(fields["content-length"]))
                await self._take(fields["webhook-id"], writer)

    async def _take(self, message: str, writer: asyncio.StreamWriter) -> None:
        self.posts[message] += 1
        refused = self.posts[message] <= 2
        self.now[message] += 1
        self.most[message] = max(self.most[message], self.now[message])
        await asyncio.sleep(0.03)
        self.now[message] -= 1
        writer.write(_REFUSED if refused else _TAKEN)
        await writer.drain()


@row(
    "W18",
    title="manual replay races a scheduled retry",
    goal="one delivery in flight at a time; 0 lost; no attempt number twice",
)
async def replay_races_retry(trial: Trial) -> RowResult:
    """Retries fall due within a tenth of a second, while replays of everything and redeliveries of
    anything are ordered over and over; by either sender, and the second one's database is behind
    PgBouncer. The control queues what is to be sent again once more."""
    rounds = trial.size.pick(small=16, medium=400)
    by: dict[str, Counter[str]] = {}
    with capture_logs(), shared_server(secrets.token_hex(4)) as server:  # its line is its report
        for place, (name, number) in enumerate(share(rounds).items()):
            by[name] = await _race(
                trial, server.dsn, number, naive=False, sender=name, pooler=place > 0
            )
        control = await _race(trial, server.dsn, 5, naive=True)
    found = sum(by.values(), Counter[str]())
    return RowResult(
        value=", ".join(f"{each['messages']} messages by {name}" for name, each in by.items())
        + f", {found['posts']} posts, {found['orders']} orders:"
        f" {found['together']} together, {found['lost']} lost, {found['twice']} numbers twice;"
        f" control: {control['together']} together",
        holds=not (found["together"] or found["lost"] or found["twice"])
        and all(each["posts"] > 3 * each["messages"] for each in by.values())
        and control["together"] > 0,
        detail={
            "tried": found["messages"],
            "lost": found["lost"],
            "duplicated": found["together"],
            "control": control["together"],
        },
    )


async def _race(
    trial: Trial,
    server: str,
    rounds: int,
    *,
    naive: bool,
    sender: str = "aiohttp",
    pooler: bool = False,
) -> Counter[str]:
    receiver = _Receiver()
    async with AsyncExitStack() as stack:
        direct = stack.enter_context(fresh_database(server, migrated_template(server)))
        url = stack.enter_context(pgbouncer(direct)) if pooler else direct
        db = await Database.open(url, direct_url=direct, budget=8, pgbouncer=pooler)
        stack.push_async_callback(db.close)
        posts = await stack.enter_async_context(posting(sender, LOCAL))
        office = Office(db=db, vault=Vault(db, LocalKey.from_text(new_key())), sender=posts)
        port = await asyncio.start_server(receiver.serve, "127.0.0.1", 0)
        stack.callback(port.close)
        made = await office.endpoint(f"http://127.0.0.1:{port.sockets[0].getsockname()[1]}/hook")
        await _hurry(db)
        stop = asyncio.Event()
        working = [asyncio.create_task(each) for each in _workers(db, office, stop)]
        orders = 0
        messages: list[str] = []
        for number in range(rounds):
            messages += [await office.emit({"number": number}) for _ in range(2)]
            orders += await _order(db, made.endpoint.id, messages[-20:], trial.random, naive=naive)
            trial.step(number + 1, rounds)
        await _drained(db)
        stop.set()
        await asyncio.gather(*working)
        counts = await _reckon(db)
    return counts + Counter(
        messages=len(messages),
        posts=sum(receiver.posts.values()),
        orders=orders,
        together=sum(most - 1 for most in receiver.most.values()),
        lost=sum(receiver.posts[each] < 3 for each in messages),
    )


async def _hurry(db: Database) -> None:
    async with db.transaction() as tx:
        await tx.execute(
            "UPDATE landbridge.endpoint SET schedule = array_fill(interval '50 ms', ARRAY[12])"
        )


def _workers(
    db: Database, office: Office, stop: asyncio.Event
) -> Iterable[Coroutine[None, None, None]]:
    """Two that deliver and one that replays."""
    kind = Replaying(db).kind()
    couriers = [
        Courier(db, new_owner(), Deliveries(db, office.vault, office.sender), poll=_POLL)
        for _ in range(2)
    ]
    replayer = Worker(db, new_owner(), {kind.name: kind}, {"system": 4}, poll=_POLL)
    return [replayer.run(stop), *(each.run(stop) for each in couriers)]


async def _order(
    db: Database, endpoint: str, messages: list[str], rng: Random, *, naive: bool
) -> int:
    """Has everything sent again, in every way; how many orders that were."""
    await asyncio.sleep(rng.uniform(0, 0.06))
    if naive:
        async with db.transaction() as tx:
            await tx.execute(_NAIVE, messages)
        return 1
    await Replays(db, environment="test").create(endpoint=endpoint, events=messages, rate=10_000)
    known = await deliveries.every(db, environment="test", since=_LONG_AGO, most=10)
    for each in known:
        async with db.transaction() as tx:
            await deliveries.redeliver(tx, environment="test", tenant="acme", id=each.id)
    await db.notify()
    return 1 + len(known)


async def _drained(db: Database) -> None:
    left = 1
    while left:
        await asyncio.sleep(0.05)
        async with db.transaction() as tx:
            ((left,),) = await tx.execute(
                "SELECT count(*) FROM landbridge.due WHERE kind IN ('deliver', 'replay')"
            )


async def _reckon(db: Database) -> Counter[str]:
    async with db.transaction() as tx:
        ((twice,),) = await tx.execute(
            "SELECT count(*) - count(DISTINCT (delivery, number)) FROM landbridge.attempt"
        )
    return Counter(twice=twice)

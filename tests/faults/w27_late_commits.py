"""W27: transactions that wrote early commit late, under a consumer that reads by number."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from random import Random

import asyncpg

from landbridge import ids
from landbridge.engine.dispatch import Dispatcher
from landbridge.store import changes
from landbridge.store.database import Database
from tests.faults.outbound import scene
from tests.rows import RowResult, Trial, row

_SETTLE_SECONDS = 1.0


class Feed(ABC):
    """A feed of words, and one consumer that remembers how far it has read."""

    def __init__(self, url: str):
        self.url = url
        self.read: list[str] = []

    async def open(self) -> None:
        """What it needs, made."""
        self.db = await Database.open(self.url, budget=14)

    @abstractmethod
    async def write(self, connection: asyncpg.Connection, word: str) -> None:
        """Writes a word in the connection's transaction."""

    @abstractmethod
    async def poll(self) -> None:
        """Reads what is new."""


class Ours(Feed):
    """Numbers are given after commit."""

    last = 0

    async def open(self) -> None:
        await super().open()
        self.dispatcher = Dispatcher(self.db)

    async def write(self, connection: asyncpg.Connection, word: str) -> None:
        change = ids.new("chg")
        await connection.execute(
            "INSERT INTO landbridge.change (environment, tenant, id, connection, resource, key)"
            " VALUES ('test', 'acme', $1, 'con_1', 'word', $2)",
            change,
            word,
        )
        await connection.execute(
            "INSERT INTO landbridge.change_new (changes) VALUES (ARRAY[$1])", change
        )

    async def poll(self) -> None:
        await self.dispatcher.step()
        for entry in await changes.read(self.db, environment="test", after=self.last, most=1000):
            self.read.append(entry.key)
            self.last = entry.number


class ById(Feed):
    """Control: `WHERE id > offset`, as a feed over a serial column is mostly read."""

    last = 0

    async def open(self) -> None:
        await super().open()
        async with self.db.transaction() as tx:
            await tx.execute("CREATE TABLE by_id (id bigserial PRIMARY KEY, word text)")

    async def write(self, connection: asyncpg.Connection, word: str) -> None:
        await connection.execute("INSERT INTO by_id (word) VALUES ($1)", word)

    async def poll(self) -> None:
        async with self.db.transaction() as tx:
            rows = await tx.execute(
                "SELECT id, word FROM by_id WHERE id > $1 ORDER BY id", self.last
            )
        for number, word in rows:
            self.last = number
            self.read.append(word)


class BelowHorizon(Feed):
    """Control: only what every running transaction is younger than (the snapshot horizon)."""

    last = 0

    async def open(self) -> None:
        await super().open()
        async with self.db.transaction() as tx:
            await tx.execute(
                "CREATE TABLE below (id bigserial PRIMARY KEY, word text,"
                " by xid8 NOT NULL DEFAULT pg_current_xact_id())"
            )

    async def write(self, connection: asyncpg.Connection, word: str) -> None:
        await connection.execute("INSERT INTO below (word) VALUES ($1)", word)

    async def poll(self) -> None:
        async with self.db.transaction() as tx:
            rows = await tx.execute(
                "SELECT by::text::bigint, word FROM below"
                " WHERE by >= $1::text::xid8 AND by < pg_snapshot_xmin(pg_current_snapshot())"
                " ORDER BY by, id",
                str(self.last),
            )
        for number, word in rows:
            self.last = number + 1
            self.read.append(word)


@row(
    "W27",
    title="late commits under a feed's consumer; a long transaction elsewhere",
    goal="0 skipped, 0 held back; `id > offset` skips, the snapshot horizon holds back",
)
async def late_commits(trial: Trial) -> RowResult:
    """Each feed runs without faults, with late commits, and beside a long transaction."""
    words = trial.size.pick(small=120, medium=2_000)
    found: dict[str, dict[str, int]] = {}
    async with scene() as stage:
        for name, kind in (("ours", Ours), ("id", ById), ("horizon", BelowHorizon)):
            feed = kind(stage.direct)
            await feed.open()
            found[name] = {
                "calm": await _missed(feed, words, trial.random, late=False, beside=False),
                "late": await _missed(feed, words, trial.random, late=True, beside=False),
                "beside": await _missed(feed, words, trial.random, late=False, beside=True),
            }
            await feed.db.close()
            trial.step(len(found), 3)
    calm = all(each["calm"] == 0 for each in found.values())
    fails = found["id"]["late"] > 0 and found["horizon"]["beside"] > 0
    ours = found["ours"]
    return RowResult(
        value=f"{words} tried: {ours['late']} skipped, {ours['beside']} held back"
        f" (id > offset: {found['id']['late']} skipped; horizon:"
        f" {found['horizon']['beside']} held back)",
        holds=calm and fails and not any(ours.values()),
        detail={"tried": words, **found},
    )


async def _missed(feed: Feed, words: int, rng: Random, *, late: bool, beside: bool) -> int:
    """How many of the words the consumer has not read, or read twice, soon after the last commit.

    With `late` one writer in eight commits after all the others of its turn; with `beside` another
    transaction of the same database is open from before the first word until after the count.
    """
    feed.read.clear()
    written = [f"{late}/{beside}/{number}" for number in range(words)]
    other = await asyncpg.connect(feed.url)
    around = other.transaction()
    await around.start()
    if beside:
        await other.execute("SELECT pg_current_xact_id()")
    for start in range(0, words, 8):
        turn = written[start : start + 8]
        slow = rng.choice(turn) if late else None
        done = asyncio.Event()
        ready = asyncio.Event()
        waiting = [asyncio.create_task(_commit(feed, slow, ready, done))] if slow else []
        if slow:
            await ready.wait()
        await asyncio.gather(*(_commit(feed, each) for each in turn if each != slow))
        await feed.poll()
        done.set()
        await asyncio.gather(*waiting)
        await feed.poll()
    deadline = asyncio.get_running_loop().time() + _SETTLE_SECONDS
    while len(feed.read) < words and asyncio.get_running_loop().time() < deadline:
        await asyncio.sleep(0.02)
        await feed.poll()
    missed = len(set(written) - set(feed.read)) + len(feed.read) - len(set(feed.read))
    await around.rollback()
    await other.close()
    await feed.poll()
    return missed


async def _commit(
    feed: Feed,
    word: str,
    ready: asyncio.Event | None = None,
    done: asyncio.Event | None = None,
) -> None:
    """Writes the word; with events it says when it has, and commits when it may."""
    async with feed.db.transaction() as tx:
        await feed.write(tx.raw, word)
        if ready is not None and done is not None:
            ready.set()
            await done.wait()

"""W26: random schedules of commit, claim, crash and settle, by many at once and in real time."""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from contextlib import ExitStack, suppress
from datetime import timedelta
from random import Random

import asyncpg
import msgspec

from landbridge.store import due
from landbridge.store.database import Tx
from landbridge.store.due import Again, Claimed, Job, LeaseLost
from landbridge.store.sql import Sql
from tests.faults.storming import Storm
from tests.rows import RowResult, Trial, row
from tests.store.databases import SCHEMA, fresh_database, migrated_template, shared_server

LEASE = timedelta(milliseconds=300)
WORKERS = 8
KEYS = 6

# The application's word: what it committed (a key: the newest wish), and what the workers did.
_TABLES = """
CREATE TABLE promised (job text NOT NULL, key text, wish int);
CREATE TABLE effect (job text NOT NULL, key text, wish int);
"""
_HOLDER = Sql(
    "control.holder",
    "SELECT owner, fence FROM lb.due WHERE id = :id AND owner IS NOT NULL FOR UPDATE",
    across="The control: a worker that takes every lease for its own.",
)


@row(
    "W26",
    title="random schedules of commit, claim, crash, settle",
    goal="0 lost, 0 done twice, 0 ghosts, 0 foreign settles, attempts monotonic",
)
async def random_schedules(trial: Trial) -> RowResult:
    """Jobs are put in transactions that commit, roll back or break; workers die, pause past their
    lease, fail, and settle late. A job's effect and its settle are one transaction, so each effect
    must be there exactly once; a job with a key must run after its last put. The control does all
    the same, and takes every lease for its own. Then the same with deliveries, which are settled in
    batches together with their attempts; its control settles by the delivery's id alone."""
    puts = trial.size.pick(small=200, medium=6000)
    with ExitStack() as stack:
        server = stack.enter_context(shared_server(secrets.token_hex(4)))
        template = migrated_template(server.dsn)
        ours = stack.enter_context(fresh_database(server.dsn, template))
        found = await _Storm(ours, trial.random, fenced=True).run(puts, trial)
        theirs = stack.enter_context(fresh_database(server.dsn, template))
        sent = await Storm(theirs, trial.random, fenced=True).run(puts, trial)
        unfenced: Counter[str] = Counter()
        while not unfenced["duplicated"] and unfenced["tried"] < 2000:
            theirs = stack.enter_context(fresh_database(server.dsn, template))
            unfenced += await Storm(theirs, trial.random, fenced=False).run(100, trial)
        control: Counter[str] = Counter()
        while not control["duplicated"] and control["tried"] < 2000:
            theirs = stack.enter_context(fresh_database(server.dsn, template))
            control += await _Storm(theirs, trial.random, fenced=False).run(200, trial)
    wrong = ("lost", "duplicated", "ghosts", "foreign", "backwards")
    return RowResult(
        value=f"{found['tried']} jobs, {found['crashes']} crashes, {found['pauses']} pauses, "
        f"{found['refused']} late settles refused: "
        + ", ".join(f"{found[each]} {each}" for each in wrong)
        + f"; control: {control['duplicated']} duplicated of {control['tried']}."
        f" {sent['tried']} deliveries, {sent['crashes']} crashes, {sent['pauses']} pauses,"
        f" {sent['refused']} late settles refused: "
        + ", ".join(f"{sent[each]} {each}" for each in (*wrong, "gaps"))
        + f"; control: {unfenced['duplicated']} duplicated of {unfenced['tried']}",
        holds=not any(found[each] for each in wrong)
        and not any(sent[each] for each in (*wrong, "gaps"))
        and min(sent[each] for each in ("tried", "crashes", "pauses", "refused")) > 0
        and unfenced["duplicated"] > 0
        and min(found[each] for each in ("tried", "crashes", "pauses", "refused")) > 0
        and control["duplicated"] > 0,
        detail={
            "ours": dict(found),
            "control": dict(control),
            "deliveries": dict(sent),
            "deliveries_control": dict(unfenced),
        },
    )


class _Storm:
    """One database, a producer and WORKERS, each with a connection that it loses now and then."""

    def __init__(self, url: str, chance: Random, *, fenced: bool):
        self._url = url
        self._chance = chance
        self._fenced = fenced
        self._counts: Counter[str] = Counter()
        self._attempts: Counter[str] = Counter()
        self._lives = 0
        self._produced = asyncio.Event()

    async def run(self, puts: int, trial: Trial) -> Counter[str]:
        """What happened, once everything that was committed is worked off."""
        connection = await asyncpg.connect(self._url)
        await connection.execute(_TABLES)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._produce(puts, trial))
            for _ in range(WORKERS):
                tasks.create_task(self._work())
        self._counts += await self._reckon(connection)
        await connection.close()
        return self._counts

    async def _connect(self) -> asyncpg.Connection:
        return await asyncpg.connect(self._url)

    async def _produce(self, puts: int, trial: Trial) -> None:
        connection = await self._connect()
        for number in range(puts):
            key = f"key {self._chance.randrange(KEYS)}" if self._chance.random() < 0.5 else None
            job = Job(environment="test", tenant="acme", lane="system", kind="work", key=key)
            transaction = connection.transaction()
            await transaction.start()
            (job_id,) = await due.put(Tx(connection, SCHEMA), [job])
            await connection.execute(
                "INSERT INTO promised VALUES ($1, $2, $3)", job_id, key, number
            )
            fate = self._chance.random()
            if fate < 0.8:
                await transaction.commit()
            elif fate < 0.9:
                await transaction.rollback()
            else:
                connection.terminate()
                connection = await self._connect()
            await asyncio.sleep(self._chance.uniform(0, 0.01))
            trial.step(number + 1, puts)
        await connection.close()
        self._produced.set()

    async def _work(self) -> None:
        """Lives one life after the other, until nothing is left."""
        working = True
        while working:
            self._lives += 1
            connection = await self._connect()
            try:
                working = await self._live(connection, f"worker {self._lives}")
            except _Crash:
                self._counts["crashes"] += 1
            finally:
                connection.terminate()

    async def _live(self, connection: asyncpg.Connection, owner: str) -> bool:
        """False: there is nothing left to do in this world."""
        while True:
            claims = await due.claim(
                Tx(connection, SCHEMA),
                owner=owner,
                lanes=["system"],
                limit=self._chance.randint(1, 4),
                per_shard=4,
                lease=LEASE,
            )
            for claim in claims:
                if claim.key is None and claim.attempt != self._attempts[claim.id]:
                    self._counts["backwards"] += 1
            for claim in claims:
                with suppress(LeaseLost):
                    await self._job(connection, owner, claim)
            if not claims:
                left = await connection.fetchval(f"SELECT count(*) FROM {SCHEMA}.due")
                if not left and self._produced.is_set():
                    return False
                await asyncio.sleep(0.02)

    async def _job(self, connection: asyncpg.Connection, owner: str, claim: Claimed) -> None:
        tx = Tx(connection, SCHEMA)
        if await self._failed_before(tx, owner, claim):
            return
        async with connection.transaction():
            held = await self._held(tx, owner, claim)
            wish = await connection.fetchval(
                "SELECT max(wish) FROM promised WHERE job = $1", claim.id
            )
            await asyncio.sleep(self._chance.uniform(0, 0.01))
            await connection.execute(
                "INSERT INTO effect VALUES ($1, $2, $3)", claim.id, claim.key, wish
            )
            if held and not await due.settle(tx, held[0], [held[1]]):
                raise AssertionError("held, and yet not settled")
            if self._chance.random() < 0.05:
                raise _Crash

    async def _failed_before(self, tx: Tx, owner: str, claim: Claimed) -> bool:
        """What happens to a job before its effect; whether that was all."""
        fate = self._chance.random()
        if fate < 0.03:
            raise _Crash
        if fate < 0.08:
            self._counts["pauses"] += 1
            await asyncio.sleep(LEASE.total_seconds() * self._chance.uniform(1, 2))
        elif fate < 0.2:
            again = Again(claim=claim, attempt=claim.attempt + 1)
            if await due.settle(tx, owner, again=[again]):
                self._attempts[claim.id] += 1
            return True
        elif fate < 0.3:
            await due.heartbeat(tx, owner, [claim], LEASE)
        elif fate < 0.35 and await due.settle(tx, f"not {owner}", [claim]):
            self._counts["foreign"] += 1
        return False

    async def _held(self, tx: Tx, owner: str, claim: Claimed) -> tuple[str, Claimed] | None:
        """As whom to settle; the control takes whoever has the row at the time for itself."""
        if not self._fenced:
            row = await tx.row(_HOLDER, id=claim.id)
            if row is None:
                return None
            return row["owner"], msgspec.structs.replace(claim, fence=row["fence"])
        try:
            await due.hold(tx, owner, claim)
        except LeaseLost:
            self._counts["refused"] += 1
            raise
        return owner, claim

    async def _reckon(self, connection: asyncpg.Connection) -> Counter[str]:
        """Without a key: each job's effect once. With one: the last wish has been seen."""
        return Counter(
            {
                name: await connection.fetchval(query)
                for name, query in {
                    "tried": "SELECT count(*) FROM promised",
                    "lost": """
                        SELECT count(*) FROM promised AS p WHERE NOT EXISTS (
                            SELECT FROM effect AS e WHERE e.job = p.job AND e.wish >= p.wish)""",
                    "duplicated": """
                        SELECT count(*) - count(DISTINCT job) FROM effect WHERE key IS NULL""",
                    "ghosts": """
                        SELECT count(*) FROM effect AS e
                        WHERE NOT EXISTS (SELECT FROM promised AS p WHERE p.job = e.job)""",
                }.items()
            }
        )


class _Crash(Exception):
    """The process is gone, and its connection with it."""

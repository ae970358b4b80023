"""Random schedules of put, commit, claim, crash and settle: nothing is lost, fences hold."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import asyncpg
import hypothesis.strategies as st
from hypothesis import HealthCheck, Phase, note, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from landbridge.store import due
from landbridge.store.database import Tx
from landbridge.store.due import Again, Claimed, Job, LeaseLost

LEASE = 10
KEYS = ("a", "b", "c", None, None)
MINUTES = st.sampled_from([0, 0, 0, 5, 15])


@dataclass
class _Row:
    """What the model knows of a row; times are minutes of the moved clock."""

    key: str | None
    due_at: int
    owner: str | None = None
    fence: int = 0
    attempt: int = 0
    woken: bool = False


@dataclass
class _Session:
    """A process: its connection, the transaction it has open, and every claim it ever got."""

    name: str
    tx: Tx
    pid: int
    claims: list[Claimed] = field(default_factory=list)


class Schedules(RuleBasedStateMachine):
    """The real table beside a model of it; after every step both say the same."""

    url = ""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.run = self.runner.run
        self.now = 0
        self.count = 0
        self.rows: dict[str, _Row] = {}
        self.every_claim: list[tuple[str, Claimed]] = []
        self.wanted: dict[int, str] = {}  # puts that were committed and not yet worked off
        self.begun: dict[str, set[int]] = {}  # puts that the present holder of a row has seen
        self.undo: list[Callable[[], object]] | None = None
        self.locked: set[str] = set()
        self.run(self._open())

    async def _open(self) -> None:
        self.admin = await asyncpg.connect(self.url)
        await self.admin.execute("TRUNCATE landbridge.due")
        self.base = await self.admin.fetchval("SELECT landbridge.now()")
        self.writer = await self._session("writer")
        self.workers = [await self._session("w0"), await self._session("w1")]

    async def _session(self, name: str) -> _Session:
        connection = await asyncpg.connect(self.url)
        await connection.execute("SET lock_timeout = '5s'")
        pid = connection.get_server_pid()
        session = _Session(name=name, tx=Tx(connection, "landbridge"), pid=pid)
        await self._set_clock(session)
        return session

    def teardown(self) -> None:
        try:
            if self.undo is not None:
                self.commit()
            self._work_everything_off()
            assert self.wanted == {}, "a committed job was never worked off"
        finally:
            self.run(self._close())
            self.runner.close()

    async def _close(self) -> None:
        for connection in (self.admin, self.writer.tx.raw, *(w.tx.raw for w in self.workers)):
            await connection.close()

    # Putting, in a transaction that commits or not

    @rule(
        keys=st.lists(st.sampled_from(KEYS), min_size=1, max_size=3),
        after=MINUTES,
        open_longer=st.booleans(),
    )
    def put(self, keys: list[str | None], after: int, open_longer: bool) -> None:
        if self.undo is None:
            self.undo = []
            self.run(self.writer.tx.raw.execute("BEGIN"))
        jobs = [
            Job(
                environment="test",
                tenant="acme",
                lane="pull",
                kind="pull",
                key=key,
                after=timedelta(minutes=after),
            )
            for key in keys
        ]
        ids = self.run(due.put(self.writer.tx, jobs))
        assert len({i for i, key in zip(ids, keys, strict=True) if key}) == len({*keys} - {None})
        for row_id, key in zip(ids, keys, strict=True):
            self._put_one(row_id, key, self.now + after)
        self.locked |= set(ids)
        if not open_longer:
            self.commit()

    def _put_one(self, row_id: str, key: str | None, due_at: int) -> None:
        assert self.undo is not None
        self.count += 1
        number = self.count
        row = self.rows.get(row_id)
        if row is None:
            self.rows[row_id] = _Row(key=key, due_at=due_at)
            self.undo.append(lambda: self.rows.pop(row_id))
        elif row.owner is None:
            before = row.due_at
            row.due_at = min(before, due_at)
            self.undo.append(lambda: setattr(row, "due_at", before))
        else:
            woken = row.woken
            row.woken = True
            self.undo.append(lambda: setattr(row, "woken", woken))
        self.wanted[number] = row_id
        self.undo.append(lambda: self.wanted.pop(number))

    @precondition(lambda self: self.undo is not None)
    @rule()
    def commit(self) -> None:
        self.run(self.writer.tx.raw.execute("COMMIT"))
        self.undo, self.locked = None, set()

    @precondition(lambda self: self.undo is not None)
    @rule(crash=st.booleans())
    def roll_back(self, crash: bool) -> None:
        if crash:
            self.run(self._crash(self.writer))
            self.writer = self.run(self._session("writer"))
        else:
            self.run(self.writer.tx.raw.execute("ROLLBACK"))
            self.run(self._set_clock(self.writer))
        for step in reversed(self.undo or []):
            step()
        self.undo, self.locked = None, set()

    async def _crash(self, session: _Session) -> None:
        """Drops the connection in the middle of whatever it does."""
        session.tx.raw.terminate()
        query = "SELECT count(*) FROM pg_stat_activity WHERE pid = $1"
        for _ in range(10_000):
            if not await self.admin.fetchval(query, session.pid):
                return
            await asyncio.sleep(0.001)
        raise AssertionError("the server does not notice that the connection is lost")

    # Working

    @rule(which=st.integers(0, 1), limit=st.integers(1, 4))
    def claim(self, which: int, limit: int) -> None:
        worker = self.workers[which]
        free = {
            row_id
            for row_id, row in self.rows.items()
            if row.due_at <= self.now and row_id not in self.locked
        }
        claims = self.run(
            due.claim(
                worker.tx,
                owner=worker.name,
                lanes=["pull"],
                limit=limit,
                per_shard=2,
                lease=timedelta(minutes=LEASE),
            )
        )
        assert {claim.id for claim in claims} <= free
        assert len(claims) == min(limit, len(free))
        for claim in claims:
            row = self.rows[claim.id]
            assert claim.fence == row.fence + 1, "each holder has a fence of its own"
            assert claim.attempt == row.attempt, "a crash costs no attempt, and none comes back"
            row.owner, row.fence, row.woken = worker.name, claim.fence, False
            row.due_at = self.now + LEASE
            self.begun[claim.id] = {n for n, put in self.wanted.items() if put == claim.id}
            worker.claims.append(claim)
            self.every_claim.append((worker.name, claim))

    def _held(self, owner: str, claim: Claimed) -> bool:
        row = self.rows.get(claim.id)
        return row is not None and (row.owner, row.fence) == (owner, claim.fence)

    @rule(which=st.integers(0, 1), data=st.data())
    def heartbeat(self, which: int, data: st.DataObject) -> None:
        worker = self.workers[which]
        claims = self._some(data)
        held = self.run(due.heartbeat(worker.tx, worker.name, claims, timedelta(minutes=LEASE)))
        assert held == {claim.id for claim in claims if self._held(worker.name, claim)}
        for row_id in held - self.locked:
            self.rows[row_id].due_at = self.now + LEASE

    @rule(which=st.integers(0, 1), data=st.data(), crash=st.booleans())
    def settle(self, which: int, data: st.DataObject, crash: bool) -> None:
        """Settles any claims ever given, its own or not, in time or late, perhaps in vain."""
        worker = self.workers[which]
        claims = [claim for claim in self._some(data) if claim.id not in self.locked]
        again = [
            Again(claim=claim, attempt=claim.attempt + 1, after=timedelta(minutes=5))
            for claim in claims
            if data.draw(st.booleans())
        ]
        done = [claim for claim in claims if all(each.claim is not claim for each in again)]
        if crash:
            self.run(worker.tx.raw.execute("BEGIN"))
        settled = self.run(due.settle(worker.tx, worker.name, done, again))
        assert settled == {claim.id for claim in claims if self._held(worker.name, claim)}
        if crash:
            self.run(self._crash(worker))
            self.count += 1
            self.workers[which] = self.run(self._session(f"w{self.count}"))
            return
        for claim in done:
            if claim.id in settled:
                self._done(claim)
        for each in again:
            if each.claim.id in settled:
                row = self.rows[each.claim.id]
                row.due_at = self.now if row.woken else self.now + 5
                row.owner, row.woken, row.attempt = None, False, each.attempt

    def _done(self, claim: Claimed) -> None:
        for number in self.begun[claim.id]:
            self.wanted.pop(number, None)
        row = self.rows[claim.id]
        if row.woken:
            row.owner, row.woken, row.attempt, row.due_at = None, False, 0, self.now
        else:
            del self.rows[claim.id]

    def _some(self, data: st.DataObject) -> list[Claimed]:
        """Any claims ever given to anybody, none of them twice."""
        claims = [claim for _, claim in self.every_claim[-12:]]
        if not claims:
            return []
        chosen = data.draw(st.lists(st.sampled_from(claims), max_size=4, unique_by=lambda c: c.id))
        note(f"of {[(claim.id, claim.fence) for claim in chosen]}")
        return chosen

    @rule(minutes=st.sampled_from([1, 4, 11, 16]))
    def time_passes(self, minutes: int) -> None:
        self.now += minutes
        for session in (self.writer, *self.workers):
            self.run(self._set_clock(session))

    async def _set_clock(self, session: _Session) -> None:
        await session.tx.raw.execute(f"SET landbridge.clock_offset = '{self.now} minutes'")

    # What holds at every moment

    @invariant()
    def the_table_is_as_the_model_says(self) -> None:
        reader = self.writer.tx.raw if self.undo is not None else self.admin
        found = self.run(
            reader.fetch("SELECT id, key, due_at, owner, fence, attempt, woken FROM landbridge.due")
        )
        assert {row["id"] for row in found} == set(self.rows)
        for row in found:
            minutes = round((row["due_at"] - self.base) / timedelta(minutes=1))
            assert (
                _Row(
                    key=row["key"],
                    due_at=minutes,
                    owner=row["owner"],
                    fence=row["fence"],
                    attempt=row["attempt"],
                    woken=row["woken"],
                )
                == self.rows[row["id"]]
            )

    @rule()
    def everybody_tries_to_hold(self) -> None:
        """Of all the claims ever given on a row, at most one can hold it."""
        holders: dict[str, list[tuple[str, int]]] = {}
        for owner, claim in self.every_claim:
            if claim.id not in self.locked and self.run(self._holds(owner, claim)):
                holders.setdefault(claim.id, []).append((owner, claim.fence))
        assert all(len(each) == 1 for each in holders.values()), holders
        for row_id, ((owner, fence),) in holders.items():
            assert (self.rows[row_id].owner, self.rows[row_id].fence) == (owner, fence)

    async def _holds(self, owner: str, claim: Claimed) -> bool:
        async with self.admin.transaction():
            try:
                await due.hold(Tx(self.admin, "landbridge"), owner, claim)
            except LeaseLost:
                return False
        return True

    def _work_everything_off(self) -> None:
        for _ in range(200):
            if not self.rows:
                return
            self.time_passes(16)
            self.claim(0, 4)
            worker = self.workers[0]
            mine = [claim for claim in worker.claims if self._held(worker.name, claim)]
            settled: Any = self.run(due.settle(worker.tx, worker.name, mine))
            assert settled == {claim.id for claim in mine}
            for claim in mine:
                self._done(claim)
        raise AssertionError(f"never worked off: {self.rows}")


def test_random_schedules(database_url: str) -> None:
    machine = type("Here", (Schedules,), {"url": database_url})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=60,
            stateful_step_count=40,
            deadline=None,
            phases=(Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink),
            suppress_health_check=list(HealthCheck),
        ),
    )

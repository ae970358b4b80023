"""A worker does what is due, once and in time, and gives back what it cannot finish."""

import asyncio
import contextlib
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import structlog

from landbridge.errors import CircuitOpen, DatabaseUnavailable, Refused, Throttled
from landbridge.jobs import (
    Cancel,
    Done,
    Ended,
    Kind,
    Lease,
    Outcome,
    Retry,
    Snooze,
    Worker,
    settle_each,
)
from landbridge.store import due
from landbridge.store.database import Database
from landbridge.store.due import Claimed, Job, LeaseLost

SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)


@pytest.fixture
async def db(database_url: str) -> AsyncIterator[Database]:
    opened = await Database.open(database_url, budget=8)
    yield opened
    await opened.close()


@dataclass
class _Stage:
    """A worker that runs beside the test, and what its jobs told."""

    db: Database
    told: list[Any] = field(default_factory=list)
    stop: asyncio.Event = field(default_factory=asyncio.Event)

    @contextlib.asynccontextmanager
    async def working(
        self,
        *kinds: Kind,
        lanes: Mapping[str, int] | None = None,
        owner: str = "one",
        **how: Any,
    ) -> AsyncIterator[Worker]:
        """Runs a worker for the block; a fault that ends the worker fails the test."""
        by_name = {kind.name: kind for kind in kinds}
        worker = Worker(self.db, owner, by_name, lanes or {"system": 10, "retry": 10}, **how)
        task = asyncio.create_task(worker.run(self.stop))
        try:
            yield worker
        finally:
            self.stop.set()
            async with asyncio.timeout(30):
                await task
            self.stop.clear()

    async def until(self, true: Callable[[], Any]) -> None:
        """Returns when it has become true."""
        async with asyncio.timeout(30):
            while True:
                answer = true()
                if await answer if asyncio.iscoroutine(answer) else answer:
                    return
                await asyncio.sleep(0.005)

    def has_told(self, count: int) -> bool:
        """Whether jobs told so much."""
        return len(self.told) >= count

    async def rows(self) -> list[Mapping[str, Any]]:
        """All rows that are left, by id."""
        async with self.db.transaction() as tx:
            return [
                dict(row) for row in await tx.execute("SELECT * FROM landbridge.due ORDER BY id")
            ]

    async def settled(self) -> None:
        """Returns when nothing is leased."""

        async def free() -> bool:
            return all(row["owner"] is None for row in await self.rows())

        await self.until(free)

    async def row_after(self, outcome: Outcome | Exception, **kind: Any) -> Mapping[str, Any]:
        """The one row, once a job of this outcome was run."""
        await due.put(self.db, [_job()])
        async with self.working(self.kind(outcome, **kind)):
            await self.until(lambda: self.told)
            await self.settled()
        (row,) = await self.rows()
        return row

    def kind(self, outcome: Outcome | Exception | None = None, **more: Any) -> Kind:
        """A kind that tells its claim and ends like this."""

        async def run(claim: Claimed, _lease: Lease) -> Outcome:
            self.told.append(claim)
            if isinstance(outcome, Exception):
                raise outcome
            return outcome or Done()

        return Kind(name="work", run=run, **more)


@pytest.fixture
def stage(db: Database) -> _Stage:
    return _Stage(db=db)


def _job(tenant: str = "acme", *, lane: str = "system", kind: str = "work", **more: Any) -> Job:
    return Job(environment="test", tenant=tenant, lane=lane, kind=kind, **more)


def _due_in(row: Mapping[str, Any]) -> timedelta:
    wait: timedelta = row["due_at"] - datetime.now(UTC)
    return wait


# Outcomes


@pytest.mark.parametrize(("due_rows", "gathers"), [(5, 2), (1, 0)])
async def test_a_lane_gathers_between_full_claims_alone(
    db: Database, due_rows: int, gathers: int
) -> None:
    stage = _Stage(db)
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        if seconds == 0.125:
            waits.append(seconds)
            await stage.until(lambda: stage.has_told(min(2 * len(waits), due_rows)))
        else:
            await asyncio.sleep(seconds)

    await due.put(db, [_job() for _ in range(due_rows)])
    how: dict[str, Any] = {"lanes": {"system": 2}, "gather": {"system": 0.125}, "sleep": sleep}
    async with stage.working(stage.kind(Done()), **how):
        await stage.until(lambda: stage.has_told(due_rows))
        await stage.settled()
    assert len(waits) == gathers


async def test_a_calm_lane_is_looked_at_in_its_own_time_or_when_it_is_woken(
    stage: _Stage, db: Database
) -> None:
    polls = 0

    async def sleep(seconds: float) -> None:
        nonlocal polls
        polls += seconds == 0.125
        await asyncio.sleep(0.001 if seconds == 0.125 else seconds)

    lanes = {"system": 2, "retry": 2}
    how: dict[str, Any] = {"poll": timedelta(seconds=0.125), "calm": {"system": 3600.0}}
    async with stage.working(
        stage.kind(Done()), lanes=lanes, sleep=sleep, listens=False, **how
    ) as worker:
        await stage.until(lambda: polls > 1)
        await due.put(db, [_job(), _job(lane="retry")])
        await stage.until(lambda: stage.told)
        seen = polls
        await stage.until(lambda: polls > seen + 5)
        assert [claim.lane for claim in stage.told] == ["retry"]
        worker.wake()
        await stage.until(lambda: stage.has_told(2))
        await stage.settled()


async def test_what_is_due_is_done_and_gone(stage: _Stage) -> None:
    await due.put(stage.db, [_job(f"t{n}") for n in range(50)])
    async with stage.working(stage.kind()):
        await stage.until(lambda: len(stage.told) == 50)
        await stage.settled()
    assert await stage.rows() == []
    assert len({claim.id for claim in stage.told}) == 50


async def test_a_failure_of_ours_is_tried_again_with_its_sentence(stage: _Stage) -> None:
    failure = Refused("the provider says:\nno\0 such customer", status=404)
    row = await stage.row_after(failure, backoff=lambda attempt: HOUR * (attempt + 1))
    assert (row["attempt"], row["error"]) == (1, "the provider says: no such customer")
    assert HOUR - 60 * SECOND < _due_in(row) <= HOUR


async def test_of_any_other_failure_only_the_type_is_told(stage: _Stage) -> None:
    with structlog.testing.capture_logs() as logs:
        row = await stage.row_after(ValueError("canary-5ecre7"), backoff=lambda _: HOUR)
    assert (row["attempt"], row["error"]) == (1, "ValueError")
    (failed,) = [each for each in logs if each["event"] == "job.failed"]
    assert failed["where"].startswith(f"{__name__}:")
    assert "canary" not in repr(logs)


async def test_a_provider_that_says_when_is_believed(stage: _Stage) -> None:
    at = datetime(2100, 1, 1, tzinfo=UTC)
    row = await stage.row_after(Throttled("over quota", retry_at=at, status=429))
    assert (row["attempt"], row["due_at"]) == (1, at)


@pytest.mark.parametrize("kind", [CircuitOpen, Throttled])
async def test_a_call_that_was_not_made_spends_no_attempt(
    stage: _Stage, kind: type[CircuitOpen | Throttled]
) -> None:
    at = datetime(2100, 1, 1, tzinfo=UTC)
    row = await stage.row_after(kind("left alone", retry_at=at))
    assert (row["attempt"], row["due_at"], row["error"]) == (0, at, "left alone")


async def test_the_wait_grows_by_chance_within_bounds(stage: _Stage) -> None:
    row = await stage.row_after(Refused("no"))
    assert _due_in(row) < 3 * SECOND


async def test_no_attempt_is_spent_while_the_database_is_away(stage: _Stage) -> None:
    row = await stage.row_after(DatabaseUnavailable("away"))
    assert (row["attempt"], row["error"]) == (0, "away")


async def test_a_retry_may_name_its_time_and_lane(stage: _Stage) -> None:
    row = await stage.row_after(Retry(error="no answer", after=HOUR, lane="retry"))
    assert (row["attempt"], row["lane"], row["error"]) == (1, "retry", "no answer")
    assert _due_in(row) > HOUR - 60 * SECOND


async def test_later_attempts_go_to_their_kinds_lane(stage: _Stage) -> None:
    row = await stage.row_after(KeyError("x"), retry_lane="retry", backoff=lambda _: HOUR)
    assert row["lane"] == "retry"


async def test_a_snooze_spends_no_attempt(stage: _Stage) -> None:
    row = await stage.row_after(Snooze(after=HOUR, error="closed on Sundays"))
    assert (row["attempt"], row["error"]) == (0, "closed on Sundays")
    assert _due_in(row) > HOUR - 60 * SECOND


async def test_a_cancelled_job_is_gone_also_a_repeating_one(stage: _Stage) -> None:
    await due.put(stage.db, [_job(), _job(key="k", repeat="every 1h")])
    async with stage.working(stage.kind(Cancel(reason="the connection is gone"))):
        await stage.until(lambda: len(stage.told) == 2)
        await stage.settled()
    assert await stage.rows() == []


async def test_a_repeating_job_is_due_again(stage: _Stage) -> None:
    await due.put(stage.db, [_job(key="k", repeat="every 1h")])
    async with stage.working(stage.kind()):
        await stage.until(lambda: stage.told)
        await stage.settled()
    (row,) = await stage.rows()
    assert row["attempt"] == 0
    assert HOUR - 60 * SECOND < _due_in(row) <= HOUR


async def test_a_job_that_takes_too_long_is_stopped(stage: _Stage) -> None:
    async def run(claim: Claimed, _lease: Lease) -> Outcome:
        stage.told.append(claim)
        await asyncio.sleep(3600)
        return Done()

    await due.put(stage.db, [_job()])
    slow = Kind(name="work", run=run, timeout=SECOND / 20, backoff=lambda _: HOUR)
    async with stage.working(slow):
        await stage.until(lambda: stage.told)
        await stage.settled()
    (row,) = await stage.rows()
    assert (row["attempt"], row["error"]) == (1, "stopped after 0.05 s")


async def test_a_kind_that_is_not_known_here_is_left_for_others(stage: _Stage) -> None:
    await due.put(stage.db, [_job(kind="of-the-next-version"), _job()])
    async with stage.working(stage.kind()):
        await stage.until(lambda: stage.told)
        await stage.settled()
    (row,) = await stage.rows()
    assert row["attempt"] == 0
    assert row["error"] == "no worker here knows jobs of the kind 'of-the-next-version'"
    assert _due_in(row) > timedelta()


# Loading and settling in batches


async def test_a_kind_loads_for_a_whole_batch(stage: _Stage) -> None:
    batches: list[int] = []

    async def load(claims: Sequence[Claimed]) -> dict[str, str]:
        batches.append(len(claims))
        return {claim.id: f"for {claim.id}" for claim in claims}

    async def run(claim: Claimed, lease: Lease) -> Outcome:
        stage.told.append(lease.loaded == f"for {claim.id}")
        return Done()

    await due.put(stage.db, [_job(f"t{n}") for n in range(8)])
    async with stage.working(Kind(name="work", run=run, load=load)):
        await stage.until(lambda: len(stage.told) == 8)
    assert all(stage.told)
    assert batches == [8]


async def test_a_batch_that_cannot_be_loaded_is_tried_again(stage: _Stage) -> None:
    async def load(claims: Sequence[Claimed]) -> dict[str, str]:
        stage.told += claims
        raise Refused("no such table")

    await due.put(stage.db, [_job(), _job()])
    async with stage.working(stage.kind(load=load, backoff=lambda _: HOUR)):
        await stage.until(lambda: len(stage.told) == 2)
        await stage.settled()
    assert [(row["attempt"], row["error"]) for row in await stage.rows()] == [
        (1, "no such table"),
        (1, "no such table"),
    ]


async def test_one_outcome_that_cannot_be_settled_does_not_hold_up_the_others(
    stage: _Stage,
) -> None:
    async def settle(db: Database, owner: str, batch: Sequence[Ended]) -> set[str]:
        if any(ended.claim.tenant == "bad" for ended in batch):
            raise ValueError
        return await settle_each(db, owner, batch)

    await due.put(stage.db, [_job(tenant) for tenant in ("bad", "good", "fine")])
    async with stage.working(stage.kind(settle=settle)):
        await stage.until(lambda: len(stage.told) == 3)

        async def one_left() -> bool:
            return len(await stage.rows()) == 1

        await stage.until(one_left)
    assert [row["tenant"] for row in await stage.rows()] == ["bad"]


# Lanes


async def test_a_lane_runs_so_many_at_a_time_and_claims_no_more(stage: _Stage) -> None:
    running: dict[str, int] = {"system": 0, "pull": 0}
    most = dict(running)
    leased: list[int] = []

    async def run(claim: Claimed, _lease: Lease) -> Outcome:
        running[claim.lane] += 1
        most[claim.lane] = max(most[claim.lane], running[claim.lane])
        await asyncio.sleep(0.01)
        leased.append(sum(row["owner"] is not None for row in await stage.rows()))
        running[claim.lane] -= 1
        stage.told.append(claim)
        return Done()

    jobs = [_job(f"t{n}", lane=lane) for n in range(15) for lane in ("system", "pull")]
    await due.put(stage.db, jobs)
    lanes = {"system": 3, "pull": 1, "push": 0}
    async with stage.working(Kind(name="work", run=run), lanes=lanes):
        await stage.until(lambda: len(stage.told) == 30)
    assert most == {"system": 3, "pull": 1}
    assert max(leased) <= 4


# Leases


async def test_a_long_job_keeps_its_lease(stage: _Stage, database_url: str) -> None:
    lease = SECOND * 0.4

    async def run(claim: Claimed, _lease: Lease) -> Outcome:
        stage.told.append(claim)
        await asyncio.sleep(1.5)
        return Done()

    await due.put(stage.db, [_job()])
    async with stage.working(Kind(name="work", run=run), lease=lease):
        await stage.until(lambda: stage.told)
        for _ in range(10):
            stolen = await due.claim(
                stage.db, owner="two", lanes=["system"], limit=9, per_shard=9, lease=lease
            )
            assert stolen == []
            await asyncio.sleep(0.1)
        await stage.settled()
    assert len(stage.told) == 1
    assert await stage.rows() == []


async def test_a_job_whose_lease_is_lost_is_stopped_and_settles_nothing(
    stage: _Stage, database_url: str
) -> None:
    async def run(claim: Claimed, lease: Lease) -> Outcome:
        stage.told.append(lease)
        try:
            await asyncio.sleep(3600)
        finally:
            stage.told.append("stopped")
        return Done()

    await due.put(stage.db, [_job()])
    later = await Database.open(database_url, budget=1, offset="1 hour")
    async with stage.working(Kind(name="work", run=run), lease=SECOND * 0.3):
        await stage.until(lambda: stage.told)
        (taken,) = await due.claim(
            later, owner="two", lanes=["system"], limit=1, per_shard=1, lease=HOUR
        )
        await stage.until(lambda: "stopped" in stage.told)
        assert stage.told[0].lost
        assert await due.settle(later, "two", [taken]) == {taken.id}
    await later.close()


async def test_what_a_lost_job_writes_is_undone(stage: _Stage, database_url: str) -> None:
    async def run(claim: Claimed, lease: Lease) -> Outcome:
        later = await Database.open(database_url, budget=1, offset="1 hour")
        await due.claim(later, owner="two", lanes=["system"], limit=1, per_shard=1, lease=HOUR)
        await later.close()
        try:
            async with stage.db.transaction() as tx:
                await due.put(tx, [_job("never")])
                await lease.hold(tx)
        except LeaseLost:
            stage.told.append("lost")
            raise
        return Done()

    await due.put(stage.db, [_job()])
    async with stage.working(Kind(name="work", run=run)):
        await stage.until(lambda: stage.told)
    (row,) = await stage.rows()
    assert (row["tenant"], row["owner"], row["attempt"], row["error"]) == ("acme", "two", 0, None)


# Stopping


async def test_what_runs_at_the_stop_is_finished_and_nothing_new_begun(stage: _Stage) -> None:
    async def run(claim: Claimed, _lease: Lease) -> Outcome:
        stage.told.append(claim)
        await asyncio.sleep(0.3)
        return Done()

    await due.put(stage.db, [_job() for _ in range(10)])
    async with stage.working(Kind(name="work", run=run), lanes={"system": 2}):
        await stage.until(lambda: len(stage.told) == 2)
    rows = await stage.rows()
    assert len(stage.told) == 2
    assert [row["owner"] for row in rows] == [None] * 8


async def test_what_does_not_end_in_time_is_given_back(stage: _Stage) -> None:
    async def run(claim: Claimed, _lease: Lease) -> Outcome:
        stage.told.append(claim)
        await asyncio.sleep(3600)
        return Done()

    await due.put(stage.db, [_job()])
    async with stage.working(Kind(name="work", run=run), drain=SECOND / 10):
        await stage.until(lambda: stage.told)
    (row,) = await stage.rows()
    assert (row["owner"], row["attempt"]) == (None, 0)
    assert _due_in(row) <= timedelta()


# The database away


class _Gate:
    """Stands before Postgres' socket; closed, every connection through it is cut and refused."""

    def __init__(self, url: str, home: Path):
        parts = urlsplit(url)
        self._target = f"{parse_qs(parts.query)['host'][0]}/.s.PGSQL.{_port(url)}"
        self._path = home / f".s.PGSQL.{_port(url)}"
        self.url = parts._replace(query=f"host={home}&port={_port(url)}").geturl()
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def open(self) -> None:
        self._server = await asyncio.start_unix_server(self._pass, self._path)

    async def close(self) -> None:
        assert self._server is not None
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        self._path.unlink(missing_ok=True)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_unix_connection(self._target)
        self._writers |= {writer, inner_writer}
        await asyncio.gather(_copy(reader, inner_writer), _copy(inner_reader, writer))


def _port(url: str) -> str:
    parts = urlsplit(url)
    return str(parts.port or parse_qs(parts.query).get("port", ["5432"])[0])


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while chunk := await reader.read(65536):
            writer.write(chunk)
            await writer.drain()
    writer.close()


async def test_it_waits_for_a_database_that_is_away_and_goes_on(
    database_url: str, tmp_path: Path, db: Database
) -> None:
    gate = _Gate(database_url, tmp_path)
    await gate.open()
    behind = await Database.open(gate.url, budget=4)
    stage = _Stage(db=behind)
    asked = 0

    async def counted(seconds: float) -> None:
        nonlocal asked
        asked += 1
        await asyncio.sleep(seconds)

    async def run(claim: Claimed, _lease: Lease) -> Outcome:
        stage.told.append(claim)
        if len(stage.told) == 1:
            await gate.close()
            await asyncio.sleep(1)
        return Done()

    await due.put(db, [_job()])
    async with stage.working(Kind(name="work", run=run), sleep=counted):
        await stage.until(lambda: stage.told)
        before = asked
        await asyncio.sleep(1)
        assert asked - before < 100, "it waits between two questions"
        await due.put(db, [_job("another")])
        await gate.open()
        await stage.until(lambda: len(stage.told) == 2)
        await stage.settled()
    assert await stage.rows() == []
    assert [claim.attempt for claim in stage.told] == [0, 0]
    await behind.close()
    await gate.close()


# Waking up


async def test_a_notification_is_heard_and_a_lost_connection_made_again(stage: _Stage) -> None:
    async with stage.working(stage.kind(), poll=HOUR):
        for number in range(3):
            await due.put(stage.db, [_job()])
            await stage.until(lambda: _notified(stage))
            await stage.until(partial(stage.has_told, number + 1))
            async with stage.db.transaction() as tx:
                await tx.execute(
                    """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                       WHERE datname = current_database() AND query LIKE 'LISTEN%'"""
                )


async def _notified(stage: _Stage) -> bool:
    """Whether somebody listens; if so, notifies."""
    async with stage.db.transaction() as tx:
        (row,) = await tx.execute(
            """SELECT count(*) FROM pg_stat_activity
               WHERE datname = current_database() AND query LIKE 'LISTEN%'"""
        )
    if row[0]:
        await stage.db.notify()
    return bool(row[0])


async def test_without_a_notification_the_poll_finds_it(stage: _Stage) -> None:
    async with stage.working(stage.kind(), poll=SECOND / 20):
        await asyncio.sleep(0.2)
        await due.put(stage.db, [_job()])
        await stage.until(lambda: stage.told)


# Real processes


def _spawn(url: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.jobs.working", url]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL)


async def test_processes_that_are_killed_lose_nothing_and_repeat_nothing(
    db: Database, database_url: str
) -> None:
    async with db.transaction() as tx:
        await tx.execute("CREATE TABLE effect (job text NOT NULL)")
        await due.put(tx, [_job(f"t{n}", kind="write") for n in range(150)])
    stage = _Stage(db=db)
    processes = [_spawn(database_url) for _ in range(2)]
    try:

        async def effects(least: int) -> bool:
            async with db.transaction() as tx:
                (row,) = await tx.execute("SELECT count(*) FROM effect")
            return bool(row[0] >= least)

        for enough in (20, 60):
            await stage.until(partial(effects, enough))
            processes[0].kill()
            processes[0].wait()
            processes = [*processes[1:], _spawn(database_url)]

        async def nothing_left() -> bool:
            return await stage.rows() == []

        await stage.until(nothing_left)
        for process in processes:
            process.send_signal(signal.SIGTERM)
        assert [process.wait(20) for process in processes] == [0, 0]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    async with db.transaction() as tx:
        (row,) = await tx.execute("SELECT count(*), count(DISTINCT job) FROM effect")
    assert row[1] == 150, "lost"
    assert row[0] - row[1] <= 6, "done again although it was done"

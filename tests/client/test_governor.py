"""Calls kept within quotas: most ask nobody, lanes and tenants take their turns, refusals teach."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from datetime import timedelta

import pytest

from landbridge.client.governor import QuotaGovernor
from landbridge.client.seams import Lane
from landbridge.clock import SystemClock
from landbridge.errors import DatabaseUnavailable, Throttled
from landbridge.measures import QUOTA_LEASES, QUOTA_REFUSED, QUOTA_THROTTLED, Measures
from landbridge.spec import Quota
from landbridge.store import quotas
from landbridge.store.database import Database
from tests.client.quotas import answer, connection, page

PATIENT = dict.fromkeys(Lane, 20.0)
HASTY = dict.fromkeys(Lane, 0.3)
ACME = connection("acme")


@pytest.fixture
async def db(database_url: str) -> AsyncIterator[Database]:
    opened = await Database.open(database_url, budget=4)
    yield opened
    await opened.close()


Office = Callable[..., QuotaGovernor]


@pytest.fixture
async def office(db: Database) -> AsyncIterator[Office]:
    """Makes governors as different processes have them, and closes them."""
    async with AsyncExitStack() as stack:
        made = 0

        def new(**more: object) -> QuotaGovernor:
            nonlocal made
            made += 1
            governor = QuotaGovernor(
                db,
                clock=SystemClock(),
                holder=f"process {made}",
                **{"patience": PATIENT, **more},  # type: ignore[arg-type]
            )
            stack.push_async_callback(governor.close)
            return governor

        yield new


async def used(db: Database) -> dict[str, int]:
    return {each.name: each.used for each in await quotas.every(db, environment="test", most=99)}


async def test_most_calls_ask_nobody(office: Office) -> None:
    measures = Measures()
    governor = office(measures=measures)
    provider = page(Quota(limit=100_000, per="hour"), Quota(limit=1_000_000, per="day"))
    for _ in range(3000):
        await governor.acquire(provider, ACME, Lane.INCREMENTAL)
        governor.answered(provider, ACME, answer())
    assert measures.counts(QUOTA_LEASES)[()] < 3000 / 10


async def test_a_page_without_quotas_holds_nobody_up(office: Office) -> None:
    measures = Measures()
    governor = office(measures=measures)
    await governor.acquire(page(), ACME, Lane.BACKFILL)
    governor.answered(page(), ACME, answer(429))
    await governor.acquire(page(), ACME, Lane.BACKFILL)
    assert measures.counts(QUOTA_LEASES)[()] == 0


async def test_processes_together_make_no_more_calls_than_the_quota(
    db: Database, office: Office
) -> None:
    provider = page(Quota(limit=100, per="day"))
    made: Counter[int] = Counter()
    refused: list[Throttled] = []
    begun = asyncio.Barrier(6)

    async def calls(number: int, governor: QuotaGovernor) -> None:
        await governor.acquire(provider, ACME, Lane.INTERACTIVE)
        made[number] += 1
        await begun.wait()
        for _ in range(59):
            try:
                await governor.acquire(provider, ACME, Lane.INTERACTIVE)
            except Throttled as error:
                refused.append(error)
                return
            made[number] += 1

    offices = [office() for _ in range(3)]
    await asyncio.gather(*(calls(n, each) for n, each in enumerate(offices) for _ in range(2)))
    await asyncio.gather(*(each.close() for each in offices))
    last = office()
    while (await used(db))["day"] < 100:
        await last.acquire(provider, ACME, Lane.INTERACTIVE)
        made[9] += 1
    assert made.total() == 100
    with pytest.raises(Throttled, match=r"Acme allows 100 a day") as told:
        await last.acquire(provider, ACME, Lane.INTERACTIVE)
    for error in (*refused, told.value):
        assert error.retry_at is not None
        assert error.retry_at - SystemClock().now() > timedelta(hours=1)
    assert len(made) >= 3


async def test_a_closed_process_gives_back_what_it_did_not_use(
    db: Database, office: Office
) -> None:
    provider = page(Quota(limit=1000, per="day"), Quota(limit=5))
    governor = office()
    for _ in range(25):
        await governor.acquire(provider, ACME, Lane.INTERACTIVE)
        governor.unanswered(provider, ACME)
    await governor.close()
    assert await used(db) == {"day": 25, "concurrent": 0}


async def test_background_leaves_the_rest_of_a_day_to_people(office: Office) -> None:
    provider = page(Quota(limit=50, per="day", window="fixed"))
    governor = office(patience=HASTY)
    made = Counter[Lane]()
    for lane in (Lane.BACKFILL, Lane.INCREMENTAL, Lane.WEBHOOK, Lane.INTERACTIVE):
        for _ in range(60):
            try:
                await governor.acquire(provider, ACME, lane)
            except Throttled:
                break
            made[lane] += 1
    assert made[Lane.BACKFILL] == 37
    assert made.total() == 50


async def test_no_more_calls_are_under_way_than_may_be_at_once(office: Office) -> None:
    provider = page(Quota(limit=4))
    offices = [office() for _ in range(3)]
    now = most = done = 0
    by: Counter[int] = Counter()

    async def calls(number: int) -> None:
        nonlocal now, most, done
        for _ in range(8):
            await offices[number].acquire(provider, ACME, Lane.INTERACTIVE)
            now += 1
            most = max(most, now)
            await asyncio.sleep(0.005)
            now -= 1
            by[number] += 1
            offices[number].answered(provider, ACME, answer())

    await asyncio.gather(*(calls(number) for number in range(3) for _ in range(4)))
    assert most <= 4
    assert by == {0: 32, 1: 32, 2: 32}


async def test_a_process_whose_places_are_all_in_use_leaves_some_to_another(
    office: Office,
) -> None:
    provider = page(Quota(limit=4))
    busy, other = office(), office()
    over = False

    async def calls() -> None:
        while not over:
            await busy.acquire(provider, ACME, Lane.INTERACTIVE)
            await asyncio.sleep(0.005)
            busy.answered(provider, ACME, answer())

    tasks = [asyncio.create_task(calls()) for _ in range(8)]
    await asyncio.sleep(0.1)
    for _ in range(3):
        await other.acquire(provider, ACME, Lane.INTERACTIVE)
        other.answered(provider, ACME, answer())
    over = True
    await asyncio.gather(*tasks)


async def test_a_backfill_leaves_places_to_people_in_other_processes(office: Office) -> None:
    provider = page(Quota(limit=8))
    fills, *others = office(), office(), office()
    tasks = [asyncio.create_task(fills.acquire(provider, ACME, Lane.BACKFILL)) for _ in range(12)]
    await asyncio.wait(tasks, timeout=0.3)
    assert sum(each.done() for each in tasks) == 6
    for each in others:  # none of the backfill's calls has ended
        await each.acquire(provider, ACME, Lane.INTERACTIVE)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_interactive_calls_go_before_a_backfill_that_waits(office: Office) -> None:
    provider = page(Quota(limit=1))
    governor = office()
    order: list[str] = []

    async def call(tenant: str, lane: Lane) -> None:
        who = connection(tenant, account="shared")
        await governor.acquire(provider, who, lane)
        order.append(tenant)
        governor.answered(provider, who, answer())

    held = connection("first", account="shared")
    await governor.acquire(provider, held, Lane.INTERACTIVE)
    tasks = [asyncio.create_task(call("flood", Lane.BACKFILL)) for _ in range(4)]
    tasks += [asyncio.create_task(call("late", Lane.BACKFILL)) for _ in range(2)]
    tasks += [asyncio.create_task(call("hook", Lane.WEBHOOK))]
    tasks += [asyncio.create_task(call("person", Lane.INTERACTIVE))]
    await asyncio.sleep(0.05)
    assert order == []
    governor.answered(provider, held, answer())
    await asyncio.gather(*tasks)
    assert order == ["person", "hook", "flood", "late", "flood", "late", "flood", "flood"]


async def test_a_refusal_stops_the_calls_of_every_process(office: Office) -> None:
    provider = page(Quota(limit=1000, per="minute"), Quota(limit=9000, per="day"))
    measures = Measures()
    one, other = office(measures=measures, patience=HASTY), office(patience=HASTY)
    await one.acquire(provider, ACME, Lane.INTERACTIVE)
    one.answered(provider, ACME, answer(429, X_Problem="day", Retry_After="600"))
    assert measures.counts(QUOTA_THROTTLED) == {("acme",): 1}
    with pytest.raises(
        Throttled, match=r"Acme allows 9000 a day \(day, account/acme/acme\)"
    ) as told:
        await one.acquire(provider, ACME, Lane.INTERACTIVE)
    assert told.value.retry_at is not None
    # An hour and more: a day's quota is not asked about every ten minutes.
    assert told.value.retry_at - SystemClock().now() > timedelta(minutes=9)
    assert measures.counts(QUOTA_REFUSED) == {("acme", "interactive"): 1}
    for _ in range(100):
        try:
            await other.acquire(provider, ACME, Lane.INTERACTIVE)
        except Throttled:
            break
        await asyncio.sleep(0.01)
    else:
        pytest.fail("the other process goes on")
    # Another account has a budget of its own.
    await one.acquire(provider, connection("else"), Lane.INTERACTIVE)


async def test_a_code_that_means_slow_down_counts_as_a_refusal(office: Office) -> None:
    provider = page(Quota(limit=1000, per="minute"))
    governor = office(patience=HASTY)
    await governor.acquire(provider, ACME, Lane.INTERACTIVE)
    governor.answered(provider, ACME, answer(400, b'{"code": "invalid"}'))
    await governor.acquire(provider, ACME, Lane.INTERACTIVE)
    governor.answered(provider, ACME, answer(400, b'{"code": "slow_down"}'))
    with pytest.raises(Throttled):
        await governor.acquire(provider, ACME, Lane.INTERACTIVE)


async def test_what_others_use_of_the_same_quota_is_learned(db: Database, office: Office) -> None:
    provider = page(Quota(limit=1000, per="day", window="fixed", remaining="X-Left"))
    governor = office(patience=HASTY)
    await governor.acquire(provider, ACME, Lane.INTERACTIVE)
    governor.answered(provider, ACME, answer(X_Left="100"))
    await governor.close()
    assert (await used(db))["day"] in (900, 901)


async def test_a_call_that_gives_up_waiting_leaves_its_turn_to_others(office: Office) -> None:
    provider = page(Quota(limit=1))
    governor = office(patience={**PATIENT, Lane.INTERACTIVE: 0.2})
    await governor.acquire(provider, ACME, Lane.WEBHOOK)
    with pytest.raises(Throttled, match="Acme allows 1 at once"):
        await governor.acquire(provider, ACME, Lane.INTERACTIVE)
    cancelled = asyncio.create_task(governor.acquire(provider, ACME, Lane.WEBHOOK))
    await asyncio.sleep(0.05)
    cancelled.cancel()
    await asyncio.gather(cancelled, return_exceptions=True)
    next_ = asyncio.create_task(governor.acquire(provider, ACME, Lane.WEBHOOK))
    await asyncio.sleep(0.05)
    assert not next_.done()
    governor.unanswered(provider, ACME)
    await next_


async def test_nobody_calls_uncounted_while_the_database_is_away(db: Database) -> None:
    governor = QuotaGovernor(db, clock=SystemClock(), holder="alone", patience=PATIENT)
    await db.close()
    with pytest.raises(DatabaseUnavailable):
        await governor.acquire(page(Quota(limit=5, per="day")), ACME, Lane.WEBHOOK)
    await governor.close()

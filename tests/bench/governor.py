"""What keeping to quotas costs a call."""

from __future__ import annotations

import secrets
import time
from contextlib import ExitStack

from landbridge.client.governor import QuotaGovernor
from landbridge.client.seams import Lane
from landbridge.clock import SystemClock
from landbridge.measures import QUOTA_LEASES, Measures
from landbridge.spec import Quota
from landbridge.store.database import Database
from tests.client.quotas import answer, connection, page
from tests.rows import RowResult, Trial, pairs, row
from tests.store.databases import fresh_database, migrated_template, shared_server

_LIMIT = 0.25
"""Of the cost of a statement that does nothing: the least that asking the database costs."""
PROVIDER = page(
    Quota(limit=1_000_000, per="minute", remaining="X-Left"), Quota(limit=100_000_000, per="day")
)


@row(
    "governor",
    title="a call's turn under quotas, beside a statement that does nothing",
    goal=f"<= {_LIMIT} of one round trip to the database, per call",
)
async def governor(trial: Trial) -> RowResult:
    """Acquire and answered under a minute's and a day's quota, one call after the other; the
    control asks the database `SELECT 1` for each call."""
    calls = trial.size.pick(small=3000, medium=10_000)
    told = answer(X_Left="99999999")
    acme, measures, made = connection("acme"), Measures(), 0
    with ExitStack() as stack:
        server = stack.enter_context(shared_server(secrets.token_hex(4)))
        url = stack.enter_context(fresh_database(server.dsn, migrated_template(server.dsn)))
        db = await Database.open(url, budget=2)
        keeper = QuotaGovernor(db, clock=SystemClock(), holder="bench", measures=measures)

        async def ours() -> float:
            nonlocal made
            begun = time.perf_counter()
            for _ in range(calls):
                await keeper.acquire(PROVIDER, acme, Lane.INCREMENTAL)
                keeper.answered(PROVIDER, acme, told)
            made += calls
            return (time.perf_counter() - begun) / calls

        async def control() -> float:
            begun = time.perf_counter()
            async with db.transaction() as tx:
                for _ in range(calls):
                    await tx.execute("SELECT 1")
            return (time.perf_counter() - begun) / calls

        found = await pairs(ours, control)
        await keeper.close()
        await db.close()
    leases = measures.counts(QUOTA_LEASES)[()] / made
    return trial.timed(
        value=f"{min(found.ours) * 1e6:.0f} µs a call, {found} of a round trip; {leases:.1%} of"
        " calls ask the database",
        holds=found.at_most(_LIMIT) and leases < 0.1,
        detail={"ours": list(found.ours), "control": list(found.control), "leases": leases},
    )

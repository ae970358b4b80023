"""Grants are refreshed before their tokens end, each at a moment of its own."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from landbridge.clock import SystemClock
from landbridge.engine.refresh import Refresher
from landbridge.engine.refresh_ahead import Ahead
from landbridge.engine.refresh_times import refresh_at, serves
from landbridge.jobs import Ended, Lease, settle_each
from landbridge.measures import Measures
from landbridge.spec import OAuth2
from landbridge.store import due, grants
from landbridge.store.database import Database
from landbridge.store.grants import Grant
from tests.engine.ailing import At
from tests.oauth.conftest import LEDGER, World

NOON = datetime(2026, 11, 27, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def _auth(**more: Any) -> OAuth2:
    assert isinstance(LEDGER.auth, OAuth2)
    return replace(LEDGER.auth, **more)


def _grant(**more: object) -> Grant:
    made = Grant(
        environment="test",
        tenant="acme",
        id="grt_1",
        app="app_1",
        kind="oauth",
        version=1,
        secret_version=1,
        secret=b"sealed",
        access=b"sealed",
        scopes=(),
        expires_at=NOON + 30 * MINUTE,
        refresh_expires_at=None,
        refreshed_at=NOON,
        state="live",
        reason="",
        created_at=NOON,
        now=NOON,
    )
    return replace(made, **more)  # type: ignore[arg-type]


def test_a_token_serves_until_a_minute_before_its_end() -> None:
    assert serves(_grant(now=NOON + 28 * MINUTE))
    assert not serves(_grant(now=NOON + 29 * MINUTE))
    assert not serves(_grant(state="dead"))
    assert not serves(_grant(access=None))
    short = {"expires_at": NOON + MINUTE}
    assert serves(_grant(now=NOON + timedelta(seconds=53), **short))
    assert not serves(_grant(now=NOON + timedelta(seconds=55), **short))


def test_grants_made_together_are_refreshed_apart_and_before_the_end() -> None:
    moments = [refresh_at(_grant(id=f"grt_{n}"), _auth()) for n in range(1000)]
    times = sorted(each for each in moments if each)
    assert len(times) == 1000
    assert NOON + 20 * MINUTE <= times[0] < times[-1] <= NOON + 25 * MINUTE
    in_a_minute = max(sum(each <= other < each + MINUTE for other in times) for each in times)
    assert in_a_minute < 300


def test_an_idle_refresh_token_is_kept_alive_though_its_access_token_lives_longer() -> None:
    idle = _auth(refresh_idle=True)
    grant = _grant(
        expires_at=NOON + timedelta(days=90), refresh_expires_at=NOON + timedelta(days=60)
    )
    kept = refresh_at(grant, idle)
    assert kept is not None
    assert NOON + timedelta(days=59) < kept < NOON + timedelta(days=60)
    other = refresh_at(grant, _auth())
    assert other is not None
    assert other > NOON + timedelta(days=89)


def test_what_has_no_refresh_token_is_not_refreshed_ahead() -> None:
    assert refresh_at(_grant(secret=None), _auth()) is None
    assert refresh_at(_grant(), _auth(refreshes=False)) is None


async def _work(world: World, db: Database) -> None:
    refresher = Refresher(
        db,
        world.vault,
        world.client,
        provider=lambda _slug: world.page,
        clock=SystemClock(),
        measures=Measures(),
    )
    kind = Ahead(db, refresher, provider=lambda _slug: world.page).kind()
    claims = await due.claim(
        db, owner="worker", lanes=["system"], limit=9, per_shard=9, lease=MINUTE
    )
    for claim in claims:
        outcome = await kind.run(claim, Lease("worker", claim))
        await settle_each(db, "worker", [Ended(claim=claim, outcome=outcome)])


async def test_a_worker_refreshes_a_grant_that_nobody_uses(world: World, at: At) -> None:
    (made,) = (await world.connect()).connected
    grant = made.connection.access_grant
    for minutes, version in ((1, 1), (26, 2), (27, 2), (52, 3)):
        db = await at(f"{minutes} minutes")
        await _work(world, db)
        now = await grants.one(db, environment="test", tenant="acme", id=grant)
        assert now is not None
        assert now.version == version, f"after {minutes} minutes"
    assert made.connection.state == "active"

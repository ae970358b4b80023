"""Reconciliation against the Stripe simulator: webhooks that never came are made up for."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from landbridge.client import Client
from landbridge.clock import FakeClock, SystemClock
from landbridge.engine import sort as sorting
from landbridge.engine.connect import base_of, connect
from landbridge.engine.receive import Intake, set_app_secrets, set_connection_secrets
from landbridge.engine.reconcile import Reconciler, count_unannounced, plan
from landbridge.errors import InvalidInput, NotFound
from landbridge.measures import RECONCILE_REPAIRED, RECONCILE_UNANNOUNCED, Measures
from landbridge.providers import get
from landbridge.spec import AfterLast, Provider
from landbridge.store import apps, arrivals, due, reconciliations
from landbridge.store.connections import Connection
from landbridge.store.database import Database
from landbridge.store.sql import Sql
from landbridge.testing.control import Control
from landbridge.testing.running import in_thread
from landbridge.testing.stage import starting_at
from landbridge.testing.stripe import KEY, Amounts, Settings, Simulator
from landbridge.vault import Vault
from landbridge.wire import Headers
from tests.engine.ailing import At
from tests.engine.conftest import SHOP, Scene, free

SECRET = "whsec_theirs"
ALL = "A test looks at everything."
EMITTED = Sql(
    "tests.emitted", "SELECT type, payload FROM lb.emitted WHERE type = 'webhook.gap'", across=ALL
)
PLACED = Sql(
    "tests.placed",
    """
    UPDATE lb.reconciliation SET through = :through, checked_at = lb.now() WHERE connection = :id
    """,
    across=ALL,
)
FORGOTTEN = Sql("tests.forgotten", "DELETE FROM lb.reconciliation", across=ALL)
KINDS = Sql("tests.kinds", "SELECT kind FROM lb.due ORDER BY id", across=ALL)


@pytest.fixture
def stripe() -> Iterator[Control]:
    """An account whose clock is half an hour behind: what happens there happened a while ago."""
    amounts = Amounts(customers=3, products=2, subscriptions=1, invoices=2, refunds=1)
    base = starting_at(time.time() - 1800)
    simulator = Simulator(Settings(seed=3, amounts=amounts, base=base))
    with in_thread(simulator.app) as url, Control(url) as sim:
        sim.post("clock", advance=60)  # what it was seeded with lies behind
        yield sim
    simulator.stage.journal.close()


async def placed(db: Database, connection: Connection, through: datetime) -> None:
    """As if the connection had been compared up to there."""
    await db.run(PLACED, id=connection.id, through=through)


def page(*, size: int = 100, lag: timedelta = timedelta(minutes=2)) -> Provider:
    """Stripe's page, with smaller pages or another lag."""
    found = get("stripe")
    assert found.webhook is not None
    assert found.webhook.listing is not None
    paging = AfterLast(param="starting_after", more="has_more", size=size)
    listing = replace(found.webhook.listing, page=paging, lag=lag)
    return replace(found, webhook=replace(found.webhook, listing=listing))


def made(db: Database, client: Client, stripe: Provider, **more: Any) -> Reconciler:
    return Reconciler(
        db,
        client,
        base=lambda provider, connection: base_of(provider, connection.settings),
        **{"clock": SystemClock(), "provider": lambda _slug: stripe, **more},
    )


@pytest.fixture
async def joined(db: Database, vault: Vault, client: Client, stripe: Control) -> Connection:
    found = await connect(
        db,
        vault,
        client,
        get("stripe"),
        environment="test",
        tenant="acme",
        credentials={"key": KEY},
        settings={"base": stripe.url},
        every=None,
    )
    await set_connection_secrets(db, vault, found.connection, [SECRET])
    return found.connection


def now_of(stripe: Control) -> datetime:
    """The account's own present."""
    return datetime.fromtimestamp(stripe.get("clock")["now"], tz=UTC)


def customers(stripe: Control, number: int) -> list[dict[str, Any]]:
    """The events of that many new customers."""
    for _ in range(number):
        stripe.post("objects/customers", name="Ada")
    found: list[dict[str, Any]] = stripe.get("objects/events")["objects"]
    return [one for one in found if one["type"] == "customer.created"][-number:]


async def come(
    db: Database, vault: Vault, connection: Connection, events: list[dict[str, Any]]
) -> None:
    """These events come as webhooks, and are sorted."""
    intake = Intake(db, vault, provider=get, clock=SystemClock())
    app = await apps.by_id(db, environment="test", id=connection.app)
    assert app is not None
    for event in events:
        body = json.dumps(event).encode()
        at = int(datetime.now(UTC).timestamp())
        mark = hmac.new(SECRET.encode(), b"%d." % at + body, hashlib.sha256).hexdigest()
        headers = Headers({"Stripe-Signature": f"t={at},v1={mark}"})
        assert (await intake.accept(app.token, connection.token, headers, body)).status == 200
    claims = await due.claim(
        db, owner="t", lanes=["receive"], limit=100, per_shard=100, lease=timedelta(minutes=1)
    )
    names = [name for claim in claims for name in claim.args["arrivals"]]
    await sorting.sort(db, environment="test", arrivals_named=names, provider=get, hold=free)
    await due.settle(db, "t", done=claims)


async def test_what_never_came_is_taken_in_and_told(
    db: Database, vault: Vault, client: Client, stripe: Control, joined: Connection
) -> None:
    measures = Measures()
    reconciler = made(db, client, page(), measures=measures)
    then = now_of(stripe)
    events = customers(stripe, 6)
    await come(db, vault, joined, events[::2])
    done = await reconciler.now(joined, since=then)
    assert (done.missing, done.repaired) == (3, 3)
    assert done.checked == 6
    filed = await arrivals.events(db, environment="test")
    assert {one.vendor_id for one in filed} >= {one["id"] for one in events}
    repaired = [one for one in filed if one.source == "reconcile"]
    assert sorted(one.vendor_id for one in repaired) == sorted(one["id"] for one in events[1::2])
    (stored,) = await arrivals.load(db, environment="test", arrivals=[repaired[0].arrival])
    assert json.loads(stored.body)["id"] == repaired[0].vendor_id
    ((kind, payload),) = await db.fetch(EMITTED)
    told = json.loads(payload)["data"]
    assert (kind, told["count"], told["connection"]) == ("webhook.gap", 3, joined.id)
    assert {"from", "until"} <= told.keys()
    tallies = {what: n for _, _, what, n in await arrivals.tallies(db, environment="test")}
    assert tallies == {"repaired": 3}
    assert measures.counts(RECONCILE_REPAIRED) == {("test", "stripe"): 3}
    assert [row["kind"] for row in await db.fetch(KINDS)].count("fetch") == 6


async def test_doing_it_twice_changes_nothing_and_a_late_webhook_is_a_duplicate(
    db: Database, vault: Vault, client: Client, stripe: Control, joined: Connection
) -> None:
    reconciler = made(db, client, page())
    then = now_of(stripe)
    events = customers(stripe, 3)
    assert (await reconciler.now(joined, since=then)).repaired == 3
    again = await reconciler.now(joined, since=then)
    assert (again.checked, again.missing, again.repaired) == (3, 0, 0)
    await come(db, vault, joined, events)
    assert len(await arrivals.events(db, environment="test")) == 3
    assert len(await db.fetch(EMITTED)) == 1


async def test_a_dry_run_counts_and_writes_nothing(
    db: Database, client: Client, stripe: Control, joined: Connection
) -> None:
    then = now_of(stripe)
    customers(stripe, 3)
    before = await reconciliations.one(db, joined)
    done = await made(db, client, page()).now(joined, since=then, dry_run=True)
    assert (done.missing, done.repaired) == (3, 0)
    assert await arrivals.events(db, environment="test") == []
    assert await reconciliations.one(db, joined) == before


async def test_it_begins_when_the_secret_was_set(
    db: Database, at: At, vault: Vault, client: Client, stripe: Control, joined: Connection
) -> None:
    await db.run(FORGOTTEN)
    then = await at("-27 minutes")
    customers(stripe, 3)  # half an hour ago, which the overlap would reach
    await set_connection_secrets(then, vault, joined, [SECRET])
    stripe.post("clock", advance=600)
    lost = customers(stripe, 2)
    await set_connection_secrets(db, vault, joined, [SECRET, "whsec_the_next"])
    reconciler = made(db, client, page())
    aside = await reconciler.now(joined, since=datetime.now(UTC) - timedelta(minutes=10))
    assert aside.checked == 0
    assert (await reconciler.run(joined, hold=free)).repaired == 2
    filed = await arrivals.events(db, environment="test")
    assert {one.vendor_id for one in filed} == {one["id"] for one in lost}


async def test_it_begins_with_an_apps_secret_and_with_a_connection_to_such_an_app(
    db: Database, vault: Vault, client: Client, stripe: Control, scene: Scene
) -> None:
    old = await scene.connect("acme", "acct_1")
    assert await reconciliations.one(db, old) is None
    await set_app_secrets(db, vault, scene.app, ["theirs"])
    noted = await reconciliations.one(db, old)
    assert noted is not None
    assert noted.checked_at is None
    shops = await apps.ensure(db, environment="test", provider="stripe")
    await set_app_secrets(db, vault, shops, ["theirs"])
    fresh = await connect(
        db,
        vault,
        client,
        get("stripe"),
        environment="test",
        tenant="acme",
        credentials={"key": KEY},
        settings={"base": stripe.url},
    )
    assert await reconciliations.one(db, fresh.connection) is not None


async def test_where_it_was_not_noted_the_first_run_only_notes_where_to_begin(
    db: Database, client: Client, stripe: Control, joined: Connection
) -> None:
    await db.run(FORGOTTEN)
    customers(stripe, 3)
    stripe.post("clock", advance=60)
    clock = FakeClock(now_of(stripe))
    reconciler = made(db, client, page(), clock=clock)
    assert (await reconciler.run(joined, hold=free)).checked == 0
    stripe.post("clock", advance=600)
    customers(stripe, 2)
    clock.advance(timedelta(minutes=15))
    assert (await reconciler.run(joined, hold=free)).repaired == 2
    kept = await reconciliations.one(db, joined)
    assert kept is not None
    assert (kept.repaired, kept.cursor) == (2, None)


async def test_a_run_that_was_cut_off_goes_on_at_its_page(
    db: Database, client: Client, stripe: Control, joined: Connection
) -> None:
    reconciler = made(db, client, page(size=2))
    then = now_of(stripe)
    await placed(db, joined, then + timedelta(minutes=5))
    customers(stripe, 7)
    steps = [await reconciler.run(joined, hold=free, pages=1) for _ in range(4)]
    assert [step.repaired for step in steps] == [2, 4, 6, 7]
    assert [step.finished for step in steps] == [False, False, False, True]
    assert len(await arrivals.events(db, environment="test")) == 7
    ((_, payload),) = await db.fetch(EMITTED)
    assert json.loads(payload)["data"]["count"] == 7


async def test_one_that_begins_later_leaves_the_schedules_place(
    db: Database, client: Client, stripe: Control, joined: Connection
) -> None:
    reconciler = made(db, client, page())
    through = now_of(stripe) + timedelta(minutes=5)
    await placed(db, joined, through)
    customers(stripe, 4)
    stripe.post("clock", advance=600)
    later = now_of(stripe)
    customers(stripe, 2)
    done = await reconciler.now(joined, since=later)
    assert (done.finished, done.repaired) == (True, 2)
    kept = await reconciliations.one(db, joined)
    assert kept is not None
    assert (kept.through, kept.cursor, kept.repaired) == (through, None, 2)
    assert (await reconciler.run(joined, hold=free)).repaired == 4


async def test_one_that_is_asked_for_leaves_a_comparison_under_way(
    db: Database, client: Client, stripe: Control, joined: Connection
) -> None:
    reconciler = made(db, client, page(size=2))
    then = now_of(stripe)
    await placed(db, joined, then + timedelta(minutes=5))
    customers(stripe, 6)
    assert (await reconciler.run(joined, hold=free, pages=1)).repaired == 2
    before = await reconciliations.one(db, joined)
    stripe.post("clock", advance=600)
    await reconciler.now(joined, since=now_of(stripe))
    after = await reconciliations.one(db, joined)
    assert before is not None
    assert after is not None
    assert (after.through, after.cursor) == (before.through, before.cursor)
    assert (await reconciler.run(joined, hold=free)).repaired == 6


async def test_one_that_begins_early_enough_moves_the_schedules_place(
    db: Database, client: Client, stripe: Control, joined: Connection
) -> None:
    reconciler = made(db, client, page())
    then = now_of(stripe)
    await placed(db, joined, then + timedelta(minutes=5))
    customers(stripe, 2)
    done = await reconciler.now(joined, since=then - timedelta(minutes=1))
    kept = await reconciliations.one(db, joined)
    assert kept is not None
    assert (kept.through, kept.cursor) == (done.until, None)


async def test_what_may_still_be_on_its_way_is_not_missed_yet(
    db: Database, client: Client, stripe: Control, joined: Connection
) -> None:
    reconciler = made(db, client, page(lag=timedelta(hours=1)))
    then = now_of(stripe)
    customers(stripe, 3)
    done = await reconciler.now(joined, since=then - timedelta(hours=2))
    assert done.until < then
    assert not [
        one
        for one in await arrivals.events(db, environment="test")
        if one.occurred_at and one.occurred_at >= then
    ]


async def test_a_topic_that_concerns_nothing_of_ours_is_no_gap(
    db: Database, client: Client, stripe: Control, joined: Connection
) -> None:
    shop = page()
    deaf = replace(shop, resources=[replace(one, topics=(), since=None) for one in shop.resources])
    then = now_of(stripe)
    customers(stripe, 3)
    done = await made(db, client, deaf).now(joined, since=then)
    assert (done.checked, done.missing) == (0, 0)


async def test_a_provider_without_a_list_says_so(
    db: Database, client: Client, scene: Scene
) -> None:
    connection = await scene.connect("acme", "acct_1")
    with pytest.raises(InvalidInput, match="no list of its events"):
        await made(db, client, SHOP).now(connection)


async def test_the_plan_orders_those_whose_webhooks_are_expected(
    db: Database, vault: Vault, scene: Scene, joined: Connection
) -> None:
    await scene.connect("acme", "acct_1")
    every = timedelta(minutes=15)
    assert await plan(db, lambda slug: slug == "stripe", every) == 1
    assert await plan(db, lambda _slug: True, every) == 1
    await set_app_secrets(db, vault, scene.app, ["theirs"])
    assert await plan(db, lambda _slug: True, every) == 2
    assert [row["kind"] for row in await db.fetch(KINDS)] == ["reconcile"] * 2


async def test_a_page_that_this_process_lacks_stops_no_other_comparison(
    db: Database, client: Client, vault: Vault, scene: Scene, joined: Connection
) -> None:
    await scene.connect("acme", "acct_1")
    await set_app_secrets(db, vault, scene.app, ["theirs"])

    def only_stripe(slug: str) -> Provider:
        if slug != "stripe":
            raise NotFound(f"no provider {slug!r}")
        return page()

    reconciler = made(db, client, page(), provider=only_stripe)
    assert await plan(db, reconciler.can, timedelta(minutes=15)) == 1


async def test_changes_that_no_webhook_told_of_are_counted_where_there_is_no_list(
    db: Database, vault: Vault, scene: Scene
) -> None:
    connection = await scene.connect("acme", "acct_1")
    measures = Measures()

    async def counted(provider: Provider, changed: int) -> bool:
        return await count_unannounced(
            db, provider, connection, "customer", changed, measures=measures
        )

    assert not await counted(SHOP, 3)  # no secret: no webhook is expected
    await set_app_secrets(db, vault, scene.app, ["theirs"])
    assert await counted(SHOP, 3)
    assert not await counted(SHOP, 0)
    assert not await counted(page(), 3)
    assert measures.counts(RECONCILE_UNANNOUNCED) == {("test", "shop"): 3}
    tallies = [(what, n) for _, _, what, n in await arrivals.tallies(db, environment="test")]
    assert tallies == [("unannounced", 3)]

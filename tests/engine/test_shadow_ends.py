"""Handlers under a shadow, windows that end, candidates, and persons who are erased from it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from landbridge.app.bridge import Landbridge
from landbridge.app.kinds import Kinds
from landbridge.engine.consume import Change, consume, join
from landbridge.engine.erase import Erasing
from landbridge.errors import InvalidInput, NotFound
from landbridge.jobs import Done, Lease
from landbridge.models.payments import Customer
from landbridge.providers import get
from landbridge.spec import Provider, map_to, one_of, read_only, text
from landbridge.store import due, ordering, shadow_calls
from landbridge.store.database import Database, Tx
from landbridge.store.shadow_ends import RealId
from landbridge.store.sql import Sql
from landbridge.store.upkeep import Retention, keep_up
from landbridge.testing.control import Control
from landbridge.testing.running import in_thread
from landbridge.testing.stripe import KEY, Amounts, Settings, Simulator
from landbridge.vault import new_key
from tests.engine.ailing import At
from tests.engine.past import Past
from tests.engine.shading import Counted, Shop

AMOUNTS = Amounts(
    customers=3, products=3, subscriptions=0, invoices=0, refunds=0, payment_intents=1
)
INTENTS = Sql(
    "tests.intents",
    "SELECT id FROM lb.intent WHERE environment = :environment AND tenant = :tenant ORDER BY id",
)
LEFT = Sql(
    "tests.left",
    """
    SELECT (SELECT count(*) FROM lb.shadow_call WHERE subject = :subject)
         + (SELECT count(*) FROM lb.shadow_sample WHERE subject = :subject)
    """,
    across="A test counts the rows that name somebody.",
)


@pytest.fixture
def door() -> Counted:
    return Counted(Simulator(Settings(seed=7, amounts=AMOUNTS)).app)


@pytest.fixture
def stripe(door: Counted) -> Iterator[Control]:
    with in_thread(door) as url, Control(url) as sim:
        yield sim


@pytest.fixture
async def bridge(database_url: str) -> AsyncIterator[Landbridge]:
    made = Landbridge.from_env(
        database_url=database_url,
        key=new_key(),
        environment="test",
        allow_networks="127.0.0.0/8",
    )
    made.candidate(NEXT)
    async with made:
        yield made


@pytest.fixture
async def shop(bridge: Landbridge, stripe: Control, door: Counted) -> Shop:
    joined = await bridge.connect(
        "stripe", tenant="acme", credentials={"key": KEY}, settings={"base": stripe.url}
    )
    return Shop(bridge=bridge, connection=joined.connection, door=door)


def page_with(**rows: Any) -> Provider:
    """Stripe's page with another mapping of customers."""
    page = get("stripe")
    customer = page.resource("customer")
    assert customer.maps is not None
    maps = map_to(Customer, **{**customer.maps.rows, **rows})
    changed = replace(customer, maps=maps)
    return replace(
        page, resources=[changed if one.name == "customer" else one for one in page.resources]
    )


NEXT = page_with(name=read_only(text("email")))
"""Reads the email as the name."""


async def test_what_a_handler_pushes_is_kept_and_marked(shop: Shop, bridge: Landbridge) -> None:
    @bridge.on(Customer, name="copier")
    async def copier(change: Change[Customer], tx: Tx) -> None:
        assert change.after is not None
        await bridge.push(tx, Customer(name=f"copy of {change.key}"), to=shop.connection)

    (handler,) = bridge._handlers
    await join(bridge.db, [handler], environment="test")
    shadow = await bridge.shadow(copier)
    assert (shadow.kind, shadow.place) == ("handler", "copier")
    await bridge.pull(shop.connection, ["customer"])
    while (await ordering.sequence(bridge.db, limit=100)).taken:
        pass
    assert await consume(bridge.db, handler, environment="test") == 3
    rows = await bridge.db.fetch(INTENTS, environment="test", tenant="acme")
    assert len(rows) == 3
    for row in rows:
        assert (await shop.intent(row["id"])).shadow == shadow.id
        intent, _ = await shop.run(row["id"])
        assert intent.state == "shadowed"
    assert shop.door.writes == 0
    kept = await shadow_calls.page(bridge.db, environment="test", shadow=shadow.id)
    assert [each.intent for each in kept] == [row["id"] for row in rows]
    await shop.push(Customer(name="by hand"))  # others' pushes go out
    assert shop.door.writes == 1
    await bridge.shadows.promote(shadow.id)
    assert (await bridge.shadows.replay(shadow.id)).sent == 3
    assert shop.door.writes == 4


async def judged(bridge: Landbridge, at: At, shadow: str, after: str) -> str:
    """The shadow's state once a worker did what is due after so long."""
    db = await at(after)
    for claim in await due.claim(
        db, owner="worker", lanes=["system"], limit=50, per_shard=50, lease=timedelta(minutes=1)
    ):
        if claim.kind == "shadow":
            await Kinds(bridge._open).shadow(claim, Lease("worker", claim))
    return (await bridge.shadows.get(shadow)).state


async def test_a_window_that_ends_well_lets_writes_out(
    shop: Shop, bridge: Landbridge, at: At
) -> None:
    shadow = await bridge.shadow(shop.connection, hours=48)
    await shop.push(Customer(name="Ada"))
    assert await judged(bridge, at, shadow.id, "47 hours") == "running"
    assert await judged(bridge, at, shadow.id, "49 hours") == "promoted"
    await shop.push(Customer(name="Bob"))
    assert shop.door.writes == 1


async def test_a_window_that_ends_badly_keeps_writes_back(
    shop: Shop, bridge: Landbridge, at: At
) -> None:
    shadow = await bridge.shadow(shop.connection, hours=48)
    await shop.call("POST", "/v1/customers/cus_nobody", "name=x")
    assert await judged(bridge, at, shadow.id, "49 hours") == "failed"
    assert "1 of the kept writes" in (await bridge.shadows.get(shadow.id)).reason
    await shop.push(Customer(name="Ada"))
    assert shop.door.writes == 0
    await bridge.shadows.promote(shadow.id)
    await shop.push(Customer(name="Ada"))
    assert shop.door.writes == 1


async def test_only_a_shadow_that_holds_no_more_has_links_looked_at(
    shop: Shop, bridge: Landbridge, at: At
) -> None:
    shadow = await bridge.shadow(shop.connection, hours=48, auto=False)
    assert await judged(bridge, at, shadow.id, "49 hours") == "failed"
    assert await ends(bridge) == []
    await bridge.shadows.promote(shadow.id)
    (ended,) = await ends(bridge)
    assert ended.ref == shadow.id
    run = Kinds(bridge._open).table()["shadow_end"].run
    assert isinstance(await run(ended, Lease("ends", ended)), Done)


async def ends(bridge: Landbridge) -> list[due.Claimed]:
    """What is due for shadows that have ended."""
    claims = await due.claim(
        bridge.db,
        owner="ends",
        lanes=["system"],
        limit=50,
        per_shard=50,
        lease=timedelta(minutes=1),
    )
    return [claim for claim in claims if claim.kind == "shadow_end"]


async def test_a_shadow_by_hand_is_not_promoted_by_time(
    shop: Shop, bridge: Landbridge, at: At
) -> None:
    shadow = await bridge.shadow(shop.connection, auto=False)
    assert await judged(bridge, at, shadow.id, "49 hours") == "failed"


async def test_a_candidate_reads_what_is_pulled_and_what_is_stored(
    shop: Shop, bridge: Landbridge
) -> None:
    shadow = await bridge.shadow(shop.connection, candidate="stripe-next", writes=False)
    report = await bridge.shadows.report(shadow.id)
    assert report.problems == ["nothing was compared under the candidate stripe-next"]
    await bridge.pull(shop.connection, ["customer"])
    fields = {one.field: one for one in (await bridge.shadows.report(shadow.id)).fields}
    assert (fields["name"].compared, fields["name"].diverged) == (3, 3)
    assert (fields["email"].compared, fields["email"].diverged) == (3, 0)
    sample = fields["name"].samples[0]
    assert "@" in sample.candidate
    assert sample.current != sample.candidate
    assert await bridge.shadows.compare(shadow.id) == 3
    fields = {one.field: one for one in (await bridge.shadows.report(shadow.id)).fields}
    assert (fields["name"].compared, fields["name"].diverged) == (6, 6)
    problems = (await bridge.shadows.report(shadow.id)).problems
    assert problems == ["customer.name differs in 6 of 6 records"]
    await shop.push(Customer(name="Ada"))  # it only compares
    assert shop.door.writes == 1


async def test_a_candidate_that_cannot_read_and_one_that_agrees(
    shop: Shop, bridge: Landbridge, at: At
) -> None:
    await bridge.pull(shop.connection, ["customer"])
    broken = page_with(currency=read_only(one_of("object", {"nobody": "EUR"})))
    bridge.candidate(broken, name="broken")
    bridge.candidate(get("stripe"), name="same")
    first = await bridge.shadow(shop.connection, candidate="broken")
    await bridge.shadows.compare(first.id)
    (reading,) = (await bridge.shadows.report(first.id)).fields
    assert (reading.field, reading.diverged) == ("(reading)", 3)
    await bridge.shadows.stop(first.id)
    second = await bridge.shadow(shop.connection, candidate="same")
    await bridge.shadows.compare(second.id)
    assert (await bridge.shadows.report(second.id)).problems == []
    assert await judged(bridge, at, second.id, "49 hours") == "promoted"


async def test_a_candidate_that_is_not_given_here_is_said(shop: Shop, bridge: Landbridge) -> None:
    shadow = await bridge.shadow(shop.connection, candidate="elsewhere")
    with pytest.raises(NotFound, match="'elsewhere' is not given in this process"):
        await bridge.shadows.compare(shadow.id)
    with pytest.raises(InvalidInput, match="candidate: missing"):
        await bridge.shadow("stripe", writes=False)


async def test_a_person_is_erased_from_what_was_kept(
    shop: Shop, bridge: Landbridge, stripe: Control, db: Database
) -> None:
    known = stripe.get("objects/customers")["objects"][0]["id"]
    await bridge.shadow(shop.connection, candidate="stripe-next")
    await bridge.pull(shop.connection, ["customer"])
    await shop.push(Customer(id=known, name="Grace"))
    await shop.push(Customer(name="Ada"), None)
    assert await db.value(LEFT, subject=known) == 2
    order = await bridge.erase(tenant="acme", subject=known)
    claim, lease = await Past(db=db).take("erase", order)
    await Erasing(db).run(claim, lease)
    assert await db.value(LEFT, subject=known) == 0
    report = (await bridge.erasures.get(order)).report
    assert (report["shadow_call"], report["shadow_sample"]) == (1, 1)


async def erased(bridge: Landbridge, db: Database, subject: str | None) -> dict[str, int]:
    order = await bridge.erase(tenant="acme", subject=subject)
    claim, lease = await Past(db=db).take("erase", order)
    await Erasing(db).run(claim, lease)
    return dict((await bridge.erasures.get(order)).report)


async def sent(shop: Shop, *names: str) -> tuple[str, Sequence[RealId]]:
    """A shadow in which customers were made up that exist now."""
    shadow = await shop.bridge.shadow(shop.connection)
    for name in names:
        await shop.push(Customer(name=name))
    assert await shop.bridge.shadows.real_ids(shadow.id) == []
    await shop.bridge.shadows.promote(shadow.id)
    assert (await shop.bridge.shadows.replay(shadow.id)).sent == len(names)
    return shadow.id, await shop.bridge.shadows.real_ids(shadow.id)


async def test_the_provider_s_ids_are_told_for_those_that_were_made_up(
    shop: Shop, bridge: Landbridge, stripe: Control
) -> None:
    shadow, told = await sent(shop, "Ada", "Bob")
    remote = {one["name"]: one["id"] for one in stripe.get("objects/customers")["objects"]}
    assert [each.real for each in told] == [remote["Ada"], remote["Bob"]]
    assert {each.resource for each in told} == {"customer"}
    ada, bob = told
    assert ada.made_up not in remote.values()
    assert await bridge.shadows.real_ids(shadow, [bob.made_up, "cus_unknown"]) == [bob]
    assert await bridge.shadows.real_ids(shadow, []) == []
    assert await bridge.shadows.real_ids(shadow, after=ada.id) == [bob]
    assert await bridge.shadows.real_ids(shadow, most=1) == [ada]
    with pytest.raises(NotFound, match="'shd_none' is no shadow"):
        await bridge.shadows.real_ids("shd_none")


async def test_a_person_who_was_made_up_is_erased_by_the_provider_s_id(
    shop: Shop, bridge: Landbridge, db: Database
) -> None:
    shadow, (ada, bob) = await sent(shop, "Ada", "Bob")
    assert await db.value(LEFT, subject=ada.made_up) == 0
    report = await erased(bridge, db, ada.real)
    assert report["shadow_call"] == 1
    assert await bridge.shadows.real_ids(shadow) == [bob]


async def test_a_tenant_is_erased_from_what_was_kept(
    shop: Shop, bridge: Landbridge, db: Database
) -> None:
    shadow, _ = await sent(shop, "Ada")
    report = await erased(bridge, db, None)
    assert (report["shadow"], report["shadow_call"]) == (1, 1)
    assert await shadow_calls.page(db, environment="test", shadow=shadow) == []


async def test_what_was_kept_ends_its_days_after_the_shadow(
    shop: Shop, bridge: Landbridge, at: At, db: Database
) -> None:
    over, _ = await sent(shop, "Ada")
    holding = await bridge.shadow(shop.connection, candidate="stripe-next", auto=False)
    await bridge.pull(shop.connection, ["customer"])
    await shop.push(Customer(name="Bob"))
    keep = Retention(shadows=10)
    early = await keep_up(await at("9 days"), keep=keep)
    assert not [table for table in early.removed if table.startswith("shadow")]
    late = await keep_up(await at("11 days"), keep=keep)
    assert (late.removed["shadow"], late.removed["shadow_call"]) == (1, 1)
    with pytest.raises(NotFound):
        await bridge.shadows.report(over)
    kept = await bridge.shadows.report(holding.id)  # it has not ended, however old it is
    assert len(kept.calls) == 1
    assert kept.fields[0].compared
    await bridge.shadows.stop(holding.id)
    later = await keep_up(await at("12 days"), keep=keep)
    assert later.removed["shadow_call"] == 1
    assert later.removed["shadow_sample"] >= 4
    assert later.removed["shadow_field"] >= 1
    assert await shadow_calls.page(db, environment="test", shadow=holding.id) == []


async def test_two_workers_at_the_end_judge_once(shop: Shop, bridge: Landbridge) -> None:
    shadow = await bridge.shadow(shop.connection, hours=1)
    first = await bridge.shadows.judge("test", shadow.id)
    assert first is not None
    assert first.ended_at is not None
    assert await bridge.shadows.judge("test", shadow.id) is None

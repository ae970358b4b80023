"""Webhooks of a person, as they come and are sorted, and then the person is erased."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from landbridge import ids
from landbridge.engine import sort as sorting
from landbridge.engine.erase import Erasing, Erasures
from landbridge.engine.sort import notices, resource_of, subject_of
from landbridge.providers import get
from landbridge.spec import Provider
from landbridge.store import arrivals
from landbridge.store.arrivals import Arrival
from landbridge.store.connections import Connection
from landbridge.store.database import Database
from tests.engine.conftest import SHOP, Scene, free
from tests.engine.past import Past

ANN, BOB = "cus_ann", "cus_bob"
(CUSTOMER,) = SHOP.resources
assert SHOP.webhook is not None
OF_PERSON = [replace(CUSTOMER, subject="owner")]
THIN = replace(SHOP, resources=OF_PERSON)
"""Webhooks only name the record."""
WHOLE = replace(THIN, webhook=replace(SHOP.webhook, object="data"))
"""Webhooks bring a copy of the record."""
NAMED = replace(SHOP, webhook=replace(SHOP.webhook, subject="data.owner"))
"""The page names the person of any event."""


def event(number: int, key: str, owner: str | None = None, topic: str = "customer.updated") -> Any:
    data = {"id": key} if owner is None else {"id": key, "owner": owner}
    return {"id": f"evt_{number}", "type": topic, "account": "acct_1", "data": data}


async def come(past: Past, connection: Connection, page: Provider, *events: Any) -> None:
    """These come, each by itself, and are sorted."""
    some = [
        Arrival(
            environment="test",
            id=ids.new("arr"),
            app=connection.app,
            connection=connection.id,
            headers=b"[]",
            body=json.dumps(each).encode(),
        )
        for each in events
    ]
    await arrivals.store(past.db, some)
    await sorting.sort(
        past.db,
        environment="test",
        arrivals_named=[each.id for each in some],
        provider=lambda _slug: page,
        hold=free,
    )


async def left(past: Past) -> set[str]:
    """The vendor's ids of the events whose bytes are still there."""
    rows = await past.sql("SELECT body FROM landbridge.arrival WHERE source <> 'erased'")
    return {json.loads(row["body"])["id"] for row in rows}


async def erased(past: Past, subject: str) -> dict[str, int]:
    orders = Erasures(past.db, environment="test")
    order = await orders.order(tenant="acme", subject=subject)
    await Erasing(past.db).run(*await past.take("erase", order))
    return dict((await orders.get(order)).report)


@pytest.fixture
def past(db: Database) -> Past:
    return Past(db=db)


@pytest.mark.parametrize("page", [WHOLE, NAMED])
async def test_webhooks_that_name_a_person_go_with_it(
    past: Past, scene: Scene, page: Provider
) -> None:
    shop = await scene.connect("acme", "acct_1")
    events = [event(1, "c_1", ANN), event(2, "c_1", ANN), event(3, "c_2", BOB)]
    await come(past, shop, page, *events)
    assert await erased(past, ANN) == {"inbox_event": 2, "arrival": 2}
    assert await left(past) == {"evt_3"}


async def test_what_concerns_nothing_that_is_pulled_goes_too(past: Past, scene: Scene) -> None:
    shop = await scene.connect("acme", "acct_1")
    ignored = [event(1, "ch_1", ANN, "charge.paid"), event(2, "ch_2", BOB, "charge.paid")]
    await come(past, shop, NAMED, *ignored)
    assert await erased(past, ANN) == {"inbox_event": 1, "arrival": 1}
    assert await left(past) == {"evt_2"}


async def test_webhooks_that_only_name_a_record_go_with_its_person(
    past: Past, scene: Scene
) -> None:
    shop = await scene.connect("acme", "acct_1")
    other = await scene.connect("globex", "acct_2")
    await come(past, shop, THIN, event(1, "c_1"), event(2, "c_2"), event(3, "c_9"))
    await come(past, other, THIN, event(4, "c_1"))
    for connection, key, owner in ((shop, "c_1", ANN), (shop, "c_2", BOB), (other, "c_1", ANN)):
        await past.sql(
            """INSERT INTO landbridge.record (environment, tenant, connection, resource, key, raw,
                   digest, subject) VALUES ('test', $1, $2, 'customer', $3, '', '', $4)""",
            connection.tenant, connection.id, key, owner,
        )  # fmt: skip
    assert await erased(past, ANN) == {"inbox_event": 1, "arrival": 1, "record": 1}
    assert await left(past) == {"evt_2", "evt_3", "evt_4"}


def test_stripes_page_tells_the_person_of_its_events() -> None:
    stripe = get("stripe")
    assert stripe.webhook is not None
    for topic, thing, subject in (
        ("customer.updated", {"id": ANN}, ANN),
        ("invoice.paid", {"id": "in_1", "customer": ANN}, ANN),
        ("charge.captured", {"id": "ch_1", "customer": ANN}, ANN),
        ("product.updated", {"id": "prod_1"}, None),
        ("invoice.paid", {"id": "in_1", "customer": None}, None),
    ):
        body = json.dumps({"id": "evt_1", "type": topic, "data": {"object": thing}}).encode()
        (notice,) = notices(stripe.webhook, body)
        assert subject_of(resource_of(stripe, topic)[0], notice) == subject

"""How old what we hold is, as pulls and webhooks bring it: by the provider's own stamps."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from landbridge import Landbridge
from landbridge.app.kinds import Kinds
from landbridge.engine.freshness import Freshness, stamp_of
from landbridge.engine.orders import fetch_job
from landbridge.engine.page import Applied
from landbridge.engine.pull import stream_of
from landbridge.jobs import Lease
from landbridge.measures import CHANGE_AGE_SECONDS, PULL_AGE_SECONDS, Measures
from landbridge.protocols import Fetched, Page
from landbridge.providers import get
from landbridge.store import due
from landbridge.store.connections import Connection
from landbridge.store.syncs import Stream
from landbridge.testing.control import Control
from landbridge.testing.stripe import KEY
from tests.engine.test_pull import stripe

__all__ = ["stripe"]

SHOP = ("test", "stripe", "product")
STREAM = Stream(environment="test", tenant="acme", connection="con_1", resource="product")
THEN = datetime(2026, 1, 1, tzinfo=UTC)


def ages(measures: Measures, by: str) -> tuple[int, float]:
    """How many changes were stored, and how old they were together."""
    counts, total = measures.histograms(CHANGE_AGE_SECONDS).get((*SHOP, by), ([], 0.0))
    return sum(counts), total


@pytest.fixture
async def joined(bridge: Landbridge, stripe: Control) -> Connection:
    connected = await bridge.connect(
        "stripe", tenant="acme", credentials={"key": KEY}, settings={"base": stripe.url}, every=None
    )
    return connected.connection


async def test_changes_are_measured_from_the_providers_event_and_listings_are_not(
    bridge: Landbridge, stripe: Control, joined: Connection
) -> None:
    await bridge.pull(joined, ["product"])
    assert ages(bridge.measures, "pull") == (0, 0.0)
    assert bridge.measures.histograms(PULL_AGE_SECONDS) == {}
    stripe.post("objects/products", name="New")
    await bridge.pull(joined, ["product"])
    count, total = ages(bridge.measures, "pull")
    assert (count, total < 60) == (1, True)
    await bridge.pull(joined, ["product"])
    assert ages(bridge.measures, "pull")[0] == 1
    (counts, _), *others = bridge.measures.histograms(PULL_AGE_SECONDS).values()
    assert (sum(counts), others) == (2, [])


async def test_a_change_that_a_webhook_tells_of_is_measured_once(
    bridge: Landbridge, stripe: Control, joined: Connection
) -> None:
    key = stripe.post("objects/products", name="New")["id"]
    told_at = (datetime.now(UTC) - timedelta(minutes=10)).isoformat()
    for _ in range(2):  # the second time there is nothing new
        job = fetch_job(stream_of(joined, "product"), key)
        args = {**(job.args or {}), "told_at": told_at}
        await due.put(bridge.db, [msgspec.structs.replace(job, args=args)])
        (claim,) = await due.claim(
            bridge.db,
            owner="w",
            lanes=["pull"],
            limit=9,
            per_shard=9,
            lease=timedelta(minutes=1),
        )
        await Kinds(bridge._open).fetch(claim, Lease("w", claim))
        await due.settle(bridge.db, "w", done=[claim])
        count, total = ages(bridge.measures, "webhook")
        assert (count, 600 <= total < 660) == (1, True)


def test_a_record_says_itself_when_it_changed_where_no_event_does() -> None:
    product = get("stripe").resource("product")
    value = {"id": "prod_1", "name": "Tea", "active": True, "created": 1, "updated": 1_767_225_600}
    fetched = Fetched(key="prod_1", raw=b"{}", parsed=value)
    assert stamp_of(product, fetched) == THEN
    by_event = msgspec.structs.replace(fetched, stamp=1_767_225_660)
    assert stamp_of(product, by_event) == THEN + timedelta(minutes=1)
    assert stamp_of(product, msgspec.structs.replace(fetched, parsed={"id": "prod_1"})) is None
    raw = replace(product, maps=None, create=None, update=None, delete=None)
    assert stamp_of(raw, fetched) is None


def test_only_what_was_stored_counts() -> None:
    measures = Measures()
    both = tuple(
        Fetched(key=key, raw=b"{}", stamp=int(THEN.timestamp())) for key in ("prod_1", "prod_2")
    )
    applied = Applied(at=THEN + timedelta(seconds=20), stored=("prod_2",))
    page = Page(records=both, cursor={})
    stripe = get("stripe")
    Freshness(measures).page(stripe, stripe.resource("product"), STREAM, page, applied)
    assert ages(measures, "pull") == (1, 20.0)
    listed = replace(page, listing="1")
    Freshness(measures).page(stripe, stripe.resource("product"), STREAM, listed, applied)
    assert ages(measures, "pull") == (1, 20.0)

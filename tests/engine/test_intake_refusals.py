"""What the intake does not take in: why, what is counted, and what of a webhook is never stored."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import get_args

import pytest
from structlog.testing import capture_logs

from landbridge.clock import FakeClock
from landbridge.engine.letterhead import WITHHELD, stored_headers
from landbridge.engine.room import MOST_HEAD, MOST_HEADERS, Gate, Room
from landbridge.errors import NotFound
from landbridge.measures import (
    INTAKE_SECONDS,
    WEBHOOKS_REFUSED,
    WEBHOOKS_UNAVAILABLE,
    Measures,
    Refusal,
)
from landbridge.spec import EchoQuery, Provider
from landbridge.store import apps
from landbridge.store.arrivals import Arrival
from landbridge.store.database import Database
from landbridge.store.sql import Sql
from landbridge.vault import Vault
from landbridge.web.intake.reading import Reader
from landbridge.wire import Headers
from tests.engine.conftest import Scene
from tests.engine.door import BODY, SECRET, Opened, opener

HEADERS = Sql("tests.headers", "SELECT headers FROM lb.arrival", across="A test reads all.")


@pytest.fixture
async def door(db: Database, vault: Vault, scene: Scene) -> Opened:
    return await opener(db, vault, scene)


@pytest.fixture
async def elsewhere(database_url: str) -> AsyncIterator[Database]:
    """A database that answers, and lacks our tables."""
    database = await Database.open(database_url, schema="nothing_here", budget=2)
    yield database
    await database.close()


async def test_every_answer_before_the_body_was_read_closes_the_connection(door: Opened) -> None:
    shop = door(EchoQuery(param="validationToken"))
    token = shop.scene.app.token
    answers = [
        await shop.call(path="/nothing"),
        await shop.call(path="/in/nobody"),
        await shop.call(path=f"/in/{token}/nobody"),
        await shop.call(method="PUT"),
        await shop.call(method="GET"),
        await shop.call(query=b"validationToken=abc"),
        await shop.call(query=b"validationToken=%3Cscript%3E"),
        await shop.call(BODY, {"x-long": "x" * MOST_HEAD}),
    ]
    assert [told.status for told in answers] == [404, 404, 404, 405, 405, 200, 401, 431]
    assert {told.asked for told in answers} == {0}
    assert {told.headers.get("connection") for told in answers} == {"close"}
    read = await shop.call(BODY)
    assert (read.status, read.headers.get("connection")) == (401, None)


async def test_headers_have_a_limit_and_take_room(door: Opened) -> None:
    shop = door()
    signed = shop.signed(BODY)
    room = MOST_HEAD - sum(len(name) + len(value) for name, value in signed.items()) - 2
    assert (await shop.call(BODY, {**signed, "x-": "x" * room})).status == 200
    assert (await shop.call(BODY, {**signed, "x-": "x" * (room + 1)})).status == 431
    assert (await shop.call(BODY, signed, query=b"x" * MOST_HEAD)).status == 431
    many = {f"x-{number}": "" for number in range(MOST_HEADERS)}
    assert (await shop.call(BODY, {**many, **signed})).status == 431
    small = door(room=Room(most_bytes=1000))
    assert (await small.call(BODY, {**signed, "x-": "x" * 1000})).status == 503
    assert (small.intake.room.requests, small.intake.room.size) == (0, 0)
    assert (await small.call(BODY, signed)).status == 200


async def test_each_reason_is_provoked_and_stands_in_the_contract(
    db: Database, door: Opened
) -> None:
    measures = Measures()
    shop = door(
        EchoQuery(param="challenge"), measures=measures, reader=Reader(deadline=0.05, every=0.02)
    )
    signed = shop.signed(BODY)
    await shop.call(BODY)
    late = dict(signed)
    assert isinstance(shop.clock, FakeClock)
    shop.clock.advance(timedelta(hours=1))
    await shop.call(BODY, late)
    await shop.call(BODY, path="/in/nobody")
    await shop.call(BODY, path="/in/\x00")
    await shop.call(BODY, path=f"/in/{shop.scene.app.token}/nobody")
    await shop.call(BODY, {"content-length": "10001"})
    await shop.call(BODY, {"x-long": "x" * MOST_HEAD})
    await shop.call([0.01] * 100)
    await shop.call(BODY, {"content-encoding": "gzip"})
    await shop.call(query=b"challenge=%3Cscript%3E")
    other = await apps.ensure(db, environment="live", provider="shop")
    await shop.call(BODY, path=f"/in/{other.token}")
    counts = measures.counts(WEBHOOKS_REFUSED)
    assert {reason for _, _, reason in counts} == set(get_args(Refusal))
    assert all(reason in WEBHOOKS_REFUSED.help for reason in get_args(Refusal))
    assert counts["none", "none", "unknown address"] == 2
    assert counts["test", "shop", "unknown address"] == 1
    assert (await shop.tallies())["unknown address"] == 1


async def test_an_unknown_address_is_logged_once_in_a_while(door: Opened) -> None:
    now = [0.0]
    shop = door(monotonic=lambda: now[0])
    with capture_logs() as logs:
        for _ in range(5):
            await shop.call(BODY, path=f"/in/{shop.scene.app.token}/rotated")
        now[0] = 11.0
        await shop.call(BODY, path="/in/nobody")
    told = [(each["event"], each["app"]) for each in logs]
    assert told == [
        ("intake.unknown_address", shop.scene.app.id),
        ("intake.unknown_address", None),
    ]
    assert "rotated" not in str(logs)


async def test_a_page_that_this_process_lacks_refuses_nothing_for_good(door: Opened) -> None:
    def without(slug: str) -> Provider:
        raise NotFound(f"there is no page {slug!r} here")

    measures = Measures()
    shop = door(provider=without, measures=measures)
    with capture_logs() as logs:
        told = await shop.call(BODY, shop.signed(BODY))
    assert (told.status, told.headers["retry-after"]) == (503, "5")
    assert [each["reason"] for each in logs] == ["there is no page 'shop' here"]
    assert measures.counts(WEBHOOKS_UNAVAILABLE) == {(): 1}
    assert not measures.counts(WEBHOOKS_REFUSED)


async def test_a_database_without_our_tables_is_503_and_counts_wait_for_the_right_one(
    db: Database, elsewhere: Database, door: Opened
) -> None:
    unfound = door(on=elsewhere)
    with capture_logs() as logs:
        told = await unfound.call(BODY, unfound.signed(BODY))
        assert (told.status, told.headers["retry-after"]) == (503, "5")
        assert (await unfound.call(BODY, unfound.signed(BODY))).status == 503
    assert [each["event"] for each in logs] == ["intake.database_away"]
    assert "landbridge db upgrade" in logs[0]["reason"]

    shop = door(sleep=no_wait, gate=Gate(pause=0.05))
    assert (await shop.call(BODY, shop.signed(BODY))).status == 200
    shop.intake._db = elsewhere
    assert (await shop.call(BODY, shop.signed(BODY))).status == 503
    assert (await shop.call(BODY)).status == 401
    await asyncio.sleep(0.2)
    shop.intake._db = db
    await asyncio.sleep(0.2)
    assert (await shop.tallies())["forged"] == 1


async def test_what_nobody_foresaw_is_503_too_and_tells_no_row(door: Opened) -> None:
    async def broken(_group: list[Arrival]) -> None:
        raise RuntimeError("the row (evt_1, secret) is wrong")

    shop = door()
    shop.intake._commit._flush = broken
    with capture_logs() as logs:
        assert (await shop.call(BODY, shop.signed(BODY))).status == 503
    assert [each["reason"] for each in logs] == ["RuntimeError"]


async def test_the_time_of_a_webhook_begins_at_the_end_of_its_body(door: Opened) -> None:
    passed = [0.0]

    class Slow(FakeClock):
        """Verifying takes three seconds."""

        def now(self) -> datetime:
            passed[0] += 3
            return super().now()

    measures = Measures()
    shop = door(clock=Slow(), monotonic=lambda: passed[0], measures=measures)
    assert (await shop.call(BODY, shop.signed(BODY))).status == 200
    ((_, total),) = measures.histograms(INTAKE_SECONDS).values()
    assert total == 3


# What is stored of the headers


@pytest.mark.parametrize(
    "name",
    [
        *("Stripe-Signature", "X-Hub-Signature-256", "X-Shopify-Hmac-Sha256", "webhook-id"),
        *("svix-timestamp", "X-Slack-Request-Timestamp", "X-Square-HmacSha256-Signature"),
        *("X-GitHub-Event", "X-Shopify-Topic", "Content-Type", "User-Agent", "Host", "Date"),
        *("paypal-transmission-sig", "paypal-auth-algo", "X-Goog-Resource-State", "traceparent"),
        *("X-Request-Id", "intuit-signature", "X-Xero-Signature"),
    ],
)
def test_a_header_that_tells_of_the_message_is_stored(name: str) -> None:
    assert json.loads(stored_headers(Headers({name: "v"}), [])) == [[name, "v"]]


@pytest.mark.parametrize(
    "name",
    [
        *("Authorization", "Proxy-Authorization", "Cookie", "X-Api-Key", "X-Apikey", "apikey"),
        *("X-Gitlab-Token", "X-Goog-Channel-Token", "X-Hook-Secret", "X-Webhook-Password"),
        *("X-Access-Key", "X-Shared-Key", "X-Webhook-Key", "X-Session-Id", "X-Auth-Type"),
        *("X-CSRF-Event", "X-Client-Credential-Id", "X-Foo", "anything", ""),
    ],
)
def test_of_a_header_that_may_open_a_door_only_the_name_is_stored(name: str) -> None:
    assert json.loads(stored_headers(Headers({name: "v"}), [])) == [[name, WITHHELD]]


def test_a_header_in_which_the_page_has_its_token_is_not_stored() -> None:
    headers = Headers({"X-Event-Signature": "t0k3n"})
    kept = json.loads(stored_headers(headers, [], {"x-event-signature"}))
    assert kept == [["X-Event-Signature", WITHHELD]]


async def test_no_header_holds_a_secret_by_which_we_believe(db: Database, door: Opened) -> None:
    shop = door()
    headers = {"content-type": "json", "x-event-signature": f"sha:{SECRET}", "x-api-key": "k"}
    assert (await shop.call(BODY, {**shop.signed(BODY), **headers})).status == 200
    stored = dict(json.loads(await db.value(HEADERS)))
    assert stored.pop("shop-signature").startswith("t=")
    assert stored == {
        "content-type": "json",
        "x-event-signature": WITHHELD,
        "x-api-key": WITHHELD,
    }


async def no_wait(seconds: float) -> None:
    """As short a pause as lets others go on."""
    await asyncio.sleep(min(seconds, 0.05))

"""The intake as the web sees it: handshakes, limits, and what it does when the database is away."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from landbridge.engine.receive import Intake
from landbridge.engine.replay import sort_again
from landbridge.engine.room import Gate, Room
from landbridge.engine.sort import Sorted, sort
from landbridge.errors import DatabaseUnavailable
from landbridge.measures import WEBHOOKS_ACCEPTED, WEBHOOKS_REFUSED, Measures
from landbridge.spec import EchoBody, EchoQuery, SignedPing
from landbridge.store import arrivals, due, parked
from landbridge.store.database import Database
from landbridge.vault import LocalKey, Vault, new_key
from landbridge.web import intake_app
from landbridge.web.intake.reading import Reader
from tests.engine.conftest import SHOP, Scene, free
from tests.engine.door import BODY, SECRET, Opened, opener
from tests.unit import vendors


@pytest.fixture
async def door(db: Database, vault: Vault, scene: Scene) -> Opened:
    return await opener(db, vault, scene)


# Handshakes


async def test_a_token_in_the_query_is_echoed_as_text_and_nothing_is_stored(door: Opened) -> None:
    graph = door(EchoQuery(param="validationToken"))
    told = await graph.call(query=b"validationToken=Validation%3A%20a+b")
    assert (told.status, told.body) == (200, b"Validation: a b")
    assert told.headers["content-type"] == "text/plain; charset=utf-8"
    assert told.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in told.headers["content-security-policy"]
    assert await graph.stored() == 0
    assert await graph.tallies() == {"handshake": 1}


async def test_what_could_do_harm_is_refused_and_not_in_the_answer(door: Opened) -> None:
    graph = door(EchoQuery(param="validationToken"))
    told = await graph.call(query=b"validationToken=%3Cscript%3E")
    assert told.status == 401
    assert b"script" not in told.body
    assert await graph.tallies() == {"bad handshake": 1}


async def test_an_event_comes_to_the_same_address(door: Opened) -> None:
    graph = door(EchoQuery(param="validationToken"))
    assert (await graph.call(BODY, graph.signed(BODY))).status == 200
    assert await graph.stored() == 1


async def test_a_call_by_get_is_answered_only_as_the_page_says(door: Opened) -> None:
    drop = door(EchoQuery(param="challenge", method="GET"))
    assert (await drop.call(method="GET", query=b"challenge=abc")).body == b"abc"
    assert (await drop.call(method="GET")).status == 405
    assert (await drop.call(method="GET", path="/in/nobody", query=b"challenge=a")).status == 404
    assert (await door().call(method="GET", query=b"challenge=abc")).status == 405
    assert (await drop.call(method="PUT")).status == 405


async def test_a_verify_token_is_the_last_part_of_the_address(door: Opened) -> None:
    meta = door(
        EchoQuery(
            param="hub.challenge",
            method="GET",
            when={"hub.mode": "subscribe"},
            token="hub.verify_token",
        )
    )
    asked = b"hub.mode=subscribe&hub.challenge=7&hub.verify_token="
    right = asked + meta.scene.app.token.encode()
    assert (await meta.call(method="GET", query=right)).body == b"7"
    assert (await meta.call(method="GET", query=asked + b"guessed")).status == 401


async def test_a_signed_challenge_is_answered_only_if_its_signature_holds(door: Opened) -> None:
    handshake = EchoBody(challenge="challenge", when={"type": "url_verification"})
    slack = door(handshake, signature=vendors.SLACK, events="")
    body = b'{"type": "url_verification", "challenge": "3eZbrw1a"}'
    at = int(slack.clock.now().timestamp())
    sign = vendors.SIGNERS["slack"][1]
    told = await slack.call(body, sign(SECRET, body, at)[0])
    assert (told.status, told.body) == (200, b"3eZbrw1a")
    assert (await slack.call(body, sign("other", body, at)[0])).status == 401
    assert (await slack.call(body, sign(SECRET, body, at - 301)[0])).status == 401
    assert await slack.stored() == 0
    assert (await slack.call(BODY, sign(SECRET, BODY, at)[0])).status == 200
    assert await slack.stored() == 1
    assert await slack.tallies() == {"handshake": 1, "forged": 1, "too old": 1}


async def test_an_unsigned_challenge_needs_no_secret(db: Database, door: Opened) -> None:
    easy = door(EchoBody(challenge="challenge", when={"type": "hello"}, signed=False))
    assert (await easy.call(b'{"type": "hello", "challenge": "abc"}')).body == b"abc"
    assert (await easy.call(b'{"type": "event", "challenge": "abc"}')).status == 401


async def test_intent_to_receive_is_answered_by_the_signature_alone(door: Opened) -> None:
    xero = door(SignedPing(), signature=vendors.XERO)

    def signed(body: bytes, secret: str = SECRET) -> dict[str, str]:
        return vendors.SIGNERS["xero"][1](secret, body, 0)[0]

    ping = b'{"events":[],"lastEventSequence": 0,"firstEventSequence": 0,"entropy":"S0m3"}'
    right = await xero.call(ping, signed(ping))
    wrong = await xero.call(ping, signed(ping, "other"))
    assert [(told.status, told.body) for told in (right, wrong)] == [(200, b""), (401, b"")]
    assert await xero.stored() == 0
    full = b'{"events":[{"id": "1", "type": "customer.updated", "data": {"id": "c"}}]}'
    assert (await xero.call(full, signed(full))).status == 200
    assert await xero.stored() == 1
    assert (await xero.call(full, xero.signed(full))).status == 401  # as another vendor signs


# Limits


async def test_a_body_is_refused_as_soon_as_it_is_too_large(door: Opened) -> None:
    shop = door()
    declared = await shop.call(b"x", {"content-length": "10001"})
    assert (declared.status, declared.asked) == (413, 0)
    streamed = await shop.call([b"x" * 4000] * 1000)
    assert (streamed.status, streamed.asked) == (413, 3)
    assert streamed.headers["connection"] == "close"
    huge = await shop.call(b"x", {"content-length": "9" * 400})
    assert huge.status == 413
    assert await shop.tallies() == {"too large": 3}
    assert shop.intake.room.size == 0


async def test_a_body_in_parts_is_put_together(door: Opened) -> None:
    shop = door()
    parts = [{"body": BODY[:9]}, {"body": BODY[9:]}]
    sent = iter(parts)

    async def receive() -> dict[str, Any]:
        part = next(sent)
        return {"type": "http.request", "more_body": part is parts[0], **part}

    told: list[Any] = []

    async def send(message: Any) -> None:
        told.append(message)

    headers = [(name.encode(), value.encode()) for name, value in shop.signed(BODY).items()]
    scope = {
        "type": "http",
        "method": "POST",
        "path": f"/in/{shop.scene.app.token}",
        "headers": headers,
    }
    await intake_app(lambda: shop.intake)(scope, receive, send)
    assert told[0]["status"] == 200


async def test_a_body_that_trickles_is_given_up(door: Opened) -> None:
    shop = door(reader=Reader(deadline=0.05, every=0.02))
    told = await shop.call([0.01] * 100_000)
    assert told.status == 408
    assert await shop.tallies() == {"too slow": 1}
    assert (shop.intake.room.requests, shop.intake.room.size) == (0, 0)
    assert (await shop.call(BODY, shop.signed(BODY))).status == 200


async def test_a_sender_that_goes_away_is_not_answered(door: Opened) -> None:
    shop = door()
    assert (await shop.call([b"{"])).status == 0
    assert (shop.intake.room.requests, shop.intake.room.size) == (0, 0)


async def test_a_request_that_is_cancelled_leaves_no_trace(door: Opened) -> None:
    shop = door()
    calling = asyncio.create_task(shop.call([b"x", 30.0]))
    await asyncio.sleep(0.05)
    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling
    assert (shop.intake.room.requests, shop.intake.room.size) == (0, 0)


async def test_compressed_bodies_and_strange_addresses_are_refused(door: Opened) -> None:
    shop = door()
    assert (await shop.call(BODY, {"content-encoding": "gzip"})).status == 415
    for path in ("/in/%00", "/in/a\x00b", "/in/" + "a" * 65, "/in/é", "/in//x", "/in/a/b/c", "/"):
        assert (await shop.call(BODY, path=path)).status == 404, path


async def test_above_the_limits_it_is_503_and_to_come_again(door: Opened) -> None:
    few = door(room=Room(most_requests=1))
    slow = asyncio.create_task(few.call([0.2]))
    await asyncio.sleep(0.05)
    told = await few.call(BODY, few.signed(BODY))
    assert (told.status, told.headers["retry-after"]) == (503, "5")
    await slow
    assert (await few.call(BODY, few.signed(BODY))).status == 200
    small = door(room=Room(most_bytes=50))
    assert (await small.call(BODY, small.signed(BODY))).status == 503
    assert small.intake.room.size == 0


async def test_what_is_accepted_and_refused_is_measured(door: Opened) -> None:
    measures = Measures()
    shop = door(measures=measures)
    await shop.call(BODY, shop.signed(BODY))
    await shop.call(BODY)
    assert measures.counts(WEBHOOKS_ACCEPTED) == {("test", "shop"): 1}
    assert measures.counts(WEBHOOKS_REFUSED) == {("test", "shop", "forged"): 1}


async def test_another_key_than_sealed_the_secret_is_503(db: Database, door: Opened) -> None:
    shop = door()
    shop.intake = Intake(
        db, Vault(db, LocalKey.from_text(new_key())), provider=lambda _slug: SHOP, clock=shop.clock
    )
    assert (await shop.call(BODY, shop.signed(BODY))).status == 503


# The database is away


async def test_many_who_ask_for_one_address_ask_the_database_once(door: Opened) -> None:
    shop = door()
    answers = await asyncio.gather(*[shop.call(BODY, shop.signed(BODY)) for _ in range(50)])
    assert {told.status for told in answers} == {200}
    assert await shop.stored() == 50


async def test_while_the_database_is_away_nobody_waits_and_then_it_goes_on() -> None:
    now, asked, away = [0.0], [0], [True]
    gate = Gate(pause=1.0, deadline=0.05, monotonic=lambda: now[0])

    async def question() -> str:
        asked[0] += 1
        if away[0]:
            raise DatabaseUnavailable("away")
        return "here"

    for _ in range(5):
        with pytest.raises(DatabaseUnavailable):
            await gate.ask(question())
    assert asked[0] == 1
    now[0] = 1.5
    results = await asyncio.gather(
        *[gate.ask(question()) for _ in range(9)], return_exceptions=True
    )
    assert {type(one) for one in results} == {DatabaseUnavailable}
    assert asked[0] == 2
    now[0], away[0] = 3.0, False
    assert await gate.ask(question()) == "here"
    assert not gate.shut


async def test_a_database_that_hangs_is_left_alone_until_it_answers() -> None:
    now, answered = [0.0], asyncio.Event()
    gate = Gate(pause=1.0, deadline=0.02, monotonic=lambda: now[0])

    async def hanging() -> str:
        await answered.wait()
        return "late"

    async def quick() -> str:
        return "here"

    with pytest.raises(DatabaseUnavailable, match="in time"):
        await gate.ask(hanging())
    now[0] = 100.0
    with pytest.raises(DatabaseUnavailable):
        await gate.ask(quick())
    answered.set()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert await gate.ask(quick()) == "here"


async def test_counts_of_a_database_that_is_away_do_not_hold_up_the_end(
    db: Database, door: Opened
) -> None:
    shop = door()
    await shop.call(BODY)
    await db.close()
    await shop.call(BODY)
    async with asyncio.timeout(10):
        await shop.intake.settle()


async def test_a_batch_is_split_filed_once_and_its_stranger_parked_until_connected(
    db: Database, door: Opened
) -> None:
    assert SHOP.webhook is not None
    webhook = replace(SHOP.webhook, signature=vendors.XERO, events="events", max_body=1_000_000)
    page = replace(SHOP, webhook=webhook)
    xero = door()
    xero.intake = Intake(db, xero.vault, provider=lambda _slug: page, clock=xero.clock)
    for account in ("acct_0", "acct_1"):
        await xero.scene.connect("acme", account)

    async def sort_all() -> Sorted:
        claims = await due.claim(
            db, owner="t", lanes=["receive"], limit=99, per_shard=99, lease=timedelta(minutes=1)
        )
        names = [name for claim in claims for name in claim.args["arrivals"]]
        done = await sort(
            db, environment="test", arrivals_named=names, provider=lambda _slug: page, hold=free
        )
        await due.settle(db, "t", done=claims)
        return done

    events = [
        {
            "id": f"evt_{number}",
            "type": "customer.updated",
            "account": f"acct_{2 if number == 500 else number % 2}",
            "data": {"id": f"cus_{number % 10}"},
        }
        for number in range(1000)
    ]
    body = json.dumps({"events": events}).encode()
    for _ in range(2):
        assert (await xero.call(body, vendors.SIGNERS["xero"][1](SECRET, body, 0)[0])).status == 200
        await sort_all()
    assert len(await arrivals.events(db, environment="test", most=5000)) == 999
    held = await parked.every(db, environment="test", what="arrival")
    assert [("acct_2" in one.reason, one.raw == body) for one in held] == [(True, True)] * 2
    orders = await due.claim(
        db, owner="t", lanes=["pull"], limit=99, per_shard=99, lease=timedelta(minutes=1)
    )
    assert len(orders) == 10  # one for each object of each account, in which its events meet
    await xero.scene.connect("bolt", "acct_2")
    await sort_again(db, environment="test", arrival=held[0].key)
    assert (await sort_all()).filed == 1

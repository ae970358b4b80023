"""Calls to providers: what they carry, when they are repeated, and when not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from aiohttp import web

from landbridge.client import Lane, SignIn
from landbridge.client.seams import Governor
from landbridge.clock import SystemClock
from landbridge.errors import OutcomeUnknown, ReconnectRequired, Throttled, Unreachable
from landbridge.spec import Provider
from landbridge.store.connections import Connection
from landbridge.wire import Headers, Request, Response
from tests.client.shops import (
    KEY,
    SIGNED_IN,
    TYPED,
    Tokens,
    calling,
    connected,
    open_shop,
    request,
)

KEYED = Headers({"Idempotency-Key": "int_1"})


def dropped(asked: web.Request) -> web.StreamResponse:
    """Closes the connection without an answer."""
    assert asked.transport is not None
    asked.transport.abort()
    return web.Response()


def told(status: int, **headers: str) -> web.Response:
    return web.json_response(
        {}, status=status, headers={k.replace("_", "-"): v for k, v in headers.items()}
    )


async def test_a_call_carries_the_access_token_and_names_the_account() -> None:
    async with open_shop() as shop, calling(tokens=Tokens()) as client:
        signed = client.signed(SIGNED_IN, SignIn(connection=connected()))
        assert (await signed.send(request(shop))).status == 200
        ((_, _, headers, _),) = shop.asked
        assert headers["authorization"] == "Bearer AT-1"
        assert headers["mill-account"] == "account-7"


async def test_a_token_that_is_not_accepted_is_renewed_once() -> None:
    tokens = Tokens()
    async with open_shop(401, 200) as shop, calling(tokens=tokens) as client:
        signed = client.signed(SIGNED_IN, SignIn(connection=connected()))
        assert (await signed.send(request(shop, "POST"))).status == 200
        assert [asked[2]["authorization"] for asked in shop.asked] == ["Bearer AT-1", "Bearer AT-2"]
        shop.replies = [401]
        with pytest.raises(ReconnectRequired, match="Mill no longer accepts"):
            await signed.send(request(shop))
        assert tokens.refusals == [1, 2]
        assert len(shop.asked) == 4


async def test_a_typed_in_key_that_is_not_accepted_is_not_tried_again() -> None:
    async with open_shop(401) as shop, calling() as client:
        with pytest.raises(ReconnectRequired):
            await client.signed(TYPED, KEY).send(request(shop))
        assert len(shop.asked) == 1


class Turns:
    """Counts turns that are taken and given back."""

    def __init__(self) -> None:
        self.lanes: list[Lane] = []
        self.answers: list[int] = []
        self.silent = 0

    async def acquire(
        self, provider: Provider, connection: Connection, lane: Lane, *, cost: int = 1
    ) -> None:
        self.lanes.append(lane)

    def answered(self, provider: Provider, connection: Connection, response: Response) -> None:
        self.answers.append(response.status)

    def unanswered(self, provider: Provider, connection: Connection) -> None:
        self.silent += 1


async def test_each_try_takes_a_turn_and_gives_it_back() -> None:
    turns = Turns()
    governor: Governor = turns
    async with (
        open_shop(429, dropped, 200) as shop,
        calling(tokens=Tokens(), governor=governor) as client,
    ):
        signed = client.signed(SIGNED_IN, SignIn(connection=connected()), lane=Lane.BACKFILL)
        assert (await signed.send(request(shop))).status == 200
    assert turns.lanes == [Lane.BACKFILL] * 3
    assert turns.answers == [429, 200]
    assert turns.silent == 1


class Shadow:
    """Keeps every write back."""

    async def keep(
        self, provider: Provider, connection: Connection, request: Request
    ) -> Response | None:
        assert "authorization" not in request.headers
        return None if request.method == "GET" else Response(status=201)


async def test_what_a_shadow_keeps_back_is_not_sent() -> None:
    async with (
        open_shop() as shop,
        calling(tokens=Tokens(), recorder=Shadow()) as client,
    ):
        signed = client.signed(SIGNED_IN, SignIn(connection=connected()))
        assert (await signed.send(request(shop, "POST"))).status == 201
        assert shop.asked == []
        assert (await signed.send(request(shop))).status == 200
        assert len(shop.asked) == 1


SAFE = [
    ("GET", Headers(), 503),
    ("PUT", Headers(), 503),
    ("DELETE", Headers(), 503),
    ("POST", KEYED, 503),
    ("GET", Headers(), dropped),
    ("POST", KEYED, dropped),
    ("POST", Headers(), 429),
]
UNSAFE = [
    ("POST", Headers(), 503),
    ("PATCH", Headers(), 500),
    ("POST", Headers(), dropped),
]


@pytest.mark.parametrize(("method", "headers", "first"), SAFE)
async def test_what_is_safe_to_repeat_is_repeated(
    method: str, headers: Headers, first: object
) -> None:
    async with open_shop(first, 200) as shop, calling() as client:  # type: ignore[arg-type]
        answer = await client.signed(TYPED, KEY).send(request(shop, method, headers=headers))
        assert answer.status == 200
        assert len(shop.asked) == 2
        assert shop.asked[0][2].get("idempotency-key") == shop.asked[1][2].get("idempotency-key")


@pytest.mark.parametrize(("method", "headers", "first"), UNSAFE)
async def test_a_write_that_may_have_happened_is_not_repeated(
    method: str, headers: Headers, first: object
) -> None:
    async with open_shop(first, 200) as shop, calling() as client:  # type: ignore[arg-type]
        signed = client.signed(TYPED, KEY)
        if first is dropped:
            with pytest.raises(OutcomeUnknown):
                await signed.send(request(shop, method, headers=headers))
        else:
            answer = await signed.send(request(shop, method, headers=headers))
            assert answer.status == first
        assert len(shop.asked) == 1


async def test_what_an_earlier_try_may_have_done_is_not_forgotten() -> None:
    """A later one that wrote nothing for sure says nothing of it."""
    async with (
        open_shop(dropped, lambda _: told(429, Retry_After="600")) as shop,
        calling() as client,
    ):
        with pytest.raises(OutcomeUnknown) as caught:
            await client.signed(TYPED, KEY).send(request(shop, "POST", headers=KEYED))
        assert len(shop.asked) == 2
        assert caught.value.retry_at is not None


async def test_a_write_that_was_never_sent_is_unreachable_and_not_unknown() -> None:
    async with open_shop() as shop:
        pass
    async with calling() as client:
        with pytest.raises(Unreachable, match="ConnectError"):
            await client.signed(TYPED, KEY).send(request(shop, "POST"))


@pytest.mark.parametrize("form", ["seconds", "date"])
async def test_the_next_try_waits_as_long_as_the_provider_wants(form: str) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    at = datetime.now(UTC) + timedelta(seconds=20)
    value = "20" if form == "seconds" else format_datetime(at, usegmt=True)
    async with (
        open_shop(lambda _: told(429, Retry_After=value), 200) as shop,
        calling(sleep=sleep) as client,
    ):
        assert (await client.signed(TYPED, KEY).send(request(shop))).status == 200
    (wait,) = slept
    assert 18 <= wait <= 21


async def test_a_wait_beyond_the_deadline_is_left_to_the_caller() -> None:
    async with (
        open_shop(lambda _: told(429, Retry_After="600", Limit="daily")) as shop,
        calling(deadline=60.0) as client,
    ):
        with pytest.raises(Throttled) as caught:
            await client.signed(TYPED, KEY).send(request(shop))
        assert len(shop.asked) == 1
    assert "over its quota 'daily'" in str(caught.value)
    assert caught.value.retry_at is not None
    assert caught.value.retry_at > SystemClock().now() + timedelta(minutes=9)


async def test_all_tries_together_end_at_the_deadline() -> None:
    now = 0.0

    async def sleep(seconds: float) -> None:
        nonlocal now
        now += 7.0

    async with (
        open_shop(503) as shop,
        calling(deadline=20.0, attempts=100, sleep=sleep, monotonic=lambda: now) as client,
    ):
        with pytest.raises(Unreachable):
            await client.signed(TYPED, KEY).send(request(shop))
        assert len(shop.asked) <= 4


async def test_retries_are_a_fifth_of_the_calls_when_the_trouble_lasts() -> None:
    async with open_shop(503) as shop, calling() as client:
        for _ in range(200):
            with pytest.raises(Unreachable):
                await client.signed(TYPED, KEY).send(request(shop))
        retries = len(shop.asked) - 200
        assert 40 <= retries <= 200 // 5 + 10


def page(_: web.Request) -> web.Response:
    return web.Response(text="<h1>Maintenance</h1>", content_type="text/html")


async def test_a_web_page_where_json_was_asked_for_is_no_answer() -> None:
    json = Headers({"Accept": "application/json"})
    async with open_shop(page, 200) as shop, calling() as client:
        signed = client.signed(TYPED, KEY)
        assert (await signed.send(request(shop, headers=json))).status == 200
        assert len(shop.asked) == 2
        shop.replies = [page]
        with pytest.raises(Unreachable, match="web page"):
            await signed.send(request(shop, headers=json))

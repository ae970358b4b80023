"""Deliveries to an endpoint whose breaker is open: they wait, at no try's cost, and then go on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest

from landbridge.client.sender import Sender
from landbridge.store.database import Database
from landbridge.vault import Vault
from tests.client.servers import Listener, listening, says
from tests.engine.outbound import LOCAL, Office

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
AWAY = b"HTTP/1.1 503 X\r\ncontent-length: 0\r\n\r\n"


class Shop:
    """An endpoint that is away at first, and an office that can be looked at later."""

    def __init__(self, office: Office, url: str, listener: Listener, stack: AsyncExitStack):
        self._office = office
        self._url = url
        self._stack = stack
        self.listener = listener

    async def after(self, seconds: float) -> Office:
        """The office so many seconds from now."""
        db = await Database.open(self._url, budget=3, offset=f"{seconds} seconds")
        self._stack.push_async_callback(db.close)
        return replace(self._office, db=db)


@pytest.fixture
async def answers() -> list[bytes]:
    """What the endpoint answers: the last one."""
    return [AWAY]


@pytest.fixture
async def shop(
    db: Database, database_url: str, vault: Vault, answers: list[bytes]
) -> AsyncIterator[Shop]:
    """With five deliveries that failed twice, the last time just now."""
    async with AsyncExitStack() as stack:
        sender = await stack.enter_async_context(Sender(LOCAL, deadline=2))
        listener = await stack.enter_async_context(
            listening(lambda writer: says(answers[-1])(writer))  # noqa: PLW0108 - the last one then
        )
        office = Office(db=db, vault=vault, sender=sender)
        made = Shop(office, database_url, listener, stack)
        await office.endpoint(listener.url)
        for _ in range(5):
            await office.emit()
        assert await office.round() == 5
        assert await (await made.after(15)).round() == 5
        yield made


async def test_what_is_due_while_it_is_open_is_given_back_and_no_try_counts(shop: Shop) -> None:
    before = len(shop.listener.requests)
    office = await shop.after(20)
    await office.emit()
    await office.round()
    assert len(shop.listener.requests) == before
    (fresh,) = await office.listed(state="waiting")
    assert fresh.attempts == 0
    assert fresh.error is not None
    assert "spared" in fresh.error
    assert {each.attempts for each in await office.listed(state="failing")} == {2}


async def test_then_one_goes_to_see_and_the_others_wait_on(shop: Shop) -> None:
    before = len(shop.listener.requests)
    office = await shop.after(55)
    assert await office.round() == 5
    assert len(shop.listener.requests) == before + 1
    tries = sorted(each.attempts for each in await office.listed())
    assert tries == [2, 2, 2, 2, 3]


async def test_when_it_arrives_they_follow_at_once(shop: Shop, answers: list[bytes]) -> None:
    answers.append(OK)
    await (await shop.after(55)).round()
    office = await shop.after(70)
    await office.round()
    assert {each.state for each in await office.listed()} == {"delivered"}


async def test_when_it_fails_they_wait_twice_as_long(shop: Shop) -> None:
    await (await shop.after(55)).round()
    before = len(shop.listener.requests)
    await (await shop.after(100)).round()
    assert len(shop.listener.requests) == before
    await (await shop.after(140)).round()
    assert len(shop.listener.requests) == before + 1

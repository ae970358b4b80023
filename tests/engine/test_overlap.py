"""Two reads of one record at once: the older answer, stored last, does not win."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from landbridge.engine.connect import Connected
from landbridge.engine.pull import Puller, stream_of
from landbridge.errors import Unreachable
from landbridge.store import parked, records
from landbridge.store.database import Database, Tx
from landbridge.testing.control import Control
from tests.engine.conftest import free
from tests.engine.test_pull import join, joined, ordered, stripe, there

__all__ = ["join", "joined", "stripe"]

Act = Callable[[], Awaitable[object]]


def overtaken(act: Act, times: int = 1) -> Callable[[Tx], Awaitable[None]]:
    """A hold in which, between a read and its storing, something else happens first."""
    left = [times]

    async def hold(_tx: Tx) -> None:
        if left[0]:
            left[0] -= 1
            await act()

    return hold


async def name_of(db: Database, joined: Connected, key: str) -> object:
    held = await records.one(db, stream_of(joined.connection, "customer"), key)
    assert held is not None
    return "deleted" if held.deleted_at else (held.unified or {})["name"]


@pytest.fixture
async def key(puller: Puller, joined: Connected, stripe: Control) -> str:
    await puller.run(joined.connection, "customer", hold=free)
    return min(there(stripe, "customers"))


async def test_a_record_that_another_read_stored_meanwhile_is_read_again(
    db: Database, puller: Puller, joined: Connected, stripe: Control, key: str
) -> None:
    async def renamed_and_read() -> None:
        stripe.patch(f"objects/customers/{key}", set={"name": "Newer"})
        await puller.one(joined.connection, "customer", key, hold=free)

    stripe.patch(f"objects/customers/{key}", set={"name": "Older"})
    hold = overtaken(renamed_and_read)
    assert (await puller.one(joined.connection, "customer", key, hold=hold)).missing == ()
    assert await name_of(db, joined, key) == "Newer"


async def test_a_page_leaves_what_was_stored_meanwhile_and_has_it_read_again(
    db: Database, puller: Puller, joined: Connected, stripe: Control, key: str
) -> None:
    async def renamed_and_read() -> None:
        stripe.patch(f"objects/customers/{key}", set={"name": "Newer"})
        await puller.one(joined.connection, "customer", key, hold=free)

    stripe.patch(f"objects/customers/{key}", set={"name": "Older"})
    totals = await puller.run(joined.connection, "customer", hold=overtaken(renamed_and_read))
    assert totals.missing == (key,)
    assert await name_of(db, joined, key) == "Newer"
    assert [claim.args["key"] for claim in await ordered(db)] == [key]


async def test_a_record_that_was_deleted_meanwhile_does_not_come_back(
    db: Database, puller: Puller, joined: Connected, stripe: Control, key: str
) -> None:
    async def deleted_and_read() -> None:
        stripe.delete(f"objects/customers/{key}")
        await puller.one(joined.connection, "customer", key, hold=free)

    stripe.patch(f"objects/customers/{key}", set={"name": "Older"})
    await puller.one(joined.connection, "customer", key, hold=overtaken(deleted_and_read))
    assert await name_of(db, joined, key) == "deleted"


async def test_a_record_that_was_mended_meanwhile_is_not_parked(
    db: Database, puller: Puller, joined: Connected, stripe: Control, key: str
) -> None:
    async def mended_and_read() -> None:
        stripe.patch(f"objects/customers/{key}", set={"created": before})
        await puller.one(joined.connection, "customer", key, hold=free)

    before = stripe.patch(f"objects/customers/{key}", set={"created": "soon"})["before"]["created"]
    await puller.one(joined.connection, "customer", key, hold=overtaken(mended_and_read))
    assert await parked.every(db, environment="test") == []


async def test_a_record_that_broke_meanwhile_stays_parked(
    db: Database, puller: Puller, joined: Connected, stripe: Control, key: str
) -> None:
    async def broken_and_read() -> None:
        stripe.patch(f"objects/customers/{key}", set={"created": "soon"})
        await puller.one(joined.connection, "customer", key, hold=free)

    stripe.patch(f"objects/customers/{key}", set={"name": "Older"})
    await puller.one(joined.connection, "customer", key, hold=overtaken(broken_and_read))
    assert [each.key for each in await parked.every(db, environment="test")] == [key]


async def test_a_parked_record_that_is_again_as_it_was_leaves_the_park(
    db: Database, puller: Puller, joined: Connected, stripe: Control, key: str
) -> None:
    before = stripe.patch(f"objects/customers/{key}", set={"created": "soon"})["before"]["created"]
    await puller.run(joined.connection, "customer", hold=free)
    assert len(await parked.every(db, environment="test")) == 1
    stripe.patch(f"objects/customers/{key}", set={"created": before})
    await puller.run(joined.connection, "customer", hold=free)
    assert await parked.every(db, environment="test") == []


async def test_a_record_that_others_store_without_end_is_put_off(
    puller: Puller, joined: Connected, stripe: Control, key: str
) -> None:
    names = iter(range(100))

    async def renamed_and_read() -> None:
        for act in ("a", "b"):
            stripe.patch(f"objects/customers/{key}", set={"name": f"{act}{next(names)}"})
            await puller.one(joined.connection, "customer", key, hold=free)

    stripe.patch(f"objects/customers/{key}", set={"name": "Older"})
    with pytest.raises(Unreachable, match="others stored customer"):
        await puller.one(joined.connection, "customer", key, hold=overtaken(renamed_and_read, 99))

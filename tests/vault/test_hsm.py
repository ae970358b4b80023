"""A key in a real PKCS#11 module: wrong PIN, token gone, and asked for others'."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pkcs11
import pytest

from landbridge.errors import Sealed, SettingsError, WrongKey
from landbridge.vault.hsm import HsmKey
from tests.vault.providers import PIN, SoftHsm

KEY = bytes(range(32))

Make = Callable[..., HsmKey]


@pytest.fixture
async def made(hsm: SoftHsm) -> AsyncIterator[Make]:
    async with AsyncExitStack() as stack:

        def make(token: str, *, pin: str = PIN, keys: str = "landbridge") -> HsmKey:
            key = HsmKey(hsm.module, token=token, pin=pin, keys=keys)
            stack.push_async_callback(key.close)
            return key

        yield make


@pytest.fixture
def token(hsm: SoftHsm) -> str:
    return hsm.token(f"t-{uuid.uuid4().hex[:8]}")


async def test_it_wraps_and_unwraps_also_many_at_once(made: Make, token: str) -> None:
    key = made(token)
    wrapped = await asyncio.gather(*(key.wrap(KEY, b"acme") for _ in range(50)))
    assert len(set(wrapped)) == 50
    assert not any(KEY in each for each in wrapped)
    opened = await asyncio.gather(*(key.unwrap(each, b"acme") for each in wrapped))
    assert set(opened) == {KEY}


async def test_what_was_wrapped_for_one_place_does_not_open_for_another(
    made: Make, token: str
) -> None:
    key = made(token)
    wrapped = await key.wrap(KEY, b"acme")
    for other in (b"bolt", b""):
        with pytest.raises(WrongKey, match="moved to another tenant"):
            await key.unwrap(wrapped, other)
    assert await key.unwrap(wrapped, b"acme") == KEY


async def test_every_damaged_byte_is_noticed(made: Make, token: str) -> None:
    key = made(token)
    wrapped = await key.wrap(KEY, b"acme")
    for position in range(len(wrapped)):
        damaged = bytearray(wrapped)
        damaged[position] ^= 1
        with pytest.raises(WrongKey):
            await key.unwrap(bytes(damaged), b"acme")


async def test_a_wrong_pin_is_tried_once_so_that_the_token_does_not_lock_itself(
    made: Make, token: str
) -> None:
    wrong = made(token, pin="0000-0000")
    for _ in range(20):
        with pytest.raises(Sealed, match="LANDBRIDGE_PKCS11_PIN") as refused:
            await wrong.wrap(KEY, b"acme")
        assert "0000-0000" not in f"{refused.value!r} {wrong!r}"
    right = made(token)
    assert await right.unwrap(await right.wrap(KEY, b"acme"), b"acme") == KEY


async def test_a_token_that_is_gone_is_sealed(made: Make, hsm: SoftHsm, token: str) -> None:
    key = made(token)
    wrapped = await key.wrap(KEY, b"acme")
    hsm.remove(token)
    with pytest.raises(Sealed):
        await key.unwrap(wrapped, b"acme")
    with pytest.raises(Sealed):
        await made(token).unwrap(wrapped, b"acme")


async def test_a_module_that_was_started_anew_is_logged_in_to_again(
    made: Make, hsm: SoftHsm, token: str
) -> None:
    key = made(token)
    wrapped = await key.wrap(KEY, b"acme")
    pkcs11.lib(str(hsm.module)).reinitialize()
    assert await key.unwrap(wrapped, b"acme") == KEY


async def test_the_first_of_several_keys_wraps_and_all_open(
    made: Make, hsm: SoftHsm, token: str
) -> None:
    hsm.add_keys(token, "second")
    wrapped = await made(token).wrap(KEY, b"acme")
    both = made(token, keys="second,landbridge")
    assert await both.unwrap(wrapped, b"acme") == KEY
    assert both.made_by(await both.wrap(KEY, b"acme")) == "pkcs11/second"
    with pytest.raises(WrongKey, match="LANDBRIDGE_PKCS11_KEY"):
        await made(token, keys="second").unwrap(wrapped, b"acme")


async def test_a_key_that_could_be_taken_out_is_refused(
    made: Make, hsm: SoftHsm, token: str
) -> None:
    hsm.add_keys(token, "open", extractable=True)
    with pytest.raises(SettingsError, match="can be taken out"):
        await made(token, keys="open").wrap(KEY, b"acme")


async def test_a_missing_key_token_or_module_is_named(made: Make, token: str) -> None:
    with pytest.raises(Sealed, match="LANDBRIDGE_PKCS11_KEY"):
        await made(token, keys="missing").wrap(KEY, b"acme")
    with pytest.raises(Sealed, match="LANDBRIDGE_PKCS11_TOKEN"):
        await made("missing").wrap(KEY, b"acme")
    nowhere = HsmKey(Path("/nowhere.so"), token=token, pin=PIN, keys="landbridge")
    with pytest.raises(Sealed, match="LANDBRIDGE_PKCS11_MODULE"):
        await nowhere.wrap(KEY, b"acme")
    await nowhere.close()


async def test_the_loop_goes_on_while_the_module_works(made: Make, token: str) -> None:
    key = made(token)
    await key.wrap(KEY, b"acme")
    turns = 0
    work = asyncio.gather(*(key.wrap(KEY, b"acme") for _ in range(200)))
    while not work.done():
        await asyncio.sleep(0)
        turns += 1
    await work
    assert turns > 200, "one turn for each would mean that each held the loop"


@pytest.mark.parametrize(
    ("wrong", "setting"),
    [
        ({"pin": ""}, "LANDBRIDGE_PKCS11_PIN"),
        ({"token": ""}, "LANDBRIDGE_PKCS11_TOKEN"),
        ({"keys": ""}, "LANDBRIDGE_PKCS11_KEY"),
    ],
)
def test_wrong_settings_are_named(wrong: dict[str, str], setting: str) -> None:
    with pytest.raises(SettingsError, match=setting):
        HsmKey(Path("/m.so"), **{"token": "t", "pin": PIN, "keys": "landbridge", **wrong})

"""A key in a real OpenBao: sealed, restarted, with an expired token, and asked for others'."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from landbridge.errors import Sealed, SettingsError, WrongKey
from landbridge.vault import Kind, Vault
from landbridge.vault.transit import TransitKey
from tests.vault.providers import Bao, openbao

KEY = bytes(range(32))
PLACE = {"environment": "test", "tenant": "acme", "place": "grant/grt_1/secret"}

Make = Callable[..., TransitKey]


@pytest.fixture
async def transit(bao: Bao) -> AsyncIterator[Make]:
    async with AsyncExitStack() as stack:

        def make(address: str = bao.address, keys: str = "landbridge", **how: object) -> TransitKey:
            if "token_file" not in how:
                how = {"token": bao.token("encrypt", "decrypt"), **how}
            made = TransitKey(address, keys=keys, **how)  # type: ignore[arg-type]
            stack.push_async_callback(made.close)
            return made

        yield make


async def test_it_wraps_and_unwraps_with_the_rights_to_do_no_more(transit: Make) -> None:
    key = transit()
    wrapped = await key.wrap(KEY, b"acme")
    assert KEY not in wrapped
    assert await key.unwrap(wrapped, b"acme") == KEY


async def test_what_was_wrapped_for_one_place_does_not_open_for_another(transit: Make) -> None:
    key = transit()
    wrapped = await key.wrap(KEY, b"acme")
    for other in (b"bolt", b""):
        with pytest.raises(WrongKey, match="moved to another tenant"):
            await key.unwrap(wrapped, other)


async def test_every_damaged_byte_is_noticed(transit: Make) -> None:
    key = transit()
    wrapped = await key.wrap(KEY, b"acme")
    for position in range(len(wrapped)):
        damaged = bytearray(wrapped)
        damaged[position] ^= 1
        with pytest.raises((WrongKey, Sealed)):
            assert await key.unwrap(bytes(damaged), b"acme") != KEY


async def test_a_sealed_one_says_so_and_opens_again_after_it_is_unsealed(
    transit: Make, bao: Bao
) -> None:
    key = transit()
    wrapped = await key.wrap(KEY, b"acme")
    bao.seal()
    try:
        for call in (key.wrap(KEY, b"acme"), key.unwrap(wrapped, b"acme")):
            with pytest.raises(Sealed, match="is sealed"):
                await call
    finally:
        bao.unseal()
    assert await key.unwrap(wrapped, b"acme") == KEY


async def test_after_a_restart_the_same_provider_goes_on(transit: Make, tmp_path: Path) -> None:
    with openbao(tmp_path / "own") as bao:
        key = transit(bao.address, token=bao.token("encrypt", "decrypt"))
        wrapped = await key.wrap(KEY, b"acme")
        bao.stop()
        with pytest.raises(Sealed, match="does not answer"):
            await key.unwrap(wrapped, b"acme")
        bao.start()
        with pytest.raises(Sealed, match="is sealed"):
            await key.unwrap(wrapped, b"acme")
        bao.unseal()
        assert await key.unwrap(wrapped, b"acme") == KEY


async def test_an_expired_token_is_named_and_never_shown(transit: Make, bao: Bao) -> None:
    token = bao.token("encrypt", "decrypt")
    key = transit(token=token)
    wrapped = await key.wrap(KEY, b"acme")
    bao.ask("POST", "/v1/auth/token/revoke", {"token": token})
    with pytest.raises(Sealed, match="LANDBRIDGE_TRANSIT_TOKEN") as refused:
        await key.unwrap(wrapped, b"acme")
    assert token not in f"{refused.value!r} {key!r}"


async def test_a_token_that_an_agent_renewed_in_its_file_is_read_again(
    transit: Make, bao: Bao, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    old = bao.token("encrypt", "decrypt")
    file.write_text(f"{old}\n")
    key = transit(token_file=file)
    wrapped = await key.wrap(KEY, b"acme")
    bao.ask("POST", "/v1/auth/token/revoke", {"token": old})
    file.write_text(bao.token("encrypt", "decrypt"))
    assert await key.unwrap(wrapped, b"acme") == KEY
    file.write_text("")
    with pytest.raises(Sealed, match="LANDBRIDGE_TRANSIT_TOKEN_FILE"):
        await key.unwrap(wrapped, b"acme")


async def test_a_rotated_key_wraps_by_its_new_version_and_opens_the_old(
    transit: Make, bao: Bao
) -> None:
    key = transit()
    before = await key.wrap(KEY, b"acme")
    bao.ask("POST", "/v1/transit/keys/landbridge/rotate")
    after = await key.wrap(KEY, b"acme")
    versions = [int((key.made_by(each) or "").rsplit("/", 1)[-1]) for each in (before, after)]
    assert versions[1] == versions[0] + 1
    assert await key.unwrap(before, b"acme") == await key.unwrap(after, b"acme") == KEY
    bao.ask("POST", "/v1/transit/keys/landbridge/config", {"min_decryption_version": versions[1]})
    with pytest.raises(WrongKey, match="min_decryption_version"):
        await key.unwrap(before, b"acme")


async def test_the_first_of_several_keys_wraps_and_all_open(transit: Make, bao: Bao) -> None:
    bao.ask("POST", "/v1/transit/keys/second", {"type": "aes256-gcm96"})
    old = transit(token=bao.root)
    wrapped = await old.wrap(KEY, b"acme")
    both = transit(keys="second,landbridge", token=bao.root)
    assert await both.unwrap(wrapped, b"acme") == KEY
    assert (both.made_by(await both.wrap(KEY, b"acme")) or "").startswith("transit/second/")
    with pytest.raises(WrongKey, match="LANDBRIDGE_TRANSIT_KEY"):
        await transit(keys="second", token=bao.root).unwrap(wrapped, b"acme")


async def test_a_token_without_the_right_or_a_key_that_is_missing_is_sealed(
    transit: Make, bao: Bao
) -> None:
    wrapped = await transit().wrap(KEY, b"acme")
    with pytest.raises(Sealed, match="no such right"):
        await transit(token=bao.token("encrypt")).unwrap(wrapped, b"acme")
    with pytest.raises(Sealed):
        await transit(keys="missing", token=bao.token("encrypt", key="missing")).wrap(KEY, b"a")


async def test_nobody_at_the_address_is_sealed(transit: Make) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        key = transit(f"http://127.0.0.1:{nobody.getsockname()[1]}")
        with pytest.raises(Sealed, match="does not answer"):
            await key.wrap(KEY, b"acme")


async def test_a_vault_asks_it_for_each_credential_and_once_for_access_tokens(
    transit: Make, bao: Bao, db: object
) -> None:
    vault = Vault(db, transit())  # type: ignore[arg-type]
    secret = await vault.seal(Kind.CREDENTIAL, **PLACE, secret=b"refresh")
    access = await vault.seal(Kind.ACCESS, **PLACE, secret=b"access")
    bao.seal()
    try:
        assert await vault.open(Kind.ACCESS, **PLACE, envelope=access) == b"access"
        with pytest.raises(Sealed):
            await vault.open(Kind.CREDENTIAL, **PLACE, envelope=secret)
        vault.forget()
        with pytest.raises(Sealed):
            await vault.open(Kind.ACCESS, **PLACE, envelope=access)
    finally:
        bao.unseal()
    assert await vault.open(Kind.CREDENTIAL, **PLACE, envelope=secret) == b"refresh"


@pytest.mark.parametrize(
    ("wrong", "setting"),
    [
        ({"address": "vault.example.com"}, "LANDBRIDGE_TRANSIT_ADDRESS"),
        ({"address": "https://u:p@vault.example.com"}, "LANDBRIDGE_TRANSIT_ADDRESS"),
        ({"keys": "../sys"}, "LANDBRIDGE_TRANSIT_KEY"),
        ({"keys": " , "}, "LANDBRIDGE_TRANSIT_KEY"),
        ({"mount": "a b"}, "LANDBRIDGE_TRANSIT_MOUNT"),
        ({"token": ""}, "LANDBRIDGE_TRANSIT_TOKEN"),
    ],
)
def test_wrong_settings_are_named(wrong: dict[str, str], setting: str) -> None:
    right = {"address": "https://vault.example.com", "keys": "landbridge", "token": "s.1"}
    with pytest.raises(SettingsError, match=setting):
        TransitKey(**{**right, **wrong})  # type: ignore[arg-type]

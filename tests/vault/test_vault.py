"""Envelopes open for the tenant, place and kind they were made for, with the key that made them."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from landbridge.errors import InvalidInput, Sealed, SettingsError, WrongKey
from landbridge.store.database import Database
from landbridge.store.sql import Sql
from landbridge.vault import Kind, LocalKey, Vault, new_key
from landbridge.vault._envelope import bound, head_of

CANARY = b"sk_canary_51Hx"
PLACE = {"environment": "test", "tenant": "acme", "place": "grant/grt_1/secret"}
BOTH = pytest.mark.parametrize("kind", [Kind.CREDENTIAL, Kind.SIGNING])

KEYS = Sql("tests.keys", "SELECT wrapped FROM lb.tenant_key", across="A test looks at everything.")


@BOTH
async def test_what_was_sealed_opens_again(vault: Vault, kind: Kind) -> None:
    envelope = await vault.seal(kind, **PLACE, secret=CANARY)
    assert CANARY not in envelope
    assert await vault.open(kind, **PLACE, envelope=envelope) == CANARY


@BOTH
@pytest.mark.parametrize(
    "elsewhere", [{"tenant": "bolt"}, {"environment": "live"}, {"place": "grant/grt_2/secret"}]
)
async def test_an_envelope_does_not_open_elsewhere(
    vault: Vault, kind: Kind, elsewhere: dict[str, str]
) -> None:
    envelope = await vault.seal(kind, **PLACE, secret=CANARY)
    await vault.seal(kind, **{**PLACE, **elsewhere}, secret=b"other")
    with pytest.raises(WrongKey):
        await vault.open(kind, **{**PLACE, **elsewhere}, envelope=envelope)


async def test_a_signing_secret_is_not_taken_for_a_credential(vault: Vault) -> None:
    envelope = await vault.seal(Kind.SIGNING, **PLACE, secret=CANARY)
    for kind in (Kind.CREDENTIAL, Kind.ACCESS):
        with pytest.raises(WrongKey):
            await vault.open(kind, **PLACE, envelope=envelope)


@BOTH
async def test_every_flipped_bit_is_noticed(vault: Vault, kind: Kind) -> None:
    envelope = await vault.seal(kind, **PLACE, secret=CANARY)
    for position in range(len(envelope)):
        damaged = bytearray(envelope)
        damaged[position] ^= 1
        with pytest.raises(WrongKey):
            await vault.open(kind, **PLACE, envelope=bytes(damaged))


async def test_an_envelope_opens_under_its_own_head_alone(db: Database, vault: Vault) -> None:
    """Also where two versions hold the same data key: the head is part of what is bound."""
    envelope = await vault.seal(Kind.ACCESS, **PLACE, secret=CANARY)
    async with db.transaction() as tx:
        await tx.execute("UPDATE landbridge.tenant_key SET version = 2")
    other = envelope[:1] + (2).to_bytes(4, "big") + envelope[5:]
    vault.forget()
    with pytest.raises(WrongKey):
        await vault.open(Kind.ACCESS, **PLACE, envelope=other)


@BOTH
async def test_an_envelope_of_the_first_form_still_opens(vault: Vault, kind: Kind) -> None:
    fresh = await vault.seal(kind, **PLACE, secret=CANARY)
    head = head_of(fresh)
    assert head is not None
    bound_to = bound(kind, *PLACE.values())
    if kind is Kind.CREDENTIAL:
        key = await vault._keys.unwrap(head.wrapped, bound_to)
    else:
        key = bytes(await vault._data_key("test", "acme", head.version))
    first = bytes([head.form - 2]) + head.text[1:] + bytes(12)
    first += AESGCM(key).encrypt(bytes(12), CANARY, bound_to)
    assert await vault.open(kind, **PLACE, envelope=first) == CANARY
    assert not vault.is_of_today(first, newest=vault.made_by(fresh), version=1)
    again = await vault.seal_again(kind, **PLACE, envelope=first)
    assert vault.is_of_today(again, newest=vault.made_by(fresh), version=1)


async def test_data_keys_are_overwritten_when_they_are_forgotten(db: Database) -> None:
    now = 0.0
    vault = Vault(db, LocalKey.from_text(new_key()), keep=10, monotonic=lambda: now)
    await vault.seal(Kind.ACCESS, **PLACE, secret=CANARY)
    held = [key for _, key in vault._opened.values()]
    assert held
    assert all(any(key) for key in held)
    now = 11.0
    await vault.seal(Kind.ACCESS, **{**PLACE, "tenant": "bolt"}, secret=CANARY)
    assert not any(any(key) for key in held), "its time was over"
    held = [key for _, key in vault._opened.values()]
    vault.forget()
    assert not any(any(key) for key in held)


async def test_a_tenant_with_a_nul_cannot_pass_for_another(vault: Vault) -> None:
    with pytest.raises(InvalidInput, match="NUL"):
        await vault.seal(Kind.SIGNING, **{**PLACE, "tenant": "acme\x00b"}, secret=CANARY)


@BOTH
async def test_sealing_twice_gives_two_envelopes(vault: Vault, kind: Kind) -> None:
    made = {await vault.seal(kind, **PLACE, secret=CANARY) for _ in range(50)}
    assert len(made) == 50


@BOTH
async def test_another_key_opens_nothing(db: Database, vault: Vault, kind: Kind) -> None:
    envelope = await vault.seal(kind, **PLACE, secret=CANARY)
    other = Vault(db, LocalKey.from_text(new_key()))
    with pytest.raises(WrongKey, match="put that key back"):
        await other.open(kind, **PLACE, envelope=envelope)


@BOTH
async def test_an_old_key_behind_the_new_one_still_opens(db: Database, kind: Kind) -> None:
    old, new = new_key(), new_key()
    envelope = await Vault(db, LocalKey.from_text(old)).seal(kind, **PLACE, secret=CANARY)
    both = Vault(db, LocalKey.from_text(f"{new},{old}"))
    assert await both.open(kind, **PLACE, envelope=envelope) == CANARY


async def test_two_processes_that_seal_first_agree_on_the_data_key(db: Database) -> None:
    key = new_key()
    vaults = [Vault(db, LocalKey.from_text(key)) for _ in range(6)]
    envelopes = await asyncio.gather(
        *[vault.seal(Kind.SIGNING, **PLACE, secret=CANARY) for vault in vaults]
    )
    for envelope in envelopes:
        assert await vaults[0].open(Kind.SIGNING, **PLACE, envelope=envelope) == CANARY
    assert len(await db.fetch(KEYS)) == 1


async def test_the_cached_data_key_is_asked_for_again_after_its_time(db: Database) -> None:
    now = 0.0
    vault = Vault(db, LocalKey.from_text(new_key()), keep=10, monotonic=lambda: now)
    envelope = await vault.seal(Kind.SIGNING, **PLACE, secret=CANARY)
    async with db.transaction() as tx:
        await tx.execute("DELETE FROM landbridge.tenant_key")
    assert await vault.open(Kind.SIGNING, **PLACE, envelope=envelope) == CANARY
    now = 11.0
    with pytest.raises(WrongKey, match="not in the database"):
        await vault.open(Kind.SIGNING, **PLACE, envelope=envelope)


def test_a_key_file_is_made_once_and_only_for_its_owner(tmp_path: Path) -> None:
    path = tmp_path / "home" / "key"
    LocalKey.from_file(path, create=True)
    first = path.read_text()
    LocalKey.from_file(path, create=True)
    assert path.read_text() == first
    assert path.stat().st_mode & 0o077 == 0
    path.chmod(0o644)
    with pytest.raises(SettingsError, match="chmod 600"):
        LocalKey.from_file(path)


def test_a_missing_key_file_is_sealed(tmp_path: Path) -> None:
    with pytest.raises(Sealed, match="cannot be read"):
        LocalKey.from_file(tmp_path / "none")


@pytest.mark.parametrize("text", ["short", base64.b64encode(b"x" * 31).decode(), "!" * 44, ","])
def test_a_key_of_the_wrong_shape_is_refused_without_being_shown(text: str) -> None:
    with pytest.raises(SettingsError) as refused:
        LocalKey.from_text(text)
    assert "LANDBRIDGE_KEY" in str(refused.value)
    assert text == "," or text not in str(refused.value)


def test_nothing_shows_a_key() -> None:
    text = new_key()
    assert text not in repr(LocalKey.from_text(text))

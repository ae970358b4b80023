"""What signs for an endpoint: both schemes, rotation, and signers that are kept."""

from __future__ import annotations

import asyncio
import base64
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from landbridge import webhooks
from landbridge.client.guard import Guard
from landbridge.clock import FakeClock
from landbridge.engine.endpoint_keys import MOST_VALID, Opened, endpoint_signer
from landbridge.engine.endpoints import Endpoints
from landbridge.errors import Forged, InvalidInput, WrongKey
from landbridge.signing.standard import new_private_key, new_secret, public_key
from landbridge.store.database import Database
from landbridge.store.endpoints import Endpoint
from landbridge.vault import Vault
from tests.engine.test_endpoint_settings import public

URL = "https://shop.example/hook"
ACME: dict[str, Any] = {"environment": "test", "tenant": "acme"}
NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
BODY = b'{"type":"invoice.paid"}'


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(NOON)


@pytest.fixture
def office(db: Database, vault: Vault, clock: FakeClock) -> Endpoints:
    return Endpoints(db, vault, Guard(lookup=public), clock=clock)


@pytest.fixture
def opened(vault: Vault, clock: FakeClock) -> Opened:
    return Opened(vault, monotonic=lambda: clock.now().timestamp())


async def sign(opened: Opened, endpoint: Endpoint, clock: FakeClock) -> dict[str, str]:
    signer, _ = await opened.of(
        **ACME,
        id=endpoint.id,
        secrets=endpoint.secrets,
        headers=endpoint.headers,
        now=clock.now(),
    )
    return signer.headers("evt_1", clock.now(), BODY)


def accepts(key: str, headers: dict[str, str], clock: FakeClock) -> bool:
    try:
        return bool(webhooks.verify(BODY, headers, key, now=clock.now()))
    except Forged:
        return False


def versions(headers: dict[str, str]) -> list[str]:
    return [each.partition(",")[0] for each in headers["webhook-signature"].split()]


@pytest.mark.parametrize(
    ("scheme", "wanted"), [("v1", ["v1"]), ("v1a", ["v1a"]), ("both", ["v1", "v1a"])]
)
async def test_an_endpoint_is_signed_by_its_scheme(
    office: Endpoints, opened: Opened, clock: FakeClock, scheme: Any, wanted: list[str]
) -> None:
    made = await office.create(**ACME, url=URL, scheme=scheme)
    headers = await sign(opened, made.endpoint, clock)
    assert versions(headers) == wanted
    assert bool(made.secret) == ("v1" in wanted)
    assert bool(made.public_key) == ("v1a" in wanted)
    for key in filter(None, (made.secret, made.public_key)):
        assert accepts(key, headers, clock)
    shown = await office.show(made.endpoint.id, **ACME)
    assert shown.scheme == scheme
    assert [each.public_key for each in shown.keys if each.version == "v1a"] == [
        each for each in (made.public_key,) if each
    ]
    assert made.secret not in repr(shown) or not made.secret


async def test_given_keys_are_used(office: Endpoints, opened: Opened, clock: FakeClock) -> None:
    secret, private = new_secret(), new_private_key()
    made = await office.create(**ACME, url=URL, scheme="both", secret=secret, private_key=private)
    assert (made.secret, made.public_key) == (secret, public_key(private))
    assert accepts(public_key(private), await sign(opened, made.endpoint, clock), clock)
    assert private not in repr(made)
    assert secret not in repr(made)
    fresh = new_private_key()
    assert await office.rotate_key(made.endpoint.id, **ACME, private_key=fresh) == public_key(fresh)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"scheme": "v2"}, "scheme: 'v2' is none of v1, v1a and both"),
        ({"scheme": "v1a", "secret": new_secret()}, "secret: it signs v1, which"),
        ({"private_key": new_private_key()}, "private_key: it signs v1a, which"),
        ({"scheme": "v1a", "private_key": "whsk_canary!"}, "private_key: it is not whsk_"),
        ({"scheme": "v1a", "private_key": "canary"}, "private_key: it is not whsk_"),
        (
            {"scheme": "v1a", "private_key": "whsk_" + base64.b64encode(b"canary").decode()},
            "private_key: it is not whsk_",
        ),
    ],
)
async def test_a_wrong_key_or_scheme_is_refused(
    office: Endpoints, given: dict[str, Any], said: str
) -> None:
    with pytest.raises(InvalidInput, match=said) as caught:
        await office.create(**ACME, url=URL, **given)
    assert "canary" not in str(caught.value)


async def test_both_kinds_rotate_apart_and_overlap(
    office: Endpoints, opened: Opened, clock: FakeClock
) -> None:
    made = await office.create(**ACME, url=URL, scheme="both")
    named = made.endpoint.id
    key = await office.rotate_key(named, **ACME, overlap=HOUR)
    secret = await office.rotate_secret(named, **ACME, overlap=2 * HOUR)
    every = [secret, made.secret, key, made.public_key]

    async def accepted() -> list[bool]:
        headers = await sign(opened, await office.get(named, **ACME), clock)
        return [accepts(each, headers, clock) for each in every]

    assert await accepted() == [True, True, True, True]
    shown = (await office.show(named, **ACME)).keys
    assert [(each.version, each.public_key, each.until) for each in shown] == [
        ("v1", "", None),
        ("v1", "", NOON + 2 * HOUR),
        ("v1a", key, None),
        ("v1a", made.public_key, NOON + HOUR),
    ]
    clock.advance(HOUR)
    assert await accepted() == [True, True, True, False]
    clock.advance(HOUR)
    assert await accepted() == [True, False, True, False]
    await office.rotate_key(named, **ACME, overlap=timedelta())
    assert await accepted() == [True, False, False, False]


async def test_a_scheme_changes_with_an_overlap(
    office: Endpoints, opened: Opened, clock: FakeClock
) -> None:
    made = await office.create(**ACME, url=URL)
    named = made.endpoint.id
    with pytest.raises(InvalidInput, match="not signed with v1a; add it with"):
        await office.rotate_key(named, **ACME)
    moved = await office.change_scheme(named, **ACME, scheme="v1a", overlap=HOUR)
    assert moved.secret == ""
    headers = await sign(opened, moved.endpoint, clock)
    assert accepts(moved.public_key, headers, clock)
    assert accepts(made.secret, headers, clock)
    assert (await office.show(named, **ACME)).scheme == "v1a"
    clock.advance(HOUR)
    assert versions(await sign(opened, moved.endpoint, clock)) == ["v1a"]
    with pytest.raises(InvalidInput, match="not signed with v1;"):
        await office.rotate_secret(named, **ACME)
    back = await office.change_scheme(named, **ACME, scheme="both")
    assert back.public_key == ""
    assert accepts(back.secret, await sign(opened, back.endpoint, clock), clock)
    same = await office.change_scheme(named, **ACME, scheme="both")
    assert (same.secret, same.public_key) == ("", "")


async def test_too_many_valid_secrets_are_refused_with_a_way_out(office: Endpoints) -> None:
    made = await office.create(**ACME, url=URL)
    named = made.endpoint.id
    for _ in range(MOST_VALID - 1):
        await office.rotate_secret(named, **ACME)
    with pytest.raises(InvalidInput, match="25 secrets of this endpoint are valid already"):
        await office.rotate_secret(named, **ACME)
    await office.rotate_secret(named, **ACME, overlap=timedelta())
    assert len((await office.show(named, **ACME)).keys) == 1


@pytest.mark.parametrize("overlap", [timedelta(seconds=-1), timedelta(days=91)])
async def test_an_overlap_that_cannot_be_is_refused(office: Endpoints, overlap: timedelta) -> None:
    made = await office.create(**ACME, url=URL)
    with pytest.raises(InvalidInput, match=r"overlap: .* is not from 0 to 90 days"):
        await office.rotate_secret(made.endpoint.id, **ACME, overlap=overlap)


# Signers that are kept


async def test_a_signer_is_made_once_and_anew_after_a_change(
    office: Endpoints, opened: Opened, clock: FakeClock
) -> None:
    made = (await office.create(**ACME, url=URL, headers={"X-Shop": "7"})).endpoint

    async def of(endpoint: Endpoint) -> tuple[Any, Any]:
        return await opened.of(
            **ACME,
            id=endpoint.id,
            secrets=endpoint.secrets,
            headers=endpoint.headers,
            now=clock.now(),
        )

    signer, headers = await of(made)
    assert headers == {"X-Shop": "7"}
    assert (await of(made))[0] is signer
    clock.advance(timedelta(seconds=299))
    assert (await of(made))[0] is signer
    clock.advance(timedelta(seconds=1))
    assert (await of(made))[0] is not signer
    signer, _ = await of(made)
    changed = await office.update(made.id, **ACME, headers={"X-Till": "1"})
    assert (await of(changed)) == ((await of(changed))[0], {"X-Till": "1"})
    assert (await of(changed))[0] is not signer
    await office.rotate_secret(made.id, **ACME, overlap=timedelta(seconds=10))
    both, _ = await of(await office.get(made.id, **ACME))
    clock.advance(timedelta(seconds=10))
    assert (await of(await office.get(made.id, **ACME)))[0] is not both


async def test_another_s_envelope_opens_for_nobody_also_when_it_was_opened_before(
    office: Endpoints, opened: Opened, vault: Vault, clock: FakeClock
) -> None:
    made = (await office.create(**ACME, url=URL)).endpoint
    theirs = (await office.create(environment="test", tenant="other", url=URL)).endpoint
    for tenant, named in (("other", made.id), ("other", theirs.id), ("acme", theirs.id)):
        await sign(opened, made, clock)
        with pytest.raises(WrongKey):
            await opened.of(
                environment="test",
                tenant=tenant,
                id=named,
                secrets=made.secrets,
                headers=None,
                now=clock.now(),
            )
        with pytest.raises(WrongKey):
            await endpoint_signer(
                vault,
                environment="test",
                tenant=tenant,
                id=named,
                envelope=made.secrets,
                now=clock.now(),
            )


async def test_no_more_signers_are_kept_than_allowed(
    office: Endpoints, vault: Vault, clock: FakeClock
) -> None:
    few = Opened(vault, most=2)
    made = [(await office.create(**ACME, url=URL)).endpoint for _ in range(3)]
    for each in [*made, *made]:
        await sign(few, each, clock)
        assert repr(few) in ("Opened(1 endpoints)", "Opened(2 endpoints)")


async def test_schemes_changed_and_secrets_rotated_at_once_lose_nothing(
    office: Endpoints, opened: Opened, clock: FakeClock
) -> None:
    made = await office.create(**ACME, url=URL, scheme="both")
    named = made.endpoint.id
    fresh = await asyncio.gather(
        *(office.rotate_secret(named, **ACME) for _ in range(5)),
        *(office.rotate_key(named, **ACME) for _ in range(5)),
    )
    headers = await sign(opened, await office.get(named, **ACME), clock)
    assert all(accepts(each, headers, clock) for each in (*fresh, made.secret, made.public_key))

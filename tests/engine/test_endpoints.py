"""Endpoints: for addresses that may be called, kept per tenant, with secrets that rotate."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from landbridge import ids
from landbridge.client.guard import Guard
from landbridge.clock import FakeClock
from landbridge.engine.endpoints import Endpoints, signing_secrets
from landbridge.errors import Forbidden, InvalidInput, NotFound, Unreachable
from landbridge.store.database import Database
from landbridge.store.endpoints import Endpoint
from landbridge.vault import Vault

URL = "https://shop.example/hook"
ACME: dict[str, Any] = {"environment": "test", "tenant": "acme"}
NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)


async def public(host: str, _port: int) -> Sequence[str]:
    if host == "gone.example":
        raise OSError("no such name")
    return ["10.0.0.1" if host == "inside.example" else "93.184.215.14"]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(NOON)


@pytest.fixture
def office(db: Database, vault: Vault, clock: FakeClock) -> Endpoints:
    return Endpoints(db, vault, Guard(lookup=public), clock=clock)


async def secrets(vault: Vault, endpoint: Endpoint, clock: FakeClock) -> list[str]:
    return await signing_secrets(
        vault,
        environment=endpoint.environment,
        tenant=endpoint.tenant,
        id=endpoint.id,
        envelope=endpoint.secrets,
        now=clock.now(),
    )


async def test_a_new_endpoint_is_enabled_for_all_events_with_a_secret_of_its_own(
    office: Endpoints, vault: Vault, clock: FakeClock
) -> None:
    made, other = await office.create(**ACME, url=URL), await office.create(**ACME, url=URL)
    endpoint = made.endpoint
    assert ids.is_id(endpoint.id, "end")
    assert (endpoint.url, endpoint.types, endpoint.state) == (URL, ("*",), "enabled")
    assert made.secret.startswith("whsec_")
    assert made.secret != other.secret
    assert await secrets(vault, endpoint, clock) == [made.secret]
    assert made.secret.encode() not in endpoint.secrets


async def test_a_receiver_s_own_secret_may_be_given(
    office: Endpoints, vault: Vault, clock: FakeClock
) -> None:
    given = "whsec_" + base64.b64encode(b"k" * 24).decode()
    made = await office.create(**ACME, url=URL, secret=given)
    assert made.secret == given
    assert await secrets(vault, made.endpoint, clock) == [given]


@pytest.mark.parametrize(
    "given",
    [
        "",
        "canary",
        "whsec_",
        "whsec_canary!",
        "whsec_" + base64.b64encode(b"canary").decode(),
        "whsec_" + base64.b64encode(b"c" * 65).decode(),
        "whsk_" + base64.b64encode(b"c" * 32).decode(),
    ],
)
async def test_a_secret_that_is_none_is_refused_and_not_repeated(
    office: Endpoints, given: str
) -> None:
    with pytest.raises(InvalidInput, match="secret: it is not whsec_ and base64") as caught:
        await office.create(**ACME, url=URL, secret=given)
    assert "canary" not in str(caught.value)
    made = await office.create(**ACME, url=URL)
    with pytest.raises(InvalidInput, match="secret:"):
        await office.rotate_secret(made.endpoint.id, **ACME, secret=given)


@pytest.mark.parametrize(
    ("types", "said"),
    [
        ([], "give a list"),
        ("invoice.paid", "give a list"),
        (["Invoice.Paid"], "'Invoice.Paid' is not an event type"),
        (["invoice.*.paid"], "is not an event type"),
        (["*.paid"], "is not an event type"),
        (["invoice*"], "is not an event type"),
        ([""], "is not an event type"),
        (["invoice.paid", "x y"], "'x y' is not"),
        (["a" * 256], "is not an event type"),
        ([f"t{n}" for n in range(101)], "101 are given, 100 are the most"),
    ],
)
async def test_types_that_are_none_are_refused(office: Endpoints, types: Any, said: str) -> None:
    with pytest.raises(InvalidInput, match=f"types: .*{said}"):
        await office.create(**ACME, url=URL, types=types)
    made = await office.create(**ACME, url=URL)
    with pytest.raises(InvalidInput, match=said):
        await office.update(made.endpoint.id, **ACME, types=types)


async def test_types_are_kept_once_each(office: Endpoints) -> None:
    wanted = ["invoice.*", "customer.created", "invoice.*"]
    made = await office.create(**ACME, url=URL, types=wanted)
    assert made.endpoint.types == ("customer.created", "invoice.*")


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("http://127.0.0.1/", Forbidden),
        ("http://169.254.169.254/latest/", Forbidden),
        ("https://inside.example/", Forbidden),
        ("https://gone.example/", Unreachable),
        ("ftp://shop.example/", InvalidInput),
        ("https://ann:pw@shop.example/", InvalidInput),
    ],
)
async def test_an_address_that_may_not_be_called_is_refused_before_it_is_kept(
    office: Endpoints, url: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        await office.create(**ACME, url=url)
    assert await office.list(**ACME) == []
    made = await office.create(**ACME, url=URL)
    with pytest.raises(error):
        await office.update(made.endpoint.id, **ACME, url=url)
    assert (await office.get(made.endpoint.id, **ACME)).url == URL


@pytest.mark.parametrize("tenant", ["", "a\x00"])
async def test_a_tenant_is_needed(office: Endpoints, tenant: str) -> None:
    with pytest.raises(InvalidInput, match="tenant: empty"):
        await office.create(environment="test", tenant=tenant, url=URL)


async def test_url_and_types_change_apart(office: Endpoints) -> None:
    made = (await office.create(**ACME, url=URL)).endpoint
    await office.update(made.id, **ACME, url="https://shop.example/other")
    changed = await office.update(made.id, **ACME, types=["invoice.paid"])
    assert (changed.url, changed.types) == ("https://shop.example/other", ("invoice.paid",))
    assert changed.secrets == made.secrets
    assert changed == await office.get(made.id, **ACME)


async def test_disabled_with_a_reason_and_enabled_again(office: Endpoints) -> None:
    made = (await office.create(**ACME, url=URL)).endpoint
    disabled = await office.disable(made.id, **ACME)
    assert (disabled.state, disabled.reason) == ("disabled", "disabled by hand")
    assert disabled.disabled_at is not None
    enabled = (await office.enable(made.id, **ACME)).endpoint
    assert enabled.disabled_at is None
    assert (enabled.state, enabled.reason) == ("enabled", "")


async def test_a_tenant_sees_and_touches_only_its_own(office: Endpoints) -> None:
    mine = (await office.create(**ACME, url=URL)).endpoint
    theirs = (await office.create(environment="test", tenant="other", url=URL)).endpoint
    live = (await office.create(environment="live", tenant="acme", url=URL)).endpoint
    assert await office.list(**ACME) == [mine]
    assert await office.list(environment="test") == [mine, theirs]
    for foreign in (theirs.id, live.id, "end_nonsense"):
        for call in (
            office.get(foreign, **ACME),
            office.update(foreign, **ACME, types=["*"]),
            office.disable(foreign, **ACME),
            office.enable(foreign, **ACME),
            office.rotate_secret(foreign, **ACME),
            office.delete(foreign, **ACME),
        ):
            with pytest.raises(NotFound, match="is no endpoint of this tenant"):
                await call
    assert await office.list(environment="test", tenant="other") == [theirs]
    assert await office.list(environment="live") == [live]


async def test_what_is_deleted_is_gone(office: Endpoints) -> None:
    made = (await office.create(**ACME, url=URL)).endpoint
    await office.delete(made.id, **ACME)
    with pytest.raises(NotFound):
        await office.delete(made.id, **ACME)
    assert await office.list(**ACME) == []


async def test_a_rotated_secret_signs_beside_the_one_before_for_the_overlap(
    office: Endpoints, vault: Vault, clock: FakeClock
) -> None:
    made = await office.create(**ACME, url=URL)
    named = made.endpoint.id

    async def now() -> list[str]:
        return await secrets(vault, await office.get(named, **ACME), clock)

    second = await office.rotate_secret(named, **ACME)
    assert await now() == [second, made.secret]
    clock.advance(timedelta(hours=23))
    third = await office.rotate_secret(named, **ACME)
    assert await now() == [third, second, made.secret]
    clock.advance(timedelta(hours=1))
    assert await now() == [third, second]
    clock.advance(timedelta(hours=23))
    assert await now() == [third]
    fourth = await office.rotate_secret(named, **ACME, overlap=timedelta())
    assert await now() == [fourth]


async def test_rotations_at_once_lose_no_secret(
    office: Endpoints, vault: Vault, clock: FakeClock
) -> None:
    made = await office.create(**ACME, url=URL)
    fresh = await asyncio.gather(
        *(office.rotate_secret(made.endpoint.id, **ACME) for _ in range(20))
    )
    now = await secrets(vault, await office.get(made.endpoint.id, **ACME), clock)
    assert sorted(now) == sorted([made.secret, *fresh])


async def test_secrets_whose_time_is_over_are_not_kept(office: Endpoints, clock: FakeClock) -> None:
    made = await office.create(**ACME, url=URL)
    sizes = []
    for _ in range(4):
        await office.rotate_secret(made.endpoint.id, **ACME)
        sizes.append(len((await office.get(made.endpoint.id, **ACME)).secrets))
        clock.advance(timedelta(hours=25))
    assert len(set(sizes)) == 1

"""What may be set of an endpoint, how it is cleared, and what a pause made it miss."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from landbridge.client.guard import Guard
from landbridge.client.sender import Sender
from landbridge.engine.endpoint_keys import custom_headers
from landbridge.engine.endpoints import Endpoints
from landbridge.errors import InvalidInput, NotFound
from landbridge.store import endpoints, health, outbox
from landbridge.store.database import Database
from landbridge.vault import Vault
from tests.engine.outbound import LOCAL, Office

URL = "https://shop.example/hook"
ACME: dict[str, Any] = {"environment": "test", "tenant": "acme"}
ALL: dict[str, Any] = {
    "description": "the till",
    "filter": {"data.amount": {"gte": 1000}},
    "api_version": "2026-11-24",
    "schedule": (timedelta(seconds=5), timedelta(minutes=2)),
    "concurrency": 7,
    "rate": 0.5,
    "ordered": True,
    "skip_after": 2,
}
BLANK: dict[str, Any] = {
    "description": "",
    "filter": None,
    "api_version": "",
    "schedule": None,
    "concurrency": None,
    "rate": None,
    "ordered": False,
    "skip_after": None,
}


async def public(_host: str, _port: int) -> Sequence[str]:
    return ["93.184.215.14"]


@pytest.fixture
def office(db: Database, vault: Vault) -> Endpoints:
    return Endpoints(db, vault, Guard(lookup=public))


def of(endpoint: Any) -> dict[str, Any]:
    return {name: getattr(endpoint, name) for name in ALL}


async def test_settings_are_kept_changed_and_cleared(office: Endpoints) -> None:
    assert of((await office.create(**ACME, url=URL)).endpoint) == BLANK
    made = (await office.create(**ACME, url=URL, **ALL)).endpoint
    assert of(made) == ALL
    assert of(await office.get(made.id, **ACME)) == ALL
    assert [of(each) for each in await office.list(**ACME)] == [BLANK, ALL]
    assert await office.update(made.id, **ACME) == await office.get(made.id, **ACME)
    changed = await office.update(made.id, **ACME, rate=3, schedule=[])
    assert of(changed) == {**ALL, "rate": 3.0, "schedule": ()}
    assert of(await office.update(made.id, **ACME, **BLANK)) == BLANK
    assert of(await office.update(made.id, **ACME, **ALL)) == ALL


async def test_who_is_no_longer_ordered_has_no_rule_for_stepping_aside(office: Endpoints) -> None:
    made = (await office.create(**ACME, url=URL, ordered=True, skip_after=3)).endpoint
    changed = await office.update(made.id, **ACME, ordered=False)
    assert (changed.ordered, changed.skip_after) == (False, None)
    with pytest.raises(InvalidInput, match="skip_after: this endpoint is not ordered"):
        await office.update(made.id, **ACME, skip_after=3)
    await office.update(made.id, **ACME, ordered=True, skip_after=3)


DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"description": "x" * 501}, "description: it has 501 characters"),
        ({"description": "\x00"}, "description: .*NUL"),
        ({"filter": {}}, "filter: it is empty"),
        ({"filter": {"a": {"is": 1}}}, "filter.a.is: 'is' is none of"),
        ({"api_version": "a b"}, "api_version: 'a b' is not a version"),
        ({"api_version": "x" * 65}, "api_version: "),
        ({"schedule": [timedelta(seconds=1)] * 20}, "20 waits make 21 tries, 20 are the most"),
        ({"schedule": [DAY, timedelta()]}, r"schedule\[1\]: .* is no wait"),
        ({"schedule": [5]}, r"schedule\[0\]: 5 is no wait"),
        ({"schedule": [8 * DAY, 7 * DAY]}, "come to 15.0 days, 14 are the most"),
        ({"concurrency": 0}, "concurrency: 0 is not a whole number from 1 to 1000"),
        ({"concurrency": 1001}, "concurrency: 1001"),
        ({"concurrency": True}, "concurrency: True"),
        ({"rate": 0.001}, "rate: 0.001 is not from 0.01 to 10000"),
        ({"rate": float("nan")}, "rate: nan"),
        ({"rate": 10_001}, "rate: 10001"),
        ({"ordered": True, "skip_after": 21}, "skip_after: 21 is not a whole number from 1 to 20"),
        ({"skip_after": 3}, "skip_after: this endpoint is not ordered"),
        ({"headers": {"Webhook-Id": "x"}}, "headers: webhook-id is set by the sender itself"),
        ({"headers": {"User-Agent": "x"}}, "headers: user-agent is set by"),
        ({"headers": {"Host": "x"}}, "[Hh]ost"),
        ({"headers": {"Transfer-Encoding": "x"}}, "[Tt]ransfer"),
        ({"headers": {"X-A": "1\r\nX-B: 2"}}, "header X-A: its value holds a line break"),
        ({"headers": {"X A": "1"}}, "header 'X A': a name is"),
        ({"headers": {"X-A": "1", "x-a": "2"}}, "headers: x-a is given twice"),
        ({"headers": {f"X-{n}": "1" for n in range(21)}}, "headers: 21 of"),
        ({"headers": {"X-A": "x" * 8192}}, "headers: 1 of 8199 bytes"),
    ],
)
async def test_a_wrong_setting_is_refused_and_nothing_is_kept(
    office: Endpoints, given: dict[str, Any], said: str
) -> None:
    with pytest.raises(InvalidInput, match=said):
        await office.create(**ACME, url=URL, **given)
    assert await office.list(**ACME) == []
    made = (await office.create(**ACME, url=URL)).endpoint
    with pytest.raises(InvalidInput, match=said):
        await office.update(made.id, **ACME, **given)
    assert await office.get(made.id, **ACME) == made


async def test_headers_are_sealed_and_only_their_names_are_shown(
    office: Endpoints, vault: Vault
) -> None:
    headers = {"Authorization": "Bearer canary", "X-Shop": " 7 "}
    made = (await office.create(**ACME, url=URL, headers=headers)).endpoint
    assert made.headers is not None
    assert b"canary" not in made.headers
    assert "canary" not in repr(made)
    assert (await office.show(made.id, **ACME)).headers == ("Authorization", "X-Shop")
    opened = await custom_headers(vault, **ACME, id=made.id, envelope=made.headers)
    assert opened == {"Authorization": "Bearer canary", "X-Shop": "7"}
    changed = await office.update(made.id, **ACME, headers={"X-Till": "1"})
    assert (await office.show(made.id, **ACME)).headers == ("X-Till",)
    assert changed.headers != made.headers
    assert (await office.update(made.id, **ACME, headers=None)).headers is None
    assert (await office.show(made.id, **ACME)).headers == ()
    with pytest.raises(NotFound):
        await office.update("end_no", **ACME, headers={"X-Till": "1"})


async def test_a_filter_decides_at_fan_out(db: Database, vault: Vault) -> None:
    async with Sender(LOCAL) as sender:
        office = Office(db=db, vault=vault, sender=sender)
        made = await office.endpoints.create(
            **ACME, url="http://127.0.0.1:9/", filter={"data.amount": {"gte": 1000}}
        )
        await office.emit({"amount": 999})
        wanted = await office.emit({"amount": 1000})
        raw = await office.emit(b"<a/>", content_type="application/xml")
        assert [each.event for each in await office.claim()] == [wanted, raw]
        await office.endpoints.update(made.endpoint.id, **ACME, filter=None)
        last = await office.emit({"amount": 1})
        assert [each.event for each in await office.claim()] == [last]


async def test_enabling_tells_what_was_missed(db: Database, vault: Vault) -> None:
    async with Sender(LOCAL) as sender:
        office = Office(db=db, vault=vault, sender=sender)
        kept = await office.endpoints.create(
            **ACME,
            url="http://127.0.0.1:9/",
            types=["invoice.*"],
            filter={"data.amount": {"gte": 1000}},
        )
        named = kept.endpoint.id
        enabled = await office.endpoints.enable(named, **ACME)
        assert (enabled.disabled_at, enabled.missed, enabled.exact) == (None, 0, True)
        await office.emit({"amount": 5000})
        disabled = await office.endpoints.disable(named, **ACME)
        again = await office.endpoints.disable(named, **ACME, reason="once more")
        assert again.disabled_at == disabled.disabled_at
        for amount in (1, 2000, 3000):
            await office.emit({"amount": amount})
        await office.emit({"amount": 9000}, tenant="other")
        enabled = await office.endpoints.enable(named, **ACME)
        assert (enabled.missed, enabled.exact) == (2, True)
        assert enabled.disabled_at == disabled.disabled_at
        assert (await office.endpoints.enable(named, **ACME)).missed == 0


async def test_what_was_missed_is_counted_up_to_a_bound(db: Database, vault: Vault) -> None:
    async with Sender(LOCAL) as sender:
        office = Office(db=db, vault=vault, sender=sender)
        made = (await office.endpoint("http://127.0.0.1:9/")).endpoint
        disabled = await office.endpoints.disable(made.id, **ACME)
        assert disabled.disabled_at is not None
        for _ in range(5):
            await office.emit()
        seen = [
            await endpoints.missed(db, **ACME, id=made.id, since=disabled.disabled_at, look=look)
            for look in (3, 5, 6)
        ]
        assert [(each.events, each.exact) for each in seen] == [(3, False), (5, False), (5, True)]


async def test_enabling_another_url_and_deleting_begin_a_clean_record(
    db: Database, vault: Vault, office: Endpoints
) -> None:
    opening = health.Opening(
        after=9, since=DAY, first=timedelta(seconds=1), longest=timedelta(seconds=1)
    )

    async def known(endpoint: str, url: str) -> bool:
        key = health.Key("test", "acme", endpoint)
        await health.fail(db, [health.Failure(key, url, 1, "HTTP 500")], opening)
        found = await health.of(db, **ACME, endpoint=endpoint)
        assert found is not None
        return found.failures == 1

    other = "https://shop.example/other"
    made = (await office.create(**ACME, url=URL)).endpoint
    assert await known(made.id, URL)
    await office.update(made.id, **ACME, url=other, rate=3)
    assert await known(made.id, other)  # not 2
    await office.update(made.id, **ACME, rate=4)
    assert not await known(made.id, other)
    await office.disable(made.id, **ACME)
    await office.enable(made.id, **ACME)
    assert await known(made.id, other)
    await office.delete(made.id, **ACME)
    assert await health.of(db, **ACME, endpoint=made.id) is None
    assert await outbox.waiting(db) == 0

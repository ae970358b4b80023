"""What may be set of an endpoint, how it is cleared, and what a pause made it miss."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from landbridge.client.guard import Guard
from landbridge.client.sender import Sender
from landbridge.engine import offer
from landbridge.engine.endpoint_keys import custom_headers
from landbridge.engine.endpoints import Endpoints
from landbridge.engine.replaying import Replaying
from landbridge.engine.replays import Replays
from landbridge.errors import InvalidInput, NotFound
from landbridge.store import endpoints, health, outbox
from landbridge.store.database import Database
from landbridge.vault import Vault
from tests.engine.outbound import LOCAL, Office
from tests.engine.past import Past

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


async def test_enabling_tells_what_it_did_not_get(db: Database, vault: Vault) -> None:
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
        assert (enabled.disabled_at, enabled.undelivered, enabled.exact) == (None, 0, True)
        await office.emit({"amount": 5000})
        disabled = await office.endpoints.disable(named, **ACME)
        again = await office.endpoints.disable(named, **ACME, reason="once more")
        assert again.disabled_at == disabled.disabled_at
        assert await office.round() == 1, "what waited is given up"
        for amount in (1, 2000, 3000):
            await office.emit({"amount": amount})
        await office.emit({"amount": 9000}, tenant="other")
        enabled = await office.endpoints.enable(named, **ACME)
        assert (enabled.undelivered, enabled.exact) == (3, True)
        assert enabled.disabled_at == disabled.disabled_at
        assert (await office.endpoints.enable(named, **ACME)).undelivered == 0


async def test_what_waits_when_it_is_enabled_is_not_offered(db: Database, vault: Vault) -> None:
    async with Sender(LOCAL) as sender:
        office = Office(db=db, vault=vault, sender=sender)
        made = (await office.endpoint("http://127.0.0.1:9/")).endpoint
        await office.emit()
        await office.endpoints.disable(made.id, **ACME)
        assert (await office.endpoints.enable(made.id, **ACME)).undelivered == 0


async def test_what_failed_first_was_emitted_before_that_and_is_offered(
    db: Database, vault: Vault, office: Endpoints
) -> None:
    """An endpoint fails from noon, on a delivery that had waited since yesterday."""
    past = Past(db=db)
    named = await past.endpoint(created_at=datetime.now(UTC) - 9 * DAY)
    before = await past.emit(1, days_ago=8)
    yesterday = await past.emit(2, days_ago=1)
    await past.ended("abandoned")
    failing_since = datetime.now(UTC) - timedelta(hours=12)
    await past.sql(
        "INSERT INTO landbridge.endpoint_health (environment, tenant, endpoint, failing_since,"
        " failures) VALUES ('test', 'acme', $1, $2, 10)",
        named,
        failing_since,
    )
    await office.disable(named, **ACME)
    enabled = await office.enable(named, **ACME)
    assert (enabled.undelivered, enabled.exact) == (2, True)
    assert enabled.since is not None
    replay = await Replays(db, environment="test").create(
        endpoint=named, state="undelivered", since=enabled.since, rate=10_000
    )
    assert replay.total == 2
    claim, lease = await past.take("replay", replay.id)
    await Replaying(db).run(claim, lease)
    assert {each["ref"] for each in await past.due()} == set(yesterday)
    assert not set(before) & set(yesterday)


def test_an_offer_begins_where_the_longest_way_did() -> None:
    since, old = datetime(2026, 1, 20, tzinfo=UTC), datetime(2025, 1, 1, tzinfo=UTC)
    short, long = [timedelta(seconds=5)] * 2, [10 * DAY, timedelta(minutes=1)]

    def before(*schedules: list[timedelta], created_at: datetime = old) -> timedelta:
        return since - offer.earliest(since, created_at=created_at, schedules=schedules)

    assert before([]) == timedelta()
    assert before(short) == timedelta(hours=12)  # a receiver may ask for six each time
    assert before(short, long) == 11 * DAY + timedelta(hours=6)
    assert before(long, created_at=since - DAY) == DAY


async def test_what_is_offered_is_counted_up_to_a_bound(db: Database) -> None:
    past = Past(db=db)
    now = datetime.now(UTC)
    named = await past.endpoint(state="disabled", disabled_at=now)
    await past.emit(5)
    to = await endpoints.one(db, **ACME, id=named)
    assert to is not None
    seen = [await offer.size(db, to, since=now - DAY, look=look) for look in (3, 5, 6)]
    assert seen == [(3, False), (5, False), (5, True)]


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

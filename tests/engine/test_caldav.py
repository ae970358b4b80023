"""CalDAV through the engine: what is stored, fetched and written when calendars change."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from landbridge.client import Client
from landbridge.engine.connect import Connected, connect
from landbridge.engine.pull import Puller, Totals, stream_of
from landbridge.models import read_json
from landbridge.models.calendar import Event
from landbridge.providers import get
from landbridge.store import parked, records
from landbridge.store.database import Database
from landbridge.testing.caldav import CALENDAR, Settings, Simulator
from landbridge.testing.control import Control
from landbridge.testing.running import in_thread
from landbridge.vault import Vault
from tests.engine.conftest import free

EVENTS = 120
PATH = f"objects/{CALENDAR}"


@pytest.fixture(params=["radicale", "xandikos"])
def server(request: pytest.FixtureRequest) -> Iterator[Control]:
    settings = Settings(events=EVENTS, dialect=str(request.param))
    with in_thread(Simulator(settings).app) as url, Control(url) as control:
        yield control


@pytest.fixture
async def joined(db: Database, vault: Vault, client: Client, server: Control) -> Connected:
    return await connect(
        db,
        vault,
        client,
        get("caldav"),
        environment="test",
        tenant="acme",
        credentials={"url": server.url, "username": "user", "password": "password"},
        settings={},
    )


async def pull(puller: Puller, joined: Connected) -> Totals:
    return await puller.run(joined.connection, "VEVENT", hold=free)


async def held(db: Database, joined: Connected) -> dict[str, Event]:
    stream = stream_of(joined.connection, "VEVENT")
    found = await records.read(db, stream, most=1_000)
    return {one.key: read_json(Event, one.unified or {}) for one in found}


def there(server: Control) -> set[str]:
    return {one["href"] for one in server.get(PATH)["objects"]}


async def test_events_are_mirrored_and_only_changes_are_fetched(
    db: Database, puller: Puller, joined: Connected, server: Control
) -> None:
    first = await pull(puller, joined)
    assert first.changed == EVENTS
    assert set(await held(db, joined)) == there(server)
    assert (await pull(puller, joined)).seen == 0
    server.post("churn", count=20, seed=3)
    again = await pull(puller, joined)
    assert 0 < again.changed + again.gone <= 20
    assert set(await held(db, joined)) == there(server)


async def test_a_forgotten_token_costs_no_more_than_what_differs(
    db: Database, puller: Puller, joined: Connected, server: Control
) -> None:
    await pull(puller, joined)
    gone, changed, *_ = sorted(there(server))
    name = gone.rpartition("/")[2]
    server.delete(f"{PATH}/{name}")
    (text,) = [one["text"] for one in server.get(PATH)["objects"] if one["href"] == changed]
    server.put(
        f"{PATH}/{changed.rpartition('/')[2]}", text=text.replace("SUMMARY:", "SUMMARY:new ")
    )
    server.post("expire-tokens")
    merged = await pull(puller, joined)
    assert (merged.seen, merged.changed, merged.missing) == (1, 1, (gone,))
    looked = await puller.one(joined.connection, "VEVENT", gone, hold=free)
    assert looked.gone == 1
    assert set(await held(db, joined)) == there(server)


async def test_an_unreadable_object_is_parked_and_mends_itself(
    db: Database, puller: Puller, joined: Connected, server: Control
) -> None:
    server.put(f"{PATH}/bad.ics", text="BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nUID:bad\r\n")
    totals = await pull(puller, joined)
    assert (totals.changed, totals.parked) == (EVENTS, 1)
    (stopped,) = await parked.every(db, environment="test")
    assert stopped.key.endswith("/bad.ics")
    assert "cut off" in stopped.reason
    good = server.get(PATH)["objects"][0]["text"].replace("landbridge-", "mended-")
    server.put(f"{PATH}/bad.ics", text=good)
    await pull(puller, joined)
    assert await parked.every(db, environment="test") == []
    assert set(await held(db, joined)) == there(server)

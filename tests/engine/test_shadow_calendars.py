"""A shadow over a calendar server: nothing is put, and what was put in it is read and changed."""

from __future__ import annotations

from datetime import datetime

from landbridge.app.bridge import Landbridge
from landbridge.models.calendar import Event, Moment
from landbridge.store import shadow_calls
from landbridge.testing.caldav import Settings, Simulator
from landbridge.testing.control import Control
from landbridge.testing.running import in_thread
from landbridge.vault import new_key
from tests.engine.shading import Counted, Shop


async def test_events_are_kept_read_and_sent_later(database_url: str) -> None:
    door = Counted(Simulator(Settings(seed=3, events=2)).app)
    bridge = Landbridge.from_env(
        database_url=database_url,
        key=new_key(),
        environment="test",
        allow_networks="127.0.0.0/8",
    )
    with in_thread(door) as url, Control(url) as calendars:
        async with bridge:
            joined = await bridge.connect(
                "caldav",
                tenant="acme",
                credentials={"username": "user", "password": "password", "url": url},
            )
            shop = Shop(bridge=bridge, connection=joined.connection, door=door)
            await bridge.pull(shop.connection)
            calendar = (await anext(bridge.records(shop.connection, "calendar"))).key
            known = (await anext(bridge.records(shop.connection, "VEVENT"))).key
            there = len(calendars.get("objects/calendar")["objects"])
            shadow = await bridge.shadow(shop.connection)
            nine = datetime(2026, 12, 1, 9, 0)  # noqa: DTZ001 - a wall clock's time
            at = Moment(local=nine, zone="Europe/Rome")
            event = Event(title="Launch", start=at, uid="launch@example.com", calendar=calendar)
            made, done = await shop.push(event)
            assert made.state == "shadowed"
            again = Event(
                id=done.key or "", title="Later", start=at, uid=event.uid, calendar=calendar
            )
            changed, _ = await shop.push(again)
            assert changed.state == "shadowed", changed.reason
            gone, _ = await shop.push(Event(id=known, title="x", start=at), action="delete")
            assert gone.state == "shadowed", gone.reason
            kept = await shadow_calls.page(bridge.db, environment="test", shadow=shadow.id)
            assert [each.action for each in kept] == ["create", "update", "delete"]
            assert door.writes == 0
            await bridge.shadows.promote(shadow.id)
            replayed = await bridge.shadows.replay(shadow.id)
            assert (replayed.sent, replayed.refused, replayed.unknown) == (3, 0, 0)
            objects = calendars.get("objects/calendar")["objects"]
            assert len(objects) == there  # one more, one less

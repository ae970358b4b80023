"""Links under a shadow: what it keeps back goes out by itself when it ends, and once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from landbridge.client import Client
from landbridge.clock import SystemClock
from landbridge.engine import kept_back
from landbridge.engine.connect import base_of
from landbridge.engine.dual import Dual
from landbridge.engine.pull import Puller
from landbridge.engine.shadow import ShadowRecorder
from landbridge.engine.shadows import Shadows
from landbridge.errors import LandbridgeError
from landbridge.store import shadow_calls
from landbridge.store.database import Database, Tx
from landbridge.store.shadows import Shadow
from landbridge.store.sql import Sql
from landbridge.vault import Vault
from tests.engine.conftest import free
from tests.engine.linkstage import HALL, Hall, Office, hall, office

ADA = {"name": "Ada", "email": "ada@acme.example"}
ENDED = Sql(
    "tests.ended",
    "SELECT count(*) FROM lb.due WHERE environment = :environment AND kind = 'shadow_end'",
    across="Work of the operator's.",
)


@dataclass
class Shaded:
    """An office whose client asks what is kept back, and its shadows."""

    here: Office
    there: Hall
    shadows: Shadows

    async def begin(self) -> Shadow:
        return await self.shadows.start(self.here.connection.id, "connection", auto=False)

    async def kept(self, shadow: Shadow, *states: str) -> int:
        found = await shadow_calls.page(
            self.here.db,
            environment="test",
            shadow=shadow.id,
            states=states or shadow_calls.STATES,
        )
        return len(found)

    async def end(self, shadow: Shadow) -> None:
        """The shadow is promoted, and a worker does what is due."""
        await self.shadows.promote(shadow.id)
        assert await self.here.db.value(ENDED, environment="test") == 1
        await kept_back.wake(self.here.db, "test", shadow.id, hold=free)
        await self.here.rest()


@pytest.fixture
async def stage(db: Database, client: Client, vault: Vault) -> AsyncIterator[Shaded]:
    async with hall() as there, office(db, client, vault, there) as here:
        client.recorder = ShadowRecorder(
            db, base=lambda page, one: base_of(page, one.settings), clock=SystemClock()
        )
        client.recorder.read_with(client)
        puller = Puller(
            db,
            client,
            provider=lambda _: HALL,
            base=lambda page, one: base_of(page, one.settings),
            clock=SystemClock(),
        )
        dual = Dual(db, provider=lambda _: HALL, candidates={})
        shadows = Shadows(db, client, puller, dual, provider=lambda _: HALL, environment="test")
        there.put("a", **ADA)
        await here.pull()
        await here.rest()
        yield Shaded(here, there, shadows)


async def test_an_edit_that_was_kept_goes_out_once_when_the_shadow_ends(stage: Shaded) -> None:
    (local,) = await stage.here.rows()
    shadow = await stage.begin()
    await stage.here.update(local, name="Ada L.")
    await stage.here.rest()
    (pair,) = await stage.here.links.pairs(stuck=True)
    assert f"kept back by the shadow {shadow.id}" in pair.reason
    assert (stage.there.writes, await stage.kept(shadow, "recorded")) == (0, 1)
    await stage.end(shadow)
    assert stage.there.members["a"]["name"] == "Ada L."
    assert stage.there.writes == 1
    assert await stage.here.links.pairs(stuck=True) == []
    assert (await stage.shadows.replay(shadow.id)).sent == 0
    await kept_back.wake(stage.here.db, "test", shadow.id, hold=free)
    await stage.here.rest()
    assert stage.there.writes == 1


async def test_a_row_that_was_kept_and_edited_makes_one_record_as_it_is_by_then(
    stage: Shaded,
) -> None:
    shadow = await stage.begin()
    local = await stage.here.insert(name="Bob", email="bob@acme.example")
    await stage.here.rest()
    await stage.here.update(local, name="Bob B.")
    await stage.here.rest()
    assert await stage.kept(shadow, "recorded") == 1  # the later one in the place of the first
    assert await stage.kept(shadow, "discarded") == 1
    await stage.end(shadow)
    made = {"id": "m1", "name": "Bob B.", "email": "bob@acme.example"}
    assert [each for key, each in stage.there.members.items() if key != "a"] == [made]
    assert stage.there.writes == 1
    assert len(await stage.here.rows()) == 2


async def test_what_changes_there_comes_in_while_a_write_is_kept(stage: Shaded) -> None:
    (local,) = await stage.here.rows()
    shadow = await stage.begin()
    await stage.here.update(local, name="Ada L.")
    await stage.here.rest()
    stage.there.put("a", phone="+1 555")
    await stage.here.pull()
    await stage.here.rest()
    assert (await stage.here.rows())[local]["phone"] == "+1 555"
    assert await stage.kept(shadow, "recorded") == 1
    await stage.here.update(local, name="Ada")  # there is nothing to write any more
    await stage.here.rest()
    assert await stage.kept(shadow, "recorded") == 0
    assert await stage.here.links.pairs(stuck=True) == []
    await stage.end(shadow)
    assert stage.there.writes == 0


async def test_a_replay_leaves_what_is_of_a_link_to_the_link(stage: Shaded) -> None:
    shadow = await stage.begin()
    await stage.here.insert(name="Bob", email="bob@acme.example")
    await stage.here.rest()
    await stage.shadows.promote(shadow.id)
    done = await stage.shadows.replay(shadow.id)  # before a worker came to the pair
    assert (done.sent, done.linked, stage.there.writes) == (0, 1, 0)
    await kept_back.wake(stage.here.db, "test", shadow.id, hold=free)
    await stage.here.rest()
    assert stage.there.counts["POST"] == 1


async def test_what_was_discarded_is_not_sent_until_somebody_says_so(stage: Shaded) -> None:
    (local,) = await stage.here.rows()
    shadow = await stage.begin()
    await stage.here.update(local, name="Ada L.")
    await stage.here.rest()
    assert await stage.shadows.discard(shadow.id) == 1
    await stage.end(shadow)
    (pair,) = await stage.here.links.pairs(stuck=True)
    assert (stage.there.writes, pair.reason) == (
        0,
        f"what the shadow {shadow.id} kept of it was discarded",
    )
    await stage.here.links.retry(pair.id)
    await stage.here.rest()
    assert stage.there.members["a"]["name"] == "Ada L."


@pytest.mark.parametrize("at", [1, 2, 4])
async def test_a_worker_that_dies_at_the_end_leaves_it_to_the_next(stage: Shaded, at: int) -> None:
    shadow = await stage.begin()
    (local,) = await stage.here.rows()
    await stage.here.update(local, name="Ada L.")
    await stage.here.insert(name="Bob", email="bob@acme.example")
    await stage.here.rest()
    steps = 0

    async def dies(_tx: Tx) -> None:
        nonlocal steps
        steps += 1
        if steps == at:
            raise LandbridgeError("killed")

    await stage.shadows.promote(shadow.id)
    stage.here.hold = dies
    try:
        await kept_back.wake(stage.here.db, "test", shadow.id, hold=dies)
    except LandbridgeError:
        await kept_back.wake(stage.here.db, "test", shadow.id, hold=dies)
    await stage.here.rest()
    assert steps >= at
    assert stage.there.members["a"]["name"] == "Ada L."
    assert (stage.there.counts["POST"], stage.there.counts["PATCH"]) == (1, 1)
    assert len(stage.there.members) == len(await stage.here.rows()) == 2

"""Disconnecting revokes at a real server, forgets, and says what the provider did."""

from __future__ import annotations

from functools import partial

import pytest

from landbridge.engine.disconnect import Disconnected, disconnect
from landbridge.engine.reauth import need_reauth, refused
from landbridge.engine.withdraw import withdraw
from landbridge.store import connections, grants
from landbridge.store.connections import Connection
from tests.oauth.conftest import World
from tests.oauth.test_consent import told


async def end(world: World, connection: Connection) -> Disconnected:
    ask = partial(withdraw, world.db, world.vault, world.client, world.page)
    return await disconnect(world.db, connection, withdraw=ask)


def what(ended: Disconnected) -> str:
    assert ended.provider is not None
    assert "canary" not in ended.provider.detail
    return ended.provider.state


async def kept(world: World, connection: Connection) -> grants.Grant | None:
    return await grants.one(
        world.db, environment="test", tenant=connection.tenant, id=connection.access_grant
    )


async def test_tokens_are_revoked_at_the_server_and_forgotten_here(world: World) -> None:
    (connected,) = (await world.connect()).connected
    assert what(await end(world, connected.connection)) == "revoked"
    assert world.peer.live() == []
    assert await kept(world, connected.connection) is None
    (after,) = await connections.every(world.db, environment="test")
    assert after.state == "revoked"
    assert [kind for kind, _ in await told(world.db)] == [
        "connection.created",
        "connection.revoked",
    ]


async def test_twice_is_once(world: World) -> None:
    (connected,) = (await world.connect()).connected
    await end(world, connected.connection)
    assert what(await end(world, connected.connection)) == "forgotten"
    assert world.peer.counted("/revoke") == 1
    assert len(await told(world.db)) == 2


async def test_a_consent_that_another_connection_lives_by_is_kept(world: World) -> None:
    world.peer.accounts.append({"id": "org-2", "name": "Beta", "type": "ORGANISATION"})
    one, two = (await world.connect()).connected
    assert what(await end(world, one.connection)) == "kept"
    assert world.peer.counted("/revoke") == 0
    assert await kept(world, two.connection) is not None
    assert what(await end(world, two.connection)) == "revoked"
    assert await kept(world, two.connection) is None


@pytest.mark.parametrize("how", ["broken", "no address", "wrong client"])
async def test_it_is_ended_here_whatever_the_provider_does(world: World, how: str) -> None:
    (connected,) = (await world.connect()).connected
    if how == "broken":
        world.peer.broken = "/revoke"
    elif how == "no address":
        world.turn(revoke="")
    else:
        world.peer.clients.clear()
    expected = "no_way" if how == "no address" else "failed"
    assert what(await end(world, connected.connection)) == expected
    assert await kept(world, connected.connection) is None


async def test_connecting_again_revives_the_connection_and_tells_it(world: World) -> None:
    (first,) = (await world.connect()).connected
    await end(world, first.connection)
    (second,) = (await world.connect()).connected
    assert second.connection.id == first.connection.id
    assert second.connection.state == "active"
    assert [kind for kind, _ in await told(world.db)] == [
        "connection.created",
        "connection.revoked",
        "connection.created",
    ]


async def test_a_dead_grant_is_told_once_for_each_of_its_connections(world: World) -> None:
    world.peer.accounts.append({"id": "org-2", "name": "Beta", "type": "ORGANISATION"})
    one, two = (await world.connect()).connected
    for _ in range(2):
        async with world.db.transaction() as tx:
            await need_reauth(
                tx,
                environment="test",
                tenant="acme",
                grant=one.connection.access_grant,
                reason="ambiguous",
                message="a refresh got no answer",
            )
    found = await connections.every(world.db, environment="test")
    assert {(each.state, each.reason) for each in found} == {
        ("needs_reauth", "a refresh got no answer")
    }
    events = [data for kind, data in await told(world.db) if kind == "connection.needs_reauth"]
    assert sorted(data["connection"] for data in events) == sorted(
        [one.connection.id, two.connection.id]
    )
    assert {data["reason"] for data in events} == {"ambiguous"}


async def test_an_ended_connection_needs_no_reconnecting(world: World) -> None:
    (connected,) = (await world.connect()).connected
    await end(world, connected.connection)
    await refused(world.db, connected.connection, "no longer accepted", "refused")
    (after,) = await connections.every(world.db, environment="test")
    assert after.state == "revoked"
    assert "connection.needs_reauth" not in [kind for kind, _ in await told(world.db)]

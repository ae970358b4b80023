"""The drill after a breach: every grant of a provider is revoked, and its report says so."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

import pytest

from landbridge.engine.revoke import Revoked, revoke_all
from landbridge.engine.withdraw import withdraw
from landbridge.store import connections, grants
from landbridge.store.connections import Connection
from tests.oauth.conftest import World

TENANTS = ["acme", "beta", "cora", "dora", "eden"]


async def at_once(_seconds: float) -> None:
    """Paces nothing."""


async def drill(world: World, sleep: Callable[[float], Awaitable[None]] = at_once) -> Revoked:
    return await revoke_all(
        world.db,
        partial(withdraw, world.db, world.vault, world.client, world.page),
        environment="test",
        provider=world.page.slug,
        sleep=sleep,
    )


async def connect_all(world: World) -> list[Connection]:
    return [
        one.connection
        for tenant in TENANTS
        for one in (await world.connect(tenant=tenant)).connected
    ]


async def states(world: World) -> list[str]:
    return [each.state for each in await connections.every(world.db, environment="test")]


async def test_every_grant_is_revoked_there_and_forgotten_here(world: World) -> None:
    await connect_all(world)
    pauses: list[float] = []

    async def paced(seconds: float) -> None:
        pauses.append(seconds)

    done = await drill(world, paced)
    assert done.counts == {"revoked": 5, "failed": 0, "unsupported": 0}
    assert [each.tenant for each in done.grants] == TENANTS
    assert world.peer.live() == []
    assert await states(world) == ["revoked"] * 5
    assert pauses == [0.1] * 5


async def test_nothing_to_revoke_is_a_report_of_nothing(world: World) -> None:
    done = await drill(world)
    assert (done.connections, done.grants, done.resumed) == (0, [], False)


async def test_what_the_provider_does_not_do_is_kept_for_another_try(world: World) -> None:
    made = await connect_all(world)
    world.peer.broken = "/revoke"
    done = await drill(world)
    assert done.counts == {"revoked": 0, "failed": 5, "unsupported": 0}
    assert "canary" not in str([each.reason for each in done.grants])
    assert await states(world) == ["paused"] * 5
    for each in made:
        kept = await grants.one(
            world.db, environment="test", tenant=each.tenant, id=each.access_grant
        )
        assert kept is not None
    world.peer.broken = ""
    again = await drill(world)
    assert again.drill != done.drill
    assert again.counts == {"revoked": 5, "failed": 0, "unsupported": 0}
    assert world.peer.live() == []


async def test_one_that_was_cut_off_goes_on_where_it_was(world: World) -> None:
    await connect_all(world)
    passed = 0

    async def cut(_seconds: float) -> None:
        nonlocal passed
        passed += 1
        if passed == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await drill(world, cut)
    assert world.peer.counted("/revoke") == 2
    done = await drill(world)
    assert done.resumed
    assert done.connections == 3
    assert done.counts == {"revoked": 5, "failed": 0, "unsupported": 0}
    assert world.peer.counted("/revoke") == 5


async def test_without_an_address_it_is_unsupported_and_forgotten(world: World) -> None:
    await connect_all(world)
    world.turn(revoke="")
    done = await drill(world)
    assert done.counts == {"revoked": 0, "failed": 0, "unsupported": 5}
    assert await states(world) == ["revoked"] * 5


async def test_several_connections_behind_one_grant_are_one_revocation(world: World) -> None:
    world.peer.accounts.append({"id": "org-2", "name": "Beta", "type": "ORGANISATION"})
    await world.connect()
    done = await drill(world)
    assert done.connections == 2
    assert done.counts == {"revoked": 1, "failed": 0, "unsupported": 0}
    assert world.peer.counted("/revoke") == 1
    assert await states(world) == ["revoked"] * 2

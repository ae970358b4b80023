"""Tokens from elsewhere become connections, once, and a bad row stops no other."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from landbridge.engine.app_client import enable
from landbridge.engine.audit import audit
from landbridge.engine.importing import Imported, Importer
from landbridge.engine.importing_rows import read_row
from landbridge.errors import InvalidInput
from landbridge.store import connections
from tests.oauth.authlib_server import CLIENT_ID, Peer, Token
from tests.oauth.conftest import World
from tests.oauth.test_consent import grant_of, opened

LATER = (datetime.now(UTC) + timedelta(hours=1)).isoformat()


def granted_elsewhere(peer: Peer, name: str = "old") -> Token:
    token = Token(
        client_id=CLIENT_ID,
        access_token=f"{name}-access-canary",
        refresh_token=f"{name}-refresh-canary",
        scope="customers.read",
        expires_in=3600,
    )
    peer.tokens.append(token)
    return token


async def bring(world: World, *rows: dict[str, Any]) -> list[Imported]:
    importer = Importer(
        db=world.db,
        vault=world.vault,
        client=world.client,
        provider=lambda _slug: world.page,
        environment="test",
    )
    settings = {"url": world.peer.url}
    return [one async for one in importer.run({"settings": settings, **row} for row in rows)]


def row(**more: Any) -> dict[str, Any]:
    return {"provider": "ledger", "tenant": "acme", "refresh_token": "old-refresh-canary", **more}


async def test_an_access_token_that_is_valid_is_asked_whose_it_is_and_nothing_is_refreshed(
    world: World,
) -> None:
    token = granted_elsewhere(world.peer)
    (done,) = await bring(
        world, row(access_token=token.access_token, expires_at=LATER, scopes="customers.read")
    )
    assert done.state == "imported"
    assert world.peer.counted("/token") == 0
    (connection,) = await connections.every(world.db, environment="test")
    assert (connection.id, connection.account) == (done.connections[0], "org-1")
    grant = await grant_of(world, connection)
    assert grant.scopes == ("customers.read",)
    secret, access = await opened(world, grant)
    assert (secret["refresh_token"], access) == (token.refresh_token, token.access_token)


async def test_an_old_access_token_is_refreshed_and_the_new_tokens_are_kept(world: World) -> None:
    granted_elsewhere(world.peer)
    (done,) = await bring(world, row(access_token="ended", expires_at=1))
    assert done.state == "imported"
    (connection,) = await connections.every(world.db, environment="test")
    secret, access = await opened(world, await grant_of(world, connection))
    newest = world.peer.tokens[-1]
    assert (secret["refresh_token"], access) == (newest.refresh_token, newest.access_token)


async def test_importing_again_asks_nobody_and_changes_nothing(world: World) -> None:
    """A second refresh with the same token would end the grant where reuse is detected."""
    granted_elsewhere(world.peer)
    (first,) = await bring(world, row())
    asked, before = len(world.peer.asked), await connections.every(world.db, environment="test")
    (second,) = await bring(world, row())
    assert (second.state, second.connections) == ("kept", first.connections)
    assert len(world.peer.asked) == asked
    assert await connections.every(world.db, environment="test") == before


async def test_with_an_account_nobody_is_asked(world: World) -> None:
    (done,) = await bring(world, row(account="org-7", account_name="Seven", label="till"))
    assert done.state == "imported"
    assert world.peer.asked == []
    (connection,) = await connections.every(world.db, environment="test")
    assert (connection.account_name, connection.label) == ("Seven", "till")
    grant = await grant_of(world, connection)
    assert grant.access is None
    assert grant.secret is not None
    (again,) = await bring(world, row(account="org-7", label="till", refresh_token="older"))
    assert again.state == "kept"


async def test_an_export_with_credentials_one_level_down_is_read(world: World) -> None:
    token = granted_elsewhere(world.peer)
    exported = {
        "connection_id": "acme",
        "provider_config_key": "ledger",
        "connection_config": {"url": world.peer.url, "unknown": "x"},
        "credentials": {
            "type": "OAUTH2",
            "access_token": token.access_token,
            "refresh_token": token.refresh_token,
            "expires_at": LATER,
            "raw": {"scope": "customers.read offline"},
        },
    }
    found = read_row(exported)
    assert (found.tenant, found.scopes) == ("acme", ("customers.read", "offline"))
    assert "canary" not in repr(found)
    del exported["connection_config"]
    (done,) = await bring(world, exported)
    assert done.state == "imported"


async def test_a_row_that_fails_stops_no_other_and_shows_no_token(world: World) -> None:
    granted_elsewhere(world.peer)
    done = await bring(
        world,
        row(tenant="bad", refresh_token="wrong-canary"),
        row(tenant=""),
        row(refresh_token="", access_token="ended-canary"),
        row(refresh_token=""),
        row(expires_at="soon"),
        row(settings={"url": "not an address"}),
        row(),
    )
    assert [one.state for one in done] == ["failed"] * 6 + ["imported"]
    assert [one.number for one in done] == [1, 2, 3, 4, 5, 6, 7]
    assert done[0].tenant == "bad"
    assert "invalid_grant" in done[0].detail
    assert "tenant" in done[1].detail
    assert "expires_at" in done[2].detail
    assert "refresh_token" in done[3].detail
    assert "canary" not in repr(done)


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ([], "object"),
        ({"provider": 5, "tenant": "a"}, "provider"),
        ({"provider": "x", "tenant": "a\x00", "refresh_token": "r"}, "tenant"),
        ({"provider": "x", "tenant": "a", "refresh_token": "r", "scopes": 5}, "scopes"),
        ({"provider": "x", "tenant": "a", "refresh_token": "r", "settings": []}, "settings"),
        ({"provider": "x", "tenant": "a", "refresh_token": "r", "expires_at": 1e30}, "expires_at"),
    ],
)
def test_a_field_of_a_wrong_kind_is_named(wrong: object, field: str) -> None:
    with pytest.raises(InvalidInput, match=field):
        read_row(wrong)


async def test_the_audit_says_what_is_missing_and_what_is_spare(world: World) -> None:
    (connected,) = (await world.connect(resources=["customer"], writes=["customer"])).connected
    (one,) = await audit(world.db, provider=lambda _slug: world.page, environment="test")
    assert one.connection.id == connected.connection.id
    assert [each.scope for each in one.missing] == []
    assert one.spare == ("customers.write",)
    await enable(
        world.db,
        world.page,
        environment="test",
        tenant=None,
        resources=["customer", "note"],
        writes=["customer.create"],
    )
    (one,) = await audit(world.db, provider=lambda _slug: world.page, environment="test")
    assert [(each.scope, each.by) for each in one.missing] == [("notes.read", ("note: read",))]
    assert one.spare == ()
    assert (
        await audit(world.db, provider=lambda _slug: world.page, environment="test", tenant="other")
        == []
    )

"""Typed credentials that the provider gives tokens for: a client's own, and signed assertions."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from landbridge.engine.connect import connect
from landbridge.engine.establish import Connected
from landbridge.engine.refresh import Refresher
from landbridge.errors import InvalidInput, ReconnectRequired
from landbridge.measures import Measures
from landbridge.spec import Accounts, ClientCredentials, Field, JwtBearer
from landbridge.store import connections
from landbridge.store.database import Database
from tests.engine.ailing import At
from tests.oauth.authlib_server import CLIENT_ID, CLIENT_SECRET, Client
from tests.oauth.conftest import World
from tests.oauth.test_consent import grant_of, opened

SCOPES = {"customers.read": "Reads customers", "notes.read": "", "customers.write": ""}
OWN = ClientCredentials(
    token="{url}/token",
    fields=[
        Field(name="client_id", label="Client id"),
        Field(name="client_secret", label="Client secret", secret=True),
        Field(name="url", label="Address"),
    ],
    scopes=SCOPES,
    access_lives=timedelta(hours=1),
)
SIGNED = JwtBearer(
    token="{url}/token",
    fields=[
        Field(name="client_id", label="Client id"),
        Field(name="user", label="User"),
        Field(name="private_key", label="Private key", secret=True),
        Field(name="url", label="Address"),
    ],
    subject="user",
    scopes=SCOPES,
    access_lives=timedelta(hours=1),
)


async def type_in(world: World, auth: Any, **typed: str) -> Connected:
    world.page = replace(world.page, auth=auth, accounts=Accounts(path="/me", id="id", name="name"))
    return await connect(
        world.db,
        world.vault,
        world.client,
        world.page,
        environment="test",
        tenant="acme",
        credentials={"url": world.peer.url, **typed},
        settings={},
    )


async def test_a_clients_own_credentials_connect(world: World) -> None:
    connected = await type_in(world, OWN, client_id=CLIENT_ID, client_secret=CLIENT_SECRET)
    connection = connected.connection
    assert (connection.account, connection.account_name) == (CLIENT_ID, "The client's own")
    grant = await grant_of(world, connection)
    typed, access = await opened(world, grant)
    assert typed == {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}
    assert access == world.peer.tokens[-1].access_token
    assert set(grant.scopes) == set(SCOPES)


async def test_credentials_that_are_refused_are_not_kept(world: World) -> None:
    with pytest.raises(ReconnectRequired, match="invalid_client") as caught:
        await type_in(world, OWN, client_id=CLIENT_ID, client_secret="wrong-canary")
    assert "canary" not in str(caught.value)
    assert await connections.every(world.db, environment="test") == []


@pytest.mark.parametrize("written", ["\n", "\r\n", "\\n"], ids=["lines", "CRLF", "one line"])
async def test_a_signed_assertion_connects(world: World, written: str) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    world.peer.clients["signer"] = Client("signer", "", (), public.decode())
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()
    pasted = pem.replace("\n", written)
    connected = await type_in(
        world, SIGNED, client_id="signer", user="ann@example.com", private_key=pasted
    )
    assert connected.connection.account == "signer"
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    with pytest.raises(ReconnectRequired, match="does not accept"):
        await type_in(
            world,
            SIGNED,
            client_id="signer",
            user="ann@example.com",
            private_key=other.decode().replace("\n", "\\n"),
        )


async def test_a_provider_with_consents_takes_nothing_typed(world: World) -> None:
    with pytest.raises(InvalidInput, match="browser"):
        await connect(
            world.db,
            world.vault,
            world.client,
            world.page,
            environment="test",
            tenant="acme",
            credentials={},
            settings={},
        )


def refreshing(world: World, db: Database) -> Refresher:
    return Refresher(
        db,
        world.vault,
        world.client,
        provider=lambda _slug: world.page,
        clock=world.client.clock,
        measures=Measures(),
    )


async def signed(world: World) -> Connected:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    world.peer.clients["signer"] = Client("signer", "", (), public.decode())
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()
    return await type_in(world, SIGNED, client_id="signer", user="ann", private_key=pem)


async def own(world: World) -> Connected:
    return await type_in(world, OWN, client_id=CLIENT_ID, client_secret=CLIENT_SECRET)


@pytest.mark.parametrize("joined", [own, signed], ids=["client credentials", "signed assertion"])
async def test_a_token_is_used_to_its_end_and_then_got_anew(
    world: World, at: At, joined: Callable[[World], Awaitable[Connected]]
) -> None:
    """There is no refresh token: what was typed in gets the next token, as often as needed."""
    connection = (await joined(world)).connection
    first = await refreshing(world, world.db).access(connection)
    again = await refreshing(world, world.db).access(connection)
    assert (first.version, again) == (1, first)
    assert world.peer.counted("/token") == 1
    later = await at("2 hours")
    processes = [refreshing(world, later) for _ in range(3)]
    got = await asyncio.gather(*(each.access(connection) for each in processes * 5))
    assert {each.version for each in got} == {2}
    assert {each.token for each in got} == {world.peer.tokens[-1].access_token}
    assert first.token != got[0].token
    renewed = await processes[0].refused(connection, 2)
    assert renewed.version == 3
    assert world.peer.counted("/token") == 3
    held = await grant_of(world, connection)
    assert (held.state, held.secret_version) == ("live", 1)


async def test_typed_credentials_that_are_withdrawn_need_a_new_connection(
    world: World, at: At
) -> None:
    connection = (await own(world)).connection
    world.peer.clients[CLIENT_ID] = Client(CLIENT_ID, "another")
    process = refreshing(world, await at("2 hours"))
    with pytest.raises(ReconnectRequired, match="or what was typed in") as caught:
        await process.access(connection)
    assert caught.value.reason == "refused"

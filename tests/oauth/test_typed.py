"""Typed credentials that the provider gives tokens for: a client's own, and signed assertions."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from landbridge.engine.connect import connect
from landbridge.engine.establish import Connected
from landbridge.errors import InvalidInput, ReconnectRequired
from landbridge.spec import Accounts, ClientCredentials, Field, JwtBearer
from landbridge.store import connections
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

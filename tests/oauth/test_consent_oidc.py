"""Whole consents against npm's oidc-provider: PKCE required, reuse of a token ends its family."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import httpx2
import pytest

from landbridge.client import Client
from landbridge.clock import SystemClock
from landbridge.engine.app_client import set_client
from landbridge.engine.consent import Consent, Consents
from landbridge.engine.disconnect import disconnect
from landbridge.engine.refresh import Refresher
from landbridge.engine.withdraw import withdraw
from landbridge.errors import ConsentRefused, ReconnectRequired
from landbridge.measures import Measures
from landbridge.spec import Accounts, OAuth2, Provider
from landbridge.store import connections
from landbridge.store.connections import Connection
from landbridge.store.database import Database
from landbridge.vault import Vault
from tests.oauth.oidc import CALLBACK, CLIENT_ID, CLIENT_SECRET, Oidc, oidc_server
from tests.plain import PLAIN

PEER = Provider(
    slug="peer",
    name="Peer",
    docs="https://peer.example/docs",
    checked="2026-11-27",
    auth=OAuth2(
        authorize="{url}/auth",
        token="{url}/token",
        revoke="{url}/token/revocation",
        scopes={"api": "Everything"},
        always=frozenset({"api"}),
        refresh_rotates=True,
        access_lives=timedelta(minutes=30),
    ),
    base="{url}",
    accounts=Accounts(path="/whoami", id="id", name="name"),
    resources=[],
)


class Our:
    """Our side, with consents at that server."""

    def __init__(self, db: Database, vault: Vault, client: Client, server: Oidc):
        self.db, self.vault, self.client, self.server = db, vault, client, server
        self.page = PEER
        self.consents = Consents(
            db,
            vault,
            client,
            provider=lambda _slug: self.page,
            public_url=CALLBACK.split("/connect/")[0],
        )
        self.refresher = Refresher(
            db,
            vault,
            client,
            provider=lambda _slug: self.page,
            clock=SystemClock(),
            measures=Measures(),
        )

    async def begin(self) -> Consent:
        return await self.consents.begin(
            "peer", environment="test", tenant="acme", settings={"url": self.server.url}
        )

    async def connect(self) -> Connection:
        consent = await self.begin()
        finished = await self.consents.finish(
            "peer", await browse(consent.url), consent.browser_token
        )
        (made,) = finished.connected
        return made.connection


@pytest.fixture
async def our(db: Database, vault: Vault, client: Client) -> AsyncIterator[Our]:
    if shutil.which("npm") is None:
        pytest.skip("npm is missing: apt-get install npm")
    async with oidc_server() as server:
        await set_client(
            db,
            vault,
            PEER,
            environment="test",
            tenant=None,
            client_id=CLIENT_ID,
            client_secret=CLIENT_SECRET,
        )
        yield Our(db, vault, client, server)


async def browse(url: str) -> dict[str, str]:
    """What a browser brings back: it signs in, consents, and is sent to our callback."""
    async with httpx2.AsyncClient(trust_env=False, verify=PLAIN) as browser:
        for _ in range(10):
            answer = await browser.get(url)
            assert answer.is_redirect, answer.text
            url = str(answer.url.join(answer.headers["location"]))
            if url.startswith(CALLBACK):
                return dict(parse_qsl(urlsplit(url).query))
    raise AssertionError("it never came back")


async def test_a_person_signs_in_and_consents_and_the_connection_lives(our: Our) -> None:
    consent = await our.begin()
    asked = parse_qs(urlsplit(consent.url).query)
    assert asked["code_challenge_method"] == ["S256"]
    connection = await our.connect()
    assert (connection.account, connection.account_name) == ("ann", "Ann")
    first = await our.refresher.access(connection)
    assert await whose(our, first.token) == "ann"
    second = await our.refresher.refused(connection, first.version)
    assert second.token != first.token
    assert await whose(our, second.token) == "ann"
    counts = await our.server.counts()
    assert (counts["exchanged"], counts["refused"], counts["ended"]) == (1, 0, 0)


async def whose(our: Our, token: str) -> str:
    async with httpx2.AsyncClient(trust_env=False, verify=PLAIN) as caller:
        answer = await caller.get(
            f"{our.server.url}/whoami", headers={"authorization": f"Bearer {token}"}
        )
    return str(answer.json().get("id"))


async def test_without_the_verifier_the_server_gives_no_tokens(our: Our) -> None:
    """The server is one that would notice; a page without PKCE gets no code from it at all."""
    assert isinstance(PEER.auth, OAuth2)
    our.page = replace(PEER, auth=replace(PEER.auth, pkce=False, pkce_why="a test"))
    consent = await our.begin()
    with pytest.raises(ConsentRefused, match="invalid_request"):
        await our.consents.finish("peer", await browse(consent.url), consent.browser_token)
    assert await connections.every(our.db, environment="test") == []


async def test_what_came_back_is_good_once_and_in_its_own_browser(our: Our) -> None:
    consent, other = await our.begin(), await our.begin()
    came = await browse(consent.url)
    with pytest.raises(ConsentRefused, match="not known in this browser"):
        await our.consents.finish("peer", came, other.browser_token)
    assert await connections.every(our.db, environment="test") == []
    await our.connect()
    consent = await our.begin()
    came = await browse(consent.url)
    await our.consents.finish("peer", came, consent.browser_token)
    with pytest.raises(ConsentRefused, match="not known in this browser"):
        await our.consents.finish("peer", came, consent.browser_token)


async def test_a_code_of_another_consent_is_refused_by_the_server(our: Our) -> None:
    mine, theirs = await our.begin(), await our.begin()
    stolen = (await browse(theirs.url))["code"]
    came = {**await browse(mine.url), "code": stolen}
    with pytest.raises(ConsentRefused, match="invalid_grant"):
        await our.consents.finish("peer", came, mine.browser_token)


async def test_a_person_who_declines_leaves_nothing(our: Our) -> None:
    consent = await our.begin()
    state = parse_qs(urlsplit(consent.url).query)["state"][0]
    came: dict[str, Any] = {"error": "access_denied", "state": state, "iss": our.server.url}
    with pytest.raises(ConsentRefused) as caught:
        await our.consents.finish("peer", came, consent.browser_token)
    assert caught.value.code == "access_denied"
    assert await connections.every(our.db, environment="test") == []


async def test_disconnecting_ends_the_tokens_at_the_server(our: Our) -> None:
    connection = await our.connect()
    token = (await our.refresher.access(connection)).token
    told = await disconnect(
        our.db,
        connection,
        withdraw=lambda one: withdraw(our.db, our.vault, our.client, our.page, one),
    )
    assert told.provider is not None
    assert told.provider.state == "revoked"
    assert await whose(our, token) == "None"
    our.refresher.forget(connection)
    with pytest.raises(ReconnectRequired):
        await our.refresher.access(connection)


async def test_many_callers_of_a_connection_that_ended_refresh_once(our: Our) -> None:
    connection = await our.connect()
    version = (await our.refresher.access(connection)).version
    got = await asyncio.gather(*(our.refresher.refused(connection, version) for _ in range(64)))
    assert len({each.token for each in got}) == 1
    counts = await our.server.counts()
    assert (counts["exchanged"], counts["ended"]) == (1, 0)

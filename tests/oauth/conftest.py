"""What tests of consents share: a page of a ledger, its server, and a browser that follows it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx2
import pytest

from landbridge.client import Client
from landbridge.engine.app_client import set_client
from landbridge.engine.consent import Consent, Consents, Finished
from landbridge.models.payments import Customer
from landbridge.spec import (
    Accounts,
    AfterLast,
    OAuth2,
    Provider,
    Resource,
    Write,
    map_to,
    read_only,
    text,
)
from landbridge.store.database import Database
from landbridge.vault import Vault
from tests.engine.conftest import at, client, db, vault  # noqa: F401 - fixtures
from tests.oauth.authlib_server import CLIENT_ID, CLIENT_SECRET, Peer, authlib_server
from tests.plain import PLAIN

PUBLIC = "https://connect.example"
REDIRECT = f"{PUBLIC}/connect/callback/ledger"

LEDGER = Provider(
    slug="ledger",
    name="Ledger",
    docs="https://ledger.example/docs",
    checked="2026-11-27",
    auth=OAuth2(
        authorize="{url}/authorize",
        token="{url}/token",
        revoke="{url}/revoke",
        scopes={
            "customers.read": "Reads customers",
            "customers.write": "Writes customers",
            "notes.read": "Reads notes",
            "offline": "Stays connected",
        },
        always=frozenset({"offline"}),
        refresh_rotates=True,
        refresh_lives=timedelta(days=60),
        access_lives=timedelta(minutes=30),
    ),
    base="{url}",
    accounts=Accounts(
        path="/connections", list="", id="id", name="name", kind="type", kinds=["ORGANISATION"]
    ),
    resources=[
        Resource(
            name="customer",
            path="/customers",
            key="id",
            records="data",
            page=AfterLast(param="after", more="more"),
            one="/customers/{id}",
            create=Write(path="/customers", needs=frozenset({"customers.write"})),
            needs=frozenset({"customers.read"}),
            maps=map_to(Customer, id=read_only(text("id")), name=text("name")),
        ),
        Resource(
            name="note", path="/notes", key="id", records="data", needs=frozenset({"notes.read"})
        ),
    ],
)


@dataclass
class World:
    """Our side, the server's side, and a browser between them."""

    db: Database
    vault: Vault
    client: Client
    consents: Consents
    peer: Peer
    page: Provider

    async def begin(self, tenant: str = "acme", **more: Any) -> Consent:
        settings = {"url": self.peer.url, **more.pop("settings", {})}
        return await self.consents.begin(
            "ledger", environment="test", tenant=tenant, settings=settings, **more
        )

    async def back(self, consent: Consent) -> dict[str, str]:
        """The parameters with which the browser comes back from the server."""
        async with httpx2.AsyncClient(trust_env=False, verify=PLAIN) as browser:
            answer = await browser.get(consent.url)
        assert answer.status_code == 302, answer.text
        where = answer.headers["location"]
        assert where.split("?")[0] == REDIRECT
        return dict(parse_qsl(urlsplit(where).query))

    async def finish(self, consent: Consent) -> Finished:
        return await self.consents.finish("ledger", await self.back(consent), consent.browser_token)

    async def connect(self, tenant: str = "acme", **more: Any) -> Finished:
        return await self.finish(await self.begin(tenant, **more))

    def turn(self, **auth: Any) -> None:
        """Changes facts of the page's sign-in."""
        assert isinstance(self.page.auth, OAuth2)
        self.page = replace(self.page, auth=replace(self.page.auth, **auth))


@pytest.fixture
def peer() -> Iterator[Peer]:
    with authlib_server(REDIRECT) as made:
        yield made


@pytest.fixture
async def world(
    db: Database,  # noqa: F811
    vault: Vault,  # noqa: F811
    client: Client,  # noqa: F811
    peer: Peer,
) -> World:
    consents = Consents(
        db, vault, client, provider=lambda _slug: made.page, public_url=PUBLIC + "/"
    )
    made = World(db=db, vault=vault, client=client, consents=consents, peer=peer, page=LEDGER)

    await set_client(
        db,
        vault,
        LEDGER,
        environment="test",
        tenant=None,
        client_id=CLIENT_ID,
        client_secret=CLIENT_SECRET,
    )
    return made

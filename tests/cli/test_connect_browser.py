"""`landbridge connect` of a provider that asks its customer in a browser."""

from __future__ import annotations

import asyncio
import threading
import time
from urllib.parse import parse_qsl, urlsplit

import httpx2
import pytest

from landbridge import Landbridge
from landbridge.testing.pytest_plugin import (
    XeroSimulator,
    simulator_conduct,
    xero_settings,
    xero_simulator,
)
from tests.cli.conftest import Cli
from tests.plain import PLAIN

__all__ = ["simulator_conduct", "xero_settings", "xero_simulator"]
SECRET = "canary-client-secret"


@pytest.fixture
def with_client(cli: Cli) -> Cli:
    cli.environment["LANDBRIDGE_PUBLIC_URL"] = "https://api.example.com"
    cli.ok("apps", "set", "xero", "--client-id", "abc", LANDBRIDGE_CONNECT_CLIENT_SECRET=SECRET)
    return cli


def test_it_gives_the_address_to_open(with_client: Cli) -> None:
    done = with_client.ok("connect", "xero", "--tenant", "acme", "--json")
    assert done.json["open"].startswith("https://api.example.com/connect/lbs_")
    assert done.json["redirect_uri"] == "https://api.example.com/connect/callback/xero"
    assert (done.json["tenant"], done.json["environment"]) == ("acme", "test")
    shown = with_client.ok("connect", "xero", "--tenant", "acme").out
    assert "landbridge serve" in shown
    assert SECRET not in shown + done.out


def test_without_a_client_it_says_how_to_set_one(cli: Cli) -> None:
    told = cli("connect", "xero", "--tenant", "acme")
    assert told.status != 0
    assert "landbridge apps set xero --client-id" in told.err


@pytest.mark.parametrize("more", [("--stdin",), ("--webhook-secret-stdin",)])
def test_what_is_typed_in_is_refused(with_client: Cli, more: tuple[str, ...]) -> None:
    told = with_client("connect", "xero", "--tenant", "acme", *more)
    assert told.status == 2
    assert "asks its customer itself" in told.err


def test_only_addresses_of_its_page_can_be_set(with_client: Cli) -> None:
    told = with_client("connect", "xero", "--tenant", "acme", "--set", "tokens=https://x.example")
    assert told.status == 2
    assert "--set tokens: Xero has no such field or setting. Did you mean 'token'?" in told.err


def test_it_waits_until_the_account_is_connected(
    with_client: Cli,
    xero_simulator: XeroSimulator,
) -> None:
    """The person opens the address in a browser meanwhile."""
    sim, cli = xero_simulator, with_client
    url = cli.environment["LANDBRIDGE_DATABASE_URL"]
    cli.ok(
        "apps", "set", "xero", "--client-id", sim.client_id,
        LANDBRIDGE_CONNECT_CLIENT_SECRET=sim.client_secret,
    )  # fmt: skip

    async def consents() -> None:
        bridge = Landbridge.from_env(
            database_url=url,
            key=cli.environment["LANDBRIDGE_KEY"],
            allow_networks="127.0.0.0/8",
            public_url="https://api.example.com",
        )
        async with bridge:
            consent = await bridge.begin_consent("xero", tenant="acme", settings=sim.settings)
            async with httpx2.AsyncClient(trust_env=False, verify=PLAIN) as browser:
                back = (await browser.get(consent.url)).headers["location"]
            query = dict(parse_qsl(urlsplit(back).query))
            await bridge.finish_consent("xero", query, consent.browser_token)

    def later() -> None:
        time.sleep(1.5)  # after it looked which accounts there are
        asyncio.run(consents())

    person = threading.Thread(target=later)
    person.start()
    try:
        done = cli.ok("connect", "xero", "--tenant", "acme", "--wait", "--json")
    finally:
        person.join()
    names = {one["account_name"] for one in done.json["connected"]}
    assert names == {"Demo Company (NZ)", "Kiwi Coffee"}
    assert "https://api.example.com/connect/lbs_" in done.err
    assert done.json["open"] is None

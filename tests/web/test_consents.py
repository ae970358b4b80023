"""Consents at a real authorisation server, in Chromium: linked, in a window and in a frame."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urljoin

import httpx2
import pytest
from playwright.async_api import Page, expect

from landbridge import ConnectSession
from landbridge.providers import get
from landbridge.spec import Provider
from landbridge.web.connect import cookie
from tests.oauth.authlib_server import CLIENT_ID, CLIENT_SECRET, Client, Peer, authlib_server
from tests.oauth.conftest import LEDGER
from tests.plain import PLAIN
from tests.web.conftest import Site
from tests.web.test_embedded import ended, heard
from tests.web.test_looks import check

TWO = [
    {"id": "org-1", "name": "Acme Ltd", "type": "ORGANISATION"},
    {"id": "org-2", "name": "Acme Trading", "type": "ORGANISATION"},
]


@pytest.fixture
def providers() -> list[Provider]:
    return [LEDGER, get("stripe")]


@pytest.fixture
async def peer(site: Site) -> AsyncIterator[Peer]:
    with authlib_server(site.bridge.redirect_uri("ledger")) as peer:
        peer.shows = True
        await site.bridge.set_client("ledger", client_id=CLIENT_ID, client_secret=CLIENT_SECRET)
        yield peer


async def opened(site: Site, peer: Peer, **more: Any) -> ConnectSession:
    return await site.session("ledger", settings={"ledger": {"url": peer.url}}, **more)


async def go_on(page: Page) -> None:
    await page.get_by_role("button", name="Continue to Ledger").click()
    await expect(page.get_by_role("heading")).to_have_text("Acme Books wants access to your Ledger")


async def test_linked(site: Site, peer: Peer) -> None:
    back = f"{site.host}/?back"
    session = await opened(site, peer, return_to=back)
    page = await site.page()
    await page.goto(session.url)
    await expect(page.get_by_role("listitem")).to_have_text(
        ["Reads customers", "Reads notes", "Stays connected"]
    )
    await check(page, "consent")
    await go_on(page)
    await page.get_by_role("link", name="Allow").click()
    await expect(page.get_by_role("heading")).to_have_text("Ledger is connected")
    assert page.url == f"{session.url}done", "the code stands in the address"
    await expect(page.get_by_text("Acme Ltd")).to_be_visible()
    await page.get_by_role("link", name="Return to Acme Books").click()
    await expect(page).to_have_url(back)
    (connection,) = await site.bridge.connections(tenant="acme")
    assert (connection.state, connection.account) == ("active", "org-1")
    assert await site.context.cookies() == []
    assert site.wrong == []


async def test_a_window_and_a_choice_of_accounts(site: Site, peer: Peer) -> None:
    peer.accounts = TWO
    page = await site.host_page(await opened(site, peer), "popup")
    async with page.expect_popup() as opening:
        await page.get_by_role("button", name="Connect").click()
    window = await opening.value
    await go_on(window)
    await window.get_by_role("link", name="Allow").click()
    await expect(window.get_by_role("heading")).to_have_text("Choose accounts")
    await check(window, "accounts")
    assert set(await heard(page)) == {"ready"}, "told before anything was chosen"
    boxes = window.get_by_role("checkbox")
    await expect(boxes).to_have_count(2)
    for name in ("Acme Ltd", "Acme Trading"):
        await window.get_by_role("checkbox", name=name).uncheck()
    await window.get_by_role("button", name="Connect these").click()
    await expect(window.get_by_role("alert")).to_have_text("Choose at least one.")
    await window.get_by_role("checkbox", name="Acme Ltd").uncheck()
    await window.get_by_role("button", name="Connect these").click()
    result = await ended(page)
    assert [each["account_name"] for each in result["connections"]] == ["Acme Trading"]
    (connection,) = await site.bridge.connections(tenant="acme")
    assert (connection.state, connection.account) == ("active", "org-2")
    assert site.wrong == []


async def test_in_a_frame_the_consent_gets_a_window_of_its_own(site: Site, peer: Peer) -> None:
    page = await site.host_page(await opened(site, peer), "frame")
    await page.get_by_role("button", name="Connect").click()
    frame = page.frame_locator("iframe")
    async with page.context.expect_page() as opening:
        await frame.get_by_role("button", name="Continue to Ledger").click()
    window = await opening.value
    await expect(frame.get_by_role("status")).to_have_text("Go on in the window of Ledger.")
    async with window.expect_event("close"):
        await window.get_by_role("link", name="Allow").click()
    result = await ended(page)
    assert [each["account"] for each in result["connections"]] == ["org-1"]
    assert site.wrong == []


async def test_a_no_is_no_error_and_can_be_changed(site: Site, peer: Peer) -> None:
    page = await site.host_page(await opened(site, peer), "popup")
    async with page.expect_popup() as opening:
        await page.get_by_role("button", name="Connect").click()
    window = await opening.value
    await go_on(window)
    await window.get_by_role("link", name="Decline").click()
    await expect(window.get_by_role("alert")).to_have_text(
        "The access was not allowed at Ledger. You can try again at any time."
    )
    await check(window, "denied")
    assert "denied" in await heard(page)
    assert await site.bridge.connections(tenant="acme") == []
    await window.get_by_role("link", name="Try again").click()
    await go_on(window)
    await window.get_by_role("link", name="Allow").click()
    assert len((await ended(page))["connections"]) == 1
    assert site.wrong == []


async def test_a_no_and_a_closed_window(site: Site, peer: Peer) -> None:
    page = await site.host_page(await opened(site, peer), "popup")
    async with page.expect_popup() as opening:
        await page.get_by_role("button", name="Connect").click()
    window = await opening.value
    await go_on(window)
    await window.get_by_role("link", name="Decline").click()
    await expect(window.get_by_role("alert")).to_be_visible()
    await window.close()
    assert (await ended(page))["code"] == "denied"


async def way_back(page: Page) -> str:
    """The address to which the provider sends a browser that allows it; nobody goes there yet."""
    link = await page.get_by_role("link", name="Allow").get_attribute("href")
    async with httpx2.AsyncClient(trust_env=False, verify=PLAIN) as http:
        answer = await http.get(urljoin(page.url, link))
    return str(answer.headers["location"])


async def test_a_way_back_leads_nowhere_in_another_browser(site: Site, peer: Peer) -> None:
    page = await site.page()
    await page.goto((await opened(site, peer)).url)
    await go_on(page)
    address = await way_back(page)
    stranger = await page.context.browser.new_context()  # type: ignore[union-attr]  # launched
    theirs = await stranger.new_page()
    answer = await theirs.goto(address)
    assert answer is not None
    assert answer.status == 400
    await expect(theirs.get_by_role("alert")).to_have_text(
        "This step took too long, or was done before. Please begin again."
    )
    assert peer.counted("/token") == 0
    await stranger.close()
    await page.goto(address)
    await expect(page.get_by_role("heading")).to_have_text("Ledger is connected")


async def test_a_way_back_is_gone_once(site: Site, peer: Peer) -> None:
    page = await site.page()
    session = await opened(site, peer)
    await page.goto(session.url)
    await go_on(page)
    address = await way_back(page)
    kept = await site.context.cookies()
    assert [each["path"] for each in kept] == ["/connect/"]
    await page.goto(address)
    await expect(page.get_by_role("heading")).to_have_text("Ledger is connected")
    await site.context.add_cookies(kept)  # type: ignore[arg-type]  # what the browser had
    await page.goto(address)
    await expect(page.get_by_role("heading")).to_have_text("Ledger is connected")
    assert peer.counted("/token") == 1
    assert len(await site.bridge.connections(tenant="acme")) == 1


async def test_reconnecting_keeps_the_connection_and_refuses_another_account(
    site: Site, peer: Peer
) -> None:
    peer.shows = False
    page = await site.page()
    await page.goto((await opened(site, peer)).url)
    await page.get_by_role("button", name="Continue to Ledger").click()
    await expect(page.get_by_role("heading")).to_have_text("Ledger is connected")
    (before,) = await site.bridge.connections(tenant="acme")

    again = await site.bridge.connect_session(
        tenant="acme", connection=before, settings={"ledger": {"url": peer.url}}
    )
    await page.goto(again.url)
    await expect(page.get_by_role("heading", level=1)).to_have_text("Reconnect Ledger")
    peer.accounts = TWO[1:]
    await page.get_by_role("button", name="Continue to Ledger").click()
    await expect(page.get_by_role("alert")).to_have_text(
        "This is another account than the one that was connected before."
    )
    peer.accounts = TWO[:1]
    await page.get_by_role("link", name="Try again").click()
    await page.get_by_role("button", name="Continue to Ledger").click()
    await expect(page.get_by_role("heading")).to_have_text("Ledger is connected")
    (after,) = await site.bridge.connections(tenant="acme")
    assert after.id == before.id
    assert after.access_grant != before.access_grant


async def test_a_provider_that_does_not_answer(site: Site, peer: Peer) -> None:
    peer.shows, peer.broken = False, "/token"
    page = await site.page()
    await page.goto((await opened(site, peer)).url)
    await page.get_by_role("button", name="Continue to Ledger").click()
    await expect(page.get_by_role("alert")).to_have_text(
        "Ledger does not answer at present. Try again in a few minutes."
    )
    assert site.wrong == []


async def test_a_tenants_own_client_is_the_one_that_asks(site: Site, peer: Peer) -> None:
    redirect = site.bridge.redirect_uri("ledger")
    peer.clients["their-app"] = Client("their-app", "their-secret", (redirect,))
    await site.bridge.set_client(
        "ledger", tenant="acme", client_id="their-app", client_secret="their-secret"
    )
    page = await site.page()
    await page.goto((await opened(site, peer)).url)
    await go_on(page)
    assert "client_id=their-app" in page.url


async def test_without_a_client_of_ours_it_says_that_it_did_not_work(site: Site) -> None:
    page = await site.page()
    session = await site.session("ledger", settings={"ledger": {"url": "http://127.0.0.1:9"}})
    await page.goto(session.url)
    await page.get_by_role("button", name="Continue to Ledger").click()
    await expect(page.get_by_role("heading")).to_have_text("This did not work")


def test_the_cookie_is_ours_alone() -> None:
    held = cookie.Held(browser_token="b", secret="s")
    line = cookie.kept("https://app.example/landbridge", "state", held)
    assert line.endswith(
        "=b~s; Path=/landbridge/connect/; Max-Age=600; HttpOnly; SameSite=Lax; Secure"
    )
    assert "Secure" not in cookie.kept("http://127.0.0.1:8700", "state", held)
    name = line.split("=")[0]
    assert cookie.held(f"a=b; {line.split(';')[0]}", "state") == held
    assert cookie.held(f"{name}x=b~s", "state") == cookie.Held(browser_token="", secret="")
    assert "b" not in repr(held).replace("web", "")

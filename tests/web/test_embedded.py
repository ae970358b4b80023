"""The pages as a frame and as a window of an application on another site, by /connect.js."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from playwright.async_api import FrameLocator, Page, expect

from landbridge.testing import stripe
from tests.web.conftest import Site
from tests.web.test_looks import take


async def fill(place: Page | FrameLocator) -> None:
    await place.get_by_label("key", exact=False).first.fill(stripe.KEY)
    await place.get_by_role("button", name="Connect", exact=True).click()


async def ended(page: Page) -> Any:
    """How the promise was settled."""
    await expect(page.locator("#said")).not_to_be_empty()
    return await page.evaluate("window.result ?? window.failure")


async def heard(page: Page) -> list[str]:
    names: list[str] = await page.evaluate("window.events.map((event) => event.type)")
    return names


@pytest.fixture
def sandboxed(shop: str) -> dict[str, Any]:
    return {"settings": {"stripe": {"base": shop}}}


async def test_a_frame_connects_and_tells_the_application(
    site: Site, sandboxed: dict[str, Any]
) -> None:
    page = await site.host_page(await site.session("stripe", **sandboxed), "frame")
    await page.get_by_role("button", name="Connect").click()
    dialog = page.get_by_role("dialog", name="Connect an account")
    await expect(dialog).to_be_visible()
    frame = page.frame_locator("iframe")
    await expect(frame.get_by_role("heading", name="Connect Stripe")).to_be_focused()
    await take(page, "frame")
    await fill(frame)
    result = await ended(page)
    (connection,) = await site.bridge.connections(tenant="acme")
    (told,) = result["connections"]
    assert told == {
        "id": connection.id,
        "provider": "stripe",
        "account": connection.account,
        "account_name": connection.account_name,
        "new": True,
    }
    await expect(page.get_by_role("status")).to_have_text("The account is connected.")
    await expect(dialog).to_have_count(0)
    await expect(page.get_by_role("button", name="Connect")).to_be_focused()
    assert (await heard(page))[0] == "ready"
    assert (await heard(page))[-2:] == ["connected", "closed"]
    assert site.wrong == []


@pytest.mark.parametrize("slow", ["", "1"])
async def test_a_window_connects_tells_the_application_and_closes(
    site: Site, sandboxed: dict[str, Any], slow: str
) -> None:
    session = await site.session("stripe", **sandboxed)
    page = await site.host_page(session, "popup", slow=slow)
    async with page.expect_popup() as opening:
        await page.get_by_role("button", name="Connect").click()
    window = await opening.value
    await window.wait_for_load_state()
    async with window.expect_event("close"):
        await fill(window)
        result = await ended(page)
    assert [each["provider"] for each in result["connections"]] == ["stripe"]
    assert site.wrong == []


async def test_a_window_that_lost_its_tie_is_asked_for_its_outcome(
    site: Site, sandboxed: dict[str, Any]
) -> None:
    """As after a provider's page with Cross-Origin-Opener-Policy: same-origin."""
    session = await site.session("stripe", **sandboxed)
    page = await site.host_page(session, "popup")
    async with page.expect_popup() as opening:
        await page.get_by_role("button", name="Connect").click()
    window = await opening.value
    other = await site.page()
    await other.goto(session.url)
    await fill(other)
    await expect(other.get_by_role("heading", name="Stripe is connected")).to_be_visible()
    await window.close()
    assert [each["provider"] for each in (await ended(page))["connections"]] == ["stripe"]
    assert site.wrong == []


async def test_closing_ends_it_with_nothing_connected(site: Site) -> None:
    page = await site.host_page(await site.session("stripe"), "popup")
    async with page.expect_popup() as opening:
        await page.get_by_role("button", name="Connect").click()
    await (await opening.value).close()
    assert (await ended(page))["code"] == "closed"
    assert (await heard(page))[-1] == "closed"


async def press_into_what_goes(page: Page, key: str) -> None:
    """Presses a key in a frame that goes by it: once it is gone Chromium may never say that the key
    came up again, and nobody waits for that."""
    pressing = asyncio.ensure_future(page.keyboard.press(key))
    await asyncio.wait([pressing], timeout=3)


async def test_by_keyboard_alone(site: Site, sandboxed: dict[str, Any]) -> None:
    """Tab, Enter and Escape: in, through, and out again; focus stays inside and comes back."""
    page = await site.host_page(await site.session("stripe", **sandboxed), "frame")
    button = page.get_by_role("button", name="Connect")
    keys = page.keyboard
    await button.focus()
    await keys.press("Enter")
    frame = page.frame_locator("iframe")
    heading = frame.get_by_role("heading", level=1)
    await expect(heading).to_be_focused()
    await press_into_what_goes(page, "Escape")
    assert (await ended(page))["code"] == "closed"
    await expect(button).to_be_focused()

    await page.evaluate("document.querySelector('#said').textContent = ''")
    await keys.press("Enter")
    await expect(heading).to_be_focused()
    await keys.press("Tab")
    await expect(frame.get_by_label("key", exact=False).first).to_be_focused()
    for _ in range(8):  # round and round: the page below is never reached
        await keys.press("Tab")
        assert not await button.evaluate("(one) => one === document.activeElement")
    await page.get_by_role("button", name="Close").focus()
    await keys.press("Shift+Tab")
    await frame.get_by_label("key", exact=False).first.focus()
    await keys.type(stripe.KEY)
    await press_into_what_goes(page, "Enter")
    assert [each["provider"] for each in (await ended(page))["connections"]] == ["stripe"]
    assert site.wrong == []


async def test_another_origin_may_not_frame_it(site: Site) -> None:
    session = await site.session("stripe", origin="https://app.example")
    page = await site.host_page(session, "frame")
    await page.get_by_role("button", name="Connect").click()
    await expect(page.frame_locator("iframe").get_by_role("heading")).to_have_count(0)
    await page.wait_for_timeout(500)
    assert await heard(page) == []
    assert any("frame-ancestors" in each for each in site.wrong)


async def test_another_origin_is_not_told(site: Site, sandboxed: dict[str, Any]) -> None:
    """The page names the origin that may hear it, so that a browser tells no other."""
    session = await site.session("stripe", origin="https://app.example", **sandboxed)
    page = await site.host_page(session, "popup", stay="1")
    async with page.expect_popup() as opening:
        await page.get_by_role("button", name="Connect").click()
    window = await opening.value
    await window.wait_for_load_state()
    await fill(window)
    await expect(window.get_by_role("heading", name="Stripe is connected")).to_be_visible()
    assert await heard(page) == []
    await window.close()
    assert (await ended(page))["code"] == "closed"


async def test_only_our_window_is_believed(site: Site) -> None:
    page = await site.host_page(await site.session("stripe"), "frame")
    await page.get_by_role("button", name="Connect").click()
    heading = page.frame_locator("iframe").get_by_role("heading", level=1)
    await expect(heading).to_be_visible()
    forged = {"type": "landbridge:connected", "connections": [{"id": "con_forged"}]}
    await page.evaluate("(forged) => window.postMessage(forged, '*')", forged)
    frame = page.frames[1]
    # The page of another origin in the same frame is not believed either.
    await page.evaluate("(url) => { document.querySelector('iframe').src = url }", "about:blank")
    await page.wait_for_timeout(200)
    await page.frames[1].evaluate("(forged) => parent.postMessage(forged, '*')", forged)
    await page.wait_for_timeout(200)
    assert frame is not None
    assert "connected" not in await heard(page)


async def test_a_page_that_is_no_longer_valid_says_so(site: Site) -> None:
    session = await site.session("stripe")
    await expire(site)
    page = await site.host_page(session, "frame")
    await page.get_by_role("button", name="Connect").click()
    frame = page.frame_locator("iframe")
    await expect(frame.get_by_role("heading")).to_have_text("This page is no longer valid")
    await frame.get_by_role("button", name="Close").click()
    assert (await ended(page))["code"] == "expired"


async def expire(site: Site) -> None:
    async with site.bridge.transaction() as tx:
        await tx.execute("UPDATE landbridge.connect_session SET expires_at = landbridge.now()")


async def test_dark_as_the_application_wants_it(site: Site) -> None:
    page = await site.host_page(await site.session("stripe"), "frame", theme="dark")
    await page.get_by_role("button", name="Connect").click()
    frame = page.frame_locator("iframe")
    await expect(frame.locator("html")).to_have_attribute("data-theme", "dark")


async def test_a_token_that_is_none_is_refused_at_once(site: Site) -> None:
    page = await site.page()
    await page.goto(f"{site.host}/?session=../../evil&mode=frame")
    await page.get_by_role("button", name="Connect").click()
    assert (await ended(page))["code"] == "session"
    await expect(page.get_by_role("dialog")).to_have_count(0)

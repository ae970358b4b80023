"""Connecting with what is typed in, as a person does it in Chromium."""

from __future__ import annotations

import re

from playwright.async_api import expect

from landbridge.testing import stripe
from tests.web.conftest import Site


def sandbox(shop: str) -> dict[str, dict[str, str]]:
    return {"stripe": {"base": shop}}


async def test_linked(site: Site, shop: str) -> None:
    """A link leads to the services, a form, and back to where it came from."""
    back = f"{site.host}/?back"
    session = await site.session(settings=sandbox(shop), return_to=back)
    page = await site.page()
    await page.goto(session.url)
    await expect(page.get_by_role("heading", level=1)).to_have_text("Connect an account")
    await page.get_by_role("link", name="Stripe").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Connect Stripe")

    await page.get_by_role("button", name="Connect", exact=True).click()
    await expect(page.get_by_role("alert")).to_be_focused()
    key = page.get_by_label("Secret or restricted key")
    await expect(key).to_have_accessible_description(re.compile("rk_live_.* This is missing."))

    await key.fill(stripe.KEY)
    await page.get_by_role("button", name="Connect", exact=True).click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Stripe is connected")
    (connection,) = await site.bridge.connections(tenant="acme")
    await expect(page.get_by_text(connection.account_name)).to_be_visible()
    await page.get_by_role("link", name="Return to Acme Books").click()
    await expect(page).to_have_url(back)
    assert site.wrong == []

"""Matching codes on the connect pages, in Chromium: suggested, looked at, confirmed."""

from __future__ import annotations

from decimal import Decimal

import pytest
from playwright.async_api import expect

from landbridge import Code, ConnectSession
from landbridge.engine.sessions import session_of
from landbridge.store import sessions
from landbridge.store.connections import Connection
from landbridge.testing import xero
from landbridge.testing.pytest_plugin import XeroSimulator, xero_simulator
from tests.providers.through import consented
from tests.web.conftest import Site
from tests.web.test_looks import check

__all__ = ["xero_simulator"]


@pytest.fixture
def xero_settings() -> xero.Settings:
    return xero.Settings(limits=xero.Limits(minute=2_000))


@pytest.fixture
async def opened(site: Site, xero_simulator: XeroSimulator) -> tuple[Connection, ConnectSession]:
    """A connection whose codes were not pulled, and a session about it."""
    bridge, sim = site.bridge, xero_simulator
    bridge._codes = {
        "accounts": (
            Code(code="sales", name="Sales", category="revenue"),
            Code(code="rent", name="Rent", category="expense"),
        ),
        "tax_rates": (Code(code="gst", name="GST on sales", rate=Decimal(15)),),
    }
    await bridge.set_client("xero", client_id=sim.client_id, client_secret=sim.client_secret)
    to = (await consented(bridge, "xero", sim.settings))["Demo Company (NZ)"]
    return to, await site.session(connection=to, return_to=f"{site.host}/?back")


async def test_codes_are_matched(site: Site, opened: tuple[Connection, ConnectSession]) -> None:
    to, session = opened
    page = await site.page()
    await page.goto(f"{session.url}codes/{to.id}")
    await expect(page.get_by_role("heading", level=1)).to_have_text("Match codes of Xero")
    await expect(page.get_by_role("status")).to_contain_text("still being read")
    await site.bridge.pull(to, ["Accounts", "TaxRates", "Organisation"])
    await page.get_by_role("link", name="Look again").click()

    names = ("Sales", "Rent", "GST on sales")
    sales, rent, gst = (page.get_by_label(each, exact=True) for each in names)
    await expect(sales).to_have_value("200")
    await expect(sales).to_have_accessible_description(
        "Suggested: the kind is the same (revenue); the name is the same"
    )
    await expect(rent).to_have_value("")
    await expect(gst).to_have_value("OUTPUT2")
    await expect(page.get_by_role("group", name="Taxes")).to_be_visible()
    await check(page, "codes")
    assert await site.bridge.custom.list(to) == (), "nothing is set by itself"

    await rent.select_option("200")
    await page.get_by_role("button", name="Confirm").click()
    await expect(page.get_by_role("alert")).to_be_focused()
    await expect(rent).to_have_value("200")
    await rent.select_option("")
    await page.get_by_role("button", name="Confirm").click()
    await expect(page.get_by_role("status")).to_have_text(
        "Your choice is kept. These are still open."
    )
    await expect(page.get_by_role("combobox")).to_have_count(1)
    lines = {row.field: row.facts for row in await site.bridge.custom.list(to)}
    assert lines == {"accounts": {"200": "sales"}, "tax_rates": {"OUTPUT2": "gst"}}

    await page.get_by_label("Rent").select_option("310")
    await page.get_by_role("button", name="Confirm").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("All codes are matched")
    await page.get_by_role("link", name="Return to Acme Books").click()
    await expect(page).to_have_url(f"{site.host}/?back")
    assert site.wrong == []

    other = await site.session("xero")
    answer = await page.goto(f"{other.url}codes/{to.id}")
    assert answer is not None
    assert answer.status == 404, "another session's connection"

    made = {"id": to.id, "provider": "xero", "account_name": "Demo", "account": "", "new": True}
    kept = await session_of(site.bridge.db, other.token)
    assert kept is not None
    await sessions.settle(site.bridge.db, kept, "connected", connected=[made])
    await page.goto(f"{other.url}done")
    await page.get_by_role("link", name="Match accounts and taxes").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("All codes are matched")

"""A real Chromium, a bridge that serves the connect pages, and an application on another site."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, BrowserContext, Page, async_playwright

from landbridge import ConnectSession, Landbridge
from landbridge.spec import Provider
from landbridge.testing import stripe
from landbridge.testing.running import in_thread
from tests.web.host import host_app
from tests.web.serving import serving

_CHROMIUM = Path(os.environ.get("CHROMIUM", "/usr/bin/chromium"))
_ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@dataclass(kw_only=True)
class Site:
    """The bridge at `url`, the application at `host`, which is another site, and the browser."""

    bridge: Landbridge
    url: str
    host: str
    context: BrowserContext
    wrong: list[str] = field(default_factory=list)
    """What the browser complained of: violations of policies, errors of scripts."""

    async def session(self, *providers: str, **more: Any) -> ConnectSession:
        given = {"tenant": "acme", "origin": self.host, "name": "Acme Books", **more}
        return await self.bridge.connect_session(providers=providers, **given)

    async def page(self) -> Page:
        page = await self.context.new_page()
        page.set_default_timeout(10_000)
        return page

    async def host_page(self, session: ConnectSession, mode: str, **query: str) -> Page:
        """The application's page, with its button to connect."""
        page = await self.page()
        more = "".join(f"&{name}={value}" for name, value in query.items())
        await page.goto(f"{self.host}/?session={session.token}&mode={mode}{more}")
        return page


@pytest.fixture(scope="session")
def chromium() -> Path:
    if not _CHROMIUM.exists():
        pytest.skip(f"no browser at {_CHROMIUM}: apt-get install chromium, or set CHROMIUM")
    return _CHROMIUM


@pytest.fixture
async def browser(chromium: Path) -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=str(chromium), args=_ARGUMENTS)
        yield browser
        await browser.close()


@pytest.fixture
def shop() -> Iterator[str]:
    """The address of a Stripe account's simulator."""
    with in_thread(stripe.Simulator(stripe.Settings()).app) as url:
        yield url


@pytest.fixture
def providers() -> list[Provider] | None:
    """The pages that the bridge offers; None: all that there are."""
    return None


@pytest.fixture
async def site(
    database_url: str, browser: Browser, providers: list[Provider] | None
) -> AsyncIterator[Site]:
    context = await browser.new_context(viewport={"width": 640, "height": 760})
    async with serving(database_url, providers) as (bridge, url):
        with in_thread(host_app(url)) as host:
            there = Site(
                bridge=bridge,
                url=url,
                host=host.replace("127.0.0.1", "localhost"),
                context=context,
            )
            context.on("console", lambda said: _hear(there, said.type, said.text))
            context.on("weberror", lambda error: there.wrong.append(str(error.error)))
            yield there
            await context.close()


def _hear(site: Site, kind: str, text: str) -> None:
    if kind == "error" and "Failed to load resource" not in text:
        site.wrong.append(text)

"""Every page in light and in dark: readable, named, and whole at a phone's width.

`SHOTS=folder pytest tests/web/test_looks.py` keeps the pictures.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, expect

from landbridge.testing import stripe
from tests.web.conftest import Site

_CONTRAST = """
() => {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 1;
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  const rgba = (color) => {
    pen.clearRect(0, 0, 1, 1);
    pen.fillStyle = color;
    pen.fillRect(0, 0, 1, 1);
    return [...pen.getImageData(0, 0, 1, 1).data];
  };
  const light = (color) => {
    const [r, g, b] = rgba(color).map((part) => {
      const share = part / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (element) => {
    for (let one = element; one; one = one.parentElement) {
      const color = getComputedStyle(one).backgroundColor;
      if (rgba(color)[3] > 0) return color;
    }
    return "#fff";
  };
  const found = [];
  for (const element of document.querySelectorAll("main *, main")) {
    const text = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!text || !element.checkVisibility() || element.matches(".unseen")) continue;
    const [one, other] = [light(getComputedStyle(element).color), light(ground(element))];
    const ratio = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
    if (ratio < 4.5) found.push(`${element.tagName}.${element.className} ${ratio.toFixed(2)}`);
  }
  return found;
}
"""

_NAMELESS = """
() => [...document.querySelectorAll("a, button, input, textarea, iframe")]
  .filter((one) => one.checkVisibility())
  .filter((one) => !(one.labels?.length || one.textContent.trim() || one.title || one.ariaLabel))
  .map((one) => one.outerHTML)
"""


async def take(page: Page, name: str) -> None:
    """Keeps a picture, if SHOTS says where."""
    if folder := os.environ.get("SHOTS"):
        await page.screenshot(path=Path(folder) / f"{name}.png")


async def check(page: Page, name: str) -> None:
    """Judges a page and takes its picture in both schemes."""
    assert await page.evaluate("document.querySelectorAll('h1').length") == 1
    assert await page.evaluate("document.querySelectorAll('main').length") == 1
    assert await page.evaluate("document.documentElement.lang")
    assert await page.evaluate(_NAMELESS) == []
    assert "lbs_" not in await page.content(), "a page holds its session's token"
    for scheme in ("light", "dark"):
        await page.emulate_media(color_scheme=scheme)
        assert await page.evaluate(_CONTRAST) == [], scheme
        await take(page, f"{name}-{scheme}")
    wide = page.viewport_size
    await page.set_viewport_size({"width": 320, "height": 700})
    assert await page.evaluate("document.documentElement.scrollWidth") <= 320
    assert wide is not None
    await page.set_viewport_size(wide)


async def test_the_choice(site: Site) -> None:
    page = await site.page()
    await page.goto((await site.session()).url)
    await check(page, "choose")


async def test_a_form_and_its_problems(site: Site, shop: str) -> None:
    page = await site.page()
    await page.goto((await site.session("caldav")).url)
    await check(page, "form")
    await page.get_by_label("Server address").fill("fastmail")
    await page.get_by_role("button", name="Connect", exact=True).click()
    await expect(page.get_by_role("alert")).to_be_visible()
    await check(page, "problems")


async def test_the_end(site: Site, shop: str) -> None:
    session = await site.session(
        "stripe", settings={"stripe": {"base": shop}}, return_to=f"{site.host}/"
    )
    page = await site.page()
    await page.goto(session.url)
    await page.get_by_label("key").fill(stripe.KEY)
    await page.get_by_role("button", name="Connect", exact=True).click()
    await expect(page.get_by_role("heading")).to_have_text("Stripe is connected")
    await check(page, "done")


@pytest.mark.parametrize("token", ["nothing", f"lbs_{'a' * 43}"])
async def test_an_address_that_leads_nowhere(site: Site, token: str) -> None:
    page = await site.page()
    answer: Any = await page.goto(f"{site.url}/connect/{token}/")
    assert answer.status == 404
    await check(page, "unknown")

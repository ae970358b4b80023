"""What the connect pages allow, and what they do not: each request by hand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from landbridge import ConnectSession, Landbridge
from landbridge.errors import InvalidInput
from landbridge.web.connect import TEXTS
from tests.plain import PLAIN
from tests.web.serving import serving

ORIGIN = "https://app.example"


@pytest.fixture
async def bridge(database_url: str) -> AsyncIterator[Landbridge]:
    async with serving(database_url, None) as (bridge, _):
        yield bridge


@pytest.fixture
async def http() -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(trust_env=False, verify=PLAIN) as http:
        yield http


async def opened(bridge: Landbridge, *providers: str, **more: Any) -> ConnectSession:
    given = {"tenant": "acme", "origin": ORIGIN, **more}
    return await bridge.connect_session(providers=providers, **given)


async def test_nothing_inline_runs_and_only_the_origin_may_frame_it(
    bridge: Landbridge, http: httpx2.AsyncClient
) -> None:
    answer = await http.get((await opened(bridge)).url)
    policy = answer.headers["content-security-policy"].split("; ")
    assert "default-src 'none'" in policy
    assert "script-src 'self'" in policy
    assert "style-src 'self'" in policy
    assert "form-action 'self'" in policy
    assert f"frame-ancestors {ORIGIN}" in policy
    assert "unsafe" not in answer.headers["content-security-policy"]
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cache-control"] == "no-store"
    alone = await http.get((await opened(bridge, origin="")).url)
    assert "frame-ancestors 'none'" in alone.headers["content-security-policy"]


async def test_a_session_reaches_its_providers_and_no_other(
    bridge: Landbridge, http: httpx2.AsyncClient
) -> None:
    session = await opened(bridge, "caldav")
    first = await http.get(session.url)
    assert (first.status_code, first.headers["location"]) == (303, "to/caldav")
    assert (await http.get(f"{session.url}to/caldav")).status_code == 200
    for method in ("GET", "POST"):
        answer = await http.request(method, f"{session.url}to/stripe", data={"key": "sk_x"})
        assert answer.status_code == 404
    assert await bridge.connections(tenant="acme") == []


async def test_a_session_that_ended_connects_nothing(
    bridge: Landbridge, http: httpx2.AsyncClient
) -> None:
    session = await opened(bridge, "stripe")
    async with bridge.transaction() as tx:
        await tx.execute("UPDATE landbridge.connect_session SET expires_at = landbridge.now()")
    for method in ("GET", "POST"):
        answer = await http.request(method, f"{session.url}to/stripe", data={"key": "sk_x"})
        assert answer.status_code == 410
        assert "no longer valid" in answer.text
        assert f"frame-ancestors {ORIGIN}" in answer.headers["content-security-policy"]
    state = await http.get(f"{session.url}state")
    assert state.json()["state"] == "expired"


async def test_only_the_application_reads_how_far_it_came(
    bridge: Landbridge, http: httpx2.AsyncClient
) -> None:
    address = f"{(await opened(bridge)).url}state"
    ours = await http.get(address, headers={"origin": ORIGIN})
    assert ours.headers["access-control-allow-origin"] == ORIGIN
    assert ours.json() == {"state": "open", "connections": []}
    theirs = await http.get(address, headers={"origin": "https://evil.example"})
    assert "access-control-allow-origin" not in theirs.headers
    nobody = await http.get(f"{address[: address.index('lbs_')]}lbs_{'a' * 43}/state")
    assert (nobody.status_code, nobody.json()) == (404, {"state": "expired"})


async def test_a_form_of_another_site_is_refused(
    bridge: Landbridge, http: httpx2.AsyncClient
) -> None:
    address = f"{(await opened(bridge, 'stripe')).url}to/stripe"
    for site, status in (("cross-site", 403), ("same-site", 403), ("same-origin", 422)):
        answer = await http.post(address, data={}, headers={"sec-fetch-site": site})
        assert answer.status_code == status


async def test_what_is_typed_is_never_shown_again(
    bridge: Landbridge, http: httpx2.AsyncClient
) -> None:
    address = f"{(await opened(bridge, 'caldav')).url}to/caldav"
    typed = {"url": 'x"><b>', "username": "<i>me</i>", "password": "canary-7c1"}
    answer = await http.post(address, data=typed)
    assert answer.status_code == 422
    assert "canary-7c1" not in answer.text
    assert "<b>" not in answer.text
    assert "&lt;i&gt;me&lt;/i&gt;" in answer.text


async def test_what_an_application_says_is_text_and_not_markup(
    bridge: Landbridge, http: httpx2.AsyncClient
) -> None:
    texts = {"choose_title": "<script>1</script>", "choose_lead_named": "Zu {app} & mehr"}
    session = await opened(bridge, name="<b>Acme</b>", texts={**texts, "lang": "de"})
    page = (await http.get(session.url)).text
    assert '<html lang="de"' in page
    assert "&lt;script&gt;1&lt;/script&gt;" in page
    assert "Zu &lt;b&gt;Acme&lt;/b&gt; &amp; mehr" in page
    assert "<script>1" not in page


@pytest.mark.parametrize(
    ("texts", "says"),
    [
        ({"choose_titel": "x"}, "there is no 'choose_titel'. Did you mean 'choose_title'?"),
        ({"choose_title": "{0}"}, "may hold {provider} and {app}"),
        ({"choose_title": "{app.secret}"}, "may hold {provider} and {app}"),
        ({"choose_title": "{"}, "may hold {provider} and {app}"),
    ],
)
async def test_a_text_that_is_none_is_named(
    bridge: Landbridge, texts: dict[str, str], says: str
) -> None:
    with pytest.raises(InvalidInput) as wrong:
        await opened(bridge, texts=texts)
    assert says in str(wrong.value)
    with pytest.raises(InvalidInput):
        bridge.connect_app(texts=texts)


def test_every_text_of_ours_has_only_the_holes_it_may() -> None:
    for text in TEXTS.values():
        text.format(provider="P", app="A")


async def test_too_much_and_other_methods_are_refused(
    bridge: Landbridge, http: httpx2.AsyncClient
) -> None:
    address = f"{(await opened(bridge, 'stripe')).url}to/stripe"
    assert (await http.post(address, data={"key": "x" * 70_000})).status_code == 413
    assert (await http.delete(address)).status_code == 405
    assert (await http.post((await opened(bridge)).url)).status_code == 405
    head = await http.head(address)
    assert (head.status_code, head.text) == (200, "")
    session = await opened(bridge)
    bare = await http.get(session.url.rstrip("/"))
    assert (bare.status_code, bare.headers["location"]) == (303, f"{session.token}/")


@pytest.mark.parametrize("name", ["connect.js", "connect.d.ts"])
async def test_the_script_is_small_and_may_be_used_by_any_page(
    bridge: Landbridge, http: httpx2.AsyncClient, name: str
) -> None:
    answer = await http.get(f"{bridge.settings.public_url}/{name}")
    assert answer.status_code == 200
    assert len(answer.content) < 8_000
    assert answer.headers["cross-origin-resource-policy"] == "cross-origin"
    if name.endswith(".js"):
        assert answer.headers["content-type"].startswith("text/javascript")


async def test_the_pages_work_below_a_mount(database_url: str, http: httpx2.AsyncClient) -> None:
    async with serving(database_url, None, mount="/landbridge") as (bridge, url):
        session = await opened(bridge)
        assert session.url.startswith(f"{url}/landbridge/connect/lbs_")
        page = await http.get(session.url)
        assert page.status_code == 200
        for asset in ("page.css", "page.js"):
            assert f'"../{asset}"' in page.text
            there = await http.get(httpx2.URL(session.url).join(f"../{asset}"))
            assert there.status_code == 200


async def test_without_a_database_it_says_so(bridge: Landbridge, http: httpx2.AsyncClient) -> None:
    session = await opened(bridge)
    await bridge._open.front.close()
    answer = await asyncio.wait_for(http.get(session.url), 20)
    assert answer.status_code == 503
    assert "Not available at present" in answer.text

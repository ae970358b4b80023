"""Vendors that sign more than the body, or nothing at all, at the intake."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json

import pytest

from landbridge.spec import EchoQuery
from landbridge.store.database import Database
from landbridge.store.sql import Sql
from landbridge.vault import Vault
from tests.engine.conftest import Scene
from tests.engine.door import BODY, SECRET, Opened, opener
from tests.unit import vendors

HEADERS = Sql("tests.headers", "SELECT headers FROM lb.arrival", across="A test reads all.")


@pytest.fixture
async def door(db: Database, vault: Vault, scene: Scene) -> Opened:
    return await opener(db, vault, scene)


async def test_the_address_that_the_vendor_was_told_is_signed(door: Opened) -> None:
    square = door(signature=vendors.SQUARE, public_url="https://hooks.example.com/bridge/")
    path = f"/in/{square.scene.app.token}"

    def signed(url: str) -> dict[str, str]:
        mark = hmac.new(SECRET.encode(), url.encode() + BODY, hashlib.sha256).digest()
        return {"x-square-hmacsha256-signature": base64.b64encode(mark).decode()}

    public = f"https://hooks.example.com/bridge{path}"
    assert (await square.call(BODY, signed(public))).status == 200
    asked = f"{public}?shop=1&x=%2F"
    assert (await square.call(BODY, signed(asked), query=b"shop=1&x=%2F")).status == 200
    assert (await square.call(BODY, signed(f"{public}/"), path=f"{path}/")).status == 200
    for other in (asked, f"{public}/", public.replace("https", "http"), path):
        assert (await square.call(BODY, signed(other))).status == 401
    assert await square.stored() == 3


async def test_a_token_that_is_repeated_is_believed_and_not_stored(door: Opened) -> None:
    google = door(signature=vendors.GOOGLE)
    right = {"X-Goog-Channel-Token": SECRET, "X-Goog-Channel-ID": "c1"}
    assert (await google.call(BODY, right)).status == 200
    assert (await google.call(BODY, {**right, "X-Goog-Channel-Token": "guess"})).status == 401
    headers = await google.db.value(HEADERS)
    assert b"X-Goog-Channel-ID" in headers
    assert SECRET.encode() not in headers


async def test_a_token_in_the_address_is_believed(door: Opened) -> None:
    mailchimp = door(signature=vendors.MAILCHIMP, public_url="https://x.example")
    assert (await mailchimp.call(BODY, query=b"secret=" + SECRET.encode())).status == 200
    for query in (b"", b"secret=guess", b"secret=", b"Secret=" + SECRET.encode()):
        assert (await mailchimp.call(BODY, query=query)).status == 401


async def test_every_notice_of_a_batch_repeats_its_token(door: Opened) -> None:
    graph = door(EchoQuery(param="validationToken"), signature=vendors.GRAPH, events="value")
    for states, status in (([SECRET, SECRET], 200), ([SECRET, "guess"], 401), ([], 401)):
        batch = json.dumps({"value": [{"clientState": state} for state in states]}).encode()
        assert (await graph.call(batch)).status == status

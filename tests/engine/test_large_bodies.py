"""Bodies too large to be posted: what is posted instead, and who may fetch them."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import httpx2
import msgspec
import pytest

from landbridge import Landbridge, ids
from landbridge.clock import FakeClock
from landbridge.engine.catalogue import EventType, Version, body_for
from landbridge.engine.dispatch import Dispatcher
from landbridge.engine.emit import prepare
from landbridge.engine.reference import References, part_of
from landbridge.errors import PayloadTooLarge
from landbridge.vault import new_key
from landbridge.web.bodies import PIECE

BASE = "https://api.example.com/landbridge"
NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)


class Report(msgspec.Struct):
    rows: list[str]


class Short(msgspec.Struct):
    count: int


REPORT = EventType(
    type="report.ready",
    description="A report is ready.",
    model=Report,
    since="2026-02-01",
    older=[Version(since="2026-01-01", model=Short, down=lambda report: Short(len(report.rows)))],
)


def posted(data: object, **more: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The binds, and the data of what is posted."""
    references = References(base=f"{BASE}/", keep=timedelta(days=7), limit=more.pop("most", 10**7))
    _, _, binds = prepare(
        "report.ready",
        data,
        environment="test",
        tenant="acme",
        references=references,
        clock=FakeClock(NOON),
        **more,
    )
    return binds, json.loads(binds["payload"])["data"]


def test_what_is_posted_says_where_the_body_is_and_for_how_long() -> None:
    binds, data = posted({"text": "x" * 1_000_000})
    body = binds["attachment"]
    assert json.loads(body) == {
        "type": "report.ready",
        "timestamp": "2026-07-01T12:00:00Z",
        "data": {"text": "x" * 1_000_000},
    }
    token = data.pop("$ref").removeprefix(f"{BASE}/bodies/{binds['id']}/")
    assert len(token) == 32
    assert data == {
        "size": len(body),
        "sha256": hashlib.sha256(body).hexdigest(),
        "content_type": "application/json",
        "expires_at": "2026-07-08T12:00:00Z",
    }
    assert len(binds["payload"]) < 600


def test_bytes_keep_their_content_type_and_the_post_is_json() -> None:
    binds, data = posted(b"%PDF", content_type="application/pdf")
    assert (binds["attachment"], data["content_type"]) == (b"%PDF", "application/pdf")
    assert binds["content_type"] == "application/json"


def test_a_body_above_the_cap_of_references_is_refused() -> None:
    with pytest.raises(PayloadTooLarge, match="LANDBRIDGE_REFERENCE_LIMIT") as caught:
        posted({"text": "x" * 2000}, most=2000)
    assert (caught.value.limit, caught.value.size > 2000) == (2000, True)


def test_no_two_addresses_share_a_token_and_only_its_own_opens() -> None:
    one, data = posted({})
    _, other = posted({})
    token, foreign = (each["$ref"].rpartition("/")[2] for each in (data, other))
    assert token != foreign
    assert part_of(one["payload"], {}, foreign) is None
    assert part_of(one["payload"], {}, "") is None
    found = part_of(one["payload"], {}, token)
    assert found is not None
    assert (found.start, found.size) == (1, len(one["attachment"]))


def test_an_ordinary_event_opens_with_no_token() -> None:
    for payload in (b'{"data":{}}', b"\xff", b'{"data":{"$ref":"x"}}'):
        assert part_of(payload, {}, "x") is None


# Fetching


@pytest.fixture
async def bridge(database_url: str) -> AsyncIterator[Landbridge]:
    made = Landbridge.from_env(
        database_url=database_url, key=new_key(), environment="test", public_url=BASE
    )
    made.declare(REPORT, EventType(type="file.ready", description="A file is ready."))
    async with made:
        yield made


@pytest.fixture
async def client(bridge: Landbridge) -> AsyncIterator[httpx2.AsyncClient]:
    transport = httpx2.ASGITransport(app=bridge.asgi(), root_path="/landbridge")
    async with httpx2.AsyncClient(transport=transport, base_url=BASE) as made:
        yield made


async def emitted(bridge: Landbridge, type: str, data: object, **more: Any) -> Any:
    """The event's row once it is dispatched."""
    event = await bridge.emit(type, data, tenant="acme", by_reference=True, **more)
    await Dispatcher(bridge.db).step()
    async with bridge.transaction() as tx:
        [row] = await tx.execute("SELECT * FROM landbridge.event WHERE id = $1", event)
    return row


def address(payload: bytes) -> str:
    found: str = json.loads(payload)["data"]["$ref"]
    return found


async def test_the_body_is_fetched_whole_under_its_address(
    bridge: Landbridge, client: httpx2.AsyncClient
) -> None:
    row = await emitted(bridge, "report.ready", {"rows": ["x" * PIECE, "y" * 1000]})
    answer = await client.get(address(row["payload"]))
    assert answer.status_code == 200
    told = json.loads(row["payload"])["data"]
    assert hashlib.sha256(answer.content).hexdigest() == told["sha256"]
    assert answer.json()["data"]["rows"][1] == "y" * 1000
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["content-length"] == str(told["size"]) == str(len(answer.content))
    assert answer.headers["content-disposition"].startswith("attachment")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "no-store" in answer.headers["cache-control"]
    head = await client.head(address(row["payload"]))
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers == answer.headers


async def test_each_version_has_an_address_of_its_own(
    bridge: Landbridge, client: httpx2.AsyncClient
) -> None:
    row = await emitted(bridge, "report.ready", {"rows": ["a", "b"]})
    older = body_for(row["payload"], row["older"], "2026-01-01")
    assert (await client.get(address(older))).json()["data"] == {"count": 2}
    newest = body_for(row["payload"], row["older"], "2026-02-01")
    assert (await client.get(address(newest))).json()["data"] == {"rows": ["a", "b"]}
    assert address(older) != address(newest)


async def test_bytes_come_back_as_they_were(bridge: Landbridge, client: httpx2.AsyncClient) -> None:
    body = bytes(range(256)) * 5000
    row = await emitted(bridge, "file.ready", body, content_type="application/x-tar")
    answer = await client.get(address(row["payload"]))
    assert answer.content == body
    assert answer.headers["content-type"] == "application/x-tar"


async def test_every_wrong_address_gets_the_same_answer(
    bridge: Landbridge, client: httpx2.AsyncClient
) -> None:
    row = await emitted(bridge, "report.ready", {"rows": []})
    right = urlsplit(address(row["payload"])).path
    folder, _, token = right.rpartition("/")
    ordinary = await bridge.emit("report.ready", {"rows": []}, tenant="acme")
    await Dispatcher(bridge.db).step()
    wrong = [
        f"{folder}/{token[:-1]}",
        f"{folder}/{token}x",
        f"{folder}/{'A' * len(token)}",
        f"{folder}/%00",
        f"{folder}/%C3%BC",
        f"{folder}/{'x' * 5000}",
        f"{folder}/",
        folder,
        f"{right}/more",
        f"/landbridge/bodies/{ids.new('evt')}/{token}",
        f"/landbridge/bodies/{ordinary}/{token}",
        f"/landbridge/bodies/evt_%27/{token}",
        "/landbridge/bodies/",
    ]
    for path in wrong:
        answer = await client.get(f"https://api.example.com{path}")
        assert (path, answer.status_code, answer.text) == (path, 404, "there is no such body")
    assert (await client.post(f"https://api.example.com{right}")).status_code == 405


async def test_a_body_that_is_no_longer_kept_is_not_there(
    bridge: Landbridge, client: httpx2.AsyncClient
) -> None:
    row = await emitted(bridge, "report.ready", {"rows": []})
    async with bridge.transaction() as tx:
        await tx.execute("DELETE FROM landbridge.attachment")
    assert (await client.get(address(row["payload"]))).status_code == 404


async def test_without_a_database_it_may_be_fetched_later(
    bridge: Landbridge, client: httpx2.AsyncClient
) -> None:
    row = await emitted(bridge, "report.ready", {"rows": []})
    await bridge.db.close()
    answer = await client.get(address(row["payload"]))
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")


async def test_the_attachment_is_kept_by_the_day_and_goes_with_it(bridge: Landbridge) -> None:
    await emitted(bridge, "report.ready", {"rows": ["x" * 300_000]})
    async with bridge.transaction() as tx:
        [[place]] = await tx.execute("SELECT tableoid::regclass::text FROM landbridge.attachment")
    assert place == f"landbridge.attachment_{datetime.now(UTC):%Y%m%d}"


async def test_many_large_bodies_are_emitted_at_once(bridge: Landbridge) -> None:
    text = "x" * 2_000_000
    events = await asyncio.gather(
        *(
            bridge.emit("report.ready", {"rows": [text]}, tenant="acme", by_reference=True)
            for _ in range(12)
        )
    )
    await Dispatcher(bridge.db).step()
    async with bridge.transaction() as tx:
        found = await tx.execute("SELECT id, length(body) FROM landbridge.attachment ORDER BY id")
    assert [row[0] for row in found] == sorted(events)
    assert all(row[1] > 2_000_000 for row in found)

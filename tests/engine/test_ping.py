"""A ping tells what really comes of a post now, and leaves no trace."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from landbridge import webhooks
from landbridge.client.guard import Guard
from landbridge.client.sender import Sender
from landbridge.engine.endpoints import Endpoints, Pinged
from landbridge.errors import NotFound
from landbridge.store.database import Database
from landbridge.testing.receiver import Receiver
from landbridge.testing.running import in_thread
from landbridge.vault import Vault
from tests.client.servers import certificate, hangs_up, listening, says
from tests.engine.outbound import LOCAL

ACME: dict[str, Any] = {"environment": "test", "tenant": "acme"}


@pytest.fixture
def receiver() -> Iterator[tuple[Receiver, str]]:
    made = Receiver()
    with in_thread(made.app) as url:
        yield made, url
    made.stage.journal.close()


@pytest.fixture
async def office(db: Database, vault: Vault) -> AsyncIterator[Endpoints]:
    async with Sender(LOCAL, deadline=2) as sender:
        yield Endpoints(db, vault, LOCAL, sender=sender)


async def ping(office: Endpoints, url: str, **more: Any) -> Pinged:
    made = await office.create(**ACME, url=url, **more)
    return await office.ping(made.endpoint.id, **ACME)


@pytest.mark.parametrize("scheme", ["v1", "v1a", "both"])
async def test_a_ping_that_arrives_is_signed_as_a_delivery(
    office: Endpoints, receiver: tuple[Receiver, str], scheme: Any
) -> None:
    theirs, url = receiver
    made = await office.create(
        **ACME, url=f"{url}/hook/theirs", scheme=scheme, headers={"X-Shop": "7"}
    )
    theirs.add("theirs", made.secret or made.public_key)
    done = await office.ping(made.endpoint.id, **ACME)
    assert (done.delivered, done.status, done.problem, done.meaning) == (True, 200, "", "")
    assert json.loads(done.answer) == {"received": True}
    (arrived,) = theirs.stage.journal.entries
    assert (arrived["type"], arrived["verified"]) == ("endpoint.ping", True)
    assert arrived["webhook_id"] == done.id == done.sent["webhook-id"]
    assert done.id.startswith("evt_")


async def test_the_endpoint_s_own_headers_are_sent(
    office: Endpoints, receiver: tuple[Receiver, str]
) -> None:
    theirs, url = receiver
    made = await office.create(
        **ACME, url=f"{url}/raw/theirs", headers={"Authorization": "Bearer 7"}
    )
    done = await office.ping(made.endpoint.id, **ACME)
    (arrived,) = theirs.stage.journal.entries
    assert arrived["headers"]["authorization"] == "Bearer 7"
    assert "Bearer" not in repr(done)
    payload = webhooks.verify(arrived["body"].encode(), arrived["headers"], made.secret)
    assert payload["data"] == {"endpoint": made.endpoint.id}


async def test_it_says_the_version_of_bodies_as_a_delivery_does(
    office: Endpoints, receiver: tuple[Receiver, str]
) -> None:
    theirs, url = receiver
    await ping(office, f"{url}/raw/theirs", api_version="2026-05-31")
    await ping(office, f"{url}/raw/theirs")
    versions = [each["headers"].get("webhook-api-version") for each in theirs.stage.journal.entries]
    assert versions == ["2026-05-31", None]


async def test_a_wrong_secret_is_recognised(
    office: Endpoints, receiver: tuple[Receiver, str]
) -> None:
    theirs, url = receiver
    theirs.add("theirs")
    done = await ping(office, f"{url}/hook/theirs")
    assert (done.delivered, done.status, done.problem) == (False, 400, "")
    assert "signature" in done.answer
    assert done.meaning.startswith("the receiver's check of the signature fails")


@pytest.mark.parametrize(
    ("answer", "status", "meaning"),
    [
        (b"HTTP/1.1 302 Found\r\nlocation: /x\r\ncontent-length: 0\r\n\r\n", 302, "redirects"),
        (b"HTTP/1.1 401 No\r\ncontent-length: 0\r\n\r\n", 401, "Authorization header of its own"),
        (b"HTTP/1.1 403 No\r\ncontent-length: 0\r\n\r\n", 403, "Authorization header of its own"),
        (b"HTTP/1.1 404 No\r\ncontent-length: 0\r\n\r\n", 404, "compare the URL"),
        (b"HTTP/1.1 410 No\r\ncontent-length: 0\r\n\r\n", 410, "is gone"),
        (b"HTTP/1.1 418 No\r\ncontent-length: 0\r\n\r\n", 418, "the receiver refuses the post"),
        (b"HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n", 503, "its own log says more"),
    ],
)
async def test_what_a_refusal_probably_means(
    office: Endpoints, answer: bytes, status: int, meaning: str
) -> None:
    async with listening(says(answer)) as server:
        done = await ping(office, server.url)
    assert (done.delivered, done.status, done.problem) == (False, status, "")
    assert meaning in done.meaning


async def test_the_answer_is_cut_and_cannot_steer_a_terminal(office: Endpoints) -> None:
    body = b"\x1b[2J\xff" + "ü\n".encode() + b"x" * 3000
    head = f"HTTP/1.1 200 OK\r\ncontent-length: {len(body)}\r\n\r\n".encode()
    async with listening(says(head + body)) as server:
        done = await ping(office, server.url)
    assert done.answer.startswith(".[2J\ufffdü\nxxx")
    assert done.answer.endswith("...")
    assert len(done.answer) < 1010


async def test_an_answer_that_repeats_what_was_sent_shows_no_header(office: Endpoints) -> None:
    async def echo(writer: asyncio.StreamWriter) -> None:
        (heard,) = server.requests
        await says(f"HTTP/1.1 400 No\r\ncontent-length: {len(heard)}\r\n\r\n".encode() + heard)(
            writer
        )

    headers = {"Authorization": "Bearer canary-7", "X-Shop": "7"}
    async with listening(echo) as server:
        done = await ping(office, server.url, headers=headers)
    assert "canary" not in repr(done)
    assert "Authorization: ***" in done.answer
    assert "X-Shop: 7" in done.answer


async def test_no_answer_is_told_in_words(office: Endpoints) -> None:
    async with listening(hangs_up) as server:
        done = await ping(office, server.url)
        assert (done.delivered, done.status) == (False, None)
        assert "the connection ended before the answer" in done.problem
    refused = await ping(office, server.url)
    assert "no connection" in refused.problem
    async with listening(says(b"HTTP/1.1 200 OK\r\n", every=10)) as server:
        late = await ping(office, server.url)
    assert "no whole answer within 2 s" in late.problem
    assert late.took_ms >= 1900


async def test_a_certificate_that_is_not_accepted_is_told(
    office: Endpoints, tmp_path: Path
) -> None:
    server_side, _ = certificate(tmp_path, "127.0.0.1")
    async with listening(says(b""), tls=server_side) as server:
        done = await ping(office, server.url.replace("http:", "https:"))
    assert "its TLS certificate is not accepted" in done.problem


async def test_a_name_that_is_gone_or_leads_inside_is_told(db: Database, vault: Vault) -> None:
    addresses = {"shop.example": ["93.184.215.14"]}

    async def lookup(host: str, _port: int) -> list[str]:
        if host not in addresses:
            raise OSError("no such name")
        return addresses[host]

    office = Endpoints(db, vault, Guard(lookup=lookup))
    made = await office.create(**ACME, url="https://shop.example/hook")
    addresses["shop.example"] = ["10.0.0.1"]
    done = await office.ping(made.endpoint.id, **ACME)
    assert "leads to 10.0.0.1, which is private" in done.problem
    del addresses["shop.example"]
    done = await office.ping(made.endpoint.id, **ACME)
    assert "shop.example has no address" in done.problem


async def test_a_disabled_endpoint_can_be_pinged_and_nothing_is_written(
    office: Endpoints, db: Database
) -> None:
    made = (await office.create(**ACME, url="http://127.0.0.1:9/")).endpoint
    disabled = await office.disable(made.id, **ACME)
    done = await office.ping(made.id, **ACME)
    assert (done.delivered, done.state) == (False, "disabled")
    assert await office.get(made.id, **ACME) == disabled
    async with db.transaction() as tx:
        for table in ("event", "emitted", "due", "attempt", "endpoint_health"):
            ((count,),) = await tx.execute(f"SELECT count(*) FROM landbridge.{table}")
            assert count == 0, table
    with pytest.raises(NotFound):
        await office.ping("end_no", **ACME)
    with pytest.raises(NotFound):
        await office.ping(made.id, environment="test", tenant="other")

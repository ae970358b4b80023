"""Pages that bring nothing new are noted several at once, and what is new among them is found."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web

from landbridge.client import Client
from landbridge.clock import SystemClock
from landbridge.engine.connect import base_of
from landbridge.engine.conversing import AT_ONCE
from landbridge.engine.pull import Puller, Totals, stream_of
from landbridge.errors import LandbridgeError
from landbridge.models.payments import Customer
from landbridge.spec import ApiKey, Field, PageNumber, Provider, Resource, map_to, read_only, text
from landbridge.store import parked, records, syncs
from landbridge.store.connections import Connection
from landbridge.store.database import Database, Tx
from landbridge.store.sql import Sql
from landbridge.vault import Vault
from tests.engine.conftest import free, typed_in

OURS: dict[str, Any] = {"environment": "test", "tenant": "acme"}
ALL = "A test looks at everything."
FETCHES = Sql("tests.fetches", "SELECT key FROM lb.due WHERE kind = 'fetch'", across=ALL)
CHANGES = Sql("tests.changes", "SELECT count(*) FROM lb.change", across=ALL)
SHELF = Provider(
    slug="shelf",
    name="Shelf",
    docs="https://shelf.example/docs",
    checked="2026-11-27",
    auth=ApiKey(fields=[Field(name="key", label="Key", secret=True)]),
    base="https://shelf.example",
    resources=[
        Resource(
            name="book",
            path="/books",
            key="id",
            records="data",
            one="/books/{id}",
            page=PageNumber(count="pages", size_param="size", size=10),
            maps=map_to(Customer, id=read_only(text("id")), name=text("name")),
        )
    ],
)
PAGES = AT_ONCE + 3


@dataclass
class Shelf:
    """A paged list, and one connection that pulls it."""

    db: Database
    client: Client
    books: dict[str, str] = field(default_factory=dict)
    asked: list[int] = field(default_factory=list)
    calls: int = 0
    """That a whole pull takes."""
    connection: Connection | None = None
    garbled: str = ""
    """A book that is sent with a byte that is no UTF-8."""

    async def listed(self, request: web.Request) -> web.Response:
        page, size = int(request.query.get("page", "1")), int(request.query["size"])
        self.asked.append(page)
        keys = sorted(self.books)
        shown = [
            {"id": key, "name": self.books[key]} for key in keys[(page - 1) * size : page * size]
        ]
        body = json.dumps({"data": shown, "pages": -(-len(keys) // size)}).encode()
        if self.garbled:
            place = b'{"id": "%b", "name": "' % self.garbled.encode()
            body = body.replace(place, place + b"\xff")
        return web.Response(body=body, content_type="application/json")

    async def pull(self, hold: Any = free) -> tuple[Totals, int]:
        """What a pull did, and in how many transactions."""
        assert self.connection is not None
        held = 0

        async def counted(tx: Tx) -> None:
            nonlocal held
            held += 1
            await hold(tx)

        puller = Puller(
            self.db,
            self.client,
            provider=lambda _: SHELF,
            base=lambda page, one: base_of(page, one.settings),
            clock=SystemClock(),
        )
        return await puller.run(self.connection, "book", hold=counted), held

    async def names(self) -> dict[str, str]:
        """What is stored."""
        assert self.connection is not None
        stream = stream_of(self.connection, "book")
        stored = await records.read(self.db, stream, most=1000)
        return {each.key: (each.unified or {})["name"] for each in stored}


@pytest.fixture
async def shelf(db: Database, client: Client, vault: Vault) -> AsyncIterator[Shelf]:
    made = Shelf(db, client, {f"b{n:03}": "as it was" for n in range(PAGES * 10)})
    app = web.Application()
    app.router.add_get("/books", made.listed)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    made.connection = await typed_in(db, vault, "shelf", f"http://{host}:{port}")
    async with db.transaction() as tx:
        await syncs.add(tx, **OURS, connection=made.connection.id, resources=["book"])
    _, held = await made.pull()
    assert held >= PAGES, "what is new is stored page by page"
    made.calls = len(made.asked)
    made.asked.clear()
    yield made
    await runner.cleanup()


async def test_pages_without_news_are_noted_together_and_counted_each(shelf: Shelf) -> None:
    totals, held = await shelf.pull()
    assert (totals.changed, totals.gone) == (0, 0)
    assert totals.pages == len(shelf.asked) >= PAGES
    assert held < totals.pages / 2
    assert shelf.connection is not None
    latest, *_ = await syncs.runs(shelf.db, **OURS, connection=shelf.connection.id)
    assert (latest.pages, latest.seen) == (totals.pages, totals.seen)
    assert await shelf.db.value(CHANGES) == PAGES * 10
    assert await shelf.db.fetch(FETCHES) == []


async def test_what_is_new_among_them_is_stored_and_nothing_else(shelf: Shelf) -> None:
    for changes, page in enumerate([7, AT_ONCE, PAGES], 1):
        shelf.books[f"b{page * 10 - 5:03}"] = "another"
        totals, _ = await shelf.pull()
        assert totals.changed == 1
        assert await shelf.names() == shelf.books
        assert await shelf.db.value(CHANGES) == PAGES * 10 + changes
    assert await shelf.db.fetch(FETCHES) == []


async def test_a_record_that_is_not_json_is_parked_and_the_rest_is_stored(shelf: Shelf) -> None:
    shelf.garbled, shelf.books["b045"] = "b044", "another"
    totals, _ = await shelf.pull()
    assert (totals.changed, totals.parked) == (1, 1)
    assert await shelf.names() == shelf.books, "it stays as it was read last"
    (held,) = await parked.every(shelf.db, environment="test")
    assert (held.key, held.reason[:8]) == ("b044", "not JSON")
    shelf.garbled = ""
    totals, _ = await shelf.pull()
    assert (totals.changed, totals.parked) == (0, 0)
    assert await parked.every(shelf.db, environment="test") == []


async def test_what_a_listing_does_not_meet_is_asked_for(shelf: Shelf) -> None:
    del shelf.books["b057"]
    await shelf.pull()
    (asked,) = await shelf.db.fetch(FETCHES)
    assert asked["key"].endswith("b057")


@pytest.mark.parametrize("at", [1, 2])
async def test_one_that_was_cut_off_goes_on_behind_what_it_noted(shelf: Shelf, at: int) -> None:
    shelf.books["b025"] = "another"
    done = 0

    async def dies(_tx: Tx) -> None:
        nonlocal done
        done += 1
        if done == at:
            raise LandbridgeError("killed")

    with pytest.raises(LandbridgeError, match="killed"):
        await shelf.pull(dies)
    await shelf.pull()
    assert len(shelf.asked) <= shelf.calls + AT_ONCE + 3
    assert await shelf.names() == shelf.books
    assert await shelf.db.value(CHANGES) == PAGES * 10 + 1
    assert await shelf.db.fetch(FETCHES) == []

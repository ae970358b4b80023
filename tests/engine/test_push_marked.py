"""Creations without idempotency keys, or with keys that are forgotten: one object per intent, found
again by the intent's marker."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest
from aiohttp import web

from landbridge import ids
from landbridge.client import Client
from landbridge.engine.connect import base_of
from landbridge.engine.push import Pushed, Pusher, promise
from landbridge.errors import OutcomeUnknown, SpecError, Throttled
from landbridge.models.payments import Customer
from landbridge.spec import (
    ApiKey,
    Field,
    Marked,
    Provider,
    Resource,
    Write,
    map_to,
    read_only,
    text,
)
from landbridge.store import intents
from landbridge.store.bind import bind
from landbridge.store.connections import Connection
from landbridge.store.database import Database
from landbridge.store.intents import Intent
from landbridge.vault import Vault
from tests.engine.conftest import free, typed_in

NAMED = Resource(
    name="customer",
    path="/customers",
    key="id",
    records="data",
    one="/customers/{id}",
    create=Write(path="/customers"),
    marker="note",
    marked=Marked(query={"note": "{intent}"}, within=timedelta(minutes=5)),
    maps=map_to(Customer, id=read_only(text("id")), name=text("name")),
)
MILL = Provider(
    slug="mill",
    name="Mill",
    docs="https://mill.example/docs",
    checked="2026-11-27",
    auth=ApiKey(fields=[Field(name="key", label="Key", secret=True)]),
    base="https://mill.example",
    resources=[NAMED],
)


@dataclass
class Mill:
    """A server that makes what it is asked for, and drops the connections that it is told to."""

    url: str = ""
    made: list[dict[str, Any]] = field(default_factory=list)
    drops: list[str] = field(default_factory=list)
    """`before` it is made or `after`, for each creation to come."""
    keys: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What it made under which idempotency key, as long as it remembers them."""
    garbled: bool = False
    """Whether it answers a creation with what is no JSON."""
    busy: bool = False
    """Whether it answers that a quota is used up."""
    late: bool = False
    """Whether its list does not show what is new."""
    asked: list[dict[str, str]] = field(default_factory=list)

    async def create(self, request: web.Request) -> web.StreamResponse:
        if self.busy:
            return web.json_response({}, status=429)
        drop = self.drops.pop(0) if self.drops else ""
        body = await request.json()
        key = request.headers.get("Idempotency-Key", "")
        if key in self.keys:
            body = self.keys[key]
        elif drop != "before":
            self.made.append({"id": f"c{len(self.made) + 1}", **body})
            body = self.made[-1]
        if key and drop != "before":
            self.keys[key] = body
        if drop:
            assert request.transport is not None
            request.transport.abort()
        return web.Response(body=b'{"id":') if self.garbled else web.json_response(body)

    async def listed(self, request: web.Request) -> web.Response:
        self.asked.append(dict(request.query))
        shown = [] if self.late else [one for one in self.made if _fits(one, request.query)]
        return web.json_response({"data": shown})

    async def one(self, request: web.Request) -> web.Response:
        found = [one for one in self.made if one["id"] == request.match_info["id"]]
        return web.json_response(found[0]) if found else web.json_response({}, status=404)


def _fits(one: dict[str, Any], query: Any) -> bool:
    return all(one.get(name) == value for name, value in query.items())


@pytest.fixture
async def mill() -> AsyncIterator[Mill]:
    made = Mill()
    app = web.Application()
    app.router.add_post("/customers", made.create)
    app.router.add_get("/customers", made.listed)
    app.router.add_get("/customers/{id}", made.one)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    made.url = f"http://{host}:{port}"
    yield made
    await runner.cleanup()


@dataclass
class Office:
    """A connection to the mill, and who carries its intents out."""

    db: Database
    pusher: Pusher
    page: Provider
    connection: Connection

    async def promised(self, name: str) -> str:
        made = ids.IntentId(ids.new("int"))
        async with self.db.transaction() as tx:
            await promise(
                bind(tx, self.db.schema),
                self.page,
                Customer(name=name),
                to=self.connection,
                intent=made,
            )
        return made

    async def intent(self, id: str) -> Intent:
        found = await intents.one(self.db, environment="test", tenant="acme", id=id)
        assert found is not None
        return found

    async def run(self, id: str) -> Pushed:
        return await self.pusher.run(await self.intent(id), hold=free)

    async def wait(self, how: str) -> None:
        """As if so much time had passed since the first try."""
        async with self.db.transaction() as tx:
            await tx.execute(
                "UPDATE landbridge.intent SET tried_at = tried_at - $1::text::interval", how
            )


Opens = Callable[[Provider], Awaitable[Office]]


@pytest.fixture
def opens(db: Database, vault: Vault, client: Client, mill: Mill) -> Opens:
    async def opened(page: Provider) -> Office:
        connection = await typed_in(db, vault, "mill", mill.url)
        pusher = Pusher(db, client, provider=lambda _slug: page, base=_base)
        return Office(db=db, pusher=pusher, page=page, connection=connection)

    return opened


def _base(page: Provider, connection: Connection) -> str:
    return base_of(page, connection.settings)


async def test_what_an_unanswered_try_made_is_found_and_not_made_again(
    mill: Mill, opens: Opens
) -> None:
    office, mill.drops = await opens(MILL), ["after"]
    made = await office.promised("Ada")
    with pytest.raises(OutcomeUnknown):
        await office.run(made)
    assert (await office.run(made)).key == "c1"
    assert mill.asked == [{"note": made}]
    assert [one["note"] for one in mill.made] == [made]
    assert (await office.intent(made)).state == "done"


async def test_a_try_that_made_nothing_is_repeated_when_the_list_would_show_it(
    mill: Mill, opens: Opens
) -> None:
    office, mill.drops = await opens(MILL), ["before"]
    made = await office.promised("Ada")
    with pytest.raises(OutcomeUnknown):
        await office.run(made)
    with pytest.raises(OutcomeUnknown, match="may be late") as caught:
        await office.run(made)
    assert caught.value.retry_at is not None
    assert mill.made == []
    await office.wait("6 minutes")
    assert (await office.run(made)).key == "c1"
    assert len(mill.made) == 1


async def test_a_late_list_makes_no_second_one(mill: Mill, opens: Opens) -> None:
    """The control, which sends again what it does not find, makes two."""
    office, mill.drops, mill.late = await opens(MILL), ["after"], True
    made = await office.promised("Ada")
    for _ in range(3):
        with pytest.raises(OutcomeUnknown):
            await office.run(made)
    assert len(mill.made) == 1
    mill.late = False
    assert (await office.run(made)).key == "c1"
    assert len(mill.made) == 1

    hasty = replace(NAMED, marked=Marked(query={"note": "{intent}"}))
    office, mill.drops, mill.late = await opens(replace(MILL, resources=[hasty])), ["after"], True
    again = await office.promised("Grace")
    with pytest.raises(OutcomeUnknown):
        await office.run(again)
    await office.run(again)
    assert [one["name"] for one in mill.made] == ["Ada", "Grace", "Grace"]


async def test_equal_documents_of_two_intents_are_two(mill: Mill, opens: Opens) -> None:
    office, mill.drops = await opens(MILL), ["after", "after"]
    promised = [await office.promised("Ada") for _ in range(2)]
    for each in promised:
        with pytest.raises(OutcomeUnknown):
            await office.run(each)
    assert [(await office.run(each)).key for each in promised] == ["c1", "c2"]


async def test_without_a_way_to_find_it_nothing_is_sent_again(mill: Mill, opens: Opens) -> None:
    """Neither after a lost answer nor after a process that died with the try under way."""
    blind = replace(NAMED, marked=None)
    office, mill.drops = await opens(replace(MILL, resources=[blind])), ["after"]
    lost, died = await office.promised("Ada"), await office.promised("Grace")
    assert (await office.run(lost)).state == "unknown"
    await intents.note_try(office.db, await office.intent(died))
    assert (await office.run(died)).state == "unknown"
    assert "look there" in (await office.intent(died)).reason
    assert len(mill.made) == 1


KEYED = replace(NAMED, idempotency="Idempotency-Key", marked=None)
FORGETFUL = replace(MILL, resources=[KEYED], idempotency_kept=timedelta(minutes=5))
LOST = ["after"] * 20


async def test_a_key_that_is_remembered_makes_a_repeated_try_harmless(
    mill: Mill, opens: Opens
) -> None:
    office, mill.drops = await opens(FORGETFUL), [*LOST]
    made = await office.promised("Ada")
    with pytest.raises(OutcomeUnknown):
        await office.run(made)
    mill.drops.clear()
    await office.wait("4 minutes")
    assert (await office.run(made)).key == "c1"
    assert len(mill.made) == 1


async def test_a_key_that_may_be_forgotten_is_not_relied_on(mill: Mill, opens: Opens) -> None:
    """The control, whose page says nothing of it, makes two."""
    for page, state, there in ((FORGETFUL, "unknown", 1), (MILL, "done", 2)):
        resource = KEYED if page is FORGETFUL else replace(KEYED, marker="")
        office, mill.drops = await opens(replace(page, resources=[resource])), [*LOST]
        made = await office.promised("Ada")
        with pytest.raises(OutcomeUnknown):
            await office.run(made)
        mill.drops.clear()
        mill.keys.clear()
        await office.wait("6 minutes")
        assert (await office.run(made)).state == state
        assert len(mill.made) == there
        mill.made.clear()


async def test_behind_a_forgotten_key_the_marker_tells(mill: Mill, opens: Opens) -> None:
    both = replace(KEYED, marked=NAMED.marked)
    office, mill.drops = await opens(replace(FORGETFUL, resources=[both])), [*LOST]
    made = await office.promised("Ada")
    with pytest.raises(OutcomeUnknown):
        await office.run(made)
    mill.drops.clear()
    mill.keys.clear()
    await office.wait("6 minutes")
    assert (await office.run(made)).key == "c1"
    assert len(mill.made) == 1


@pytest.mark.parametrize("resource", [KEYED, replace(NAMED, marked=None)])
async def test_a_try_that_wrote_nothing_leaves_no_doubt(
    mill: Mill, opens: Opens, resource: Resource
) -> None:
    office, mill.busy = await opens(replace(FORGETFUL, resources=[resource])), True
    made = await office.promised("Ada")
    with pytest.raises(Throttled):
        await office.run(made)
    assert (await office.intent(made)).tried_at is None
    mill.busy = False
    assert (await office.run(made)).key == "c1"


async def test_an_answer_that_cannot_be_read_leaves_a_doubt(mill: Mill, opens: Opens) -> None:
    office, mill.garbled = await opens(MILL), True
    made = await office.promised("Ada")
    with pytest.raises(OutcomeUnknown, match="not JSON"):
        await office.run(made)
    assert (await office.intent(made)).tried_at is not None
    mill.garbled = False
    assert (await office.run(made)).key == "c1"
    assert len(mill.made) == 1


async def test_an_earlier_doubt_outlasts_a_try_that_wrote_nothing(mill: Mill, opens: Opens) -> None:
    office, mill.drops = await opens(FORGETFUL), [*LOST]
    made = await office.promised("Ada")
    with pytest.raises(OutcomeUnknown):
        await office.run(made)
    mill.busy = True
    with pytest.raises(Throttled):
        await office.run(made)
    await office.wait("6 minutes")
    mill.busy, mill.keys = False, {}
    assert (await office.run(made)).state == "unknown"
    assert len(mill.made) == 1


def test_a_query_that_finds_everything_is_refused() -> None:
    with pytest.raises(SpecError, match="intent"):
        Marked(query={"order": "id"})
    with pytest.raises(SpecError, match="marker"):
        replace(NAMED, marker="")

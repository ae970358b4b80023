"""A table of ours, a provider's server with records, and a link between them, step by step."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from aiohttp import web

from landbridge.client import Client
from landbridge.clock import SystemClock
from landbridge.engine.connect import base_of
from landbridge.engine.consume import consume, join
from landbridge.engine.dispatch import Dispatcher
from landbridge.engine.link import Link, Table
from landbridge.engine.linker import Linker
from landbridge.engine.links import Conflicts, Links
from landbridge.engine.pull import Hold, Puller
from landbridge.engine.push import Pusher
from landbridge.errors import LandbridgeError, UnmappedCode
from landbridge.merge import Policy
from landbridge.models.payments import Customer
from landbridge.spec import ApiKey, Field, Provider, Resource, Write, map_to, read_only, text
from landbridge.store import due, intents, syncs
from landbridge.store.connections import Connection
from landbridge.store.database import Database, Tx
from landbridge.store.due import Claimed
from landbridge.vault import Vault
from tests.engine.conftest import typed_in

OURS: dict[str, Any] = {"environment": "test", "tenant": "acme"}
FIELDS = ("name", "email", "phone", "description")
HALL = Provider(
    slug="hall",
    name="Hall",
    docs="https://hall.example/docs",
    checked="2026-11-27",
    auth=ApiKey(fields=[Field(name="key", label="Key", secret=True)]),
    base="https://hall.example",
    resources=[
        Resource(
            name="member",
            path="/members",
            key="id",
            records="data",
            one="/members/{id}",
            create=Write(path="/members"),
            update=Write(path="/members/{id}", method="PATCH"),
            delete=Write(path="/members/{id}", method="DELETE"),
            idempotency="Idempotency-Key",
            maps=map_to(
                Customer,
                id=read_only(text("id")),
                name=text("name"),
                email=text("email"),
                phone=text("phone"),
                description=text("note"),
            ),
        )
    ],
)
_MINUTE = timedelta(minutes=1)
TABLE = """
CREATE TABLE public.customers (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, tenant text NOT NULL,
    name text, email text, phone text, description text, visits int NOT NULL DEFAULT 0)
"""


@dataclass
class Hall:
    """The provider: its records, and what it is told to do with requests."""

    url: str = ""
    members: dict[str, dict[str, Any]] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    drops: list[str] = field(default_factory=list)
    """`before` or `after` it is done, for each write to come: the connection is dropped."""
    refuses: str = ""
    """An e-mail address that it does not take."""
    tidies: bool = False
    """Whether it writes values in a form of its own."""
    answers: dict[str, Any] = field(default_factory=dict)
    """By idempotency key."""

    def put(self, key: str, **values: Any) -> None:
        """What somebody does there by hand."""
        self.members[key] = {"id": key, **self.members.get(key, {}), **self._tidy(values)}

    def _tidy(self, values: dict[str, Any]) -> dict[str, Any]:
        if not self.tidies:
            return values
        tidied = {
            name: value.strip() if isinstance(value, str) else value
            for name, value in values.items()
        }
        if isinstance(tidied.get("email"), str):
            tidied["email"] = tidied["email"].lower()
        return tidied

    async def listed(self, _request: web.Request) -> web.Response:
        """All of them, on one page."""
        self.counts["list"] += 1
        return web.json_response({"data": list(self.members.values())})

    async def one(self, request: web.Request) -> web.Response:
        """One of them."""
        self.counts["get"] += 1
        found = self.members.get(request.match_info["id"])
        return web.json_response(found) if found else web.json_response({}, status=404)

    async def write(self, request: web.Request) -> web.StreamResponse:
        """Creates, changes or deletes one."""
        drop = self.drops.pop(0) if self.drops else ""
        if drop == "before":
            return _dropped(request)
        used = request.headers.get("Idempotency-Key", "")
        if used not in self.answers:
            body = await request.json() if request.can_read_body else {}
            if self.refuses and body.get("email") == self.refuses:
                return web.json_response({"error": "this address is not taken"}, status=422)
            self.counts[request.method] += 1
            self.answers[used] = self._done(request.method, request.match_info.get("id"), body)
        if drop == "after":
            return _dropped(request)
        found = self.answers[used]
        return web.json_response(found) if found is not None else web.json_response({}, status=404)

    def _done(self, method: str, key: str | None, body: dict[str, Any]) -> Any:
        if method == "DELETE":
            return {"id": self.members.pop(key or "", {}).get("id")}
        if key is None:
            key = f"m{self.counts['POST']}"
        elif key not in self.members:
            return None
        self.put(key, **body)
        return dict(self.members[key])

    @property
    def writes(self) -> int:
        """How often it was written to."""
        return sum(self.counts[method] for method in ("POST", "PATCH", "DELETE"))


def _dropped(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


@asynccontextmanager
async def hall() -> AsyncIterator[Hall]:
    """The provider's server."""
    made = Hall()
    app = web.Application()
    app.router.add_get("/members", made.listed)
    app.router.add_post("/members", made.write)
    app.router.add_get("/members/{id}", made.one)
    app.router.add_patch("/members/{id}", made.write)
    app.router.add_delete("/members/{id}", made.write)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        made.url = f"http://{host}:{port}"
        yield made
    finally:
        await runner.cleanup()


class Office:
    """Our side: a database with the table, a connection, and everything that is due, by hand."""

    def __init__(
        self,
        db: Database,
        client: Client,
        connection: Connection,
        link: Link[Customer],
        *,
        linker: type[Linker] = Linker,
        page: Provider = HALL,
    ):
        self.db = db
        self.hold: Hold = _free
        """What each transaction of a job asks first; what it raises undoes that."""
        self.connection = connection
        self.link = link
        self._puller = Puller(db, client, provider=lambda _: page, base=_base, clock=SystemClock())
        self._pusher = Pusher(db, client, provider=lambda _: page, base=_base)
        self.linker = linker(db, {link.name: link}, provider=lambda _: page, environment="test")
        self._dispatcher = Dispatcher(db)
        self.conflicts = Conflicts(db, environment="test")
        self.links = Links(db, {link.name: link}, provider=lambda _: page, environment="test")

    # What the application's people do

    async def insert(self, **values: Any) -> str:
        """A new row; its id."""
        names = ", ".join(values)
        holes = ", ".join(f"${n}" for n in range(2, len(values) + 2))
        rows = await self.sql(
            f"INSERT INTO public.customers (tenant, {names}) VALUES ($1, {holes}) RETURNING id",
            "acme",
            *values.values(),
        )
        return str(rows[0][0])

    async def update(self, local: str, **values: Any) -> None:
        """Sets columns of a row."""
        sets = ", ".join(f"{name} = ${n}" for n, name in enumerate(values, 2))
        await self.sql(
            f"UPDATE public.customers SET {sets} WHERE id = $1", int(local), *values.values()
        )

    async def delete(self, local: str) -> None:
        """Deletes a row."""
        await self.sql("DELETE FROM public.customers WHERE id = $1", int(local))

    async def rows(self) -> dict[str, dict[str, Any]]:
        """All rows by id, without their empty columns."""
        found = await self.sql("SELECT * FROM public.customers ORDER BY id")
        return {
            str(row["id"]): {name: row[name] for name in FIELDS if row[name] is not None}
            for row in found
        }

    async def sql(self, text: str, *values: Any) -> list[Any]:
        """A statement in a transaction of its own."""
        async with self.db.transaction() as tx:
            return list(await tx.execute(text, *values))

    # What workers do

    async def pull(self) -> None:
        """Reads the provider's list."""
        await self._puller.run(self.connection, "member", hold=self.hold)

    async def turn(self, kinds: Sequence[str] = ("link", "link_start", "push", "fetch")) -> int:
        """Sees to all that is due at this moment, once; how much that was."""
        await self.linker.step()
        for handler in self.linker.handlers():
            await join(self.db, [handler], environment="test")
            while await consume(self.db, handler, environment="test"):
                pass
        claimed = await due.claim(
            self.db,
            owner="office",
            lanes=("consume", "push", "pull"),
            limit=1000,
            per_shard=1000,
            lease=_MINUTE,
        )
        done = 0
        for claim in claimed:
            if claim.kind in kinds:
                done += 1
                await self._settle(claim, *(await self._run(claim)))
            else:
                await due.settle(self.db, "office", again=[_again(claim, 0.05)])
        return done

    async def _run(self, claim: Claimed) -> tuple[bool, float]:
        """Whether the job is done, else in how many seconds it is to be tried again."""
        try:
            if claim.kind == "push":
                intent = await intents.one(self.db, **OURS, id=claim.ref or "")
                assert intent is not None
                await self._pusher.run(intent, hold=self.hold)
                return True, 0
            if claim.kind == "fetch":
                await self._puller.one(self.connection, "member", claim.args["key"], hold=self.hold)
                return True, 0
            run = self.linker.run if claim.kind == "link" else self.linker.start
            came = await run(claim, self.hold)
            return came.later is None, 0 if came.later is None else 0.0
        except UnmappedCode:
            return False, 3600.0
        except LandbridgeError:
            return False, 0.0

    async def _settle(self, claim: Claimed, done: bool, after: float) -> None:
        if done:
            await due.settle(self.db, "office", done=[claim])
        else:
            await due.settle(self.db, "office", again=[_again(claim, after)])

    async def rest(self, most: int = 60) -> int:
        """Turns until there is nothing to do; how many those were."""
        for number in range(most):
            while await self._dispatcher.step():
                pass
            if not await self.turn():
                return number
        raise AssertionError(f"still busy after {most} turns")


@asynccontextmanager
async def office(
    db: Database,
    client: Client,
    vault: Vault,
    at: Hall,
    *,
    policy: Policy | None = None,
    match: Sequence[str] = ("email",),
    linker: type[Linker] = Linker,
    page: Provider = HALL,
) -> AsyncIterator[Office]:
    """An office with the table and a connection to the hall, whose link has not begun."""
    async with db.transaction() as tx:
        await tx.execute(TABLE)
    side = Table(name="customers", fields=FIELDS).side(Customer)
    rules = replace(policy or Policy(), covers=side.fields)
    link = Link(
        name="customers",
        model=Customer,
        provider="hall",
        resource="member",
        side=side,
        policy=rules,
        match=tuple(match),
    )
    connection = await typed_in(db, vault, "hall", at.url)
    async with db.transaction() as tx:
        await syncs.add(tx, **OURS, connection=connection.id, resources=["member"])
    made = Office(db, client, connection, link, linker=linker, page=page)
    await made.links.install()
    yield made


def _base(page: Provider, connection: Connection) -> str:
    return base_of(page, connection.settings)


def _again(claim: Claimed, after: float) -> due.Again:
    return due.Again(claim=claim, attempt=claim.attempt, after=timedelta(seconds=after))


async def _free(_tx: Tx) -> None:
    """No lease to hold."""

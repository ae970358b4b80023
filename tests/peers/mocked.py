"""Prism: what vendors' documents say, held by others, against our client and our simulators."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from dataclasses import replace as replaced
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import partial
from itertools import chain, pairwise
from pathlib import Path
from threading import Event
from typing import Any

from msgspec.structs import replace

from landbridge import Connection, Landbridge
from landbridge.client.exchange import Exchange
from landbridge.client.guard import Guard
from landbridge.errors import InvalidInput, Refused
from landbridge.formats import form
from landbridge.formats.canonical import canonical
from landbridge.models.payments import (
    Customer,
    Invoice,
    InvoiceLine,
    InvoiceStatus,
    Product,
    Refund,
)
from landbridge.protocols import Page, Place, pull, take, write
from landbridge.providers import get
from landbridge.spec import Provider, Resource, Step, find
from landbridge.testing import paypal as paypal_simulator
from landbridge.testing import stripe
from landbridge.testing.asgi import App, Receive, Scope, Send
from landbridge.testing.control import Control
from landbridge.testing.running import in_thread
from landbridge.testing.serve import places
from landbridge.wire import Headers, Request, Response
from tests.peers import prism
from tests.peers.prism.documents import Depth, written_out
from tests.peers.stage import TENANT, bridge
from tests.providers.pages import answer, edited
from tests.providers.records import MAKERS
from tests.rows import RowResult, Trial, row
from tests.specs import openapi
from tests.specs.paypal import document as paypal
from tests.specs.square import document as square
from tests.specs.xero import document as xero

_KEPT: Mapping[str, tuple[Path, Depth]] = {
    "stripe": (openapi.STRIPE, Depth(told=1)),
    "square": (square.KEPT, Depth()),
    "paypal": (paypal.KEPT, Depth()),
    "xero": (xero.KEPT, Depth(asked=3)),
}
Conversation = Generator[Request, Response, Any]
_MOST = 20_000_000
_TRIES = 60
"""Records that are made for a write, until one has what it needs."""
_SIMULATORS: Mapping[str, Callable[[], App]] = {
    "stripe": lambda: stripe.Simulator(stripe.Settings(amounts=stripe.Amounts(invoices=30))).app,
    "paypal": lambda: paypal_simulator.Simulator(paypal_simulator.Settings()).app,
}
_CALLS = 12
"""Until a list has shown its first page."""


def document(slug: str, *, mock: bool = False) -> dict[str, Any]:
    """What Prism is given: the vendor's operations that our page names."""
    kept, depth = _KEPT[slug]
    return written_out(json.loads(kept.read_bytes()), paths(get(slug)), depth, mock=mock)


def paths(page: Provider) -> set[str]:
    """Every address that a page names."""
    found = {page.accounts.path, page.accounts.live_path} if page.accounts else set()
    for one in page.resources:
        writes = [each for each in (one.create, one.update, one.delete) if each]
        found |= {one.path, one.one, *(each.path for each in writes)}
        found |= {each.then.path for each in writes if each.then}
        found |= {step.write.path for step in one.steps}
        found |= {one.across.path} if one.across else set()
        found |= {one.marked.path} if one.marked else set()
        found |= {inner.at for inner in one.continued}
    return found - {""}


def lying(inner: App, lies: Event) -> App:
    """The app, which answers everything with a number once `lies` is
    set."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if lies.is_set() and scope["type"] == "http":
            head = [(b"content-type", b"application/json")]
            await send({"type": "http.response.start", "status": 200, "headers": head})
            await send({"type": "http.response.body", "body": b"7"})
        else:
            await inner(scope, receive, send)

    return app


@dataclass
class Asked:
    """What our client asked of one Prism, and what Prism said against it."""

    page: Provider
    document: Mapping[str, Any]
    url: str
    exchange: Exchange
    lists: int = 0
    writes: int = 0
    wrong: list[str] = field(default_factory=list)
    controls: int = 0
    missed: list[str] = field(default_factory=list)
    """Requests that are wrong on purpose, and were taken."""

    @property
    def place(self) -> Place:
        return Place(base=self.url)

    async def send(self, request: Request) -> Response:
        """The answer; what Prism objects to is kept."""
        headers = {"Authorization": "Bearer any", **dict(request.headers.pairs())}
        if self.page.accounts and self.page.accounts.header:
            headers[self.page.accounts.header] = "70784a63-d24b-46a9-a4db-0e70a274b056"
        signed = replaced(request, headers=Headers(headers))
        answer = await self.exchange.send(signed, _MOST)
        said = [each for each in prism.objections(answer) if not each.startswith("response")]
        self.wrong += [f"{self._named(request)}: {each}" for each in said]
        if request.body:
            await self._control(signed)
        return answer

    async def _control(self, request: Request) -> None:
        """The same with a word where a number belongs, or a number instead of all of it."""
        body = b"7"
        if request.headers["Content-Type"] == form.CONTENT_TYPE:
            path = request.url.removeprefix(self.url)
            told = openapi.operation(self.document["paths"], request.method, path)
            assert told is not None
            schema = told["requestBody"]["content"][form.CONTENT_TYPE]["schema"]
            counts = (
                name
                for name, one in schema["properties"].items()
                if one.get("type") in ("integer", "boolean")
                and f"{name}=".encode() not in request.body
            )
            if not (name := next(counts, "")):
                return
            body = request.body + f"&{name}=many".encode()
        self.controls += 1
        answer = await self.exchange.send(replaced(request, body=body), _MOST)
        if not any(not each.startswith("response") for each in prism.objections(answer)):
            self.missed.append(self._named(request))

    def _named(self, request: Request) -> str:
        return f"{self.page.slug} {request.method} {request.url.removeprefix(self.url)}"

    async def list(self, resource: Resource) -> None:
        """Leads a pull until its first page."""
        conversation = pull(self.page, resource, self.place, None, datetime.now(UTC))
        step = next(conversation)
        for _ in range(_CALLS):
            if isinstance(step, Page):
                self.lists += 1
                return
            step = conversation.send(await self.send(step))
        self.wrong.append(f"{self.page.slug} {resource.name}: no page in {_CALLS} calls")

    async def write(self, resource: Resource, seed: int) -> None:
        """Makes each write that the page knows of the resource, of records made from `seed` on."""
        for action in ("create", "update", "delete"):
            if getattr(resource, action):
                await self._told(self._writing(resource, action, seed))
        for step in resource.steps:
            shown, conversation = self._stepping(resource, step, seed)
            await self._told(conversation, shown)

    async def _told(self, conversation: Conversation, *instead: Response) -> None:
        """Leads a write to its end; the first answers are `instead`, whatever Prism makes up."""
        waiting, request = iter(instead), next(conversation)
        try:
            while True:
                answer = await self.send(request)
                request = conversation.send(next(waiting, answer))
        except StopIteration:
            self.writes += 1
        except Refused as error:
            self.wrong.append(str(error))

    def _writing(self, resource: Resource, action: str, seed: int) -> Conversation:
        """A write of the first record from which the page can make one."""
        mapped = resource.maps
        assert mapped is not None
        for value, other in pairwise(self._records(resource, seed)):
            model, base = mapped.read(value), None if action == "create" else canonical(value)
            changes: dict[str, Any] = {}
            if action != "delete":
                wanted = edited(mapped, model, mapped.read(other)) if base else model
                changes = mapped.write(wanted, base=model if base else None)
            key = "" if base is None else str(find(value, resource.key))
            leading = partial(write, self.page, resource, self.place, action, key)
            try:
                next(leading(changes, base, "int_7"))
            except InvalidInput:  # a field is missing that an address or a version needs
                continue
            return leading(changes, base, "int_7")
        raise AssertionError(f"{self.page.slug} {resource.name}: no record for {action}")

    def _stepping(self, resource: Resource, step: Step, seed: int) -> tuple[Response, Conversation]:
        """A record that is not yet where the step leads, as an answer, and the call of the step."""
        mapped = resource.maps
        assert mapped is not None
        value = next(
            each
            for each in self._records(resource, seed)
            if str(getattr(mapped.read(each), step.field)) != step.to
            and (not step.write.version_at or find(each, resource.version) is not None)
        )
        key = str(find(value, resource.key))
        shown = {resource.envelope: value} if resource.envelope else value
        return answer(shown), take(self.page, resource, self.place, step, key, "int_7")

    def _records(self, resource: Resource, seed: int) -> Iterator[Any]:
        return (MAKERS[self.page.slug](resource, seed + more) for more in range(_TRIES))


async def _asked(slug: str, exchange: Exchange, seeds: range) -> Asked:
    """What our client asked of a mock: a page of each list that is mapped, and each write."""
    told = document(slug, mock=True)
    async with prism.mock(told) as url:
        asked = Asked(page=get(slug), document=told, url=url, exchange=exchange)
        for resource in asked.page.resources:
            if resource.maps is None:
                continue
            if resource.path:
                await asked.list(resource)
            for seed in seeds:
                await asked.write(resource, seed * _TRIES)
    return asked


async def _behind(slug: str, opened: Landbridge, exchange: Exchange, app: App) -> list[str]:
    """Pulls and writes through Prism; the lists where it lets an answer pass that is no list."""
    lies = Event()
    with in_thread(lying(app, lies)) as upstream, Control(upstream) as control:
        async with prism.proxy(document(slug), upstream) as url:
            connection = await _connected(opened, slug, upstream, url)
            for name, counts in (await opened.pull(connection)).items():
                if counts.parked or not counts.seen:
                    raise AssertionError(f"{slug} {name}: {counts}")
            await _written(opened, slug, connection, control)
            lies.set()
            passed = []
            for resource in get(slug).resources:
                request = Request(method="GET", url=url + resource.path)
                if resource.path and not prism.objections(await exchange.send(request, _MOST)):
                    passed.append(f"{slug} {resource.path}")
    return passed


async def _connected(opened: Landbridge, slug: str, upstream: str, url: str) -> Connection:
    keys = {"key": stripe.KEY}
    if slug == "paypal":
        keys = {"client_id": paypal_simulator.CLIENT, "client_secret": paypal_simulator.SECRET}
    made = await opened.connect(
        slug,
        tenant=TENANT,
        credentials=keys,
        settings={**places(slug, upstream), "base": url},
        every=None,
    )
    return made.connection


async def _written(opened: Landbridge, slug: str, connection: Connection, control: Control) -> None:
    """Some writes of every kind: made, changed, sent, taken back, deleted, refunded."""
    api = opened.api(connection)
    if slug == "stripe":
        customer = await api.create(Customer(name="Ada", email="ada@example.com"))
        customer = await api.update(replace(customer, name="Byron"))
        draft = Invoice(customer=customer.id, status=InvoiceStatus.DRAFT, currency="usd")
    else:
        await api.update(replace(await api.create(Product(name="Tea")), description="Green"))
        line = InvoiceLine(
            description="Tea", amount=0, quantity=Decimal(2), unit_price=Decimal("9.95")
        )
        draft = Invoice(
            customer="ada@example.com",
            status=InvoiceStatus.DRAFT,
            currency="USD",
            issued_on=date(2026, 1, 2),
            lines=(line,),
        )
        paid = await asyncio.to_thread(control.post, "objects/capture", amount="30.00")
        await api.create(Refund(payment=paid["id"], currency="USD", amount=1_000))
    sent = await api.update(replace(await api.create(draft), status=InvoiceStatus.OPEN))
    if sent.status is InvoiceStatus.OPEN:  # Stripe's has no lines by now, and is paid at once
        await api.update(replace(sent, status=InvoiceStatus.VOID))
    await api.delete(await api.create(draft))


@row(
    "P06",
    title="Prism by the vendors' documents: our requests to it, our simulators' answers through it",
    goal="0 objections; every wrong request and answer is refused",
)
async def prisms(trial: Trial) -> RowResult:
    exchange = Exchange(Guard(["127.0.0.0/8"]))
    seeds = range(trial.size.pick(small=1, medium=12))
    async with AsyncExitStack() as stack:
        stack.push_async_callback(exchange.close)
        opened = await stack.enter_async_context(bridge())
        asked = await asyncio.gather(*(_asked(slug, exchange, seeds) for slug in _KEPT))
        trial.step(1, 2)
        passed = await asyncio.gather(
            *(_behind(slug, opened, exchange, make()) for slug, make in _SIMULATORS.items())
        )
    trial.step(2, 2)
    lists, writes = sum(one.lists for one in asked), sum(one.writes for one in asked)
    controls = sum(one.controls for one in asked)
    wrong = [each for one in asked for each in one.wrong]
    missed = [each for one in asked for each in one.missed] + list(chain(*passed))
    return RowResult(
        value=f"{len(wrong)} objections to {lists} lists and {writes} writes; of {controls} wrong"
        f" requests, and answers of {len(passed)} simulators, {len(missed)} pass",
        holds=not wrong and not missed and min(lists, writes, controls) > 25,
        detail={"lists": lists, "writes": writes, "wrong": wrong, "missed": missed},
    )

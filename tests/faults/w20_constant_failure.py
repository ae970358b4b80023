"""W20: an endpoint that fails now and then, and one that fails all the time."""

from __future__ import annotations

import asyncio
import json
import re
import secrets
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from structlog.testing import capture_logs

from landbridge.client.post import Posts
from landbridge.engine.replaying import Replaying
from landbridge.engine.replays import Replays
from landbridge.jobs import Lease
from landbridge.store import due
from landbridge.store.database import Database
from landbridge.vault import LocalKey, Vault, new_key
from tests.client.servers import Answer, Listener, listening, says
from tests.engine.outbound import LOCAL, Office
from tests.faults.senders import SENDERS, posting
from tests.rows import RowResult, Trial, row
from tests.store.databases import fresh_database, migrated_template, shared_server

_DAYS = 7
_OK = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
_AWAY = b"HTTP/1.1 503 X\r\ncontent-length: 0\r\n\r\n"
_CONTROL_ALLOWS = 20


@dataclass(kw_only=True)
class _Found:
    """What was noticed of each endpoint (by its name), and when in hours."""

    noticed: list[tuple[str, str, int]]
    told: Counter[str]
    states: dict[str, str]
    events: int
    offered: int
    arrived: int
    missed: int
    control: set[str]


@row(
    "W20",
    title="sporadic against constant failure",
    goal="only constant failure disables, after a notice, each told once; the offered replay"
    " delivers all",
)
async def constant_failure(trial: Trial) -> RowResult:
    """A week of two workers, one with either sender: one endpoint answers three of four posts with
    503, one all of them, and a third hears the notices. Then it works and is enabled, and the
    replay that is offered runs. One control adds failures up and forgets none, the other offers
    what was never sent."""
    every = trial.size.pick(small=8, medium=2)
    async with AsyncExitStack() as stack:
        stack.enter_context(capture_logs())
        week = await _Week.begin(stack)
        for hour in range(0, _DAYS * 24, every):
            await week.pass_by(hour)
            trial.step(hour + every, _DAYS * 24)
        found = await week.end()
    expected = [("endpoint.failing", "constant"), ("endpoint.disabled", "constant")]
    hours = [at for _, _, at in found.noticed]
    return RowResult(
        value=", ".join(f"{name} {state}" for name, state in found.states.items())
        + "".join(f"; {number} tries by {name}" for name, number in week.tried.items())
        + f"; {len(found.noticed)} notices at hours {hours}, {found.told.total()} heard;"
        f" {found.offered} to replay, {found.arrived} of {found.events} arrive; controls disable"
        f" {', '.join(sorted(found.control))} and replay {found.missed}",
        holds=[each[:2] for each in found.noticed] == expected
        and hours[0] >= 24
        and hours[1] >= 5 * 24
        and found.told == Counter(type_ for type_, _ in expected)
        and found.states == {"sporadic": "enabled", "constant": "disabled", "hears": "enabled"}
        and 0 < found.missed < found.offered
        and found.arrived == found.events
        and all(week.tried[name] > 0 for name in SENDERS)
        and found.control == {"sporadic", "constant"},
        detail={
            "noticed": found.noticed,
            "tried": found.events,
            "lost": found.events - found.arrived,
            "control": found.offered - found.missed,
            "states": found.states,
        },
    )


@dataclass(kw_only=True)
class _Week:
    """Three endpoints of a tenant, and two workers on a database whose clock is moved."""

    stack: AsyncExitStack
    url: str
    office: Office
    senders: Mapping[str, Posts]
    away: _Away
    listeners: dict[str, Listener]
    names: dict[str, str]
    tried: Counter[str] = field(default_factory=Counter)

    @classmethod
    async def begin(cls, stack: AsyncExitStack) -> _Week:
        server = stack.enter_context(shared_server(secrets.token_hex(4)))
        url = stack.enter_context(fresh_database(server.dsn, migrated_template(server.dsn)))
        db = await Database.open(url, budget=3)
        stack.push_async_callback(db.close)
        senders = {name: await stack.enter_async_context(posting(name, LOCAL)) for name in SENDERS}
        vault = Vault(db, LocalKey.from_text(new_key()))
        office = Office(db=db, vault=vault, sender=senders["aiohttp"])
        listeners, names = {}, {}
        away = _Away()
        for name, answer, types in (
            ("sporadic", _one_in_four(), "invoice.*"),
            ("constant", away.answer, "invoice.*"),
            ("hears", says(_OK), "endpoint.*"),
        ):
            listeners[name] = await stack.enter_async_context(listening(answer))
            made = await office.endpoint(listeners[name].url, types)
            names[made.endpoint.id] = name
        return cls(
            stack=stack,
            url=url,
            office=office,
            senders=senders,
            away=away,
            listeners=listeners,
            names=names,
        )

    async def pass_by(self, hour: int) -> None:
        """Emits an event at this hour of the week that ends now, and delivers all that is due, by
        two workers at once."""
        await self._work(hour - _DAYS * 24, emit=True)

    async def _work(self, hours: int, *, emit: bool) -> None:
        offset = f"{hours} hours"
        order = [*self.senders.items()][:: 1 if hours % 16 else -1]  # each is first in turn
        workers = [
            replace(
                self.office,
                db=await Database.open(self.url, budget=3, offset=offset),
                owner=f"worker {name}",
                sender=sender,
            )
            for name, sender in order
        ]
        if emit:
            await workers[0].emit()
        while any(tried := await asyncio.gather(*(each.round() for each in workers))):
            self.tried.update(dict(zip(dict(order), tried, strict=True)))
            await workers[0].dispatcher.step()
        for each in workers:
            await each.db.close()

    async def end(self) -> _Found:
        """The week's reckoning. The endpoint that was disabled is enabled again, and answers."""
        states = await self._states()
        (constant,) = [key for key, name in self.names.items() if name == "constant"]
        told = Counter(_type(each) for each in self.listeners["hears"].requests)
        async with self.office.db.transaction() as tx:
            attempts = await tx.execute(
                "SELECT endpoint, outcome FROM landbridge.attempt ORDER BY created_at"
            )
            events = await tx.execute(
                "SELECT type, payload FROM landbridge.event WHERE type LIKE 'endpoint.%'"
                " ORDER BY number"
            )
            emitted = await tx.execute(
                "SELECT id FROM landbridge.event WHERE type LIKE 'invoice.%'"
            )
        began = min(each for _, each in self._since(events))
        missed, offered, arrived = await self._replay(constant)
        return _Found(
            noticed=[
                (event["type"], self.names[told["endpoint"]], round(_hours(told, began)))
                for event, told in zip(events, map(_data, events), strict=True)
            ],
            told=told,
            states=states,
            events=len(emitted),
            offered=offered,
            arrived=len({each[0] for each in emitted} & arrived),
            missed=missed,
            control={self.names[each] for each in _adds_up(map(tuple, attempts))},
        )

    async def _replay(self, endpoint: str) -> tuple[int, int, set[str]]:
        """Runs what is offered to it once it works: how much was never sent, how much is offered,
        and the ids of what then arrives."""
        db, listener = self.office.db, self.listeners["constant"]
        before = len(listener.requests)
        self.away.mended = True
        enabled = await self.office.endpoints.enable(endpoint, environment="test", tenant="acme")
        orders = Replays(db, environment="test")
        missed = await orders.create(
            endpoint=endpoint, state="missed", since=enabled.disabled_at, dry_run=True
        )
        replay = await orders.create(
            endpoint=endpoint, state="undelivered", since=enabled.since, rate=10_000
        )
        claim = await due.take(
            db,
            owner="replays",
            environment="test",
            tenant="acme",
            kind="replay",
            key=replay.id,
            lease=timedelta(minutes=1),
        )
        assert claim is not None
        await Replaying(db).run(claim, Lease("replays", claim))
        for hours in (0, 100):  # what still waited for a try goes by itself
            await self._work(hours, emit=False)
        arrived = {_webhook_id(each) for each in listener.requests[before:]}
        return missed.total, enabled.undelivered, arrived

    async def _states(self) -> dict[str, str]:
        found = await self.office.endpoints.list(environment="test", tenant="acme")
        return {self.names[each.id]: each.state for each in found}

    def _since(self, events: Iterable[Any]) -> list[tuple[str, datetime]]:
        told = [_data(each) for each in events]
        return [(each["endpoint"], datetime.fromisoformat(each["since"])) for each in told]


@dataclass
class _Away:
    """An endpoint that answers 503, until it is mended."""

    mended: bool = False

    async def answer(self, writer: asyncio.StreamWriter) -> None:
        await says(_OK if self.mended else _AWAY)(writer)


def _one_in_four() -> Answer:
    number = 0

    async def answer(writer: asyncio.StreamWriter) -> None:
        nonlocal number
        number += 1
        await says(_AWAY if number % 4 else _OK)(writer)

    return answer


def _data(event: Any) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(event["payload"])["data"]
    return told


def _hours(told: dict[str, Any], began: datetime) -> float:
    """When it was told, in hours since the first failure."""
    if "disabled_at" in told:
        at = datetime.fromisoformat(told["disabled_at"])
    else:
        at = datetime.fromisoformat(told["disable_at"]) - timedelta(days=4)
    return (at - began).total_seconds() / 3600


def _type(request: bytes) -> str:
    type_: str = json.loads(request.partition(b"\r\n\r\n")[2])["type"]
    return type_


def _webhook_id(request: bytes) -> str:
    found = re.search(rb"(?i)\r\nwebhook-id: (\S+)", request)
    assert found is not None
    return found[1].decode()


def _adds_up(attempts: Iterable[tuple[str, str]]) -> set[str]:
    """The control: disables what has failed so many times, whatever it did in between."""
    failures = Counter(endpoint for endpoint, outcome in attempts if outcome != "delivered")
    return {endpoint for endpoint, number in failures.items() if number >= _CONTROL_ALLOWS}

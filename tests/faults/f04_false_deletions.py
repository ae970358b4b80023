"""F04: records that a provider stops showing for a while, and records that are gone without a word.

Pages that answer 200 and nothing, a scope that was withdrawn, a filter that was changed, failures
that were swallowed; deletions of which nothing tells, merged and restored records.
"""

from __future__ import annotations

import secrets
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from landbridge.client import Client
from landbridge.client.guard import Guard
from landbridge.clock import SystemClock
from landbridge.engine.connect import base_of, connect
from landbridge.engine.pull import Puller, stream_of
from landbridge.engine.replay import discard, replay
from landbridge.errors import LandbridgeError
from landbridge.store import due, parked, records
from landbridge.store.connections import Connection
from landbridge.store.database import Database, Tx
from landbridge.testing.asgi import Call, application
from landbridge.testing.running import in_thread
from landbridge.vault import LocalKey, Vault, new_key
from landbridge.wire import Request, Response
from tests.faults.paged import BASE, PAGED, SIZE, Source, listed
from tests.rows import RowResult, Trial, row
from tests.store.databases import fresh_database, migrated_template, shared_server

_PAGES = 15


@dataclass(kw_only=True)
class Stage:
    """A connection to the simulator, over HTTP, and the control beside it."""

    source: Source
    db: Database
    puller: Puller
    connection: Connection
    control: set[str] = field(default_factory=set)
    """What the control holds: a full listing, with what it lacks deleted."""
    found: Counter[str] = field(default_factory=Counter)

    async def pull(self) -> None:
        """Pulls to the end or to an error, and carries out the look-ups that were ordered."""
        try:
            await self.puller.run(self.connection, listed.name, hold=_unfenced)
        except LandbridgeError:
            self.found["runs failed"] += 1
        await self.look_up()

    async def look_up(self) -> None:
        """Reads the records by themselves that were ordered."""
        claims = await due.claim(
            self.db,
            owner="row",
            lanes=["pull"],
            limit=999,
            per_shard=999,
            lease=timedelta(minutes=1),
        )
        for claim in claims:
            if claim.kind == "fetch":
                key = claim.args["key"]
                await self.puller.one(self.connection, listed.name, key, hold=_unfenced)
        await due.settle(self.db, "row", done=claims)

    async def held(self) -> set[str]:
        """The keys of the records that are here."""
        stream = stream_of(self.connection, listed.name)
        return {each.key for each in await records.read(self.db, stream, most=10_000)}

    async def questions(self) -> list[parked.Parked]:
        """The listings that wait for a person's word."""
        return await parked.every(self.db, environment="test", what="listing")

    async def begin_anew(self) -> None:
        """The next pull lists from the top, as most do."""
        async with self.db.transaction() as tx:
            await tx.execute("UPDATE landbridge.sync SET cursor = NULL")

    def diff(self) -> None:
        """The control's turn: what its listing meets is held, and nothing else."""
        after, met = "", set[str]()
        while True:
            query = (("limit", str(SIZE)), *((("after", after),) if after else ()))
            asked = Request(method="GET", url=f"{BASE}/listed", query=query)
            answer = msgspec.json.decode(self.source.answer(asked).body)
            met |= {each["id"] for each in answer.get("rows", [])}
            if not answer.get("more"):
                break
            after = answer["rows"][-1]["id"]
        self.found["control false"] += len((self.control - met) & self.source.rows.keys())
        self.control = met

    async def check(self, name: str) -> None:
        """Counts what is here and ought not to be, and the other way round."""
        held = await self.held()
        self.found[f"{name}: false"] += len(self.source.rows.keys() - held)
        self.found[f"{name}: missed"] += len(held - self.source.rows.keys())


async def _unfenced(_tx: Tx) -> None:
    """No lease: nobody else pulls on this stage."""


async def _at_once(_seconds: float) -> None:
    """No pause between tries."""


@asynccontextmanager
async def stage(seed: int) -> AsyncIterator[Stage]:
    """The stage with some pages of rows at the provider, none of them here yet."""
    source = Source(rng=Random(seed), time=time.time() - 100_000)
    for _ in range(_PAGES * SIZE - 7):
        source.write()
        source.pass_by(1)
    source.time = time.time()

    async def answer(call: Call) -> Response:
        query = tuple(parse_qsl(call.query))
        return source.answer(
            Request(method=call.method, url=BASE + call.path, query=query, headers=call.headers)
        )

    async with AsyncExitStack() as stack:
        server = stack.enter_context(shared_server(f"deletions-{secrets.token_hex(4)}"))
        url = stack.enter_context(fresh_database(server.dsn, migrated_template(server.dsn)))
        db = await Database.open(url, budget=5)
        stack.push_async_callback(db.close)
        clock, vault = SystemClock(), Vault(db, LocalKey.from_text(new_key()))
        guard = Guard(allow=["127.0.0.0/8"])
        client = Client(db, vault, guard, clock=clock, sleep=_at_once, timeout=5)
        stack.push_async_callback(client.close)
        base = stack.enter_context(in_thread(application(answer)))
        joined = await connect(
            db,
            vault,
            client,
            PAGED,
            environment="test",
            tenant="acme",
            credentials={"key": "k"},
            settings={"base": base},
            every=None,
        )
        puller = Puller(
            db,
            client,
            provider=lambda _slug: PAGED,
            base=lambda page, connection: base_of(page, connection.settings),
            clock=clock,
        )
        yield Stage(source=source, db=db, puller=puller, connection=joined.connection)


@row(
    "F04",
    title="false mass deletion, missed deletion: empty pages, scopes, filters, merges, restores",
    goal="0 false tombstones, 0 deletions missed; too many missing stops, is shown, and can be"
    " confirmed or dismissed; diffing full listings deletes what is there",
)
async def false_deletions(trial: Trial) -> RowResult:
    """One fault after the other against the same records, each followed by a comparison."""
    seeds = trial.size.pick(small=1, medium=10)
    found: Counter[str] = Counter()
    for number in range(seeds):
        async with stage(trial.seed + number) as here:
            for name, fault in FAULTS.items():
                await fault(here)
                await here.check(name)
            found.update(here.found)
        trial.step(number + 1, seeds)
    false = sum(count for name, count in found.items() if name.endswith(": false"))
    missed = sum(count for name, count in found.items() if name.endswith(": missed"))
    asked, unasked = found["asked"], found["not asked"]
    return RowResult(
        value=f"{len(FAULTS) * seeds} faults: {false} false tombstones, {missed} deletions missed,"
        f" {asked} times asked; control: {found['control false']} deleted that are there",
        holds=not false and not missed and not unasked and found["control false"] > 0,
        detail=dict(found),
    )


async def _first_load_ends_early(here: Stage) -> None:
    """From page 7 on nothing is shown, while everything is read for the first time."""
    here.source.swallows = _from_page(here.source, 7)
    await here.pull()
    here.source.swallows = lambda _request: False
    here.diff()
    await here.pull()


async def _listing_ends_early(here: Stage) -> None:
    """The same, when everything is here already."""
    await here.begin_anew()
    here.source.swallows = _from_page(here.source, 7)
    await here.pull()
    here.source.swallows = _from_page(here.source, 7)
    here.diff()
    here.source.swallows = lambda _request: False
    await here.pull()
    here.diff()


async def _failures_are_swallowed(here: Stage) -> None:
    """Every question is answered with 200 and nothing, twice; a person does not believe it."""
    here.source.swallows = lambda _request: True
    for _ in range(2):
        await here.begin_anew()
        await here.pull()
    here.diff()
    here.source.swallows = lambda _request: False
    await _dismissed(here)


async def _scope_is_reduced(here: Stage) -> None:
    """Most records are shown nowhere, as if there were none of them."""
    here.diff()
    some = {key for key in here.source.rows if here.source.rng.random() < 0.4}
    here.source.hides = lambda each: each["id"] in some
    await here.begin_anew()
    await here.pull()
    here.diff()
    await _dismissed(here)
    here.source.hides = lambda _each: False


async def _filter_is_changed(here: Stage) -> None:
    """The list shows fewer records, which can still be read one by one."""
    some = {key for key in here.source.rows if here.source.rng.random() < 0.2}
    here.source.unlisted = lambda each: each["id"] in some
    await here.begin_anew()
    await here.pull()
    here.source.unlisted = lambda _each: False


async def _few_are_deleted(here: Stage) -> None:
    """Hard deletions without an event: found by the next listing, one call for each."""
    for key in here.source.rng.sample(sorted(here.source.rows), 3):
        here.source.remove(key, told=False)
    await here.begin_anew()
    await here.pull()


async def _many_are_deleted(here: Stage) -> None:
    """So many that a person is asked, who says that it is so."""
    rows = sorted(here.source.rows)
    for key in here.source.rng.sample(rows, len(rows) // 3):
        here.source.remove(key, told=False)
    await here.begin_anew()
    await here.pull()
    questions = await here.questions()
    here.found["asked" if len(questions) == 1 else "not asked"] += 1
    for each in questions:
        await replay(here.db, here.puller, [], each)
    await here.look_up()


async def _two_are_merged(here: Stage) -> None:
    """One record is shown in the place of another."""
    gone, stays = here.source.rng.sample(sorted(here.source.rows), 2)
    here.source.merged[gone] = stays
    here.source.remove(gone, told=False)
    await here.begin_anew()
    await here.pull()


async def _one_is_restored(here: Stage) -> None:
    """A record is deleted, and comes back as it was: both are told as changes."""
    key = here.source.rng.choice(sorted(here.source.rows))
    kept = here.source.rows[key]
    here.source.remove(key, told=False)
    await here.begin_anew()
    await here.pull()
    here.found["restored: false"] += key in await here.held()
    here.source.rows[key] = kept
    await here.begin_anew()
    await here.pull()
    async with here.db.transaction() as tx:
        told = await tx.execute(
            "SELECT before IS NULL, after IS NULL FROM landbridge.change WHERE key = $1"
            " ORDER BY id",
            key,
        )
    come, go = (True, False), (False, True)
    here.found["restored: missed"] += [tuple(each) for each in told] != [come, go, come]


async def _dismissed(here: Stage) -> None:
    """One question waits, however often the listing was made; it is answered with no."""
    questions = await here.questions()
    here.found["asked" if len(questions) == 1 else "not asked"] += 1
    for each in questions:
        await discard(here.db, each)
    await here.look_up()


def _from_page(source: Source, number: int) -> Callable[[Request], bool]:
    first = source.calls + number
    return lambda request: source.calls >= first and request.url.endswith("/listed")


FAULTS: dict[str, Callable[[Stage], Awaitable[Any]]] = {
    "page 7 of a first load is empty": _first_load_ends_early,
    "page 7 of a listing is empty": _listing_ends_early,
    "failures swallowed": _failures_are_swallowed,
    "scope reduced": _scope_is_reduced,
    "filter changed": _filter_is_changed,
    "few deleted": _few_are_deleted,
    "many deleted": _many_are_deleted,
    "merged": _two_are_merged,
    "restored": _one_is_restored,
}

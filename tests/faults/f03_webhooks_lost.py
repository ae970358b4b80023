"""F03: webhooks that are lost, forged, late, twice, out of order, in batches or for nobody; workers
that die at every step behind the answer; and an outage that reconciliation has to make up for."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from landbridge.clock import SystemClock
from landbridge.engine import sort as sorting
from landbridge.engine.receive import Intake, set_app_secrets
from landbridge.engine.reconcile import Reconciler
from landbridge.spec import EventFeed, TimestampedHmac, Webhook, listed_by
from landbridge.store import apps, due, parked
from landbridge.store.database import Tx
from landbridge.wire import Headers
from tests.faults.paged import PAGED, Source, told
from tests.faults.paged_stage import Stage, stage, unfenced
from tests.rows import RowResult, Trial, row

_OLD, _NEW, _WRONG = "whsec_old", "whsec_new", "whsec_of_somebody_else"
_TIMES = 5
"""How often each event is posted."""
_BATCH = 1000
_WRONGS = (
    "forged accepted",
    "not filed",
    "filed twice",
    "differ",
    "batch refused",
    "rotation refused",
    "old accepted",
    "not parked",
    "not told",
)
_DIES = 0.3
"""How often a worker dies before the commit of a step."""
_MINUTE = 60.0

assert isinstance(told.since, EventFeed)
_PAGE = replace(
    PAGED,
    webhook=Webhook(
        signature=TimestampedHmac(header="Paged-Signature"),
        id="id",
        topic="type",
        object_key="about",
        account="account",
        stamp="at",
        events="events",
        listing=listed_by(told.since),
    ),
)


class _Killed(Exception):
    """The worker is gone, and with it what it had not committed."""


@dataclass(kw_only=True)
class _Source:
    """The simulator's clock, as ours."""

    source: Source

    def now(self) -> datetime:
        return self.source.now


@dataclass(kw_only=True)
class Control:
    """Handle first, store later: an event is acknowledged, acted on, and then written down."""

    rng: Random
    acked: set[str] = field(default_factory=set)
    stored: set[str] = field(default_factory=set)
    handled: Counter[str] = field(default_factory=Counter)

    def take(self, event: dict[str, Any]) -> None:
        """One webhook; the process may die after each step."""
        self.acked.add(event["id"])
        if event["id"] in self.stored or self.rng.random() < _DIES / 3:
            return
        self.handled[event["id"]] += 1
        if self.rng.random() < _DIES / 3:
            return
        self.stored.add(event["id"])


class Hooks:
    """The provider's side of webhooks, and workers that die."""

    def __init__(self, here: Stage, rng: Random):
        self.here = here
        self.rng = rng
        self.found = here.found
        self.acked: set[str] = set()
        self._intake = Intake(
            here.db, here.vault, provider=lambda _slug: _PAGE, clock=SystemClock()
        )
        self._token = ""

    async def trust(self, *secrets: str) -> None:
        """Takes these secrets for the app's, from now on."""
        app = await apps.ensure(self.here.db, environment="test", provider=_PAGE.slug)
        await set_app_secrets(self.here.db, self.here.vault, app, secrets)
        self._token = app.token
        await self._intake.settle()
        self._intake = Intake(
            self.here.db, self.here.vault, provider=lambda _slug: _PAGE, clock=SystemClock()
        )

    async def post(
        self,
        events: Sequence[dict[str, Any]],
        *,
        secret: str = _OLD,
        age: float = 0.0,
        sent: bytes | None = None,
        account: str = "",
    ) -> bool:
        """Whether one body with these events was acknowledged; `sent` is what arrives instead of
        what was signed."""
        whose = account or self.here.connection.account
        body = json.dumps({"events": [{**each, "account": whose} for each in events]}).encode()
        at = int(datetime.now(UTC).timestamp() - age)
        mark = hmac.new(secret.encode(), b"%d." % at + body, hashlib.sha256).hexdigest()
        headers = Headers({"Paged-Signature": f"t={at},v1={mark}"})
        answer = await self._intake.accept(self._token, "", headers, sent or body)
        return 200 <= answer.status < 300

    async def storm(self, events: list[dict[str, Any]], control: Control) -> None:
        """Each event several times, the newest first or in any order, alone or in batches."""
        posts = [[each] for each in events for _ in range(_TIMES)]
        posts.sort(key=lambda each: -int(each[0]["id"][1:]))
        if self.rng.random() < 0.5:
            self.rng.shuffle(posts)
        full = [each for post in posts for each in post]
        batch = (full * (_BATCH // len(full) + 1))[:_BATCH]
        for start in range(0, len(posts), 50):
            some = posts[start : start + 50]
            took = await asyncio.gather(*[self.post(each) for each in some])
            for each, acked in zip(some, took, strict=True):
                if acked:
                    self.acked.add(each[0]["id"])
                if each[0]["id"] not in control.acked or int(each[0]["id"][1:]) % 2:
                    control.take(each[0])  # every other one is sent until it is acknowledged
        self.found["batch refused"] += not await self.post(batch)

    async def forge(self, event: dict[str, Any]) -> None:
        """What must not be believed, of an event that never was."""
        false = [{**event, "id": "forged"}]
        spaced = json.dumps({"events": [{**false[0], "account": "any"}]}, indent=1).encode()
        tries = [
            await self.post(false, secret=_WRONG),
            await self.post(false, age=10 * _MINUTE),
            await self.post(false, sent=spaced),
        ]
        self.found["forged accepted"] += sum(tries)
        self.found["forged"] += len(tries)

    async def work(self, *, dying: bool) -> None:
        """Workers sort and read until nothing is left; some die before their commits."""
        idle = 0
        while idle < 2:
            claims = await due.claim(
                self.here.db,
                owner="worker",
                lanes=["receive", "pull"],
                limit=50,
                per_shard=50,
                lease=timedelta(milliseconds=1) if dying else timedelta(minutes=1),
            )
            idle = 0 if claims else idle + 1
            for claim in claims:
                try:
                    await self._one(claim, dying=dying)
                except _Killed:
                    self.found["died"] += 1
                    continue
                await due.settle(self.here.db, "worker", done=[claim])

    async def _one(self, claim: due.Claimed, *, dying: bool) -> None:
        async def hold(_tx: Tx) -> None:
            if dying and self.rng.random() < _DIES:
                raise _Killed

        if claim.kind == "receive":
            await sorting.sort(
                self.here.db,
                environment="test",
                arrivals_named=claim.args["arrivals"],
                provider=lambda _slug: _PAGE,
                hold=hold,
            )
        elif claim.kind == "fetch":
            key = claim.args["key"]
            await self.here.puller.one(self.here.connection, told.name, key, hold=hold)

    async def compare(self) -> int:
        """Compares with the provider's list, to its end; how many events were missing."""
        reconciler = Reconciler(
            self.here.db,
            self.here.client,
            provider=lambda _slug: _PAGE,
            base=self.here.base,
            clock=_Source(source=self.here.source),
        )
        repaired = 0
        while True:
            done = await reconciler.run(self.here.connection, hold=unfenced)
            repaired += done.repaired
            if done.finished:
                return repaired

    async def filed(self) -> Counter[str]:
        """How often each event is in the inbox."""
        async with self.here.db.transaction() as tx:
            rows = await tx.execute("SELECT vendor_id FROM landbridge.inbox_event")
        return Counter(each[0] for each in rows)

    async def alarms(self) -> int:
        """How many gaps were told of."""
        async with self.here.db.transaction() as tx:
            rows = await tx.execute("SELECT 1 FROM landbridge.emitted WHERE type = 'webhook.gap'")
        return len(rows)


@row(
    "F03",
    title="webhooks lost, forged, late, five times, out of order, in batches, for nobody",
    goal="every acknowledged event in the inbox, once; 0 forged accepted; those for nobody parked;"
    " after reconciliation records equal the provider's, and the gap was told; handling before"
    " storing loses acknowledged ones",
)
async def webhooks_lost(trial: Trial) -> RowResult:
    """A shop lives through a storm of webhooks, a rotation of secrets and half an hour in which
    nothing gets through."""
    seeds = trial.size.pick(small=1, medium=10)
    found: Counter[str] = Counter()
    for number in range(seeds):
        found += await _shop(trial.seed + number, events=trial.size.pick(small=60, medium=200))
        trial.step(number + 1, seeds)
    broken = {name: found[name] for name in _WRONGS if found[name]}
    return RowResult(
        value=f"{found['acked']} acknowledged, {found['died']} deaths, {found['forged']} forged,"
        f" {found['repaired']} made up for: {sum(broken.values())} wrong; control:"
        f" {found['control lost']} lost, {found['control twice']} twice",
        holds=not broken and found["control lost"] > 0 and found["repaired"] > 0,
        detail=dict(found),
    )


async def _shop(seed: int, *, events: int) -> Counter[str]:
    rng = Random(seed)
    async with stage(seed, _PAGE, told.name, rows=40) as here:
        hooks, source = Hooks(here, rng), here.source
        await here.pull()
        await hooks.trust(_OLD)
        control = Control(rng=Random(seed))
        happened = await _happen(source, events)
        await hooks.storm(happened, control)
        await hooks.forge(happened[0])
        unknown = [{**happened[0], "id": "nobody"}]
        assert await hooks.post(unknown, account="somebody unknown")
        await hooks.work(dying=True)
        await hooks.trust(_NEW, _OLD)
        rotated = await _happen(source, 4)
        for each, secret in zip(rotated, (_NEW, _OLD, _NEW, _OLD), strict=False):
            took = await hooks.post([each], secret=secret)
            here.found["rotation refused"] += not took
            hooks.acked.add(each["id"])
        await hooks.trust(_NEW)
        here.found["old accepted"] += await hooks.post(unknown, secret=_OLD)
        await _happen(source, 25)  # nobody hears of these
        source.pass_by(30 * _MINUTE)
        await hooks.work(dying=True)
        here.found["repaired"] += await hooks.compare()
        await hooks.work(dying=False)
        await _judge(hooks, control)
        return here.found


async def _happen(source: Source, events: int) -> list[dict[str, Any]]:
    """That many events of the provider, or a few more."""
    before = len(source.events)
    while len(source.events) < before + events:
        keys = sorted(source.rows)
        what = source.rng.random()
        if what < 0.3:
            source.write()
        elif what < 0.45:
            source.remove(source.rng.choice(keys))
        else:
            source.write(source.rng.choice(keys))
        source.pass_by(source.rng.choice([0, 1, 3]))
    return source.events[before:]


async def _judge(hooks: Hooks, control: Control) -> None:
    here, found, filed = hooks.here, hooks.found, await hooks.filed()
    found["acked"] += len(hooks.acked)
    found["not filed"] += len(hooks.acked - filed.keys())
    found["filed twice"] += sum(count > 1 for count in filed.values())
    held, there = await here.held(), {k: each["name"] for k, each in here.source.rows.items()}
    found["differ"] += len(held.items() ^ there.items())
    kept = await parked.every(here.db, environment="test", what="arrival")
    found["not parked"] += "nobody" not in str([(each.raw, each.reason) for each in kept])
    found["not told"] += await hooks.alarms() == 0
    found["control lost"] += len(control.acked - control.stored)
    found["control twice"] += sum(count > 1 for count in control.handled.values())

"""Delivers events to endpoints: signed, tried ten times over 75 hours, never told to have arrived
before the receiver said so.

The body is the event's payload as it was rendered by emit, so that every try sends the same bytes
under the same `webhook-id`; only the timestamp and the signature are made anew (Standard Webhooks).
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from weakref import WeakValueDictionary

import structlog

from landbridge.client.post import Posts, Sent
from landbridge.clock import Clock
from landbridge.engine.catalogue import body_for
from landbridge.engine.endpoint_keys import Opened
from landbridge.engine.health import Watch
from landbridge.engine.posting import SCHEDULE, Target, failed
from landbridge.engine.sightings import seen
from landbridge.engine.tally import tally
from landbridge.errors import DatabaseUnavailable, Forbidden, InvalidInput, Unreachable, VaultError
from landbridge.measures import DELIVERY_SECONDS, Measures
from landbridge.store import event_types, lines, moment, pacing, parcels
from landbridge.store.database import Database
from landbridge.store.lines import Line
from landbridge.store.pacing import Crowd, Turns, Want
from landbridge.store.parcels import Destination, Parcel, Try
from landbridge.vault import Vault

_LONGEST_PACE = 60.0
_SCHEDULES_LIVE = 30.0
_RATED = "the endpoint's rate is used up; it waits for its turn"
_SEALED_WAIT = timedelta(minutes=1)


@dataclass(frozen=True, kw_only=True)
class Begun:
    """What may be posted now, what after a wait in seconds, and what ends without a post."""

    ready: list[Parcel] = field(default_factory=list)
    later: list[tuple[float, Parcel]] = field(default_factory=list)
    ended: list[Try] = field(default_factory=list)


class Deliveries:
    """What is done with a claimed delivery: `begin`, `attempt`, `settle`; the courier says when.

    `each` is how many posts to one endpoint may be under way in this process. An endpoint that has
    a `concurrency` of its own says how many may be in all processes together. `most` is about how
    many endpoints it remembers at a time. The time is the database's, as claims tell it, unless a
    `clock` is given: a machine whose own is wrong would sign what every receiver refuses.
    """

    def __init__(
        self,
        db: Database,
        vault: Vault,
        sender: Posts,
        *,
        each: int = 50,
        most: int = 10_000,
        clock: Clock | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
        watch: Watch | None = None,
        measures: Measures | None = None,
    ):
        self._db = db
        self._measures = measures or Measures()
        self._watch = watch or Watch(db, monotonic=monotonic, chance=chance)
        self._opened = Opened(vault, monotonic=monotonic)
        self._sender = sender
        self._each = each
        self._clock = clock
        self._monotonic = monotonic
        self._chance = chance
        self._most = most
        self._targets: dict[str, Target] = {}
        # And those that only parcels under way still hold: how many posts go there is one count.
        self._known: WeakValueDictionary[str, Target] = WeakValueDictionary()
        self._schedules: Mapping[str, tuple[timedelta, ...]] = {}
        self._schedules_until = float("-inf")
        self._moved = timedelta()
        self._log = structlog.get_logger("landbridge.deliver")

    async def begin(self, fresh: Sequence[Parcel]) -> Begun:
        """Finds out where a batch of claims goes and which of them may go."""
        if not fresh:
            return Begun()
        await parcels.address(self._db, fresh)
        wanted = {each.endpoint: each.to for each in fresh if each.to}
        opened = await self._open(wanted, self._now(fresh[0], self._monotonic()))
        gates = await self._watch.admit(wanted.values(), fresh[0].claimed_at) if wanted else {}
        await self._type_schedules()
        first = fresh[0]
        ahead = (first.claimed_at - self._moved).timestamp() - first.held_since
        begun = Begun()
        for each in fresh:
            if (ended := _unsendable(each)) is not None:
                begun.ended.append(ended)
            elif isinstance(found := opened[each.endpoint], str):
                begun.ended.append(Try(parcel=each, state=None, error=found, after=_SEALED_WAIT))
            elif (gate := gates.get(each.endpoint)) and (after := gate.wait()) is not None:
                begun.ended.append(Try(parcel=each, state=None, error=gate.reason, after=after))
            else:
                each.via, each.ahead = found, ahead
                begun.ready.append(each)
        if any(to.concurrency is not None for to in wanted.values()):
            await self._placed(begun)
        return await self._paced(begun)

    async def attempt(self, parcel: Parcel) -> Try:
        """One try: signs, posts, and says what the answer means."""
        body = parcel.payload
        assert body is not None
        target: Target = parcel.via
        # A later batch may have read a new URL together with the headers that are meant for it.
        parcel.to = to = target.to
        if not target.begin():
            return target.postponed(parcel)
        if parcel.older is not None and to.api_version:
            body = body_for(body, parcel.older, to.api_version)
        began = self._monotonic()
        took = 0.0
        try:
            headers = target.sign(parcel, body, self._stamp(parcel, began))
            sent = await self._sender.post(to.url, headers, body)
            took = sent.took
        except (Unreachable, Forbidden, InvalidInput) as error:
            took = self._monotonic() - began
            return self._failed(parcel, str(error), took=took)
        finally:
            target.end(took)
        if 200 <= sent.status < 300:
            if not parcel.attempt:
                waited = (parcel.claimed_at - parcel.created_at).total_seconds()
                total = waited + self._monotonic() - parcel.held_since
                self._measures.observe(DELIVERY_SECONDS, total, parcel.environment)
            return Try(parcel=parcel, state="delivered", status=sent.status, took=took)
        return self._refused(parcel, sent)

    def broken(self, parcel: Parcel, error: str) -> Try:
        """What becomes of a delivery whose attempt raised what it should not."""
        done = self._failed(parcel, error, took=0.0)
        done.blameless = True
        return done

    async def settle(self, owner: str, tries: Sequence[Try]) -> set[str]:
        """Writes attempts and settles their rows; the ids of those that `owner` had lost."""
        lost = await parcels.settle(self._db, owner, tries)
        tally(self._measures, tries, lost)
        try:
            await self._watch.note(seen([each for each in tries if each.parcel.id not in lost]))
        except DatabaseUnavailable as error:  # they are settled; the next batch says as much
            self._log.warning("watch.missed", error=str(error))
        await self._next_in_line([each for each in tries if each.parcel.id not in lost])
        for each in tries:
            if each.state == "abandoned" and each.parcel.id not in lost:
                self._log.warning(
                    "delivery.abandoned",
                    id=each.parcel.id,
                    endpoint=each.parcel.endpoint,
                    reason=each.error,
                )
        return lost

    async def _next_in_line(self, tries: Iterable[Try]) -> None:
        """Lets those go who waited behind deliveries that are through or stepped aside."""
        through = [
            Line(each.environment, each.tenant, each.endpoint, each.line)
            for each, done in ((one.parcel, one) for one in tries)
            if each.line is not None and (done.aside or done.state in ("delivered", "abandoned"))
        ]
        try:
            if await lines.promote(self._db, through):
                await self._db.notify()
        except DatabaseUnavailable as error:  # the dispatcher's tour finds them
            self._log.warning("lines.missed", error=str(error))

    async def _type_schedules(self) -> None:
        """Looks up what the catalogue says of waits between tries, twice a minute."""
        if self._monotonic() >= self._schedules_until:
            if self._clock is None:
                self._moved = await moment.moved(self._db)
            self._schedules = await event_types.schedules(self._db)
            self._schedules_until = self._monotonic() + _SCHEDULES_LIVE

    async def _placed(self, begun: Begun) -> None:
        """Gives back what found no place among the posts at a time of an endpoint that limits
        them: all workers together keep to that."""
        crowds: dict[str, list[Parcel]] = {}
        for each in begun.ready:
            if each.to is not None and each.to.concurrency is not None:
                crowds.setdefault(each.endpoint, []).append(each)
        if not crowds:
            return
        placed = await pacing.occupy(self._db, [_crowd(some) for some in crowds.values()])
        ready, begun.ready[:] = [*begun.ready], []
        for each in ready:
            if each.endpoint not in crowds or each.id in placed:
                begun.ready.append(each)
            else:
                begun.ended.append(each.via.postponed(each))

    async def _paced(self, begun: Begun) -> Begun:
        """The same with posts to endpoints that have a rate put to their turns."""
        rated: dict[str, list[Parcel]] = {}
        for each in begun.ready:
            if each.to is not None and each.to.rate is not None:
                rated.setdefault(each.endpoint, []).append(each)
        if not rated:
            return begun
        turns = await pacing.reserve(self._db, [_want(some) for some in rated.values()])
        begun.ready[:] = [each for each in begun.ready if each.endpoint not in rated]
        for endpoint, some in rated.items():
            # Its row may have gone with its failures, between being made and being read.
            given = turns.get(endpoint) or Turns(number=0, begins=1.0, step=0.0)
            for place, each in enumerate(some):
                wait = given.begins + place * given.step
                if place < given.number:
                    begun.later.append((wait, each))
                else:
                    after = timedelta(seconds=min(wait, _LONGEST_PACE))
                    begun.ended.append(Try(parcel=each, state=None, error=_RATED, after=after))
        return begun

    async def _open(self, wanted: dict[str, Destination], now: datetime) -> dict[str, Target | str]:
        """A target for each of these endpoints, or why its secrets cannot be opened."""
        if len(self._targets) > self._most:
            self._targets.clear()
        made: dict[str, Target | str] = {}
        for endpoint, to in wanted.items():
            target = self._targets.get(endpoint) or self._known.get(endpoint)
            if target is None:
                target = self._known[endpoint] = Target(
                    to, each=self._each, monotonic=self._monotonic
                )
            target.to = to
            try:
                target.signer, target.headers = await self._opened.of(
                    environment=to.environment,
                    tenant=to.tenant,
                    id=endpoint,
                    secrets=to.secrets,
                    headers=to.headers,
                    now=now,
                )
            except VaultError as error:
                made[endpoint] = str(error)
            else:
                made[endpoint] = self._targets[endpoint] = target
        return made

    def _now(self, parcel: Parcel, monotonic: float) -> datetime:
        """The database's time at that moment of our monotonic clock."""
        if self._clock is not None:
            return self._clock.now()
        return parcel.claimed_at + timedelta(seconds=monotonic - parcel.held_since)

    def _stamp(self, parcel: Parcel, monotonic: float) -> int:
        """That moment as receivers know it, in unix seconds."""
        if self._clock is None:
            return int(parcel.ahead + monotonic)
        return int((self._clock.now() - self._moved).timestamp())

    def _refused(self, parcel: Parcel, sent: Sent) -> Try:
        if sent.status == 410:
            return Try(
                parcel=parcel,
                state="abandoned",
                status=410,
                error="HTTP 410: the endpoint is gone",
                took=sent.took,
                gone=True,
            )
        redirected = ": redirects are not followed" if 300 <= sent.status < 400 else ""
        return self._failed(
            parcel,
            f"HTTP {sent.status}{redirected}",
            status=sent.status,
            took=sent.took,
            asked=sent.headers.get("retry-after"),
        )

    def _failed(
        self,
        parcel: Parcel,
        error: str,
        *,
        took: float,
        status: int | None = None,
        asked: str | None = None,
    ) -> Try:
        schedule = parcel.to.schedule if parcel.to is not None else None
        if schedule is None:
            schedule = self._schedules.get(parcel.type, SCHEDULE)
        return failed(
            parcel,
            error,
            schedule,
            took=took,
            chance=self._chance(),
            now=self._now(parcel, self._monotonic()) - self._moved,
            status=status,
            asked=asked,
        )


def _crowd(some: Sequence[Parcel]) -> Crowd:
    to = some[0].to
    assert to is not None
    assert to.concurrency is not None
    return Crowd(
        environment=to.environment,
        tenant=to.tenant,
        endpoint=to.id,
        most=to.concurrency,
        claims=some,
    )


def _want(some: Sequence[Parcel]) -> Want:
    to = some[0].to
    assert to is not None
    assert to.rate is not None
    return Want(
        environment=to.environment,
        tenant=to.tenant,
        endpoint=to.id,
        rate=to.rate,
        number=len(some),
    )


def _unsendable(parcel: Parcel) -> Try | None:
    """The end of a delivery that makes no sense any more."""
    if parcel.to is None:
        reason = "the endpoint was deleted"
    elif parcel.to.state != "enabled":
        reason = f"the endpoint is disabled: {parcel.to.reason}"
    elif parcel.payload is None:
        reason = "the event is no longer kept"
    else:
        return None
    return Try(parcel=parcel, state="abandoned", error=reason)

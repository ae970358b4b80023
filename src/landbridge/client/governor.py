"""Keeps calls within providers' quotas, over all processes that share a database.

What a process may call it leases in chunks (`store.quotas`), so that most calls ask nobody. A call
that finds nothing left waits in its lane, tenants taking turns; one teller per process asks for
all that wait at once, in one statement. A call that would wait for longer than its lane's
patience is refused with `Throttled`, whose `retry_at` says when there is room.
"""

from __future__ import annotations

import asyncio
import bisect
import random
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

from landbridge.client.purse import Purse, narrowest
from landbridge.client.seams import Lane
from landbridge.clock import Clock
from landbridge.errors import LandbridgeError, Throttled
from landbridge.measures import (
    QUOTA_LEASES,
    QUOTA_REFUSED,
    QUOTA_THROTTLED,
    QUOTA_WAIT_SECONDS,
    Measures,
)
from landbridge.resilience.classify import classify
from landbridge.resilience.outcome import Throttle
from landbridge.resilience.quota import (
    Rule,
    Ticket,
    Turns,
    blamed,
    blocked_for,
    remaining,
    rules_of,
    told_wait,
)
from landbridge.spec import Provider
from landbridge.store import quotas
from landbridge.store.connections import Connection
from landbridge.store.database import Database
from landbridge.wire import Request, Response

PATIENCE: Mapping[Lane, float] = {
    Lane.INTERACTIVE: 2.0,
    Lane.WEBHOOK: 5.0,
    Lane.INCREMENTAL: 15.0,
    Lane.BACKFILL: 30.0,
}
"""Seconds that a call waits at most, by its lane; what takes longer is for a later job."""

_ORDER: Mapping[Lane, int] = {lane: place for place, lane in enumerate(Lane)}
_LONGEST_CHUNK = 2.0
"""Seconds for which a chunk is kept at most, so that a refusal elsewhere is soon known here."""
_RETRY = (0.02, 0.08)
"""Seconds, from and to, after which a process without a place asks for one again."""
_AWAY = 0.1
"""Seconds until the database is asked again after it was away."""
_MOST = 10_000
_ANY = Request(method="GET", url="")


@dataclass(frozen=True, kw_only=True, eq=False, slots=True)
class _Waiting:
    ticket: Ticket
    purses: Sequence[Purse]
    lane: int
    cost: int
    until: float
    turn: asyncio.Future[None]


class QuotaGovernor:
    """The governor of one process; `holder` names it among the others. Implements
    `client.seams.Governor`."""

    def __init__(
        self,
        db: Database,
        *,
        clock: Clock,
        holder: str,
        measures: Measures | None = None,
        patience: Mapping[Lane, float] = PATIENCE,
        monotonic: Callable[[], float] = time.monotonic,
        rng: random.Random | None = None,
    ):
        self._db = db
        self._clock = clock
        self._holder = holder
        self._measures = measures or Measures()
        self._patience = patience
        self._monotonic = monotonic
        self._rng = rng or random.Random()  # noqa: S311 - spreads questions, guards nothing
        self._purses: dict[quotas.Key, Purse] = {}
        self._active: set[Purse] = set()
        self._of: dict[tuple[str, str], list[Purse]] = {}
        self._turns = Turns()
        self._waiting: list[_Waiting] = []
        self._wake = asyncio.Event()
        self._teller: asyncio.Task[None] | None = None

    async def acquire(
        self, provider: Provider, connection: Connection, lane: Lane, *, cost: int = 1
    ) -> None:
        """Returns when the call may be sent, at once where something is leased.

        Throttled: there will be no room within the lane's patience; `.retry_at` says when.
        """
        purses = self._purses_of(provider, connection)
        place, now = _ORDER[lane], self._monotonic()
        for each in purses:
            if each.ahead(place) or not each.ready(place, cost, now):
                break
        else:
            for each in purses:
                each.take(place, cost, now)
            return
        await self._wait(provider, connection, purses, lane, cost)
        self._measures.observe(QUOTA_WAIT_SECONDS, self._monotonic() - now, lane.value)

    def answered(self, provider: Provider, connection: Connection, response: Response) -> None:
        """Learns from an answer what is left, and what a 429 is about; ends the call's turn."""
        purses, now = self._end(provider, connection)
        if not purses:
            return
        for each in purses:
            quota = each.rule.quota
            if quota.remaining and (left := remaining(response.headers, quota)) is not None:
                each.learned(left)
        if response.status >= 400 and isinstance(
            classify(provider.errors, _ANY, response, None), Throttle
        ):
            self._refused(provider, purses, response, now)
            return
        for each in purses:
            each.again = 0

    def unanswered(self, provider: Provider, connection: Connection) -> None:
        """Ends the turn of a call to which no answer came."""
        self._end(provider, connection)

    async def close(self) -> None:
        """Gives back all that is held and was not used; calls that wait are cancelled."""
        if self._teller is not None:
            self._teller.cancel()
            await asyncio.gather(self._teller, return_exceptions=True)
        for waiting in self._waiting:
            waiting.turn.cancel()
        now = self._monotonic()
        held = [each for each in self._purses.values() if not each.idle]
        for purse in held:
            purse.close()
        with suppress(LandbridgeError):  # where the database is away, what is held ends by itself
            await self._speak(held, now)

    # Purses

    def _purses_of(self, provider: Provider, connection: Connection) -> list[Purse]:
        found = self._of.get((provider.slug, connection.id))
        if found is None:
            if len(self._of) >= _MOST:
                self._of.clear()
                self._purses = {key: each for key, each in self._purses.items() if not each.idle}
            found = self._of[provider.slug, connection.id] = [
                self._purse(connection, rule)
                for rule in rules_of(provider.quotas, connection.environment)
            ]
        return found

    def _purse(self, connection: Connection, rule: Rule) -> Purse:
        key = (connection.environment, _place(connection, rule.quota.scope), rule.quota.called)
        found = self._purses.get(key)
        if found is None:
            found = self._purses[key] = Purse(key, rule)
        return found

    def _end(self, provider: Provider, connection: Connection) -> tuple[list[Purse], float]:
        purses, now = self._purses_of(provider, connection), self._monotonic()
        for each in purses:
            each.end(now)
        if self._waiting and any(each.rule.at_once for each in purses):
            self._let_through(now)
        return purses, now

    def _refused(
        self, provider: Provider, purses: Sequence[Purse], response: Response, now: float
    ) -> None:
        rules = [each.rule for each in purses]
        found = blamed(rules, provider.errors.quota, response.headers)
        assert found is not None, "there are purses"
        place, sure = found
        purse = purses[place]
        self._measures.count(QUOTA_THROTTLED, provider.slug)
        if now >= purse.blocked_until:  # those that were under way together are one refusal
            purse.again += 1
        told = told_wait(purse.rule, response.headers, self._clock.now())
        wait = blocked_for(rules, place, told, again=max(1, purse.again), sure=sure)
        purse.refused(wait, now)
        self._active.add(purse)
        self._tell()

    # Waiting

    async def _wait(
        self,
        provider: Provider,
        connection: Connection,
        purses: Sequence[Purse],
        lane: Lane,
        cost: int,
    ) -> None:
        place, now = _ORDER[lane], self._monotonic()
        patience = self._patience[lane]
        if narrowest(purses, place, cost, now).opening(place) > now + patience:
            raise self._throttled(provider, purses, lane, cost)
        turn = asyncio.get_running_loop().create_future()
        waiting = _Waiting(
            ticket=self._turns.ticket(place, connection.tenant, cost),
            purses=purses,
            lane=place,
            cost=cost,
            until=now + patience,
            turn=turn,
        )
        bisect.insort(self._waiting, waiting, key=lambda each: each.ticket)
        for each in purses:
            each.waiting[place] += cost
            each.largest = max(each.largest, cost)
        self._active.update(purses)
        self._tell()
        try:
            async with asyncio.timeout(patience):
                await turn
        except (TimeoutError, _TooLong):
            self._leave(waiting)
            raise self._throttled(provider, purses, lane, cost) from None
        except BaseException:
            self._leave(waiting)
            raise

    def _leave(self, waiting: _Waiting) -> None:
        """Takes a call out that waits no longer; a turn that it got meanwhile goes back."""
        if waiting in self._waiting:
            self._waiting.remove(waiting)
            for each in waiting.purses:
                each.waiting[waiting.lane] -= waiting.cost
        elif not waiting.turn.cancelled() and waiting.turn.exception() is None:
            for each in waiting.purses:
                each.untake(waiting.lane, waiting.cost, self._monotonic())

    def _throttled(
        self, provider: Provider, purses: Sequence[Purse], lane: Lane, cost: int
    ) -> Throttled:
        now = self._monotonic()
        purse = narrowest(purses, _ORDER[lane], cost, now)
        wait = max(purse.opening(_ORDER[lane]) - now, 0.1)
        at = self._clock.now() + timedelta(seconds=wait)
        quota = purse.rule.quota
        span = f"{quota.limit} a {quota.per}" if quota.per else f"{quota.limit} at once"
        self._measures.count(QUOTA_REFUSED, provider.slug, lane.value)
        return Throttled(
            f"{provider.name} allows {span} ({quota.called}, {purse.key[1]}): the"
            f" {lane} call was not made; it is tried again from {at:%H:%M:%S} UTC on."
            " See them with: landbridge quotas",
            retry_at=at,
        )

    def _let_through(self, now: float) -> None:
        """Gives turns to those who wait, in their order, as far as what is held reaches."""
        still: list[_Waiting] = []
        for each in self._waiting:
            if each.turn.done():
                still.append(each)  # it leaves by itself
            elif all(purse.ready(each.lane, each.cost, now) for purse in each.purses):
                for purse in each.purses:
                    purse.take(each.lane, each.cost, now)
                    purse.waiting[each.lane] -= each.cost
                self._turns.served(each.ticket)
                each.turn.set_result(None)
            else:
                still.append(each)
        self._waiting = still
        for each in still:
            short = narrowest(each.purses, each.lane, each.cost, now)
            if not each.turn.done() and short.opening(each.lane) > each.until:
                each.turn.set_exception(_TooLong())

    # The teller

    def _tell(self) -> None:
        self._wake.set()
        if self._teller is None or self._teller.done():
            self._teller = asyncio.create_task(self._serve(), name="landbridge quotas")

    async def _serve(self) -> None:
        while True:
            self._wake.clear()
            now = self._monotonic()
            self._let_through(now)
            self._active = {each for each in self._active if not each.idle}
            whens = [(each.next_at(now), each) for each in self._active]
            due = [each for at, each in whens if at <= now]
            if due:
                try:
                    await self._speak(due, now)
                except LandbridgeError as error:
                    self._fail(error)
                    await asyncio.sleep(_AWAY)
                continue
            if not whens and not self._wake.is_set():
                return
            soonest = min((at for at, _ in whens), default=now)
            with suppress(TimeoutError):
                async with asyncio.timeout(min(max(soonest - now, 0.001), _LONGEST_CHUNK)):
                    await self._wake.wait()

    def _fail(self, error: LandbridgeError) -> None:
        """Nobody may call without being counted."""
        for each in self._waiting:
            if not each.turn.done():
                each.turn.set_exception(error)

    async def _speak(self, purses: Sequence[Purse], now: float) -> None:
        """Asks for all of these at once: a statement for those per period, one for the others."""
        asks = {each.key: each.ask(now) for each in purses if not each.rule.at_once}
        crowds = {each.key: each.crowd(now) for each in purses if each.rule.at_once}
        new = [each for each in purses if not each.known]
        if new:
            await quotas.ensure(self._db, [asks.get(each.key) or crowds[each.key] for each in new])
        leased, places = {}, {}
        if crowds:
            places = await quotas.occupy(self._db, list(crowds.values()), holder=self._holder)
            self._measures.count(QUOTA_LEASES)
        if asks:
            leased = await quotas.lease(self._db, list(asks.values()))
            self._measures.count(QUOTA_LEASES)
        for each in purses:
            # A row that upkeep took away meanwhile is made again by the next round.
            each.known = each.key in places or each.key in leased
            if each.key in places:
                each.placed(places[each.key], now, self._rng.uniform(*_RETRY))
            elif each.key in leased:
                each.leased(asks[each.key], leased[each.key], now, _LONGEST_CHUNK)


class _TooLong(Exception):
    """There is no room within the patience of a call that waits."""


def _place(connection: Connection, scope: str) -> str:
    """Whose budget it is, in a word: two tenants that connected one account share it."""
    match scope:
        case "app":
            return f"app/{connection.app}"
        case "tenant":
            return f"tenant/{connection.app}/{connection.tenant}"
        case _:
            account = connection.account or connection.id
            return f"account/{connection.provider}/{account}"

"""What becomes of endpoints that fail: held back by a breaker, noticed, and at last disabled.

`admit` says before a batch of deliveries which endpoints it may go to, `note` is told afterwards
how they fared. A working endpoint costs neither of them a statement.

Any success forgets all failures before it: an endpoint that fails now and then is never held back,
noticed or disabled, its deliveries are merely tried again. What fails on our side (a vault that is
sealed, a database that is away, an error in our own code) is no failure of an endpoint and not
told here. Where nothing of an endpoint answered, the network on our side may be at fault too: it
is disabled only while this worker's posts reach some other endpoint.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

import structlog

from landbridge.engine import notices, offer
from landbridge.store import endpoints, health
from landbridge.store.database import Database, Tx
from landbridge.store.health import Failure, Health, Key, Opening

_REACHED_LATELY = 3600.0
_PROBED = timedelta(seconds=5)
_LEAST_SPREAD, _LONGEST_SPREAD = timedelta(seconds=1), timedelta(minutes=1)
_MOST_STREAKS = 10_000
_STREAK_LASTS = 60.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """How one endpoint fared in a batch that was settled.

    `delivered` and `failed` count tries; `error` is the last failed one's. `failing`: it had a
    health row when the batch was loaded. `answered`: some failed try got an answer, whatever its
    status. `gone`: one was answered with 410. `slow` is the endpoint's mark as loaded, `median`
    and `longest` are seconds that the tries took.
    """

    environment: str
    tenant: str
    endpoint: str
    url: str = field(repr=False)
    delivered: int
    failed: int
    error: str | None = None
    failing: bool = False
    answered: bool = True
    gone: bool = False
    slow: bool = False
    median: float = 0.0
    longest: float = 0.0

    @property
    def key(self) -> Key:
        """Which endpoint."""
        return Key(self.environment, self.tenant, self.endpoint)


@dataclass(frozen=True, kw_only=True)
class Rules:
    """When what happens to an endpoint that fails.

    The breaker opens after `opens_after` failures without a success between, across deliveries,
    the first of which is `opens_since` ago: for `open_first`, twice as long each time in a row up
    to `open_longest`, spread by a tenth either way. Then one delivery goes to see; nobody else's
    for `probe`, unless its outcome is known before.

    After `notice_after` without a success and `fewest` failures the tenant is noticed, once until
    the next success; after `disable_after`, and `warning` after the notice, the endpoint is
    disabled. `disable_after` None never disables.

    After `slow_after` tries in a row of `slow_above` seconds and more, less than a minute apart, it
    is marked as slow; after `quick_after` in a row below `quick_below` it no longer is.
    """

    opens_after: int = 5
    opens_since: timedelta = timedelta(seconds=10)
    open_first: timedelta = timedelta(seconds=30)
    open_longest: timedelta = timedelta(minutes=15)
    probe: timedelta = timedelta(minutes=1)
    fewest: int = 10
    notice_after: timedelta = timedelta(days=1)
    disable_after: timedelta | None = timedelta(days=5)
    warning: timedelta = timedelta(days=1)
    slow_above: float = 5.0
    slow_after: int = 3
    quick_below: float = 2.0
    quick_after: int = 20


class _Guarded(Protocol):
    """An endpoint as `admit` needs it: how often its breaker opened in a row, and until when."""

    @property
    def environment(self) -> str: ...
    @property
    def tenant(self) -> str: ...
    @property
    def id(self) -> str: ...
    @property
    def opened(self) -> int: ...
    @property
    def open_until(self) -> datetime | None: ...


class Gate:
    """Before one endpoint whose breaker is open, or lets one delivery through to see."""

    __slots__ = ("_after", "_chance", "_passes")

    reason = "the endpoint fails all the time; it is spared for a while"

    def __init__(self, after: timedelta, *, passes: int, chance: Callable[[], float]):
        self._after = after
        self._passes = passes
        self._chance = chance

    def wait(self) -> timedelta | None:
        """None: this delivery may go. Else it is given back for so long, at no attempt's cost.

        The waits end spread over a quarter more, from a second to a minute, so that what waited
        does not all come at once.
        """
        if self._passes:
            self._passes -= 1
            return None
        spread = min(max(self._after / 4, _LEAST_SPREAD), _LONGEST_SPREAD)
        return self._after + spread * self._chance()


def permit(opened: int, open_until: datetime | None, now: datetime) -> timedelta | None:
    """How long the breaker still holds deliveries back; None if it is closed, 0 if one may probe.

    `now` is the database's, such as `claimed_at`.
    """
    if not opened or open_until is None:
        return None
    return max(open_until - now, timedelta())


class Watch:
    """Watches over endpoints. Any number of these, in any number of processes, act as one."""

    def __init__(
        self,
        db: Database,
        *,
        rules: Rules | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ):
        self._db = db
        self._rules = rules or Rules()
        self._monotonic = monotonic
        self._chance = chance
        self._reached: list[tuple[str, float]] = []
        self._streaks: dict[Key, tuple[int, float]] = {}
        self._log = structlog.get_logger("landbridge.health")

    async def admit(self, endpoints: Iterable[_Guarded], now: datetime) -> dict[str, Gate]:
        """A gate for each of these endpoints that deliveries may not freely go to, by its id.

        `now` is the database's, such as the batch's `claimed_at`. Only an endpoint that may be
        probed costs a statement, one for all of them. Raises DatabaseUnavailable.
        """
        gates: dict[str, Gate] = {}
        ready: list[Key] = []
        for each in endpoints:
            after = permit(each.opened, each.open_until, now)
            if after:
                gates[each.id] = Gate(after, passes=0, chance=self._chance)
            elif after is not None:
                ready.append(Key(each.environment, each.tenant, each.id))
        won = await health.probe(self._db, ready, self._rules.probe)
        for key in ready:
            gates[key.endpoint] = Gate(_PROBED, passes=int(key in won), chance=self._chance)
        return gates

    async def note(self, batch: Sequence[Seen]) -> None:
        """Takes in how the endpoints of a settled batch fared; no endpoint is there twice.

        Raises DatabaseUnavailable. What was not taken in then is not told again: the next batch
        says as much.
        """
        recovered: list[Key] = []
        failures: list[Failure] = []
        for seen in batch:
            if seen.delivered:
                self._reaches(seen.endpoint)
            if seen.gone:
                await self._gone(seen)
            elif seen.failed and not seen.delivered:
                failures.append(Failure(seen.key, seen.url, seen.failed, seen.error))
            elif seen.delivered and seen.failing:
                recovered.append(seen.key)
            if seen.slow or seen.median >= self._rules.slow_above or seen.key in self._streaks:
                await self._pace(seen)
        for was in await health.recover(self._db, recovered) if recovered else ():
            self._log.info(
                "endpoint.recovered",
                endpoint=was.endpoint,
                failures=was.failures,
                opened=was.opened,
            )
        if failures:
            await self._failed(failures, {each.key: each for each in batch})

    async def _failed(self, failures: Sequence[Failure], seen: dict[Key, Seen]) -> None:
        for stands in await health.fail(self._db, failures, self._opening()):
            key = Key(stands.environment, stands.tenant, stands.endpoint)
            if stands.failures < self._rules.fewest:
                continue
            since = stands.now - stands.failing_since
            if stands.noticed_at is None and since >= self._rules.notice_after:
                await self._notice(key, seen[key])
            elif self._is_over(stands) and (seen[key].answered or self._reaches_others(key)):
                await self._disable(key, seen[key])

    def _opening(self) -> Opening:
        rules = self._rules
        return Opening(
            after=rules.opens_after,
            since=rules.opens_since,
            first=rules.open_first,
            longest=rules.open_longest,
            factor=0.9 + 0.2 * self._chance(),
        )

    # Notices and the end

    def _is_over(self, stands: Health) -> bool:
        rules = self._rules
        return (
            rules.disable_after is not None
            and stands.noticed_at is not None
            and stands.now - stands.failing_since >= rules.disable_after
            and stands.now - stands.noticed_at >= rules.warning
        )

    async def _notice(self, key: Key, seen: Seen) -> None:
        rules = self._rules
        async with self._db.transaction() as tx:
            stands = await health.notice(tx, key, fewest=rules.fewest, after=rules.notice_after)
            if stands is None:
                return
            ends = None
            if rules.disable_after is not None:
                ends = max(stands.failing_since + rules.disable_after, stands.now + rules.warning)
            await notices.failing(tx, stands, url=seen.url, disable_at=ends)
        self._log.warning("endpoint.failing", endpoint=key.endpoint, failures=stands.failures)
        await self._db.notify()

    async def _disable(self, key: Key, seen: Seen) -> None:
        rules = self._rules
        assert rules.disable_after is not None
        async with self._db.transaction() as tx:
            at = await health.hold(tx, key, seen.url)
            if at is None:
                return
            stood = await health.end(
                tx, key, fewest=rules.fewest, after=rules.disable_after, warning=rules.warning
            )
            if stood is None:
                return
            reason = f"no success since {stood.failing_since:%Y-%m-%d %H:%M} UTC"
            reason = f"{reason}, {stood.failures} tries failed; the last: {stood.error}"
            await health.disable(tx, key, reason=reason, at=at)
            await self._tell_disabled(tx, seen, at, reason, stood)
        self._log.warning("endpoint.disabled", endpoint=key.endpoint, reason=reason)
        await self._db.notify()

    async def _gone(self, seen: Seen) -> None:
        """Disables an endpoint that says that it is no more, at once."""
        reason = "it answered 410 Gone"
        async with self._db.transaction() as tx:
            at = await health.hold(tx, seen.key, seen.url)
            if at is None:
                return
            stood = await health.of(
                tx, environment=seen.environment, tenant=seen.tenant, endpoint=seen.endpoint
            )
            await health.disable(tx, seen.key, reason=reason, at=at)
            await self._tell_disabled(tx, seen, at, reason, stood)
        self._log.warning("endpoint.disabled", endpoint=seen.endpoint, reason=reason)
        await self._db.notify()

    async def _tell_disabled(
        self, tx: Tx, seen: Seen, at: datetime, reason: str, stood: Health | None
    ) -> None:
        found = await endpoints.one(
            tx, environment=seen.environment, tenant=seen.tenant, id=seen.endpoint
        )
        assert found is not None, "it is locked"
        since = await offer.begins(
            tx, found, disabled_at=at, failing_since=None if stood is None else stood.failing_since
        )
        await notices.disabled(
            tx, seen.key, url=seen.url, at=at, reason=reason, stood=stood, replay_since=since
        )

    # Our own side

    def _reaches(self, endpoint: str) -> None:
        """Remembers that a post arrived; the last two endpoints are enough to know."""
        others = [each for each in self._reached[-2:] if each[0] != endpoint]
        self._reached = [*others, (endpoint, self._monotonic())]

    def _reaches_others(self, key: Key) -> bool:
        since = self._monotonic() - _REACHED_LATELY
        return any(name != key.endpoint and at >= since for name, at in self._reached)

    # Slow ones

    async def _pace(self, seen: Seen) -> None:
        """Marks or unmarks the endpoint once enough of its tries in a row say so."""
        rules, key = self._rules, seen.key
        tries = seen.delivered + seen.failed
        says_slow = seen.median >= rules.slow_above
        says_quick = seen.longest < rules.quick_below
        if not tries or (seen.slow and not says_quick) or (not seen.slow and not says_slow):
            self._streaks.pop(key, None)
            return
        now = self._monotonic()
        before, last = self._streaks.get(key, (0, now))
        streak = tries if not seen.slow and now - last > _STREAK_LASTS else before + tries
        if streak >= (rules.quick_after if seen.slow else rules.slow_after):
            self._streaks.pop(key, None)
            if await health.slow(self._db, key, not seen.slow):
                word = "endpoint.quick" if seen.slow else "endpoint.slow"
                self._log.info(word, endpoint=key.endpoint, median=round(seen.median, 3))
        elif len(self._streaks) < _MOST_STREAKS:
            self._streaks[key] = streak, now

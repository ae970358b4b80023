"""Delivers events to endpoints: signed, tried ten times over 75 hours, never told to have arrived
before the receiver said so.

The body is the event's payload as it was rendered by emit, so that every try sends the same bytes
under the same `webhook-id`; only the timestamp and the signature are made anew (Standard Webhooks).
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from landbridge.client.sender import Sender, Sent
from landbridge.clock import Clock, SystemClock
from landbridge.engine.endpoints import signing_secrets
from landbridge.errors import Forbidden, InvalidInput, Unreachable, VaultError
from landbridge.jobs import Cancel, Done, Ended, Kind, Lease, Outcome, Retry, Snooze
from landbridge.resilience import retry_after
from landbridge.signing.standard import sign
from landbridge.store import deliveries, endpoints, outbox
from landbridge.store.database import Database
from landbridge.store.deliveries import Parcel, Try
from landbridge.store.due import Claimed
from landbridge.vault import Vault

SCHEDULE = (
    timedelta(seconds=5),
    timedelta(seconds=30),
    timedelta(minutes=2),
    timedelta(minutes=10),
    timedelta(hours=1),
    timedelta(hours=4),
    timedelta(hours=10),
    timedelta(hours=24),
    timedelta(hours=35, minutes=47, seconds=25),
)
"""The waits between ten tries, 75 hours together; each is spread by a tenth either way."""

LONGEST_RETRY_AFTER = timedelta(hours=6)
"""What a receiver may ask for with Retry-After; together with the schedule under five days."""

_SPREAD = 0.1
_SEALED_WAIT = timedelta(minutes=1)
_LONGEST_TURN = 60.0
_TIMEOUT = timedelta(seconds=60)
_SYSTEM = SystemClock()


@dataclass(frozen=True, kw_only=True)
class _Delivered(Done):
    status: int
    took: float


@dataclass(frozen=True, kw_only=True)
class _Failed(Retry):
    status: int | None = None
    took: float = 0.0


@dataclass(frozen=True, kw_only=True)
class _Abandoned(Cancel):
    status: int | None = None
    took: float = 0.0


class Deliveries:
    """What a worker does with deliveries. `kind()` goes into its table of kinds.

    `each` is how many posts to one endpoint may be under way in this process. What is over it is
    given back for as long as the endpoint will need for those before, so that one that hangs keeps
    `each` places of the lane and no more.
    """

    def __init__(
        self,
        db: Database,
        vault: Vault,
        sender: Sender,
        *,
        each: int = 50,
        clock: Clock = _SYSTEM,
        chance: Callable[[], float] = random.random,
    ):
        self._db = db
        self._vault = vault
        self._sender = sender
        self._clock = clock
        self._chance = chance
        self._turns = _Turns(each=each, clock=clock)
        self._log = structlog.get_logger("landbridge.deliver")

    def kind(self) -> Kind:
        """The kind of due rows that `store.outbox.move` makes."""
        return Kind(
            name=outbox.DELIVER,
            run=self.run,
            load=self.load,
            settle=self.settle,
            backoff=lambda _: SCHEDULE[0],
            timeout=_TIMEOUT,
        )

    async def load(self, claims: Sequence[Claimed]) -> Mapping[str, Parcel]:
        """Events and endpoints of a batch, in one query."""
        return await deliveries.load(self._db, claims)

    async def run(self, claim: Claimed, lease: Lease) -> Outcome:
        """One try: signs, posts, and says what the answer means."""
        parcel: Parcel = lease.loaded
        if parcel.url is None:
            return _Abandoned(reason="the endpoint was deleted")
        if parcel.state != "enabled":
            return _Abandoned(reason=f"the endpoint is disabled: {parcel.reason}")
        if parcel.payload is None:
            return _Abandoned(reason="the event is no longer kept")
        endpoint = claim.target or ""
        wait = self._turns.begin(endpoint)
        if wait is not None:
            return Snooze(after=wait, error="the endpoint has enough posts under way")
        began = self._clock.now()
        try:
            headers = await self._headers(claim, parcel, began)
            sent = await self._sender.post(parcel.url, headers, parcel.payload)
        except VaultError as error:
            return Snooze(after=_SEALED_WAIT, error=str(error))
        except (Unreachable, Forbidden, InvalidInput) as error:
            took = (self._clock.now() - began).total_seconds()
            return self._failed(claim, str(error), took=took)
        finally:
            self._turns.end(endpoint, (self._clock.now() - began).total_seconds())
        return await self._answered(claim, parcel.url, sent)

    async def settle(self, db: Database, owner: str, batch: Sequence[Ended]) -> set[str]:
        """Writes attempts and settles their rows, one statement for the batch."""
        tries = [_tried(ended) for ended in batch]
        settled = await deliveries.settle(db, owner, tries)
        for each in tries:
            if each.state == "abandoned" and each.claim.id in settled:
                self._log.warning(
                    "delivery.abandoned",
                    id=each.claim.id,
                    endpoint=each.claim.target,
                    reason=each.error,
                )
        return settled

    async def _headers(self, claim: Claimed, parcel: Parcel, at: datetime) -> dict[str, str]:
        secrets = await signing_secrets(
            self._vault,
            environment=claim.environment,
            tenant=claim.tenant,
            id=claim.target or "",
            envelope=parcel.secrets,
            now=at,
        )
        body = parcel.payload or b""
        signed = sign(secrets[0], claim.ref or "", at, body, also=secrets[1:])
        return {"content-type": parcel.content_type, **signed}

    async def _answered(self, claim: Claimed, url: str, sent: Sent) -> Outcome:
        if 200 <= sent.status < 300:
            return _Delivered(status=sent.status, took=sent.took)
        if sent.status == 410:
            await endpoints.set_state(
                self._db,
                environment=claim.environment,
                tenant=claim.tenant,
                id=claim.target or "",
                state="disabled",
                reason="it answered 410 Gone",
                url=url,
            )
            return _Abandoned(reason="HTTP 410: the endpoint is gone", status=410, took=sent.took)
        redirected = ": redirects are not followed" if 300 <= sent.status < 400 else ""
        return self._failed(
            claim,
            f"HTTP {sent.status}{redirected}",
            status=sent.status,
            took=sent.took,
            asked=sent.headers.get("retry-after"),
        )

    def _failed(
        self,
        claim: Claimed,
        error: str,
        *,
        took: float,
        status: int | None = None,
        asked: str | None = None,
    ) -> _Failed:
        after = next_wait(tries_before(claim), self._chance(), asked, self._clock.now())
        return _Failed(error=error, after=after, status=status, took=took)


def next_wait(before: int, chance: float, asked: str | None, now: datetime) -> timedelta:
    """The wait after a try that failed, `before` others having failed before it.

    `chance` from 0 to 1 spreads it. A Retry-After (`asked`) makes it longer, never shorter, and
    counts up to `LONGEST_RETRY_AFTER`; one that cannot be read counts as none.
    """
    step = SCHEDULE[min(before, len(SCHEDULE) - 1)] * (1 + _SPREAD * (2 * chance - 1))
    allowed = retry_after(asked, now, longest=LONGEST_RETRY_AFTER)
    return step if allowed is None else max(step, allowed - now)


def tries_before(claim: Claimed) -> int:
    """Tries of this delivery so far, since it was last begun anew."""
    begun: int = claim.args.get("begun", 0)
    return claim.attempt - begun


def _tried(ended: Ended) -> Try:
    """What is written of an outcome; the last try that fails abandons the delivery."""
    claim = ended.claim
    match ended.outcome:
        case _Delivered(status=status, took=took):
            return Try(claim=claim, state="delivered", status=status, took=took)
        case _Abandoned(reason=reason, status=status, took=took):
            return Try(claim=claim, state="abandoned", status=status, error=reason, took=took)
        case Snooze(after=after, error=error):
            return Try(claim=claim, state=None, error=error, after=after)
        case Retry(error=error, after=after) as failed:
            status = failed.status if isinstance(failed, _Failed) else None
            took = failed.took if isinstance(failed, _Failed) else 0.0
            if tries_before(claim) >= len(SCHEDULE):
                error = f"{error}; given up after {len(SCHEDULE) + 1} tries"
                return Try(claim=claim, state="abandoned", status=status, error=error, took=took)
            return Try(
                claim=claim,
                state="failing",
                status=status,
                error=error,
                took=took,
                after=after or SCHEDULE[0],
            )
        case other:
            raise TypeError(f"a delivery does not end as {type(other).__name__}")


class _Turns:
    """Who may post to an endpoint now, and how long the others wait for their turn."""

    def __init__(self, *, each: int, clock: Clock):
        self._each = each
        self._clock = clock
        self._busy: Counter[str] = Counter()
        self._lasts: dict[str, float] = {}
        self._queued: dict[str, datetime] = {}

    def begin(self, endpoint: str) -> timedelta | None:
        """None: the turn is taken, `end` must follow. Else how long to wait for one.

        Those who wait are lined up behind each other, at the pace of the posts before.
        """
        if self._busy[endpoint] < self._each:
            self._busy[endpoint] += 1
            return None
        now = self._clock.now()
        pace = timedelta(seconds=self._lasts.get(endpoint, 1.0) / self._each)
        turn = max(self._queued.get(endpoint, now), now) + pace
        turn = min(turn, now + timedelta(seconds=_LONGEST_TURN))
        self._queued[endpoint] = turn
        return turn - now

    def end(self, endpoint: str, took: float) -> None:
        """Gives the turn back."""
        self._busy[endpoint] -= 1
        if self._busy[endpoint]:
            self._lasts[endpoint] = 0.8 * self._lasts.get(endpoint, took) + 0.2 * took
        else:
            for known in (self._busy, self._lasts, self._queued):
                known.pop(endpoint, None)

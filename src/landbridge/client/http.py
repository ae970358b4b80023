"""The client for providers' APIs: one pool of guarded connections, and what all calls share."""

from __future__ import annotations

import asyncio
import random
import ssl
import time
from collections.abc import Awaitable, Callable

from opentelemetry import trace

from landbridge.client.breakers import Breakers
from landbridge.client.call_log import CallLog
from landbridge.client.exchange import Exchange
from landbridge.client.guard import Guard
from landbridge.client.kept import Kept
from landbridge.client.seams import AccessTokens, Governor, Lane, Recorder
from landbridge.client.sign_in import SignIn
from landbridge.client.signed import Signed, place_of
from landbridge.client.telling import Telling
from landbridge.clock import Clock
from landbridge.resilience import Budget
from landbridge.spec import Provider
from landbridge.store.connections import Connection
from landbridge.store.database import Database
from landbridge.vault import Vault
from landbridge.wire import Request, Response

MOST_BODY = 64_000_000
"""Bytes of an answer; a larger one is cut off with an error."""

KEPT = 2.0
"""Seconds for which calls use the envelope that was read, though the connection be ended or made
again elsewhere meanwhile."""


class Client:
    """Shared by everything in a process that talks to providers.

    A try may take `timeout` seconds and a call `deadline`, all tries and pauses together. `tokens`
    gives access tokens, `governor` keeps calls within quotas and `recorder` holds them back in
    shadows; they may be set later, as they may need a client themselves. `breakers` leave alone
    what does not answer, `calls` writes each call of a connection down.
    """

    def __init__(
        self,
        db: Database,
        vault: Vault,
        guard: Guard,
        *,
        clock: Clock,
        attempts: int = 4,
        timeout: float = 30.0,
        deadline: float = 120.0,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        rng: random.Random | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        tls: ssl.SSLContext | None = None,
        tokens: AccessTokens | None = None,
        governor: Governor | None = None,
        recorder: Recorder | None = None,
        breakers: Breakers | None = None,
        calls: CallLog | None = None,
        tracer: trace.Tracer | None = None,
    ):
        self.db = db
        self.vault = vault
        self.clock = clock
        self.attempts = attempts
        self.timeout = timeout
        self.deadline = deadline
        self.monotonic = monotonic
        self.tokens = tokens
        self.governor = governor
        self.recorder = recorder
        self.breakers = breakers
        self.calls = calls
        self._tracer = tracer or trace.get_tracer("landbridge")
        self.sleep = sleep
        self.rng = rng or random.Random()  # noqa: S311 - spreads retries, guards nothing
        self._budgets: dict[str, Budget] = {}
        self.envelopes: Kept[tuple[str, bytes]] = Kept(KEPT, monotonic)
        self._exchange = Exchange(guard, tls=tls, timeout=timeout)

    async def close(self) -> None:
        """Writes the call log down and closes every kept connection."""
        if self.calls is not None:
            await self.calls.close()
        await self._exchange.close()

    def forget(self, connection: Connection) -> None:
        """Reads what was typed in anew for the next call."""
        self.envelopes.drop(place_of(connection))

    def signed(
        self, provider: Provider, sign_in: SignIn, *, lane: Lane = Lane.INTERACTIVE
    ) -> Signed:
        """Calls to one provider with one set of credentials; `lane` says who goes first."""
        return Signed(self, provider, sign_in, lane)

    def budget(self, provider: Provider) -> Budget:
        """The retries that calls to this provider may still make in this process."""
        found = self._budgets.get(provider.slug)
        if found is None:
            found = self._budgets[provider.slug] = Budget()
        return found

    def telling(
        self,
        provider: Provider,
        connection: Connection,
        request: Request,
        attempt: int,
        lane: Lane,
    ) -> Telling:
        """What tells of one try from here on: its span, its line and its row."""
        return Telling(
            self.calls,
            self._tracer,
            provider,
            connection,
            request,
            attempt=attempt,
            lane=lane,
            clock=self.clock,
            monotonic=self.monotonic,
        )

    async def exchange(
        self, request: Request, *, most: int = MOST_BODY, timeout: float | None = None
    ) -> Response:
        """One request and its answer, read to the end within `timeout` seconds; no retry.

        Errors as in `client.exchange.Exchange.send`.
        """
        async with asyncio.timeout(self.timeout if timeout is None else timeout):
            return await self._exchange.send(request, most)

"""Calls that carry a connection's credentials: kept to quotas, spared where nothing answers,
retried where that is safe, and written down."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count
from typing import TYPE_CHECKING, TypeVar

import msgspec

from landbridge.client.exchange import NO_ANSWER, NOT_SENT, host_of
from landbridge.client.seams import Lane
from landbridge.client.sign_in import (
    ACCESS_TOKEN,
    SignIn,
    account_header,
    authorization,
    hushed,
)
from landbridge.errors import (
    LandbridgeError,
    OutcomeUnknown,
    ReconnectRequired,
    SettingsError,
    Unreachable,
)
from landbridge.resilience import (
    READS,
    Broken,
    Budget,
    Outcome,
    Reply,
    Retry,
    Unknown,
    classify,
    delay,
)
from landbridge.spec import ApiKey, Basic, Provider
from landbridge.store import connections
from landbridge.store.connections import Connection
from landbridge.store.grants import access_place
from landbridge.vault import Kind
from landbridge.wire import Request, Response

if TYPE_CHECKING:
    from landbridge.client.http import Client

R = TypeVar("R")

_FIELDS = msgspec.json.Decoder(dict[str, str])


@dataclass(frozen=True, kw_only=True, slots=True)
class _Signature:
    """What one call is signed with: of which version of the grant, or by which envelope of what
    was typed in; neither for credentials that are being tried."""

    credentials: Mapping[str, str] = field(repr=False)
    version: int | None = None
    envelope: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Tried:
    """One try: what it means, its answer, and the error that says that there was none."""

    outcome: Outcome
    response: Response | None
    error: LandbridgeError | None = None
    silence: str = ""
    """Why no answer came."""

    @property
    def failed(self) -> bool:
        """Whether this speaks against the place: no answer, a server error, a web page."""
        if self.response is None:
            return True
        return self.response.status >= 500 or isinstance(self.outcome, Broken)

    @property
    def reason(self) -> str:
        """In a word why it did not work: the provider's code, or its status."""
        if self.response is None:
            return self.silence
        return self.outcome.reply.code or (f"status {self.response.status}" if self.failed else "")


class Signed:
    """Calls to one provider with one set of credentials, in one lane."""

    def __init__(self, client: Client, provider: Provider, sign_in: SignIn, lane: Lane):
        self._client = client
        self._provider = provider
        self._sign_in = sign_in
        self._lane = lane
        self._connection = sign_in.connection
        self._named = tuple(one.idempotency for one in provider.resources if one.idempotency)

    async def converse(self, conversation: Generator[Request, Response, R]) -> R:
        """Leads a conversation of requests to its end and gives its result."""
        try:
            request = next(conversation)
            while True:
                request = conversation.send(await self.send(request))
        except StopIteration as end:
            result: R = end.value
            return result

    async def send(self, request: Request) -> Response:
        """The provider's answer; any answer that a repetition would not change is given as it is.

        Repeated with growing, jittered pauses while the answer is transient and a repetition is
        safe: reads, writes that do the same twice or carry the page's idempotency header, calls
        that were never sent, and those over a quota. It ends after the client's attempts, at its
        deadline, or when the provider's budget of retries is used up. An access token that is not
        accepted is renewed once.

        Raises Unreachable or Throttled (`.retry_at`) when it stays so, OutcomeUnknown for a write
        that may have happened, be it in an earlier one of these tries, ReconnectRequired when the
        credentials are not accepted, and CircuitOpen without a try where nothing answered lately.
        """
        client, connection = self._client, self._connection
        if client.recorder is not None and connection is not None:
            kept = await client.recorder.keep(self._provider, connection, request)
            if kept is not None:
                return kept
        idempotency = self._idempotency(request)
        budget = client.budget(self._provider)
        budget.called()
        signature = await self._signature()
        doubts: list[OutcomeUnknown] = []
        try:
            return await self._sent(request, signature, idempotency, budget, doubts)
        except LandbridgeError as error:
            if not doubts or isinstance(error, OutcomeUnknown):
                raise
            doubts[-1].retry_at = getattr(error, "retry_at", None)
            raise doubts[-1] from error

    async def _sent(
        self,
        request: Request,
        signature: _Signature,
        idempotency: str,
        budget: Budget,
        doubts: list[OutcomeUnknown],
    ) -> Response:
        """The answer after as many tries as it takes; `doubts` gets the error of each that may have
        written."""
        client = self._client
        ends = client.monotonic() + client.deadline
        renewed = False
        for attempt in count(1):
            tried = await self._try(request, signature, idempotency, ends, attempt)
            outcome, response = tried.outcome, tried.response
            if outcome.credentials_dead and response is not None:
                newer = None if renewed else await self._newer(signature)
                if newer is None:
                    raise self._not_accepted(response)
                signature, renewed = newer, True
                continue
            if not outcome.transient:
                if response is None:
                    raise tried.error or OutcomeUnknown(str(outcome))
                return response
            error = tried.error or outcome.error(self._provider.name) or Unreachable("")
            if isinstance(error, OutcomeUnknown):
                doubts.append(error)
            pause = self._pause(outcome, attempt)
            left = ends - client.monotonic()
            if attempt >= client.attempts or pause >= left or not budget.take():
                raise error
            await client.sleep(pause)
        raise AssertionError("count() has no end")

    async def _try(
        self, request: Request, signature: _Signature, idempotency: str, ends: float, attempt: int
    ) -> _Tried:
        """One try: let through by breaker and governor, and told of afterwards."""
        client, provider, connection = self._client, self._provider, self._connection
        if connection is None:
            return await self._send(request, signature, idempotency, ends)
        breakers = client.breakers
        if breakers is not None:
            await breakers.enter(provider, connection)
        if client.governor is not None:
            await client.governor.acquire(provider, connection, self._lane)
        told = client.telling(provider, connection, request, attempt, self._lane)
        tried: _Tried | None = None
        try:
            tried = await self._send(request, signature, idempotency, ends)
        finally:
            if client.governor is not None:
                if tried is None or tried.response is None:
                    client.governor.unanswered(provider, connection)
                else:
                    client.governor.answered(provider, connection, tried.response)
            if tried is None:
                told.ended(None, "cancelled")
            else:
                told.ended(tried.outcome, tried.reason)
        if breakers is not None:
            if tried.failed:
                await breakers.failed(provider, connection, tried.reason)
            else:
                await breakers.worked(provider, connection)
        return tried

    async def _send(
        self, request: Request, signature: _Signature, idempotency: str, ends: float
    ) -> _Tried:
        client, provider = self._client, self._provider
        try:
            response = await client.exchange(
                self._having(request, signature.credentials),
                timeout=min(client.timeout, max(ends - client.monotonic(), 0.001)),
            )
        except NO_ANSWER as error:
            return self._unanswered(request, idempotency, error)
        response = hushed(provider, signature.credentials, response)
        outcome = classify(
            provider.errors, request, response, client.clock.now(), idempotency=idempotency
        )
        return _Tried(outcome=outcome, response=response)

    def _unanswered(self, request: Request, idempotency: str, error: Exception) -> _Tried:
        sent = not isinstance(error, NOT_SENT)
        outcome = classify(self._provider.errors, request, None, None, idempotency=idempotency)
        if not sent and isinstance(outcome, Unknown):
            outcome = Retry(reply=Reply(call=outcome.reply.call, status=None))
        return _Tried(
            outcome=outcome,
            response=None,
            error=self._no_answer(request, error, sent),
            silence="timeout" if isinstance(error, TimeoutError) else type(error).__name__,
        )

    def _idempotency(self, request: Request) -> str:
        """The page's idempotency header (or parameter, or field) that this request carries, or any
        that it names."""
        if request.method in READS or request.reads or not self._named:
            return "Idempotency-Key"
        carried = (name for name in self._named if request.carries(name))
        return next(carried, self._named[0])

    def _having(self, request: Request, credentials: Mapping[str, str]) -> Request:
        headers = {
            **{k: v for k, v in self._provider.headers.items() if k not in request.headers},
            **authorization(self._provider, credentials),
            **account_header(self._provider, self._sign_in),
        }
        return request.having(headers=request.headers.having(headers))

    async def _signature(self) -> _Signature:
        if self._sign_in.credentials is not None:
            return _Signature(credentials=self._sign_in.credentials)
        connection = self._connection
        assert connection is not None
        if isinstance(self._provider.auth, ApiKey | Basic):
            return await self._typed_in(connection)
        if self._client.tokens is None:
            raise SettingsError(
                f"this client has no access tokens for {self._provider.name}; use the one of an"
                " open bridge: bridge.client"
            )
        access = await self._client.tokens.access(connection)
        return _Signature(credentials={ACCESS_TOKEN: access.token}, version=access.version)

    async def _newer(self, signature: _Signature) -> _Signature | None:
        """What to sign with after this was not accepted; None: there is nothing newer."""
        tokens, connection = self._client.tokens, self._connection
        if connection is None:
            return None
        if signature.version is not None:
            assert tokens is not None
            access = await tokens.refused(connection, signature.version)
            return _Signature(credentials={ACCESS_TOKEN: access.token}, version=access.version)
        self._client.envelopes.drop(place_of(connection))
        typed = await self._typed_in(connection)
        return None if typed.envelope == signature.envelope else typed

    async def _typed_in(self, connection: Connection) -> _Signature:
        envelopes, whose = self._client.envelopes, place_of(connection)
        kept = envelopes.get(whose)
        if kept is None:
            kept = await self._read(connection)
            envelopes.put(whose, kept)
        place, envelope = kept
        opened = await self._client.vault.open(
            Kind.ACCESS,
            environment=connection.environment,
            tenant=connection.tenant,
            place=place,
            envelope=envelope,
        )
        return _Signature(credentials=_FIELDS.decode(opened), envelope=envelope)

    async def _read(self, connection: Connection) -> tuple[str, bytes]:
        """What was typed in, sealed, and its place; also if it was connected again meanwhile."""
        db, whose = self._client.db, (connection.environment, connection.tenant)
        grant = connection.access_grant
        found = await connections.typed_in(db, *whose, grant)
        if found is None:
            now = await connections.one(db, environment=whose[0], tenant=whose[1], id=connection.id)
            if now is not None and now.access_grant != grant:
                grant = now.access_grant
                found = await connections.typed_in(db, *whose, grant)
        if found is None:
            raise ReconnectRequired(
                f"the credentials of connection {connection.id} were forgotten; reconnect it",
                connection=connection.id,
                reason="forgotten",
            )
        envelope, version = found
        return access_place(grant, version), envelope

    def _pause(self, outcome: Outcome, attempt: int) -> float:
        """Seconds until the next try: not before the provider wants it, and jittered."""
        jittered: float = delay(attempt, self._client.rng)
        if outcome.retry_at is None:
            return jittered
        wait: float = (outcome.retry_at - self._client.clock.now()) / timedelta(seconds=1)
        return max(wait, 0.0) + jittered

    def _not_accepted(self, response: Response) -> ReconnectRequired:
        return ReconnectRequired(
            f"{self._provider.name} no longer accepts the credentials"
            f" ({response.status}); reconnect with: landbridge connect {self._provider.slug}",
            connection=self._connection.id if self._connection else None,
        )

    def _no_answer(self, request: Request, error: Exception, sent: bool) -> LandbridgeError:
        host = host_of(request)
        reason = "it took too long" if isinstance(error, TimeoutError) else type(error).__name__
        if request.method in READS or request.reads or not sent:
            return Unreachable(
                f"{self._provider.name} at {host} does not answer ({reason});"
                " check the address and the network, it is tried again later"
            )
        return OutcomeUnknown(
            f"{self._provider.name} at {host} did not answer a write ({reason}): it may have"
            " happened, and is read back before anything else is sent"
        )


def place_of(connection: Connection) -> tuple[str, str, str]:
    """What the envelope of a connection is kept by."""
    return connection.environment, connection.tenant, connection.id

"""The client for providers' APIs: signed in, guarded, retried where that is safe."""

from __future__ import annotations

import asyncio
import random
import ssl
from collections.abc import Awaitable, Callable, Generator, Mapping
from datetime import datetime, timedelta
from typing import TypeVar

import httpx2
import msgspec

from landbridge.client.guard import Guard
from landbridge.client.sign_in import SignIn, account_header, authorization, hushed
from landbridge.client.transport import guarded_transport
from landbridge.clock import Clock
from landbridge.errors import LandbridgeError, OutcomeUnknown, ReconnectRequired, Unreachable
from landbridge.resilience import READS, classify, delay
from landbridge.spec import Provider
from landbridge.store import connections
from landbridge.store.database import Database
from landbridge.vault import Kind, Vault
from landbridge.wire import Headers, Request, Response

R = TypeVar("R")

MOST_BODY = 64_000_000
"""Bytes of an answer; a larger one is cut off with an error."""


class Client:
    """Shared by everything in a process that talks to providers."""

    def __init__(
        self,
        db: Database,
        vault: Vault,
        guard: Guard,
        *,
        clock: Clock,
        attempts: int = 4,
        timeout: float = 30.0,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        rng: random.Random | None = None,
        tls: ssl.SSLContext | None = None,
    ):
        self.db = db
        self.vault = vault
        self.clock = clock
        self.attempts = attempts
        self.timeout = timeout
        self.sleep = sleep
        self.rng = rng or random.Random()  # noqa: S311 - spreads retries, guards nothing
        self._http = httpx2.AsyncClient(
            transport=guarded_transport(guard, tls=tls),
            follow_redirects=False,
            trust_env=False,
            timeout=timeout,
            headers={"User-Agent": "landbridge"},
        )

    async def close(self) -> None:
        """Closes every kept connection."""
        await self._http.aclose()

    def signed(self, provider: Provider, sign_in: SignIn) -> Signed:
        """Calls to one provider with one set of credentials."""
        return Signed(self, provider, sign_in)

    async def exchange(self, request: Request, *, most: int = MOST_BODY) -> Response:
        """One request and its answer, read to the end within the deadline; no retry.

        Unreachable: the answer has more than `most` bytes.
        """
        async with asyncio.timeout(self.timeout):
            async with self._http.stream(
                request.method,
                request.full_url,
                headers=list(request.headers.pairs()),
                content=request.body or None,
            ) as answer:
                chunks: list[bytes] = []
                size = 0
                async for chunk in answer.aiter_bytes():
                    size += len(chunk)
                    if size > most:
                        raise Unreachable(
                            f"{_host(request)} sent more than {most} bytes in one answer"
                        )
                    chunks.append(chunk)
                return Response(
                    status=answer.status_code,
                    headers=Headers(answer.headers.multi_items()),
                    body=b"".join(chunks),
                    url=str(answer.url),
                )


class Signed:
    """Calls that carry one connection's credentials, opened anew for each call."""

    def __init__(self, client: Client, provider: Provider, sign_in: SignIn):
        self._client = client
        self._provider = provider
        self._sign_in = sign_in

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
        safe: reads, and writes that carry the page's idempotency header. Raises Unreachable or
        Throttled when it stays so, OutcomeUnknown for a write that may have happened, and
        ReconnectRequired when the credentials are not accepted.
        """
        client = self._client
        key_header = self._idempotency(request)
        safe = request.method in READS or request.method == "PUT" or key_header in request.headers
        for attempt in range(1, client.attempts + 1):
            last = attempt == client.attempts or not safe
            credentials = await self._credentials()
            try:
                response = await client.exchange(self._having(request, credentials))
            except (httpx2.TransportError, TimeoutError) as error:
                if last:
                    raise self._no_answer(request, error) from None
                await client.sleep(delay(attempt, client.rng))
                continue
            response = hushed(self._provider, credentials, response)
            outcome = classify(
                self._provider.errors,
                request,
                response,
                client.clock.now(),
                idempotency=key_header,
            )
            if outcome.credentials_dead:
                raise ReconnectRequired(
                    f"{self._provider.name} no longer accepts the credentials"
                    f" ({response.status}); reconnect with: landbridge connect"
                    f" {self._provider.slug}",
                    connection=self._sign_in.connection.id if self._sign_in.connection else None,
                )
            if last or not outcome.transient:
                return response
            await client.sleep(_pause(outcome.retry_at, client, attempt))
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _idempotency(self, request: Request) -> str:
        """The page's idempotency header that this request carries, or any that it names."""
        names = [one.idempotency for one in self._provider.resources if one.idempotency]
        carried = [name for name in names if name in request.headers]
        return (carried or names or ["Idempotency-Key"])[0]

    def _having(self, request: Request, credentials: Mapping[str, str]) -> Request:
        headers = {
            **{k: v for k, v in self._provider.headers.items() if k not in request.headers},
            **authorization(self._provider, credentials),
            **account_header(self._provider, self._sign_in),
        }
        return request.having(headers=request.headers.having(headers))

    async def _credentials(self) -> Mapping[str, str]:
        if self._sign_in.credentials is not None:
            return self._sign_in.credentials
        connection = self._sign_in.connection
        assert connection is not None
        envelope = await connections.grant_secret(self._client.db, connection)
        if envelope is None:
            raise ReconnectRequired(
                f"the credentials of connection {connection.id} were forgotten; reconnect it",
                connection=connection.id,
                reason="forgotten",
            )
        opened = await self._client.vault.open(
            Kind.CREDENTIAL,
            environment=connection.environment,
            tenant=connection.tenant,
            place=f"grant/{connection.access_grant}/secret",
            envelope=envelope,
        )
        return msgspec.json.decode(opened, type=dict[str, str])

    def _no_answer(self, request: Request, error: Exception) -> LandbridgeError:
        host = _host(request)
        reason = "it took too long" if isinstance(error, TimeoutError) else type(error).__name__
        if request.method in READS:
            return Unreachable(
                f"{self._provider.name} at {host} does not answer ({reason});"
                " check the address and the network, it is tried again later"
            )
        return OutcomeUnknown(
            f"{self._provider.name} at {host} did not answer a write ({reason}): it may have"
            " happened, and is read back before anything else is sent"
        )


def _pause(retry_at: datetime | None, client: Client, attempt: int) -> float:
    jittered: float = delay(attempt, client.rng)
    if retry_at is None:
        return jittered
    wait = (retry_at - client.clock.now()) / timedelta(seconds=1)
    return max(min(wait, 30.0), 0.0) + jittered


def _host(request: Request) -> str:
    return request.url.split("://", 1)[-1].split("/", 1)[0].rsplit("@", 1)[-1]

"""A few lines of ASGI that every simulator stands on: a call, a router, and ways to answer badly.

No framework: what a simulator answers byte for byte must not depend on one.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote

import msgspec

from landbridge.wire import Headers, Response

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


@dataclass(frozen=True, kw_only=True)
class Call:
    """One request as a simulator sees it. `path` is decoded, `query` is as sent."""

    method: str
    path: str
    query: str = ""
    headers: Headers = field(default_factory=Headers)
    body: bytes = b""
    place: dict[str, str] = field(default_factory=dict)
    """What the route's `{names}` matched."""

    def args(self) -> dict[str, str]:
        """The query's fields; the last of several equal names wins."""
        return dict(parse_qsl(self.query, keep_blank_values=True))

    def json(self) -> dict[str, Any]:
        """The body as an object; `BadCall` unless it is one. An empty body is `{}`."""
        if not self.body:
            return {}
        try:
            read = json.loads(self.body)
        except ValueError as error:
            raise BadCall(f"the body is not JSON: {error}") from None
        if not isinstance(read, dict):
            raise BadCall(f"the body is a JSON {type(read).__name__}, an object is needed")
        return read


class BadCall(Exception):
    """A call to the control plane that makes no sense; answered with 400 and the sentence."""


@dataclass(frozen=True, kw_only=True)
class Drop:
    """Close the connection without a byte of an answer, after `seconds`."""

    seconds: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Trickle:
    """Send the response's head at once and its body spread over `seconds`."""

    response: Response
    seconds: float


Answer = Response | Drop | Trickle
Route = Callable[[Call], "Answer | Awaitable[Answer]"]
Lifespan = Callable[[], AbstractAsyncContextManager[None]]


def as_json(content: object, status: int = 200) -> Response:
    """A JSON response."""
    head = Headers([("content-type", "application/json")])
    return Response(status=status, headers=head, body=msgspec.json.encode(content))


class Router:
    """Routes by method and path; `/v1/things/{id}` puts what stands there into `Call.place`."""

    def __init__(self) -> None:
        self._routes: list[tuple[str, str, re.Pattern[str], Route]] = []

    def add(self, method: str, pattern: str, route: Route) -> None:
        """Routes added first win. `{name}` matches one segment."""
        parts = re.split(r"\{(\w+)\}", pattern)
        found = "".join(
            f"(?P<{part}>[^/]+)" if index % 2 else re.escape(part)
            for index, part in enumerate(parts)
        )
        self._routes.append((method, pattern, re.compile(found), route))

    def find(self, method: str, path: str) -> tuple[Route, str, dict[str, str]] | None:
        """The route, its pattern and the matched names; None where nothing matches."""
        for each, pattern, compiled, route in self._routes:
            if each == method and (match := compiled.fullmatch(path)):
                return route, pattern, match.groupdict()
        return None

    def index(self) -> list[dict[str, str]]:
        """Every route with the first line of its docstring."""
        return [
            {"method": method, "path": pattern, "does": (route.__doc__ or "").split("\n")[0]}
            for method, pattern, _, route in self._routes
        ]


@asynccontextmanager
async def _no_lifespan() -> AsyncIterator[None]:
    yield


def application(
    answer: Callable[[Call], Awaitable[Answer]], lifespan: Lifespan = _no_lifespan
) -> App:
    """The ASGI application that answers every HTTP request by `answer`."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _live(lifespan, receive, send)
        elif scope["type"] == "http":
            await _send(await answer(await _read(scope, receive)), scope, receive, send)

    return app


async def _live(lifespan: Lifespan, receive: Receive, send: Send) -> None:
    await receive()
    async with lifespan():
        await send({"type": "lifespan.startup.complete"})
        await receive()
    await send({"type": "lifespan.shutdown.complete"})


async def _read(scope: Scope, receive: Receive) -> Call:
    chunks = []
    while True:
        message = await receive()
        chunks.append(message.get("body", b""))
        if not message.get("more_body", False):
            break
    pairs = [(key.decode("latin-1"), value.decode("latin-1")) for key, value in scope["headers"]]
    return Call(
        method=scope["method"],
        path=unquote(scope["raw_path"].decode("latin-1").split("?")[0]),
        query=scope["query_string"].decode("latin-1"),
        headers=Headers(pairs),
        body=b"".join(chunks),
    )


async def _send(answer: Answer, scope: Scope, receive: Receive, send: Send) -> None:
    if isinstance(answer, Drop):
        await asyncio.sleep(answer.seconds)
        await _drop(scope, receive, send)
        return
    response = answer.response if isinstance(answer, Trickle) else answer
    head = [(key.encode(), value.encode("latin-1")) for key, value in response.headers.pairs()]
    if "content-length" not in response.headers:
        head.append((b"content-length", str(len(response.body)).encode()))
    await send({"type": "http.response.start", "status": response.status, "headers": head})
    if isinstance(answer, Trickle):
        for byte in response.body:
            await send({"type": "http.response.body", "body": bytes([byte]), "more_body": True})
            await asyncio.sleep(answer.seconds / len(response.body))
        await send({"type": "http.response.body", "body": b""})
    else:
        await send({"type": "http.response.body", "body": response.body})


async def _drop(scope: Scope, receive: Receive, send: Send) -> None:
    """Our own server hands out the transport; another one gets an answer that never ends."""
    transport = scope.get("state", {}).get("transport")
    if transport is None:
        head = [(b"content-length", b"1")]
        await send({"type": "http.response.start", "status": 200, "headers": head})
        return
    transport.abort()
    while (await receive())["type"] != "http.disconnect":
        pass

"""The webhook intake as a raw ASGI app: `POST /in/{app_token}[/{connection_token}]`.

It can be mounted or served alone, so that a host's middleware does not wrap it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from itertools import chain
from typing import Any

from landbridge.engine.receive import ACCEPTED, Answer, Intake
from landbridge.engine.room import MOST_HEAD, MOST_HEADERS, Seat
from landbridge.engine.targets import Target
from landbridge.web.intake.reading import Reader, Receive, Stop
from landbridge.wire import Headers

Scope = MutableMapping[str, Any]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
ASGI = Callable[[Scope, Receive, Send], Awaitable[None]]

# An echo is text and nothing else, whatever somebody's browser would like to see in it.
_HEADERS = (
    (b"content-type", b"text/plain; charset=utf-8"),
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; sandbox"),
    (b"cache-control", b"no-store"),
)
_EMPTY = ((b"content-length", b"0"),)


def intake_app(intake: Callable[[], Intake], *, reader: Reader | None = None) -> ASGI:
    """The ASGI app; `intake` is asked at each request, since it exists only while serving."""
    bodies = reader or Reader()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        parts = scope["path"].removeprefix(scope.get("root_path", "")).strip("/").split("/")
        if not 2 <= len(parts) <= 3 or parts[0] != "in":
            await respond(send, _NOTHING)
            return
        if scope["method"] not in ("POST", "GET"):
            await respond(send, _NO_METHOD)
            return
        taking = intake()
        seat = taking.room.enter()
        if seat is None:
            await respond(send, taking.not_now())
            return
        try:
            answer = _head(taking, seat, scope)
            if answer is None:
                answer = await _answer(taking, bodies, seat, parts, scope, receive)
        finally:
            seat.leave()
        if answer is ACCEPTED:
            await send({"type": "http.response.start", "status": 200, "headers": list(_EMPTY)})
            await send({"type": "http.response.body", "body": b""})
        elif answer is not None:
            await respond(send, answer)

    return app


_NOTHING = Answer(status=404, body="there is nothing here", close=True)
_NO_METHOD = Answer(status=405, body="webhooks come by POST", close=True)
_LARGE_HEAD = Answer(
    status=431, body=f"more than {MOST_HEAD} bytes or {MOST_HEADERS} headers", close=True
)


def _head(intake: Intake, seat: Seat, scope: Scope) -> Answer | None:
    """Counts address and headers; the answer if they are too large, or there is no room."""
    headers = scope["headers"]
    size = sum(map(len, chain.from_iterable(headers))) + len(scope.get("query_string", b""))
    if size > MOST_HEAD or len(headers) > MOST_HEADERS:
        intake.count(None, "large headers")
        return _LARGE_HEAD
    return None if seat.grow(size) else intake.not_now()


async def _answer(
    intake: Intake, reader: Reader, seat: Seat, parts: list[str], scope: Scope, receive: Receive
) -> Answer | None:
    """The answer to a call; None when nobody waits for it any more."""
    app_token, connection_token = parts[1], parts[2] if len(parts) == 3 else ""
    target = intake.known(app_token, connection_token)
    if target is None:
        found = await intake.find(app_token, connection_token)
        if isinstance(found, Answer):
            return found
        target = found
    method = scope["method"]
    if target.webhook.handshake is not None:
        greeted = intake.greet(target, method, scope.get("query_string", b""), parts[-1])
        if greeted is not None:
            return greeted
    if method != "POST":
        return _NO_METHOD
    headers = Headers(
        [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
    )
    if headers.get("content-encoding", "identity").lower() != "identity":
        intake.count(target.app, "compressed")
        return Answer(status=415, body="send the body uncompressed", close=True)
    declared = headers.get("content-length", "")
    if declared.isdecimal() and int(declared[:20]) > target.webhook.max_body:
        return intake.too_large(target)
    body = await reader.read(receive, seat, target.webhook.max_body)
    if isinstance(body, Stop):
        return _unread(intake, target, body)
    return await intake.take(target, headers, body, path=_called(scope), method=method)


def _called(scope: Scope) -> str:
    """The path below the public address with its query, as it was called."""
    path: str = scope["path"].removeprefix(scope.get("root_path", ""))
    query: bytes = scope.get("query_string", b"")
    return f"{path}?{query.decode('latin-1')}" if query else path


def _unread(intake: Intake, target: Target, why: Stop) -> Answer | None:
    match why:
        case Stop.GONE:
            return None
        case Stop.LARGE:
            return intake.too_large(target)
        case Stop.FULL:
            return intake.not_now()
        case Stop.LATE:
            intake.count(target.app, "too slow")
            return Answer(status=408, body="the body did not come in time", close=True)


async def respond(send: Send, answer: Answer) -> None:
    """Sends an answer as plain text, which no browser takes for anything else."""
    headers = list(_HEADERS)
    if answer.retry_after is not None:
        headers.append((b"retry-after", str(answer.retry_after).encode()))
    if answer.close:
        headers.append((b"connection", b"close"))
    body = answer.body.encode()
    headers.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})

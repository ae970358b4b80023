"""The webhook intake as a raw ASGI app: `POST /in/{app_token}[/{connection_token}]`.

It can be mounted or served alone, so that a host's middleware does not wrap it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from landbridge.engine.receive import Answer, Intake
from landbridge.wire import Headers

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
ASGI = Callable[[Scope, Receive, Send], Awaitable[None]]

BODY_DEADLINE = 15.0
"""Seconds in which a webhook's body must have come."""


def intake_app(intake: Callable[[], Intake]) -> ASGI:
    """The ASGI app; `intake` is asked at each request, since it exists only while serving."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        parts = path.strip("/").split("/")
        if not 2 <= len(parts) <= 3 or parts[0] != "in":
            await respond(send, Answer(status=404, body="there is nothing here"))
            return
        if scope["method"] != "POST":
            await respond(send, Answer(status=405, body="webhooks come by POST"))
            return
        app_token, connection_token = parts[1], parts[2] if len(parts) == 3 else ""
        await respond(send, await _receive(intake(), app_token, connection_token, scope, receive))

    return app


async def _receive(
    intake: Intake, app_token: str, connection_token: str, scope: Scope, receive: Receive
) -> Answer:
    headers = Headers(
        [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
    )
    if headers.get("content-encoding", "identity").lower() != "identity":
        return Answer(status=415, body="send the body uncompressed")
    try:
        async with asyncio.timeout(BODY_DEADLINE):
            body = await _body(receive, 2_000_000, headers.get("content-length", ""))
    except TimeoutError:
        return Answer(status=408, body="the body did not come in time")
    if body is None:
        return Answer(status=413, body="the body is too large")
    return await intake.accept(app_token, connection_token, headers, body)


async def _body(receive: Receive, most: int, declared: str) -> bytes | None:
    """The whole body; None as soon as it is clear that it is larger than `most` bytes."""
    if declared.isdigit() and int(declared) > most:
        return None
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > most:
            return None
        chunks.append(chunk)
        if not message.get("more_body"):
            return b"".join(chunks)


async def respond(send: Send, answer: Answer) -> None:
    """Sends an answer as plain text."""
    headers = [(b"content-type", b"text/plain; charset=utf-8")]
    if answer.retry_after is not None:
        headers.append((b"retry-after", str(answer.retry_after).encode()))
    body = answer.body.encode()
    headers.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})

"""Bodies that were too large to be posted: `GET /bodies/{event}/{token}`, as a raw ASGI route."""

from __future__ import annotations

from collections.abc import Callable

from landbridge.engine.catalogue import unpacked
from landbridge.engine.receive import Answer
from landbridge.engine.reference import Part, part_of
from landbridge.errors import DatabaseUnavailable
from landbridge.ids import is_id
from landbridge.store import attachments
from landbridge.store.attachments import Attached
from landbridge.store.database import Database
from landbridge.web.intake import ASGI, Receive, Scope, Send
from landbridge.web.intake.asgi import respond

PIECE = 1_048_576
"""Bytes that are read and sent at a time: no more of a body is in memory for one receiver."""


def bodies_app(db: Callable[[], Database]) -> ASGI:
    """The ASGI app; `db` is asked at each request, since it is open only while serving.

    A wrong token, an unknown event and a body that is no longer kept are all the same 404.
    """

    async def app(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001 - ASGI's
        if scope["type"] != "http":
            return
        if scope["method"] not in ("GET", "HEAD"):
            await respond(send, Answer(status=405, body="bodies are fetched by GET"))
            return
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        parts = path.strip("/").split("/")
        try:
            found = await _found(db(), parts)
        except DatabaseUnavailable:
            await respond(send, Answer(status=503, body="fetch it again", retry_after=5))
            return
        if found is None:
            await respond(send, Answer(status=404, body="there is no such body"))
        else:
            await _send(send, db(), *found, whole=scope["method"] == "GET")

    return app


async def _found(db: Database, parts: list[str]) -> tuple[Attached, Part] | None:
    if len(parts) != 3 or parts[0] != "bodies":
        return None
    _, event, token = parts
    if not is_id(event, "evt"):
        return None
    attached = await attachments.find(db, event)
    if attached is None:
        return None
    part = part_of(attached.payload, unpacked(attached.older), token)
    return None if part is None else (attached, part)


async def _send(send: Send, db: Database, attached: Attached, part: Part, *, whole: bool) -> None:
    headers = [
        (b"content-type", part.content_type.encode("ascii")),
        (b"content-length", str(part.size).encode()),
        (b"content-disposition", f'attachment; filename="{attached.id}"'.encode()),
        (b"x-content-type-options", b"nosniff"),
        (b"cache-control", b"private, no-store"),
        (b"referrer-policy", b"no-referrer"),
    ]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    sent = 0
    while whole and sent < part.size:
        size = min(PIECE, part.size - sent)
        piece = await attachments.piece(db, attached, start=part.start + sent, size=size)
        if len(piece) < size:
            raise DatabaseUnavailable("the body was removed while it was sent")
        sent += size
        await send({"type": "http.response.body", "body": piece, "more_body": sent < part.size})
    if not whole:
        await send({"type": "http.response.body", "body": b""})

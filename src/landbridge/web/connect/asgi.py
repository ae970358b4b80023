"""The connect pages as a raw ASGI app: `/connect/{token}/...`, the way back, `/connect.js`."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl

import structlog

from landbridge.errors import LandbridgeError
from landbridge.web.connect import pages
from landbridge.web.connect.answers import ASSETS, Reply, asset, moved, send_reply, shown, told
from landbridge.web.connect.back import come_back
from landbridge.web.connect.desk import Desk
from landbridge.web.connect.visit import Visit, arrive
from landbridge.web.intake import ASGI, Receive, Scope, Send

_MOST_FORM = 64 * 1024
_DEADLINE = 15.0
_PLAIN = ("content-type", "text/plain")
_NO_METHOD = Reply(status=405, headers=(_PLAIN, ("allow", "GET, POST")))
_TOO_LARGE = Reply(status=413, headers=(_PLAIN, ("connection", "close")))


@dataclass(frozen=True, kw_only=True)
class _Call:
    """One request. `parts` is its path below `/connect`."""

    method: str
    path: str
    parts: tuple[str, ...]
    query: Mapping[str, str]
    headers: Mapping[str, str]
    receive: Receive

    @property
    def root(self) -> str:
        """From here to `/connect/`, relative: behind a proxy nobody knows what stands before it."""
        deep = self.path.count("/") - 2
        return "../" * deep or "./" if deep >= 0 else "connect/"


def connect_app(desk: Desk, *, texts: Mapping[str, str] | None = None) -> ASGI:
    """The ASGI app. `texts` stand above the English ones, a session's own above both."""
    base = dict(texts or {})
    log = structlog.get_logger("landbridge.connect")

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        call = _called(scope, receive)
        try:
            reply = await _reply(desk, base, call)
        except LandbridgeError as error:
            log.warning("connect.away", error=type(error).__name__, reason=str(error))
            reply = _ended(base, call, "away", 503)
        await send_reply(send, reply, head=scope["method"] == "HEAD")

    return app


def _called(scope: Scope, receive: Receive) -> _Call:
    path: str = scope["path"].removeprefix(scope.get("root_path", ""))
    parts = path.strip("/").split("/")
    return _Call(
        method="GET" if scope["method"] == "HEAD" else scope["method"],
        path=path,
        parts=tuple(parts[1:] if parts[0] == "connect" else parts),
        query=dict(_pairs(scope.get("query_string", b""))),
        headers={key.decode("latin-1"): value.decode("latin-1") for key, value in scope["headers"]},
        receive=receive,
    )


async def _reply(desk: Desk, texts: Mapping[str, str], call: _Call) -> Reply:
    match call.parts:
        case [name] if name in ASSETS:
            return asset(name) if call.method == "GET" else _NO_METHOD
        case ["callback", provider]:
            scene = pages.Scene(texts=texts, root=call.root)
            cookies = call.headers.get("cookie", "")
            return await come_back(desk, scene, provider, call.query, cookies)
        case [token, *rest]:
            visit = await arrive(desk, texts, token)
            if visit is not None:
                return await _visited(visit, call, rest)
            if rest == ["state"]:
                return told({"state": "expired"}, status=404)
    return _ended(texts, call, "unknown", 404)


async def _visited(visit: Visit, call: _Call, rest: list[str]) -> Reply:
    if not rest and not call.path.endswith("/"):
        return moved(f"{visit.token}/")
    if rest == ["state"]:
        return visit.state(call.headers.get("origin", ""))
    if visit.session.expired:
        return visit.expired(deep=len(rest) > 1)
    if call.method == "POST":
        if call.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            return _ended(visit.texts, call, "unknown", 403)
        form = await _form(call.receive)
        return _TOO_LARGE if form is None else await _posted(visit, call, rest, form)
    return await _got(visit, call, rest) if call.method == "GET" else _NO_METHOD


async def _got(visit: Visit, call: _Call, rest: list[str]) -> Reply:
    match rest:
        case []:
            return visit.first()
        case ["to", slug]:
            return await visit.form(slug)
        case ["accounts"]:
            return visit.accounts()
        case ["done"]:
            return visit.outcome(call.query.get("why", ""))
        case ["codes", connection]:
            return await visit.codes(connection, kept="kept" in call.query)
    return visit.unknown(deep=len(rest) > 1)


async def _posted(
    visit: Visit, call: _Call, rest: list[str], form: Sequence[tuple[str, str]]
) -> Reply:
    match rest:
        case ["to", slug]:
            return await visit.entered(slug, dict(form))
        case ["accounts"]:
            wanted = [value for name, value in form if name == "account"]
            return await visit.chosen(wanted, call.headers.get("cookie", ""))
        case ["codes", connection]:
            return await visit.matched(connection, dict(form))
    return _NO_METHOD


async def _form(receive: Receive) -> list[tuple[str, str]] | None:
    """What was sent by a form; None if it is too large, or did not come in time."""
    body = b""
    try:
        async with asyncio.timeout(_DEADLINE):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return None
                body += message.get("body", b"")
                if len(body) > _MOST_FORM:
                    return None
                if not message.get("more_body"):
                    return _pairs(body)
    except TimeoutError:
        return None


def _pairs(encoded: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(encoded.decode("ascii"), keep_blank_values=True, max_num_fields=500)
    except ValueError:
        return []


def _ended(texts: Mapping[str, str], call: _Call, kind: str, status: int) -> Reply:
    return shown(pages.ended(pages.Scene(texts=texts, root=call.root), kind), status=status)

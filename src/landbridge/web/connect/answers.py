"""Answers of the connect pages, with the headers that keep a browser strict."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files

from landbridge.web.connect.markup import Markup
from landbridge.web.intake import Send

_TYPES = {".js": "text/javascript", ".css": "text/css", ".ts": "text/plain"}
ASSETS = ("connect.js", "connect.d.ts", "page.js", "page.css")


@dataclass(frozen=True, kw_only=True)
class Reply:
    """One answer, whole."""

    status: int = 200
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    cookies: tuple[str, ...] = field(default=(), repr=False)


def shown(html: Markup, *, status: int = 200, origin: str = "", sends_to: str = "") -> Reply:
    """A page. Nothing inline runs in it, only `origin` may frame it, and its form leads to us or to
    the sources of `sends_to`."""
    framed_by = origin or "'none'"
    policy = "; ".join(
        [
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "connect-src 'self'",
            "base-uri 'none'",
            f"form-action 'self' {sends_to}".strip(),
            f"frame-ancestors {framed_by}",
            "require-trusted-types-for 'script'",
        ]
    )
    return Reply(
        status=status,
        body=html.encode(),
        headers=(
            ("content-type", "text/html; charset=utf-8"),
            ("content-security-policy", policy),
            ("referrer-policy", "no-referrer"),
            ("cache-control", "no-store"),
            ("x-content-type-options", "nosniff"),
            ("permissions-policy", "camera=(), geolocation=(), microphone=(), payment=()"),
        ),
    )


def moved(location: str, *, cookies: tuple[str, ...] = ()) -> Reply:
    """Sends the browser on by GET."""
    return Reply(
        status=303,
        headers=(
            ("location", location),
            ("cache-control", "no-store"),
            ("referrer-policy", "no-referrer"),
        ),
        cookies=cookies,
    )


def told(values: Mapping[str, object], *, status: int = 200, origin: str = "") -> Reply:
    """JSON that scripts of `origin` may read."""
    shared = (("access-control-allow-origin", origin),) if origin else ()
    return Reply(
        status=status,
        body=json.dumps(values).encode(),
        headers=(
            ("content-type", "application/json"),
            ("cache-control", "no-store"),
            ("x-content-type-options", "nosniff"),
            ("vary", "origin"),
            *shared,
        ),
    )


def asset(name: str) -> Reply:
    """One of our scripts and styles."""
    body = files("landbridge.web.connect").joinpath("assets", name).read_bytes()
    kind = _TYPES[name[name.rindex(".") :]]
    return Reply(
        body=body,
        headers=(
            ("content-type", f"{kind}; charset=utf-8"),
            ("cache-control", "public, max-age=300"),
            ("x-content-type-options", "nosniff"),
            ("cross-origin-resource-policy", "cross-origin"),
        ),
    )


async def send_reply(send: Send, reply: Reply, *, head: bool = False) -> None:
    """Sends it; with `head` without its body."""
    headers = [
        *((name.encode(), value.encode("latin-1")) for name, value in reply.headers),
        *((b"set-cookie", cookie.encode("latin-1")) for cookie in reply.cookies),
        (b"content-length", str(len(reply.body)).encode()),
    ]
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if head else reply.body})

"""Bodies too large to be posted: what is posted instead, and where the body is fetched.

The address holds a random token, which stands nowhere but in what is posted: whoever got the
delivery may fetch the body, nobody else, and no key has to be kept for it.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import msgspec

from landbridge.engine.body import render
from landbridge.errors import PayloadTooLarge

LIMIT = 10_000_000
"""Bytes that a body by reference may have, unless the installation sets another cap."""


@dataclass(frozen=True, kw_only=True)
class References:
    """Under which address bodies are fetched (`base`), how large they may be (`limit`, in bytes),
    and for how long they are kept at least."""

    base: str
    limit: int = LIMIT
    keep: timedelta = timedelta(days=30)


class Part(NamedTuple):
    """Where in an attachment a body lies, from 1 on, and what it is."""

    start: int
    size: int
    content_type: str


class _Reference(msgspec.Struct):
    ref: str = msgspec.field(name="$ref")
    size: int
    sha256: str
    content_type: str
    expires_at: datetime


class _Posted(msgspec.Struct):
    data: _Reference


_READ = msgspec.json.Decoder(_Posted)


def referred(
    references: References,
    *,
    event: str,
    event_type: str,
    at: datetime,
    content_type: str,
    bodies: Sequence[tuple[str, bytes]],
) -> tuple[list[tuple[str, bytes]], bytes]:
    """The bodies to post instead of these, and the attachment: these, one after the other."""
    posted = []
    for since, body in bodies:
        if len(body) > references.limit:
            raise PayloadTooLarge(
                f"data: {event_type} comes to {len(body)} bytes, {references.limit} are the most by"
                " reference (LANDBRIDGE_REFERENCE_LIMIT); send an address of your own",
                size=len(body),
                limit=references.limit,
            )
        token = secrets.token_urlsafe(24)
        told = _Reference(
            ref=f"{references.base.rstrip('/')}/bodies/{event}/{token}",
            size=len(body),
            sha256=hashlib.sha256(body).hexdigest(),
            content_type=content_type,
            expires_at=at + references.keep,
        )
        posted.append((since, render(event_type, at, told)))
    return posted, b"".join(body for _, body in bodies)


def part_of(payload: bytes, older: Mapping[str, bytes], token: str) -> Part | None:
    """Where the body lies that this token opens; None: it opens none of this event's.

    Takes as long for a wrong token as for a right one.
    """
    found, start = None, 1
    for reference in _references([payload, *filter(None, older.values())]):
        own = reference.ref.rpartition("/")[2]
        if hmac.compare_digest(own.encode(), token.encode("utf-8", "surrogateescape")):
            found = Part(start, reference.size, reference.content_type)
        start += reference.size
    return found


def _references(posted: Iterable[bytes]) -> Iterable[Any]:
    for body in posted:
        try:
            yield _READ.decode(body).data
        except msgspec.DecodeError:
            return

"""A test ping: one signed post to an endpoint now, and what came of it, in words."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

import msgspec

from landbridge import ids
from landbridge.client.post import Posts, Sent
from landbridge.errors import Forbidden, InvalidInput, Unreachable
from landbridge.signing.standard import Signer
from landbridge.store.endpoints import Endpoint

TYPE = "endpoint.ping"
"""The type of the event that is posted; it is in no catalogue and goes to whom it is asked for."""

_SHOWN = 1000
_STRUCK = 6  # shorter words are no secrets
_ABOUT_SIGNATURES = (
    "signature",
    "signing",
    "webhook-id",
    "webhook secret",
    "hmac",
    "timestamp too",
)
_CHECK = (
    "the receiver's check of the signature fails. Most often it verifies with the secret of another"
    " endpoint or environment, verifies a body that was parsed and written anew instead of the raw"
    " bytes, or its clock is more than 5 minutes off; `landbridge verify standard` with the headers"
    " and the body that it got says which"
)
_MEANINGS = {
    400: "the receiver does not like the post. If it refuses the signature: " + _CHECK,
    401: "the receiver wants to know who asks: an endpoint may have an Authorization header of its"
    " own. If it refuses the signature: " + _CHECK,
    404: "nothing answers at this path; compare the URL with the receiver's route",
    405: "the route takes no POST; compare the URL with the receiver's route",
    410: "the receiver says that this endpoint is gone: a delivery that is answered so disables it",
    413: "the receiver takes no bodies of this size",
    415: "the receiver does not take application/json",
    429: "the receiver limits how often it is called: give the endpoint a rate",
}


@dataclass(frozen=True, kw_only=True)
class Pinged:
    """What came of a ping. `delivered`: it was accepted, as a delivery would have been.

    `status` is None and `problem` says why where no answer came: the name, the connection, TLS, the
    time. `took_ms` is until the answer's end or the failure. `answer` is how its body begins, with
    `.` for what cannot be printed. `meaning` says what to look for, where something is wrong.
    `sent` are the headers of the signature.
    """

    id: str
    endpoint: str
    url: str = field(repr=False)
    state: str
    delivered: bool
    status: int | None
    problem: str
    meaning: str
    took_ms: int
    answer: str
    sent: Mapping[str, str]


async def ping(
    sender: Posts,
    endpoint: Endpoint,
    signer: Signer,
    headers: Mapping[str, str],
    *,
    now: datetime,
    monotonic: Callable[[], float] = time.monotonic,
) -> Pinged:
    """Posts it; nothing is raised for what the receiver or the way there does."""
    message = ids.new(ids.PREFIXES["event"])
    body = msgspec.json.encode({"type": TYPE, "timestamp": now, "data": {"endpoint": endpoint.id}})
    signed = signer.headers(message, now, body)
    sends = {**headers, **signed, "content-type": "application/json"}
    if endpoint.api_version:
        sends["webhook-api-version"] = endpoint.api_version
    began = monotonic()
    sent, problem = None, ""
    try:
        sent = await sender.post(endpoint.url, sends, body)
    except (Unreachable, Forbidden, InvalidInput) as error:
        problem = str(error)
    took = monotonic() - began
    return Pinged(
        id=message,
        endpoint=endpoint.id,
        url=endpoint.url,
        state=endpoint.state,
        delivered=sent is not None and 200 <= sent.status < 300,
        status=None if sent is None else sent.status,
        problem=problem,
        meaning="" if sent is None else _meaning(sent),
        took_ms=round(took * 1000),
        answer="" if sent is None else _printable(sent.body, headers.values()),
        sent=signed,
    )


def _meaning(sent: Sent) -> str:
    status = sent.status
    if 200 <= status < 300:
        return ""
    if 300 <= status < 400:
        return "redirects are not followed: give the endpoint the URL that it leads to"
    if status in (400, 401, 403, 422) and _about_signatures(sent.body):
        return _CHECK
    if status >= 500:
        return "the receiver broke while it answered; its own log says more"
    return _MEANINGS.get(401 if status == 403 else status, "the receiver refuses the post")


def _about_signatures(body: bytes) -> bool:
    text = body.decode(errors="replace").lower()
    return any(word in text for word in _ABOUT_SIGNATURES)


def _printable(body: bytes, secret: Iterable[str]) -> str:
    """How the body begins, on a terminal; what it repeats of the endpoint's headers is struck."""
    text = body.decode(errors="replace")
    for value in secret:
        for word in sorted({value, *value.split()}, key=len, reverse=True):
            if len(word) >= _STRUCK:
                text = text.replace(word, "***")
    more = "..." if len(text) > _SHOWN else ""
    shown = (each if each.isprintable() or each in "\n\t" else "." for each in text[:_SHOWN])
    return "".join(shown) + more

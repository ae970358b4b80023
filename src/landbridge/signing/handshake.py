"""Handshakes: what a vendor asks of an address before it posts webhooks there, and the answer.

Sources: Microsoft Graph, "Receive change notifications through webhooks" (validationToken, decoded,
as text/plain); Slack, "url_verification event"; Dropbox and Meta (`challenge`, `hub.challenge`);
Xero, "Intent to receive".

What is echoed was written by whoever made the call. It is at most 1,024 visible ASCII characters
and blanks without any that mean something in HTML, so that it is harmless wherever it is shown.
"""

from __future__ import annotations

import hmac
import re
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from landbridge.errors import Forged, InvalidInput
from landbridge.spec._paths import find
from landbridge.spec.webhook import CodeSentBack, EchoBody, EchoQuery, SignedPing, Webhook

_CODE = re.compile(r"[!-~]{1,256}")
_KEY = re.compile(r"[A-Za-z0-9_-]{1,64}")
_PLAIN = re.compile(r"[ -~]{1,1024}")
_IN_HTML = frozenset("<>&\"'`")
_SMALL = 8192
"""Bytes; a longer body is no handshake, so it is not parsed to find out."""
_MOST_PARAMETERS = 32


def asked_in_query(handshake: EchoQuery, method: str, query: bytes, address: str) -> str | None:
    """The text that this call is to be answered with; None when it is no handshake.

    `query` is the raw query string, `address` the last part of the intake address. Forged when the
    page's token is not that part; InvalidInput when the text must not be echoed, or a parameter
    comes twice.
    """
    if method != handshake.method or handshake.param.encode() not in query:
        return None
    try:
        pairs = parse_qsl(
            query.decode("ascii"),
            keep_blank_values=True,
            max_num_fields=_MOST_PARAMETERS,
            errors="strict",
        )
    except ValueError:  # too many, or not UTF-8
        raise InvalidInput("query: it cannot be read as a handshake") from None
    values = dict(pairs)
    text = values.get(handshake.param)
    if text is None or any(values.get(name) != want for name, want in handshake.when.items()):
        return None
    if len(values) != len(pairs):
        raise InvalidInput("query: a parameter comes twice")
    if handshake.token:
        told = values.get(handshake.token, "").encode()
        if not hmac.compare_digest(told, address.encode()):
            raise Forged(f"{handshake.token} is not the last part of the intake address")
    return _harmless(text, handshake.param)


def asked_in_body(handshake: EchoBody, body: bytes) -> str | None:
    """The challenge that this body asks to be repeated; None when it is an event.

    InvalidInput when there is a challenge that must not be echoed.
    """
    if len(body) > _SMALL or not all(want.encode() in body for want in handshake.when.values()):
        return None
    content = _parsed(body)
    if not isinstance(content, dict):
        return None
    if any(content.get(name) != want for name, want in handshake.when.items()):
        return None
    text = find(content, handshake.challenge)
    return _harmless(text if isinstance(text, str) else "", handshake.challenge)


def posted_code(webhook: Webhook, handshake: CodeSentBack, body: bytes) -> tuple[str, str] | None:
    """The callback's id and the code that a body posts; None when it is an event.

    InvalidInput when it posts a code that no vendor makes.
    """
    if len(body) > _SMALL or handshake.code.encode() not in body:
        return None
    content: Any = _parsed(body)
    if webhook.form:
        try:
            pairs = parse_qsl(body.decode(), max_num_fields=_MOST_PARAMETERS)
        except ValueError:
            return None
        content = dict(pairs)
    code, key = find(content, handshake.code), find(content, handshake.object_key)
    if code is None:
        return None
    if not isinstance(code, str) or not _CODE.fullmatch(code):
        raise InvalidInput(f"{handshake.code}: it is no code of up to 256 plain characters")
    if not isinstance(key, str | int) or not _KEY.fullmatch(str(key)):
        raise InvalidInput(f"{handshake.object_key}: it names no callback")
    return str(key), code


def is_ping(webhook: Webhook, body: bytes) -> bool:
    """Whether a body holds no event and is only sent to see how its signature is answered."""
    if not isinstance(webhook.handshake, SignedPing) or len(body) > _SMALL:
        return False
    events: object = find(_parsed(body), webhook.events)
    return events == []


def _parsed(body: bytes) -> object:
    try:
        parsed: object = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return parsed


def _harmless(text: str, where: str) -> str:
    if not _PLAIN.fullmatch(text) or not _IN_HTML.isdisjoint(text):
        raise InvalidInput(
            f"{where}: {len(text)} characters that no vendor's challenge consists of; up to 1024"
            " plain ones are repeated"
        )
    return text

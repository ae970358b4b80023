"""What every sender of deliveries promises: how it is called, what comes back, what it refuses."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Protocol

import msgspec

from landbridge.errors import InvalidInput
from landbridge.wire import Headers

AGENT = "Landbridge-Webhooks"

_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_OF_THE_CONNECTION = frozenset(
    "connection content-length expect host keep-alive proxy-authorization proxy-connection te"
    " trailer transfer-encoding upgrade".split()
)


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """What came back: `body` is cut off at the cap, `took` is in seconds."""

    status: int
    headers: Headers
    body: bytes
    took: float


class Posts(Protocol):
    """Posts to addresses that users chose. `Sender` and `LeanSender` do."""

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Sent:
        """The answer, whatever its status. Nothing is raised for 3xx, 4xx or 5xx.

        Forbidden: the guard refuses the address. Unreachable: no whole answer came in time; the
        receiver may all the same have got the post. InvalidInput: the URL or a header is wrong.
        """


def check_headers(headers: Mapping[str, str]) -> None:
    """InvalidInput for a header that would break out of its line, that no peer could read, or that
    says how the message is framed: those are the sender's own."""
    for name, value in headers.items():
        if not _NAME.fullmatch(name):
            raise InvalidInput(f"header {name!r}: a name is letters, digits and hyphens")
        if name.lower() in _OF_THE_CONNECTION:
            raise InvalidInput(f"header {name}: it is set by the sender itself; leave it out")
        if not _VALUE.fullmatch(value):
            raise InvalidInput(
                f"header {name}: its value holds a line break or another control character"
            )

"""How a post is written down: the lines that depend on its URL are made once and kept."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from landbridge.client._proxy import Proxy
from landbridge.client.guard import PORTS, Target
from landbridge.client.post import AGENT, check_headers

Key = tuple[str, str, int]
"""Whom connections lead to; posts of one key may share them."""

_DEFAULTS = {
    "user-agent": f"user-agent: {AGENT}\r\n",
    "accept": "accept: */*\r\n",
    "accept-encoding": "accept-encoding: identity\r\n",
}
_PLAIN = bytes([9, *range(0x20, 0x7F), *range(0x80, 0x100)])
"""The bytes that a value may have; what is left without them are line breaks."""
_BARE_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_KEPT = "!#$%&'()*+,/:;=?@~"
_MOST_NAMES = 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where posts to a URL go, and how they begin: `head` what each has, `begun` with the lines
    that headers may replace. `name` is the host for messages."""

    key: Key
    name: str
    tls: bool
    head: bytes
    begun: bytes

    @classmethod
    def of(cls, url: str, target: Target, proxy: Proxy | None) -> Place:
        """From a URL that the guard has looked at. Without TLS a proxy is given the whole URL."""
        name = f"[{target.host}]" if ":" in target.host else target.host
        host = name if target.port == PORTS[target.scheme] else f"{name}:{target.port}"
        tls = target.scheme == "https"
        path, more = _path(url), ""
        key = (target.scheme, target.host, target.port)
        if proxy is not None and not tls:
            path = f"http://{host}{path}"
            key = ("proxy", proxy.host, proxy.port)
            if proxy.authorization:
                more = f"proxy-authorization: {proxy.authorization}\r\n"
        head = f"POST {path} HTTP/1.1\r\nHost: {host}\r\n{more}"
        return cls(
            key=key,
            name=target.host,
            tls=tls,
            head=head.encode("ascii"),
            begun="".join([head, *_DEFAULTS.values()]).encode("ascii"),
        )


def _path(url: str) -> str:
    """Path and query in ASCII; what is already encoded stays as it is."""
    parts = urlsplit(url)
    path = parts.path or "/"
    if parts.query:
        path = f"{path}?{parts.query}"
    return quote(_BARE_PERCENT.sub("%25", path), safe=_KEPT)


class Lines:
    """Writes header lines; the names that were seen before are not checked again."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}

    def head(self, place: Place, headers: Mapping[str, str], size: int) -> bytes:
        """All that stands before a body of `size` bytes. InvalidInput as `check_headers`."""
        names = self._names
        try:
            text = "".join([f"{names[name]}{value}\r\n" for name, value in headers.items()])
        except KeyError:
            return self._unusual(place, headers, size)
        block = text.encode("utf-8", "surrogatepass")  # such a one is refused below
        if len(block) != len(text) or len(block.translate(None, _PLAIN)) != 2 * len(headers):
            check_headers(headers)
        return b"%b%bcontent-length: %d\r\n\r\n" % (place.begun, block, size)

    def _unusual(self, place: Place, headers: Mapping[str, str], size: int) -> bytes:
        """For a name not seen before, or one that replaces a line of ours."""
        check_headers(headers)
        given = {name.lower() for name in headers}
        if len(self._names) > _MOST_NAMES:
            self._names.clear()
        self._names |= {name: f"{name}: " for name in headers if name.lower() not in _DEFAULTS}
        ours = "".join(line for name, line in _DEFAULTS.items() if name not in given)
        theirs = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        lines = f"{ours}{theirs}content-length: {size}\r\n\r\n"
        return place.head + lines.encode()

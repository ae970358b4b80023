"""Other ways in which a vendor may have called than the one that was told."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import unquote, urlsplit

from landbridge.signing._scheme import Call

_METHODS = ("POST", "GET", "PUT", "PATCH", "DELETE")


def other_calls(call: Call) -> Iterator[tuple[str, Call]]:
    """Calls that the sender may have signed, each with words for how it differs from this one."""
    for method in _METHODS:
        if method != call.method:
            yield f"for the method {method} instead of {call.method}", replace(call, method=method)
    for words, url in _urls(call.url):
        if url != call.url:
            yield f"for the URL {words}", replace(call, url=url)


def _urls(url: str) -> Iterator[tuple[str, str]]:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return
    other = "http" if parts.scheme == "https" else "https"
    bare = parts._replace(netloc=parts.hostname or "")
    for words, changed in (
        (f"with {other} instead of {parts.scheme}", parts._replace(scheme=other)),
        ("without its port", bare),
        (f"with {other} and without its port", bare._replace(scheme=other)),
        ("without its query", parts._replace(query="")),
        ("without the slash at its end", parts._replace(path=parts.path.rstrip("/"))),
    ):
        yield words, changed.geturl()
    if not parts.path.endswith("/"):
        yield "with a slash at its end", parts._replace(path=f"{parts.path}/").geturl()
    if port is None and parts.hostname:
        usual = 443 if parts.scheme == "https" else 80
        yield f"with its port {usual}", parts._replace(netloc=f"{parts.netloc}:{usual}").geturl()
    yield "with its escapes decoded", unquote(url)

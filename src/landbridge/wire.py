"""Requests and responses as plain values, so that rules about them do no I/O."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlencode

import msgspec


class Headers(Mapping[str, str]):
    """Header fields: names match in any case, the last of several equal names wins.

    `all(name)` gives every value of a repeated field in order (RFC 9110 section 5.2).
    """

    __slots__ = ("_by_name", "_items")

    def __init__(self, items: Mapping[str, str] | Iterable[tuple[str, str]] = ()):
        if type(items) is not list and isinstance(items, Mapping):
            items = items.items()
        self._items: tuple[tuple[str, str], ...] = tuple(items)
        self._by_name = {key.lower(): value for key, value in self._items}

    def __getitem__(self, name: str) -> str:
        try:
            return self._by_name[name.lower()]
        except KeyError:
            raise KeyError(name) from None

    def get(self, name: str, default: Any = None) -> Any:
        """The last value of this field, or the default."""
        return self._by_name.get(name.lower(), default)

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_name)

    def __len__(self) -> int:
        return len(self._by_name)

    def __repr__(self) -> str:
        return f"Headers({sorted(self)})"

    def all(self, name: str) -> list[str]:
        """Every value of this field, in the order it was sent."""
        wanted = name.lower()
        return [value for key, value in self._items if key.lower() == wanted]

    def pairs(self) -> tuple[tuple[str, str], ...]:
        """All fields as sent, repeats included."""
        return self._items

    def having(self, more: Mapping[str, str]) -> Headers:
        """These headers with some replaced or added."""
        gone = {name.lower() for name in more}
        kept = [(key, value) for key, value in self._items if key.lower() not in gone]
        return Headers([*kept, *more.items()])


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """One HTTP request. `url` is absolute; `query` is appended to it, encoded."""

    method: str
    url: str
    query: tuple[tuple[str, str], ...] = ()
    headers: Headers = field(default_factory=Headers)
    body: bytes = b""
    reads: bool = False
    """Whether it changes nothing though its method may (a search by POST)."""

    @property
    def full_url(self) -> str:
        """The URL with its query string."""
        if not self.query:
            return self.url
        joint = "&" if "?" in self.url else "?"
        return f"{self.url}{joint}{urlencode(self.query, quote_via=quote)}"

    def carries(self, name: str) -> bool:
        """Whether a header, a parameter of the query, or a field of the JSON body has this name."""
        named = name in self.headers or any(each == name for each, _ in self.query)
        return named or f'"{name}":'.encode() in self.body

    def having(self, **changes: Any) -> Request:
        """The same request with some parts replaced."""
        return replace(self, **changes)

    def __repr__(self) -> str:
        return f"Request({self.method} {self.url.split('?')[0]})"


@dataclass(frozen=True, kw_only=True, slots=True)
class Response:
    """One HTTP response, read to its end."""

    status: int
    headers: Headers = field(default_factory=Headers)
    body: bytes = b""
    url: str = ""

    @property
    def dated(self) -> datetime | None:
        """The instant in the Date header; one without a zone is in UTC. None: there is none."""
        # Receivers of webhooks import this module and date nothing.
        from email.utils import parsedate_to_datetime  # noqa: PLC0415

        try:
            date = parsedate_to_datetime(self.headers["Date"])
        except (KeyError, ValueError, TypeError):
            return None
        return date if date.tzinfo else date.replace(tzinfo=UTC)

    def json(self) -> Any:
        """The body, read as JSON; ValueError if it is none."""
        return msgspec.json.decode(self.body)

    def __repr__(self) -> str:
        return f"Response({self.status}, {len(self.body)} bytes)"

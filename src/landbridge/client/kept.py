"""What was read from Postgres a moment ago, so that calls in a row read it once."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")

_MOST = 10_000


class Kept(Generic[T]):
    """Values for `seconds` at most. What another process changes is seen by then; secrets are kept
    as envelopes only."""

    def __init__(self, seconds: float, monotonic: Callable[[], float]):
        self._seconds = seconds
        self._monotonic = monotonic
        self._values: dict[Hashable, tuple[float, T]] = {}

    def get(self, key: Hashable) -> T | None:
        """The value; None when there is none that is fresh."""
        found = self._values.get(key)
        return None if found is None or found[0] <= self._monotonic() else found[1]

    def put(self, key: Hashable, value: T, *, most: float = float("inf")) -> None:
        """Keeps a value that was just read, for `most` seconds if that is shorter."""
        if len(self._values) >= _MOST:
            self._values.clear()
        self._values[key] = (self._monotonic() + min(self._seconds, most), value)

    def drop(self, key: Hashable) -> None:
        """Forgets it, if it is there."""
        self._values.pop(key, None)

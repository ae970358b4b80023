"""Connections that wait for the next post, the last one used first."""

from __future__ import annotations

from landbridge.client._lean_connection import Connection
from landbridge.client._lean_request import Key

_LONGEST_LIFE = 300.0
_MARGIN = 1.0


class Pool:
    """Keeps at most `most` idle connections, each for `idle` seconds or as its peer says.

    None is used for more than five minutes, so that a name that moves is followed.
    """

    def __init__(self, *, idle: float, most: int):
        self._idle = idle
        self._most = most
        self._kept = 0
        self._shelves: dict[Key, dict[Connection, None]] = {}

    def __len__(self) -> int:
        return self._kept

    def take(self, key: Key, now: float) -> Connection | None:
        """One that is open and not too old; None: a new one has to be made."""
        shelf = self._shelves.get(key)
        while shelf:
            connection, _ = shelf.popitem()
            self._kept -= 1
            if not connection.closed and connection.until > now:
                return connection
            connection.close()
        return None

    def put(self, connection: Connection, now: float) -> None:
        """Keeps it for the next post, or closes it."""
        idle = self._idle
        if connection.kept_for is not None:
            idle = min(idle, connection.kept_for - _MARGIN)
        until = min(now + idle, connection.born + _LONGEST_LIFE)
        if until <= now or self._most <= 0:
            connection.close()
            return
        if self._kept >= self._most:
            self.shrink()
        connection.until = until
        shelf = self._shelves.get(connection.key)
        if shelf is None:
            shelf = self._shelves[connection.key] = {}
        shelf[connection] = None
        self._kept += 1

    def forget(self, connection: Connection) -> None:
        """Takes one out that its peer has closed."""
        shelf = self._shelves.get(connection.key)
        if shelf is not None and connection in shelf:
            del shelf[connection]
            self._kept -= 1

    def sweep(self, now: float) -> None:
        """Closes those whose time is over."""
        for key, shelf in list(self._shelves.items()):
            for connection in [each for each in shelf if each.until <= now]:
                self._drop(shelf, connection)
            if not shelf:
                del self._shelves[key]

    def shrink(self) -> None:
        """Closes the half that has waited longest: there is no room for more."""
        waiting = [(each.until, shelf, each) for shelf in self._shelves.values() for each in shelf]
        waiting.sort(key=lambda entry: entry[0])
        for _, shelf, connection in waiting[: (len(waiting) + 1) // 2]:
            self._drop(shelf, connection)

    def close(self) -> None:
        """Closes all."""
        self.sweep(float("inf"))

    def _drop(self, shelf: dict[Connection, None], connection: Connection) -> None:
        del shelf[connection]
        self._kept -= 1
        connection.close()

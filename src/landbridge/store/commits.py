"""Hears when the transaction of an SQLAlchemy connection commits.

SQLAlchemy tells of a commit on a connection just before it happens, and of savepoints. A session
tells of commits afterwards, but also of those that commit nothing, because the session was joined
to a transaction from outside. So we listen on the connection, and look whether the commit is over.
"""

from __future__ import annotations

import sys
import weakref
from typing import Any

from landbridge.store.bell import Bell

_PLACE = "landbridge.commits"


def wrote(connection: Any, bell: Bell) -> None:
    """Rings the bell once the present transaction of this connection is committed.

    Not if it is rolled back, nor if the savepoint is that we are in now. A commit that fails in the
    database may ring it too, which costs a look for work and nothing else; one in two phases does
    not ring it.
    """
    place = f"{_PLACE}.{bell.what}"
    heard: _Commits | None = connection.info.get(place)
    if heard is None or heard.connection() is not connection or heard.bell is not bell:
        heard = connection.info[place] = _Commits(connection, bell)
        heard.listen(connection)
    heard.writes += 1


class _Commits:
    """What was written in the present transaction of a connection, until that ends.

    `writes` counts; `marks` are the counts at the beginning of each open savepoint. A savepoint
    that was open before we listened has no mark: all that we know of was written in it.
    """

    def __init__(self, connection: Any, bell: Bell):
        self.connection = weakref.ref(connection)  # a forgotten connection goes back to its pool
        self.bell = bell
        self.writes = 0
        self.marks: list[int] = []
        self._hearers = {
            "savepoint": self._savepoint,
            "release_savepoint": self._release,
            "rollback_savepoint": self._back,
            "commit": self._commit,
            "rollback": self._rollback,
        }

    def listen(self, connection: Any) -> None:
        """For as long as this connection object lives: a session makes one for each transaction."""
        event = sys.modules["sqlalchemy.event"]
        for name, hearer in self._hearers.items():
            event.listen(connection, name, hearer)

    def _savepoint(self, *_: Any) -> None:
        self.marks.append(self.writes)

    def _release(self, *_: Any) -> None:
        if self.marks:
            self.marks.pop()

    def _back(self, *_: Any) -> None:
        self.writes = self.marks.pop() if self.marks else 0

    def _rollback(self, *_: Any) -> None:
        self.writes = 0
        self.marks.clear()

    def _commit(self, connection: Any) -> None:
        if self.writes:
            transaction = connection.get_transaction()
            self.bell.ring_after(lambda: not transaction.is_active)
        self._rollback()

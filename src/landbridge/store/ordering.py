"""Numbers for the feed of changes, given after commit: who reads it by number misses none."""

from __future__ import annotations

from dataclasses import dataclass

from landbridge.store.database import Database, Tx
from landbridge.store.sql import Sql

# The turn and the snapshot are as in outbox.move. A change is looked up by its id, one probe into
# one partition; a change that retention dropped in between gets no number.
_SEQUENCE = Sql(
    "ordering.sequence",
    """
    WITH turn AS MATERIALIZED (
        SELECT pg_try_advisory_xact_lock(hashtextextended('lb.change_new', 0)) AS mine,
               set_config('idle_in_transaction_session_timeout', '10s', true) AS patience
    ),
    taken AS (
        DELETE FROM lb.change_new AS c
        WHERE c.ctid = ANY (ARRAY(
            SELECT n.ctid FROM lb.change_new AS n
            WHERE (SELECT t.mine FROM turn AS t) AND n.place > :after
            ORDER BY n.place LIMIT :most))
        RETURNING c.place, c.changes
    ),
    numbered AS (
        INSERT INTO lb.change_order (number, environment, change)
        SELECT nextval('lb.change_counter'), s.environment, s.change
        FROM (SELECT c.environment, u.change
              FROM taken AS t,
                   LATERAL unnest(t.changes) WITH ORDINALITY AS u(change, n),
                   LATERAL (SELECT o.environment FROM lb.change AS o
                            WHERE o.id = u.change LIMIT 1) AS c
              ORDER BY t.place, u.n) AS s
        RETURNING 1
    )
    SELECT (SELECT t.mine FROM turn AS t) AS mine,
           (SELECT count(*) FROM taken) AS taken,
           (SELECT max(t.place) FROM taken AS t) AS last,
           (SELECT count(*) FROM numbered) AS numbered
    """,
    across="The feed of changes has one order for all tenants; each entry keeps its own.",
)


@dataclass(frozen=True, kw_only=True)
class Sequenced:
    """What one call did. `mine` is False when another process had the turn: nothing was done.

    `taken` rows, one per committed transaction, left the table, `last` is the highest place among
    them; their `changes` now have numbers.
    """

    mine: bool
    taken: int
    last: int
    changes: int

    @property
    def written(self) -> int:
        """Rows that it wrote."""
        return self.changes


async def sequence(db: Database | Tx, *, limit: int, after: int = 0) -> Sequenced:
    """Numbers the changes of up to `limit` committed transactions, in the order of their places.

    `after` is as in `outbox.move`.
    """
    row = await db.row(_SEQUENCE, most=limit, after=after)
    assert row is not None
    return Sequenced(
        mine=row["mine"],
        taken=row["taken"],
        last=row["last"] or after,
        changes=row["numbered"],
    )

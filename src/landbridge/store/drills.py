"""Drills: rotations of keys and revocations of many grants, and how far each came."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import msgspec

from landbridge import ids
from landbridge.store.database import Database, Row
from landbridge.store.sql import Sql


@dataclass(frozen=True, kw_only=True)
class Drill:
    """One drill. `args` says what of; `cursor` is how far it came, in its own words."""

    environment: str
    id: str
    kind: str
    args: Mapping[str, str]
    state: str
    cursor: str
    counts: Mapping[str, int]
    created_at: datetime
    ended_at: datetime | None


_COLUMNS = "environment, id, kind, args, state, cursor, counts, created_at, ended_at"

_ADD = Sql(
    "drills.add",
    f"""
    INSERT INTO lb.drill (environment, id, kind, args, state)
    VALUES (:environment, :id, :kind, :args, 'running')
    RETURNING {_COLUMNS}
    """,
)

_RUNNING = Sql(
    "drills.running",
    f"""
    SELECT {_COLUMNS} FROM lb.drill
    WHERE environment = :environment AND kind = :kind AND args = :args::jsonb
      AND state = 'running'
    ORDER BY id LIMIT 1
    """,
)

_NOTE = Sql(
    "drills.note",
    """
    UPDATE lb.drill SET cursor = :cursor, counts = :counts
    WHERE environment = :environment AND id = :id AND state = 'running'
    """,
)

_END = Sql(
    "drills.end",
    """
    UPDATE lb.drill SET state = 'done', counts = :counts, ended_at = lb.now()
    WHERE environment = :environment AND id = :id AND state = 'running'
    """,
)

_PUT = Sql(
    "drills.put_grant",
    """
    INSERT INTO lb.drill_grant (environment, tenant, drill, access_grant, outcome, reason)
    VALUES (:environment, :tenant, :drill, :access_grant, :outcome, :reason)
    ON CONFLICT (environment, tenant, drill, access_grant) DO UPDATE
    SET outcome = excluded.outcome, reason = excluded.reason, at = lb.now()
    """,
)

_REPORT = Sql(
    "drills.report",
    """
    SELECT tenant, access_grant, outcome, reason, at FROM lb.drill_grant
    WHERE environment = :environment AND drill = :drill ORDER BY tenant, access_grant
    """,
    across="The operator's report of a revocation has every tenant of an environment.",
)


async def begin(
    db: Database, *, environment: str, kind: str, args: Mapping[str, str]
) -> tuple[Drill, bool]:
    """The drill of this kind that was left running, or a new one; and whether it goes on."""
    text = msgspec.json.encode(dict(args), order="sorted").decode()
    row = await db.row(_RUNNING, environment=environment, kind=kind, args=text)
    if row is not None:
        return _drill(row), True
    row = await db.row(_ADD, environment=environment, id=ids.new("drill"), kind=kind, args=text)
    assert row is not None
    return _drill(row), False


async def note(db: Database, drill: Drill, *, cursor: str, counts: Mapping[str, int]) -> None:
    """Keeps how far a drill came."""
    await db.run(
        _NOTE, environment=drill.environment, id=drill.id, cursor=cursor, counts=_json(counts)
    )


async def end(db: Database, drill: Drill, *, counts: Mapping[str, int]) -> None:
    """Says that a drill is done."""
    await db.run(_END, environment=drill.environment, id=drill.id, counts=_json(counts))


async def put_grant(
    db: Database, drill: Drill, *, tenant: str, access_grant: str, outcome: str, reason: str
) -> None:
    """Keeps what became of a grant: revoked, failed or unsupported. The last word counts."""
    await db.run(
        _PUT,
        environment=drill.environment,
        tenant=tenant,
        drill=drill.id,
        access_grant=access_grant,
        outcome=outcome,
        reason=reason,
    )


async def report(db: Database, drill: Drill) -> list[Row]:
    """What became of each grant: tenant, access_grant, outcome, reason, at."""
    return await db.fetch(_REPORT, environment=drill.environment, drill=drill.id)


def _json(counts: Mapping[str, int]) -> str:
    return msgspec.json.encode(dict(counts)).decode()


def _drill(row: Row) -> Drill:
    values = dict(row)
    values["args"] = msgspec.json.decode(values["args"])
    values["counts"] = msgspec.json.decode(values["counts"])
    return Drill(**values)

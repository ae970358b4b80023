"""Links: which local row belongs to which remote record, and what both held when they agreed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec

from landbridge.store.database import Database, Row, Tx
from landbridge.store.sql import Sql


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A local id and a remote key that belong together; one of them is None until it is made.

    `state` is linked, or review: somebody has to say which of the `candidates` (local ids) it is.
    """

    environment: str
    tenant: str
    id: str
    name: str
    connection: str
    resource: str
    key: str | None = None
    local: str | None = None
    state: str = "linked"
    reason: str = ""
    """Why it does not go on: what the provider refused, or what could not be read."""
    candidates: tuple[str, ...] = ()
    ours: dict[str, Any] | None = None
    """What our side held when both agreed, as JSON values by field."""
    theirs: dict[str, Any] | None = None
    intent: str | None = None
    """The write that is on its way to the provider, or that a shadow keeps back."""
    pending: dict[str, Any] | None = None
    """What that write holds, to be agreed on once it is done."""
    refused: str | None = None
    """The digest of a write that the provider refused: it is not sent again as it is."""
    tries: int = 0
    """How often in a row the record had changed before it could be written."""
    subject: str | None = None
    """The person that the record is about."""
    created_at: datetime | None = field(default=None, compare=False)


@dataclass(frozen=True, kw_only=True)
class Linking:
    """How far a link is with a connection: `loading`, `scanning` (behind `place`), `live`."""

    environment: str
    tenant: str
    name: str
    connection: str
    state: str
    place: str
    reason: str


_COLUMNS = """environment, tenant, id, name, connection, resource, key, local, state, reason,
    candidates, ours, theirs, intent, pending, refused, tries, subject, created_at"""

_LOCK = Sql(
    "links.lock",
    "SELECT pg_advisory_xact_lock(hashtextextended(:what, 0))",
    across="It locks a name and reads no rows.",
)

_BY_ID = Sql(
    "links.by_id",
    f"SELECT {_COLUMNS} FROM lb.link"
    " WHERE environment = :environment AND tenant = :tenant AND id = :id",
)

_ANY_BY_ID = Sql(
    "links.any_by_id",
    f"SELECT {_COLUMNS} FROM lb.link WHERE environment = :environment AND id = :id",
    across="An id that staff was shown; the row names its tenant.",
)

_BY_KEY = Sql(
    "links.by_key",
    f"""
    SELECT {_COLUMNS} FROM lb.link
    WHERE environment = :environment AND tenant = :tenant AND name = :name
      AND connection = :connection AND key = :key
    """,
)

_BY_LOCAL = Sql(
    "links.by_local",
    f"""
    SELECT {_COLUMNS} FROM lb.link
    WHERE environment = :environment AND tenant = :tenant AND name = :name
      AND connection = :connection AND local = ANY(:locals::text[])
    """,
)

_UNMADE = Sql(
    "links.unmade",
    """
    SELECT EXISTS (
        SELECT 1 FROM lb.link AS link
        JOIN lb.intent AS intent ON intent.environment = link.environment
          AND intent.tenant = link.tenant AND intent.id = link.intent
        WHERE link.environment = :environment AND link.tenant = :tenant AND link.name = :name
          AND link.connection = :connection AND link.key IS NULL
          AND intent.state IN ('waiting', 'done') AND intent.created_at <= :before
    )
    """,
)

_REVIEWED = Sql(
    "links.reviewed",
    """
    SELECT EXISTS (
        SELECT 1 FROM lb.link
        WHERE environment = :environment AND tenant = :tenant AND name = :name
          AND connection = :connection AND state = 'review' AND :local = ANY(candidates)
    )
    """,
)

_WAITS = Sql(
    "links.waits",
    """
    SELECT EXISTS (
        SELECT 1 FROM lb.intent AS intent
        JOIN lb.link AS link ON link.environment = intent.environment
          AND link.tenant = intent.tenant AND link.id = intent.link AND link.intent = intent.id
        WHERE intent.environment = :environment AND intent.tenant = :tenant AND intent.id = :intent
    )
    """,
)

_SAVE = Sql(
    "links.save",
    """
    INSERT INTO lb.link (environment, tenant, id, name, connection, resource, key, local, state,
        reason, candidates, ours, theirs, intent, pending, refused, tries, subject)
    VALUES (:environment, :tenant, :id, :name, :connection, :resource, :key, :local, :state,
        :reason, :candidates::text[], :ours::jsonb, :theirs::jsonb, :intent, :pending::jsonb,
        :refused, :tries, :subject)
    ON CONFLICT (environment, tenant, id) DO UPDATE SET
        key = excluded.key, local = excluded.local, state = excluded.state,
        reason = excluded.reason, candidates = excluded.candidates, ours = excluded.ours,
        theirs = excluded.theirs, intent = excluded.intent, pending = excluded.pending,
        refused = excluded.refused, tries = excluded.tries, subject = excluded.subject,
        updated_at = lb.now()
    """,
)

_DROP = Sql(
    "links.drop",
    """
    WITH settled AS (
        UPDATE lb.conflict SET resolved_at = lb.now()
        WHERE environment = :environment AND tenant = :tenant AND link = :id
          AND resolved_at IS NULL
    )
    DELETE FROM lb.link WHERE environment = :environment AND tenant = :tenant AND id = :id
    """,
)

_LIST = Sql(
    "links.list",
    f"""
    SELECT {_COLUMNS} FROM lb.link
    WHERE environment = :environment AND (:tenant::text IS NULL OR tenant = :tenant)
      AND (:name::text IS NULL OR name = :name) AND id > :after
      AND (NOT :stuck::bool OR state = 'review' OR reason <> '')
    ORDER BY id LIMIT :most
    """,
    across="The SaaS's own staff looks at the links of all of its tenants.",
)

_UNSETTLED = Sql(
    "links.unsettled",
    """
    SELECT
        (SELECT count(*) FROM lb.linking WHERE environment = :environment) AS begun,
        (SELECT count(*) FROM lb.linking
         WHERE environment = :environment AND state = 'live' AND reason <> '') AS held_up,
        (SELECT count(*) FROM lb.link
         WHERE environment = :environment AND (state = 'review' OR reason <> '')) AS stuck,
        (SELECT count(*) FROM lb.conflict
         WHERE environment = :environment AND resolved_at IS NULL) AS conflicts
    """,
    across="Whoever runs the installation looks at the links of all of its tenants.",
)

_BEGIN = Sql(
    "linking.begin",
    """
    INSERT INTO lb.linking (environment, tenant, name, connection)
    SELECT connection.environment, connection.tenant, :name, connection.id
    FROM lb.connection AS connection
    WHERE connection.environment = :environment AND connection.provider = :provider
      AND connection.state = 'active'
      AND NOT EXISTS (
        SELECT 1 FROM lb.linking AS linking
        WHERE linking.environment = connection.environment
          AND linking.tenant = connection.tenant AND linking.name = :name
          AND linking.connection = connection.id)
    ON CONFLICT DO NOTHING
    RETURNING tenant, connection
    """,
    across="A link is for every connection to its provider; each row gets that one's tenant.",
)

_LINKING = Sql(
    "linking.one",
    """
    SELECT environment, tenant, name, connection, state, place, reason FROM lb.linking
    WHERE environment = :environment AND tenant = :tenant AND name = :name
      AND connection = :connection
    """,
)

_LINKINGS = Sql(
    "linking.list",
    """
    SELECT environment, tenant, name, connection, state, place, reason FROM lb.linking
    WHERE environment = :environment AND (:tenant::text IS NULL OR tenant = :tenant)
    ORDER BY name, tenant, connection
    """,
    across="The SaaS's own staff looks at the links of all of its tenants.",
)

_MOVE = Sql(
    "linking.move",
    """
    UPDATE lb.linking SET state = :state, place = :place, reason = :reason
    WHERE environment = :environment AND tenant = :tenant AND name = :name
      AND connection = :connection
    """,
)

_UNMET = Sql(
    "linking.unmet",
    """
    SELECT record.key FROM lb.record AS record
    WHERE record.environment = :environment AND record.tenant = :tenant
      AND record.connection = :connection AND record.resource = :resource
      AND record.kind = :kind AND record.deleted_at IS NULL AND record.key > :after
      AND NOT EXISTS (
        SELECT 1 FROM lb.link AS link
        WHERE link.environment = :environment AND link.tenant = :tenant AND link.name = :name
          AND link.connection = :connection AND link.key = record.key)
    ORDER BY record.key LIMIT :most
    """,
)

_LOADED = Sql(
    "linking.loaded",
    """
    SELECT pulled_at IS NOT NULL FROM lb.sync
    WHERE environment = :environment AND tenant = :tenant AND connection = :connection
      AND resource = :resource
    """,
)


async def lock(tx: Tx, *, environment: str, tenant: str, name: str) -> None:
    """Lets one transaction at a time work on a tenant's pairs of a link."""
    await tx.value(_LOCK, what=f"landbridge link {environment}/{tenant}/{name}")


async def by_id(db: Database | Tx, *, environment: str, tenant: str, id: str) -> Pair | None:
    """The pair with this id."""
    row = await db.row(_BY_ID, environment=environment, tenant=tenant, id=id)
    return _pair(row) if row else None


async def any_by_id(db: Database | Tx, *, environment: str, id: str) -> Pair | None:
    """The pair with this id, whoever's it is."""
    row = await db.row(_ANY_BY_ID, environment=environment, id=id)
    return _pair(row) if row else None


async def by_key(
    db: Database | Tx, *, environment: str, tenant: str, name: str, connection: str, key: str
) -> Pair | None:
    """The pair of a remote record."""
    row = await db.row(
        _BY_KEY,
        environment=environment,
        tenant=tenant,
        name=name,
        connection=connection,
        key=key,
    )
    return _pair(row) if row else None


async def by_local(
    db: Database | Tx,
    *,
    environment: str,
    tenant: str,
    name: str,
    connection: str,
    rows: Sequence[str],
) -> list[Pair]:
    """The pairs of rows of ours."""
    found = await db.fetch(
        _BY_LOCAL,
        environment=environment,
        tenant=tenant,
        name=name,
        connection=connection,
        locals=list(rows),
    )
    return [_pair(row) for row in found]


async def unmade(
    tx: Tx, *, environment: str, tenant: str, name: str, connection: str, before: datetime
) -> bool:
    """Whether a creation that was promised by then may have made a record nobody knows yet."""
    found: bool = await tx.value(
        _UNMADE,
        environment=environment,
        tenant=tenant,
        name=name,
        connection=connection,
        before=before,
    )
    return found


async def reviewed(
    tx: Tx, *, environment: str, tenant: str, name: str, connection: str, local: str
) -> bool:
    """Whether somebody has to say first whether this local row belongs to a remote record."""
    found: bool = await tx.value(
        _REVIEWED,
        environment=environment,
        tenant=tenant,
        name=name,
        connection=connection,
        local=local,
    )
    return found


async def waits(db: Database | Tx, *, environment: str, tenant: str, intent: str) -> bool:
    """Whether a pair waits for what becomes of this intent."""
    found: bool = await db.value(_WAITS, environment=environment, tenant=tenant, intent=intent)
    return found


async def save(tx: Tx, pair: Pair) -> None:
    """Writes a pair down, new or changed."""
    encode = msgspec.json.encode
    values = {name: getattr(pair, name) for name in _SAVE.binds}
    for name in ("ours", "theirs", "pending"):
        values[name] = None if values[name] is None else encode(values[name]).decode()
    values["candidates"] = list(pair.candidates)
    await tx.run(_SAVE, **values)


async def drop(tx: Tx, pair: Pair) -> None:
    """Forgets a pair whose sides are both gone."""
    await tx.run(_DROP, environment=pair.environment, tenant=pair.tenant, id=pair.id)


async def every(
    db: Database,
    *,
    environment: str,
    tenant: str | None = None,
    name: str | None = None,
    stuck: bool = False,
    after: str = "",
    most: int = 100,
) -> list[Pair]:
    """Pairs, oldest first. `stuck`: only those in review or with a reason why they do not go on."""
    rows = await db.fetch(
        _LIST,
        environment=environment,
        tenant=tenant,
        name=name,
        stuck=stuck,
        after=after,
        most=most,
    )
    return [_pair(row) for row in rows]


@dataclass(frozen=True, kw_only=True)
class Unsettled:
    """How many links have begun with a connection, are held up by their table, how many pairs do
    not go on, and how many conflicts are open."""

    begun: int
    held_up: int
    stuck: int
    conflicts: int


async def unsettled(db: Database | Tx, *, environment: str) -> Unsettled:
    """What somebody has to look at, in an environment."""
    row = await db.row(_UNSETTLED, environment=environment)
    assert row is not None
    return Unsettled(**dict(row))


async def begin(tx: Tx, *, environment: str, name: str, provider: str) -> list[tuple[str, str]]:
    """Tenant and id of each connection that this link did not know yet; now it does."""
    rows = await tx.fetch(_BEGIN, environment=environment, name=name, provider=provider)
    return [(row[0], row[1]) for row in rows]


async def linking(
    db: Database | Tx, *, environment: str, tenant: str, name: str, connection: str
) -> Linking | None:
    """How far a link is with a connection; None: it has not begun."""
    row = await db.row(
        _LINKING, environment=environment, tenant=tenant, name=name, connection=connection
    )
    return Linking(**dict(row)) if row else None


async def linkings(db: Database, *, environment: str, tenant: str | None = None) -> list[Linking]:
    """How far each link is with each connection."""
    rows = await db.fetch(_LINKINGS, environment=environment, tenant=tenant)
    return [Linking(**dict(row)) for row in rows]


async def move(
    tx: Tx | Database, at: Linking, *, state: str, place: str = "", reason: str = ""
) -> None:
    """Writes down how far a link is."""
    await tx.run(
        _MOVE,
        environment=at.environment,
        tenant=at.tenant,
        name=at.name,
        connection=at.connection,
        state=state,
        place=place,
        reason=reason,
    )


async def unmet(
    db: Database | Tx, at: Linking, *, resource: str, kind: str, after: str, most: int
) -> list[str]:
    """The keys behind `after` of remote records that are in no pair, in order."""
    rows = await db.fetch(
        _UNMET,
        environment=at.environment,
        tenant=at.tenant,
        name=at.name,
        connection=at.connection,
        resource=resource,
        kind=kind,
        after=after,
        most=most,
    )
    return [row[0] for row in rows]


async def loaded(
    db: Database | Tx, *, environment: str, tenant: str, connection: str, resource: str
) -> bool:
    """Whether the remote records have been pulled whole once."""
    found: bool | None = await db.value(
        _LOADED,
        environment=environment,
        tenant=tenant,
        connection=connection,
        resource=resource,
    )
    return bool(found)


def _pair(row: Row) -> Pair:
    values = dict(row)
    for name in ("ours", "theirs", "pending"):
        if values[name] is not None:
            values[name] = msgspec.json.decode(values[name])
    values["candidates"] = tuple(values["candidates"])
    return Pair(**values)

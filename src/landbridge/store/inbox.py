"""Inbox events by what they are about, read in pages from the newest on."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from landbridge import ids
from landbridge.store.arrivals import InboxEvent
from landbridge.store.database import Database
from landbridge.store.sql import Sql

_NEWEST = "inb_~"
"""Above any id."""


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Which inbox events are meant; what is None or empty limits nothing.

    `topic` may hold `*` for exactly one word between dots. `since` is inclusive, `until` is not.
    """

    environment: str
    tenant: str | None = None
    connection: str | None = None
    apps: Sequence[str] | None = None
    topic: str | None = None
    kinds: Sequence[str] | None = None
    outcome: str | None = None
    source: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    before: str = field(default=_NEWEST, repr=False)
    """The last id of the page before this one."""


_PAGE = Sql(
    "inbox.page",
    """
    SELECT e.environment, e.tenant, e.id, e.app, e.connection, e.arrival, e.vendor_id, e.topic,
        e.resource, e.key, e.outcome, e.occurred_at, e.subject, e.source, e.kind, e.created_at
    FROM lb.inbox_event AS e
    WHERE e.environment = :environment AND e.id >= :first AND e.id < :last AND e.id < :before_id
      AND (:tenant::text IS NULL OR e.tenant = :tenant)
      AND (:connection::text IS NULL OR e.connection = :connection)
      AND (:apps::text[] IS NULL OR e.app = ANY(:apps))
      AND (:pattern::text IS NULL OR e.topic ~ :pattern)
      AND (:kinds::text[] IS NULL OR e.kind = ANY (:kinds))
      AND (:outcome::text IS NULL OR e.outcome = :outcome)
      AND (:source::text IS NULL OR e.source = :source)
    ORDER BY e.id DESC LIMIT :most
    """,
    across="The operator's list shows every tenant of an environment unless one is named.",
)

_OF_ARRIVAL = Sql(
    "inbox.of_arrival",
    """
    SELECT e.environment, e.tenant, e.id, e.app, e.connection, e.arrival, e.vendor_id, e.topic,
        e.resource, e.key, e.outcome, e.occurred_at, e.subject, e.source, e.kind, e.created_at
    FROM lb.inbox_event AS e
    WHERE e.environment = :environment AND e.id >= :first AND e.id < :last AND e.arrival = :arrival
    ORDER BY e.id LIMIT :most
    """,
    across="The operator asks what came of a webhook, which may concern several tenants.",
)

_PARKED = Sql(
    "inbox.parked",
    """
    SELECT id, reason FROM lb.parked
    WHERE environment = :environment AND tenant = :tenant AND what = :what AND place = :app
      AND resource = :resource AND key = :arrival
    """,
)

_COUNT = Sql(
    "inbox.count",
    """
    SELECT count(*) FROM lb.inbox_event AS e
    WHERE e.environment = :environment AND e.id >= :first AND e.id < :last
      AND (:tenant::text IS NULL OR e.tenant = :tenant)
      AND (:connection::text IS NULL OR e.connection = :connection)
      AND (:apps::text[] IS NULL OR e.app = ANY(:apps))
      AND (:pattern::text IS NULL OR e.topic ~ :pattern)
      AND (:kinds::text[] IS NULL OR e.kind = ANY (:kinds))
      AND (:outcome::text IS NULL OR e.outcome = :outcome)
      AND (:source::text IS NULL OR e.source = :source)
    """,
    across="The operator's count is over every tenant of an environment unless one is named.",
)


async def page(db: Database, wanted: Selection, *, most: int) -> list[InboxEvent]:
    """The next page, newest first; a page shorter than `most` is the last.

    The next one is the same selection with `before` set to the last id.
    """
    rows = await db.fetch(_PAGE, **_binds(wanted), before_id=wanted.before, most=most)
    return [InboxEvent(**dict(row)) for row in rows]


async def count(db: Database, wanted: Selection) -> int:
    """How many events are meant."""
    found: int = await db.value(_COUNT, **_binds(wanted))
    return found


async def of_arrival(
    db: Database, *, environment: str, arrival: str, most: int = 1000
) -> list[InboxEvent]:
    """What a webhook was sorted into since it came, replays too, at most so many.

    It looks through all that came since, so it is for a person who asks about one webhook.
    """
    rows = await db.fetch(
        _OF_ARRIVAL,
        environment=environment,
        arrival=arrival,
        first="inb_" + arrival.removeprefix("arr_")[:10],
        last=_NEWEST,
        most=most,
    )
    return [InboxEvent(**dict(row)) for row in rows]


async def parked_as(
    db: Database, *, environment: str, app: str, arrival: str
) -> tuple[str, str] | None:
    """Under which id a webhook is parked, and why; None when it is not."""
    row = await db.row(
        _PARKED,
        environment=environment,
        tenant="",  # none is known yet
        what="arrival",
        app=app,
        resource="",
        arrival=arrival,
    )
    return (row["id"], row["reason"]) if row else None


def _binds(wanted: Selection) -> dict[str, object]:
    return {
        "environment": wanted.environment,
        "tenant": wanted.tenant,
        "connection": wanted.connection,
        "apps": None if wanted.apps is None else list(wanted.apps),
        "pattern": None if wanted.topic is None else _pattern(wanted.topic),
        "kinds": None if wanted.kinds is None else list(wanted.kinds),
        "outcome": wanted.outcome,
        "source": wanted.source,
        "first": ids.bound("inb", wanted.since) if wanted.since else "",
        "last": ids.bound("inb", wanted.until) if wanted.until else _NEWEST,
    }


def _pattern(topic: str) -> str:
    words = ["[^.]+" if word == "*" else re.escape(word) for word in topic.split(".")]
    return "^" + r"\.".join(words) + "$"

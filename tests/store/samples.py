"""Values for columns and binds, by their names, so that every statement can be run or explained."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from landbridge.store.sql import Sql

OWN = ("test", "acme")
ID = "any_00000000000000000000000000"
KEY = f"{ID}/invoice"
THEN = datetime(2026, 1, 1, tzinfo=UTC)
LATER = datetime(2100, 1, 1, tzinfo=UTC)

# Equal for everyone, so that a statement that forgets the tenant would meet the others' rows too.
# By column, or table.column; a bind of the same name gets the same value, `names` gets [name].
CELLS: dict[str, Any] = {
    "access_grant": ID,
    "account": "account",
    "action": "create",
    "app": ID,
    "arrival": ID,
    "attempt": 1,
    "change": ID,
    "connection": ID,
    "day": date(2026, 1, 1),
    "delivery": ID,
    "due.attempt": 1,
    "endpoint": ID,
    "event": ID,
    "expires_at": THEN + timedelta(days=3650),
    "fence": 7,
    "id": ID,
    "idempotency_key": KEY,
    "key": KEY,
    "kind": "payments.invoice",
    "due.kind": "deliver",
    "label": "",
    "lane": "deliver",
    "listing": "listing",
    "name": "name",
    "number": 5,
    "outcome": "failing",
    "owner": "owner",
    "page": 1,
    "place": ID,
    "provider": "stripe",
    "ref": ID,
    "resource": "invoice",
    "run": ID,
    "scope": "",
    "seen.keys": [KEY],
    "status": 500,
    "target": ID,
    "token": "token",
    "type": "invoice.paid",
    "types": ["*"],
    "vendor_id": "vendor",
    "version": 1,
    "record.version": "1",
    "what": "record",
    "connection.state": "active",
    "endpoint.state": "enabled",
    "inbox_event.outcome": "pull",
    "intent.state": "waiting",
    "run.state": "running",
    "deleted_at": None,
    "settled_at": None,
    "ended_at": None,
    "repeat": None,
}

# Values of binds, as statement.name or name; the rest are CELLS, and `names` is [name].
BINDS: dict[str, Any] = {
    "environment": OWN[0],
    "tenant": OWN[1],
    "account_name": "name of the account",
    "after": 0,
    "records.read.after": "",
    "afters": [timedelta(minutes=5)],
    "args": [None],
    "arrivals": [ID],
    "ats": [None],
    "attempts": [2],
    "deliveries.settle.attempts": ["new"],
    "before": date(2020, 1, 1),
    "bodies": [b"body"],
    "cap": 1000,
    "changed": 1,
    "changes": ["new"],
    "content_type": "application/json",
    "cursor": "{}",
    "days": 1,
    "deleted": True,
    "digests": [b"digest"],
    "document": "{}",
    "due": "new_due",
    "ends": [True],
    "errors": ["error"],
    "fields": ["total"],
    "first": "",
    "gone": 1,
    "headers": [b"headers"],
    "keep": timedelta(days=1),
    "key_lives": timedelta(days=1),
    "last": "~",
    "lease": timedelta(minutes=5),
    "limit": 100,
    "most": 100,
    "ns": [1],
    "occurred_ats": [THEN],
    "outcomes": ["pull"],
    "of_table": "event",
    "ordering_key": None,
    "parked": 1,
    "parked.list.place": ID,
    "payload": b"payload",
    "per_shard": 20,
    "prefix": "due_",
    "problems": None,
    "raws": [b"raw"],
    "reason": "reason",
    "reasons": ["reason"],
    "refs": [ID],
    "repeats": [None],
    "resources": ["invoice"],
    "schema": "landbridge",
    "stream": "lb.record/test",
    "schema_version": 1,
    "scopes": ["read"],
    "secret": b"secret",
    "secrets": b"secrets",
    "seen": 1,
    "settings": "{}",
    "since": "",
    "changes.of_key.since": 0,
    "start": 0,
    "state": "waiting",
    "connections.set_state.state": "paused",
    "deliveries.list.state": None,
    "endpoints.set_state.state": "disabled",
    "endpoints.set_state.url": None,
    "runs.end.state": "done",
    "states": ["delivered"],
    "statuses": [200],
    "subject": "subject",
    "subjects": ["subject"],
    "tooks": [5],
    "topics": ["invoice.paid"],
    "unifieds": ['{"total": 1}'],
    "until": 1000,
    "url": "https://example.com/hook",
    "versions": ["2"],
    "were": None,
    # What is made must not be there yet.
    "apps.ensure.id": "new",
    "apps.ensure.name": "new",
    "apps.ensure.token": "new",
    "consumers.join.name": "new",
    "deliveries.again.id": "any_done",
    "deliveries.hasten.id": "any_waiting",
    "due.put.ids": ["new"],
    "due.take.kind": "pull",
    "endpoints.add.id": "new",
    "grants.save.id": "new",
    "inbox.admit.keys": ["new"],
    "intents.add.id": "new",
    "runs.start.id": "new",
    "syncs.add.resources": ["new"],
    "tenant_keys.add.version": 2,
    "wrapped": b"wrapped",
    "wrapped_by": "key",
}


def sample(statement: Sql, name: str) -> Any:
    """A value for a bind of this statement; a bind that nobody thought of fails the test."""
    for cells, key in ((BINDS, f"{statement.name}.{name}"), (BINDS, name), (CELLS, name)):
        if key in cells:
            return cells[key]
    singular = name.removesuffix("s")
    if singular != name and (singular in BINDS or singular in CELLS):
        return [sample(statement, singular)]
    pytest.fail(f"{statement.name}: give the bind {name} a sample in BINDS of {__file__}")

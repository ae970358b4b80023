"""Sorts arrivals: splits them into events, finds whose they are, and orders what they ask for."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from landbridge import ids
from landbridge.errors import RecordError
from landbridge.spec import Provider, Resource, Webhook, find, topic_matches
from landbridge.store import apps, arrivals, connections, due, parked
from landbridge.store.arrivals import Arrival, InboxEvent
from landbridge.store.connections import Connection
from landbridge.store.database import Database, Tx
from landbridge.store.parked import Stop

KEEP_KEYS = timedelta(days=30)
"""How long an event's id is remembered, so that the same event is not admitted again."""


@dataclass(frozen=True, kw_only=True)
class Notice:
    """One event as the provider's page reads it."""

    vendor_id: str
    topic: str
    key: str
    account: str
    occurred_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class Sorted:
    """What became of some arrivals."""

    filed: int = 0
    duplicates: int = 0
    parked: int = 0


def notices(webhook: Webhook, body: bytes) -> list[Notice]:
    """The events of a body; RecordError names what is missing or not readable."""
    try:
        content = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RecordError(f"the body is not JSON ({error})") from None
    except RecursionError:
        raise RecordError("the body is nested too deeply to be read") from None
    listed = find(content, webhook.events) if webhook.events else [content]
    if not isinstance(listed, list):
        raise RecordError(f"no list of events at {webhook.events}", field=webhook.events)
    return [_notice(webhook, event) for event in listed]


def _notice(webhook: Webhook, event: Any) -> Notice:
    topic = find(event, webhook.topic)
    if not isinstance(topic, str) or not topic:
        raise RecordError(f"the event names no topic at {webhook.topic}", field=webhook.topic)
    vendor_id = find(event, webhook.id)
    if not isinstance(vendor_id, str | int) or vendor_id == "":
        vendor_id = (
            "digest:" + hashlib.sha256(msgspec.json.encode(event, order="sorted")).hexdigest()
        )
    stamp = find(event, webhook.stamp) if webhook.stamp else None
    occurred_at = None
    if isinstance(stamp, int | float) and 0 < stamp < 4e9:
        occurred_at = datetime.fromtimestamp(stamp, tz=UTC)
    account = find(event, webhook.account) if webhook.account else ""
    key = find(event, webhook.object_key)
    for path, value in (
        (webhook.topic, topic),
        (webhook.id, vendor_id),
        (webhook.account, account),
        (webhook.object_key, key),
    ):
        if "\x00" in str(value):
            raise RecordError(f"the text at {path} holds a NUL character", field=path)
    return Notice(
        vendor_id=str(vendor_id),
        topic=topic,
        key=str(key) if isinstance(key, str | int) else "",
        account=str(account or ""),
        occurred_at=occurred_at,
    )


def resource_of(provider: Provider, topic: str) -> tuple[Resource | None, str]:
    """Which resource a topic is about, and whether it asks for a pull or tells of a deletion."""
    for resource in provider.resources:
        if any(topic_matches(pattern, topic) for pattern in resource.deletes):
            return resource, "delete"
        if any(topic_matches(pattern, topic) for pattern in resource.topics):
            return resource, "pull"
    return None, "ignored"


async def sort(
    db: Database,
    *,
    environment: str,
    arrivals_named: Sequence[str],
    provider: Callable[[str], Provider],
    hold: Callable[[Tx], Any],
) -> Sorted:
    """Sorts these arrivals in one transaction; doing it twice changes nothing the second time."""
    loaded = await arrivals.load(db, environment=environment, arrivals=arrivals_named)
    stops: dict[str, list[Stop]] = defaultdict(list)
    filed: dict[tuple[str, str], list[tuple[InboxEvent, Connection]]] = defaultdict(list)
    for arrival in loaded:
        for found in await _sort_one(db, arrival, provider):
            if isinstance(found, Stop):
                stops[arrival.app].append(found)
            else:
                filed[found[1].tenant, arrival.app].append(found)
    total = sum(len(group) for group in filed.values())
    admitted = 0
    async with db.transaction() as tx:
        await hold(tx)
        for (tenant, app), group in sorted(filed.items(), key=lambda item: item[0]):
            admitted += await _file(tx, group, environment=environment, tenant=tenant, app=app)
        for app, some in stops.items():
            await parked.park(
                tx, some, environment=environment, tenant="", what="arrival", place=app
            )
    return Sorted(
        filed=admitted,
        duplicates=total - admitted,
        parked=sum(len(some) for some in stops.values()),
    )


async def _sort_one(
    db: Database, arrival: Arrival, provider_of: Callable[[str], Provider]
) -> list[Stop | tuple[InboxEvent, Connection]]:
    def stop(reason: str, field: str | None = None) -> list[Stop | tuple[InboxEvent, Connection]]:
        return [Stop(key=arrival.id, reason=reason, field=field, raw=arrival.body)]

    app = await apps.by_id(db, environment=arrival.environment, id=arrival.app)
    if app is None:
        return stop("the app of this address was removed")
    provider = provider_of(app.provider)
    if provider.webhook is None:
        return stop(f"{provider.name} sends no webhooks")
    try:
        found = notices(provider.webhook, arrival.body)
    except RecordError as error:
        return stop(str(error), error.field)
    routed: list[Stop | tuple[InboxEvent, Connection]] = []
    homeless: list[Stop | tuple[InboxEvent, Connection]] = []
    for notice in found:
        targets = await _targets(db, arrival, notice)
        if not targets:
            whose = f"account {notice.account!r}" if notice.account else "no account that we know"
            homeless = stop(
                f"{provider.name} names {whose}: connect it, or give the connection's own"
                " intake address to the provider; then replay this"
            )
            continue
        resource, outcome = resource_of(provider, notice.topic)
        for connection in targets:
            event = InboxEvent(
                environment=arrival.environment,
                tenant=connection.tenant,
                id=ids.new("inb"),
                app=arrival.app,
                connection=connection.id,
                arrival=arrival.id,
                vendor_id=notice.vendor_id,
                topic=notice.topic,
                resource=resource.name if resource else "",
                key=notice.key,
                outcome=outcome if notice.key else "ignored",
                occurred_at=notice.occurred_at,
                source=arrival.source,
            )
            routed.append((event, connection))
    return routed + homeless


async def _targets(db: Database, arrival: Arrival, notice: Notice) -> list[Connection]:
    if arrival.connection is not None:
        found = await connections.by_id(db, environment=arrival.environment, id=arrival.connection)
        return [found] if found else []
    if notice.account:
        return await connections.by_account(
            db, environment=arrival.environment, app=arrival.app, account=notice.account
        )
    return []


async def _file(
    tx: Tx,
    group: Sequence[tuple[InboxEvent, Connection]],
    *,
    environment: str,
    tenant: str,
    app: str,
) -> int:
    by_key: dict[str, InboxEvent] = {}
    for event, connection in group:
        by_key.setdefault(f"{connection.id}:{event.vendor_id}", event)
    fresh = await arrivals.admit(
        tx, sorted(by_key), environment=environment, tenant=tenant, app=app, keep=KEEP_KEYS
    )
    events = [by_key[key] for key in sorted(fresh)]
    await arrivals.file(tx, events, environment=environment, tenant=tenant, app=app)
    await due.put(tx, [_order(event) for event in _latest(events)])
    return len(events)


def _latest(events: Sequence[InboxEvent]) -> list[InboxEvent]:
    """One event per object that must be read again."""
    wanted: Mapping[tuple[str, str, str], InboxEvent] = {
        (event.connection, event.resource, event.key): event
        for event in events
        if event.outcome != "ignored"
    }
    return [wanted[place] for place in sorted(wanted)]


def _order(event: InboxEvent) -> due.Job:
    return due.Job(
        environment=event.environment,
        tenant=event.tenant,
        lane="pull",
        kind="fetch",
        target=event.connection,
        key=f"{event.connection}/{event.resource}/{event.key}",
        args={"resource": event.resource, "key": event.key},
    )

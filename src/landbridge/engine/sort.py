"""Sorts arrivals: splits them into events, finds whose they are, and orders what they ask for."""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from landbridge import ids
from landbridge.engine.orders import fetch_job
from landbridge.errors import RecordError
from landbridge.spec import (
    Body,
    Provider,
    Resource,
    Webhook,
    find,
    kind_of,
    told_beside,
    topic_matches,
)
from landbridge.store import apps, arrivals, by_field, connections, due, listeners, parked
from landbridge.store.apps import App
from landbridge.store.arrivals import Arrival, InboxEvent
from landbridge.store.connections import Connection
from landbridge.store.database import Database, Tx
from landbridge.store.parked import Stop
from landbridge.store.syncs import Stream

KEEP_KEYS = timedelta(days=30)
"""How long an event's id is remembered, so that the same event is not admitted again."""

_DIGEST = "digest:"
"""How the id of an event begins that its vendor gave none."""

_MOST_FIELDS = 1000
"""Of a form; more are not read."""

_LONGEST = 500
"""Characters of an id, a topic or a key; no vendor's come near it, and an index takes no more."""


@dataclass(frozen=True, kw_only=True)
class Notice:
    """One event as the provider's page reads it."""

    vendor_id: str
    topic: str
    kind: str
    """What it means at any provider (`EVENT_KINDS`); empty: the page does not say."""
    key: str
    account: str
    subject: str
    object: Any
    """The copy of the object that came along; None: there was none."""
    occurred_at: datetime | None
    sent: Any
    """The event as the vendor sent it."""
    of: str = ""
    """The resource of the record, where it is another one than the topic's own (`Means.of`)."""
    by: str = ""
    """The field of the record that is `key`, where that is not its id (`Means.by`)."""


@dataclass(frozen=True, kw_only=True)
class Sorted:
    """What became of some arrivals."""

    filed: int = 0
    duplicates: int = 0
    parked: int = 0


def notices(webhook: Webhook, body: bytes) -> list[Notice]:
    """The events of a body; RecordError names what is missing or not readable.

    One that tells of another record too (`Means.about`) is followed by that, under its own id.
    """
    if webhook.form:
        return [*_told(webhook, _fields(body))]
    try:
        content = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RecordError(f"the body is not JSON ({error})") from None
    except RecursionError:
        raise RecordError("the body is nested too deeply to be read") from None
    for other in webhook.others:
        inside = _inside(content, other.events.split("."), {})
        if inside:
            shaped = replace(webhook, others=(), events="", listing=None, **_paths(other))
            return [notice for event in inside for notice in _told(shaped, event)]
    alone = content if isinstance(content, list) else [content]
    listed = find(content, webhook.events) if webhook.events else alone
    if not isinstance(listed, list):
        raise RecordError(f"no list of events at {webhook.events}", field=webhook.events)
    return [notice for event in listed for notice in _told(webhook, event)]


def _inside(value: Any, steps: Sequence[str], around: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The objects at the end of a path through lists, each with what those around it say."""
    if not isinstance(value, dict):
        return []
    if not steps:
        return [{**around, **value}]
    said = {name: each for name, each in value.items() if not isinstance(each, list | dict)}
    name = steps[0].removesuffix("[]")
    items = value.get(name) if name != steps[0] else [value.get(name)]
    return [
        event
        for item in (items if isinstance(items, list) else ())
        for event in _inside(item, steps[1:], {**around, **said})
    ]


def _paths(body: Body) -> dict[str, Any]:
    names = ("id", "topic", "object_key", "account", "stamp")
    return {name: getattr(body, name) for name in names}


def _fields(body: bytes) -> dict[str, str]:
    """The fields of a form; of several with one name the last."""
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=_MOST_FIELDS)
    except ValueError:  # too many, or not UTF-8
        raise RecordError("the body is no form") from None
    if not pairs:
        raise RecordError("the body is no form")
    return dict(pairs)


def _told(webhook: Webhook, event: Any) -> Iterator[Notice]:
    notice = _notice(webhook, event)
    yield notice
    for means, key in told_beside(webhook.kinds, notice.topic, event):
        yield replace(
            notice,
            vendor_id=f"{notice.vendor_id}/{means.kind}",
            kind=means.kind,
            of=means.of,
            by=means.by,
            key=_text(key, means.about),
        )


def _notice(webhook: Webhook, event: Any) -> Notice:
    topic = _topic(event, webhook.topic)
    if not isinstance(topic, str) or not topic:
        raise RecordError(f"the event names no topic at {webhook.topic}", field=webhook.topic)
    vendor_id = find(event, webhook.id)
    if not isinstance(vendor_id, str | int) or vendor_id == "":
        content = msgspec.json.encode(event, order="sorted")
        vendor_id = _DIGEST + hashlib.sha256(content).hexdigest()
    stamp = find(event, webhook.stamp) if webhook.stamp else None
    occurred_at = _instant(stamp)
    account = find(event, webhook.account) if webhook.account else ""
    told = (find(event, path) for path in (webhook.object_key, *webhook.other_keys))
    key = next((each for each in told if isinstance(each, str | int)), None)
    subject = find(event, webhook.subject) if webhook.subject else None
    return Notice(
        vendor_id=_text(vendor_id, webhook.id),
        topic=_text(topic, webhook.topic),
        kind=kind_of(webhook.kinds, topic, event),
        key=_text(key, webhook.object_key) if isinstance(key, str | int) else "",
        account=_text(account or "", webhook.account),
        subject=_text(subject, webhook.subject) if isinstance(subject, str | int) else "",
        object=_object(event, webhook.object) if webhook.object else None,
        occurred_at=occurred_at,
        sent=event,
    )


def _topic(event: Any, path: str) -> Any:
    """What happened: at a path, or where the path is a template, from each of its holes."""
    if "{" not in path:
        return find(event, path)
    return _filled(event, path)


def _object(event: Any, path: str) -> Any:
    """The copy of the object that came along; None: there was none."""
    way = _filled(event, path)
    return find(event, way) if way else None


def _filled(event: Any, template: str) -> str | None:
    """A template with what the event has at each of its holes; None: one of them is no word."""
    if "{" not in template:
        return template
    words = {hole: find(event, hole) for hole in re.findall(r"\{([^{}]+)\}", template)}
    if not all(isinstance(word, str) and word for word in words.values()):
        return None
    return re.sub(r"\{([^{}]+)\}", lambda hole: str(words[hole[1]]), template)


def _instant(stamp: Any) -> datetime | None:
    """An event's instant, from unix seconds or ISO text; None: it is neither."""
    if isinstance(stamp, int | float) and 0 < stamp < 4e9:
        return datetime.fromtimestamp(stamp, tz=UTC)
    if not isinstance(stamp, str):
        return None
    try:
        moment = datetime.fromisoformat(stamp)
    except ValueError:
        return None
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def _text(value: object, path: str) -> str:
    """A value as text that an index takes; RecordError says what is wrong with any other."""
    if isinstance(value, int) and abs(value) >= 10**_LONGEST:
        raise RecordError(f"the number at {path} is longer than {_LONGEST} digits", field=path)
    text = str(value)
    if len(text) > _LONGEST:
        raise RecordError(
            f"the text at {path} is longer than {_LONGEST} characters ({len(text)})", field=path
        )
    if "\x00" in text:
        raise RecordError(f"the text at {path} holds a NUL character", field=path)
    return text


def resource_of(provider: Provider, topic: str) -> tuple[Resource | None, str]:
    """Which resource a topic is about, and whether it asks for a pull or tells of a deletion."""
    for resource in provider.resources:
        if any(topic_matches(pattern, topic) for pattern in resource.deletes):
            return resource, "delete"
        if any(topic_matches(pattern, topic) for pattern in resource.topics):
            return resource, "pull"
    return None, "ignored"


def _about(provider: Provider, notice: Notice) -> tuple[Resource | None, str]:
    return (
        (provider.resource(notice.of), "pull") if notice.of else resource_of(provider, notice.topic)
    )


def added_of(connection: Connection, topic: str) -> tuple[str, str]:
    """Which custom object of a connection a topic is about, and what it asks for, as
    `resource_of`."""
    for row in connection.overlay:
        for outcome, told in (("delete", "deletes"), ("pull", "topics")):
            patterns = row.facts.get(told, ()) if row.resource and not row.field else ()
            if any(topic_matches(pattern, topic) for pattern in patterns):
                return row.resource, outcome
    return "", "ignored"


def subject_of(resource: Resource | None, notice: Notice) -> str | None:
    """The person an event is about, as far as it says so; RecordError when the name is no text."""
    if resource is None or not resource.subject:
        return notice.subject or None
    if resource.subject == resource.key and notice.key:
        return notice.key
    found = find(notice.object, resource.subject)
    if isinstance(found, str | int):
        return _text(found, resource.subject) or None
    return notice.subject or None


@dataclass(frozen=True, kw_only=True)
class Routed:
    """Where the events of some arrivals belong: by (tenant, app) to connections, by app to nobody
    that we know."""

    filed: Mapping[tuple[str, str], Sequence[tuple[InboxEvent, Connection]]]
    stops: Mapping[str, Sequence[Stop]]


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
    routed = await route(db, loaded, provider)
    async with db.transaction() as tx:
        await hold(tx)
        return await enter(tx, routed, environment=environment)


async def route(
    db: Database, some: Sequence[Arrival], provider: Callable[[str], Provider]
) -> Routed:
    """Whose the events of these arrivals are; nothing is written."""
    router = _Router(db, provider)
    stops: dict[str, list[Stop]] = defaultdict(list)
    filed: dict[tuple[str, str], list[tuple[InboxEvent, Connection]]] = defaultdict(list)
    for arrival in some:
        for found in await router.sort_one(arrival):
            if isinstance(found, Stop):
                stops[arrival.app].append(found)
            else:
                filed[found[1].tenant, arrival.app].append(found)
    return Routed(filed=filed, stops=stops)


async def enter(tx: Tx, routed: Routed, *, environment: str) -> Sorted:
    """Files what was not admitted before, orders what it asks for, and parks what is nobody's."""
    admitted = 0
    for (tenant, app), group in sorted(routed.filed.items(), key=lambda item: item[0]):
        admitted += await _file(tx, group, environment=environment, tenant=tenant, app=app)
    for app, some in sorted(routed.stops.items()):
        await parked.park(tx, some, environment=environment, tenant="", what="arrival", place=app)
    return Sorted(
        filed=admitted,
        duplicates=sum(len(group) for group in routed.filed.values()) - admitted,
        parked=sum(len(some) for some in routed.stops.values()),
    )


Found = Stop | tuple[InboxEvent, Connection]


class _Router:
    """Finds whose events are, and asks the database once for each app, account and connection."""

    def __init__(self, db: Database, provider: Callable[[str], Provider]):
        self._db = db
        self._provider = provider
        self._apps: dict[tuple[str, str], App | None] = {}
        self._targets: dict[tuple[str, str, str | None, str], list[Connection]] = {}

    async def sort_one(self, arrival: Arrival) -> list[Found]:
        """The events of one arrival, each with its connection; or why it goes nowhere."""

        def stop(reason: str, field: str | None = None) -> list[Found]:
            return [Stop(key=arrival.id, reason=reason, field=field, raw=arrival.body)]

        app = await self._app(arrival)
        if app is None:
            return stop("the app of this address was removed")
        provider = self._provider(app.provider)
        if provider.webhook is None:
            return stop(f"{provider.name} sends no webhooks")
        try:
            found = [
                (notice, *about, subject_of(about[0], notice))
                for notice in notices(as_sent(provider.webhook, arrival), arrival.body)
                for about in [_about(provider, notice)]
            ]
        except RecordError as error:
            return stop(str(error), error.field)
        routed: list[Found] = []
        homeless: list[Found] = []
        for notice, resource, outcome, subject in found:
            targets = await self._whose(arrival, notice)
            if not targets:
                whose = f"account {notice.account!r}" if notice.account else "no account we know"
                homeless = stop(
                    f"{provider.name} names {whose}: connect it, or give the connection's own"
                    " intake address to the provider; then replay this"
                )
            for connection in targets:
                about = (resource.name, outcome) if resource else added_of(connection, notice.topic)
                key = await self._key(notice, connection)
                if key is not None:
                    event = partial(_event, arrival, replace(notice, key=key), subject)
                    routed.append((event(*about, connection), connection))
        return routed + homeless

    async def _key(self, notice: Notice, connection: Connection) -> str | None:
        """The id of the record that an event is about; None: it is of none that is held."""
        if not notice.by:
            return notice.key
        stream = _stream(connection.environment, connection.tenant, connection.id, notice.of)
        found = await by_field.saying(self._db, stream, field=notice.by, word=notice.key, most=1)
        return next(iter(found), None)

    async def _app(self, arrival: Arrival) -> App | None:
        place = (arrival.environment, arrival.app)
        if place not in self._apps:
            self._apps[place] = await apps.by_id(
                self._db, environment=arrival.environment, id=arrival.app
            )
        return self._apps[place]

    async def _whose(self, arrival: Arrival, notice: Notice) -> list[Connection]:
        account = "" if arrival.connection is not None else notice.account
        place = (arrival.environment, arrival.app, arrival.connection, account)
        if place not in self._targets:
            self._targets[place] = await self._ask(arrival, account)
        return self._targets[place]

    async def _ask(self, arrival: Arrival, account: str) -> list[Connection]:
        where = arrival.environment
        if arrival.connection is not None:
            found = await connections.by_id(self._db, environment=where, id=arrival.connection)
            return [found] if found else []
        if not account:
            return []
        return await connections.by_account(
            self._db, environment=where, app=arrival.app, account=account
        )


def as_sent(webhook: Webhook, arrival: Arrival) -> Webhook:
    """How to read this arrival: what the list of events brought is one event by itself."""
    return replace(webhook, events="") if arrival.source == arrivals.RECONCILE else webhook


def _event(
    arrival: Arrival,
    notice: Notice,
    subject: str | None,
    resource: str,
    outcome: str,
    connection: Connection,
) -> InboxEvent:
    return InboxEvent(
        environment=arrival.environment,
        tenant=connection.tenant,
        id=ids.new("inb"),
        app=arrival.app,
        connection=connection.id,
        arrival=arrival.id,
        vendor_id=notice.vendor_id,
        topic=notice.topic,
        kind=notice.kind,
        resource=resource,
        key=notice.key,
        outcome=outcome if notice.key else "ignored",
        subject=subject,
        occurred_at=notice.occurred_at,
        source=arrival.source,
    )


def admission_key(connection: str, vendor_id: str) -> str:
    """Under which key an event of a connection is admitted once."""
    return f"{connection}:{vendor_id}"


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
        by_key.setdefault(admission_key(connection.id, event.vendor_id), event)
    fresh = await arrivals.admit(
        tx, sorted(by_key), environment=environment, tenant=tenant, app=app, keep=KEEP_KEYS
    )
    came = [event for key, event in by_key.items() if key in fresh]
    named = sorted(event.id for event in came)  # those of one millisecond are in no order
    events = [replace(event, id=each) for event, each in zip(came, named, strict=True)]
    lines = await arrivals.file(tx, events, environment=environment, tenant=tenant, app=app)
    # Equal events without ids are one sent again, or two changes of one record: it is read again in
    # either case, which costs a call and loses nothing.
    alike = [each for key, each in sorted(by_key.items()) if key not in fresh and _unnamed(each)]
    orders = [_order(event) for event in _latest([*events, *alike])]
    await due.put(tx, [*orders, *map(listeners.job, lines)])
    return len(events)


def _unnamed(event: InboxEvent) -> bool:
    return event.vendor_id.startswith(_DIGEST)


def _latest(events: Sequence[InboxEvent]) -> list[InboxEvent]:
    """One event per object that must be read again."""
    wanted: Mapping[tuple[str, str, str], InboxEvent] = {
        (event.connection, event.resource, event.key): event
        for event in events
        if event.outcome != "ignored"
    }
    return [wanted[place] for place in sorted(wanted)]


def _order(event: InboxEvent) -> due.Job:
    stream = _stream(event.environment, event.tenant, event.connection, event.resource)
    return fetch_job(stream, event.key, told_at=event.occurred_at)


def _stream(environment: str, tenant: str, connection: str, resource: str) -> Stream:
    return Stream(environment=environment, tenant=tenant, connection=connection, resource=resource)

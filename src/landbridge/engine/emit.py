"""Emits an event in the caller's own transaction: one row, whatever its receivers are."""

from __future__ import annotations

import re
from collections.abc import Awaitable
from datetime import datetime
from typing import Any, TypedDict, overload

from landbridge import ids
from landbridge.clock import Clock, SystemClock
from landbridge.engine.body import is_document, render, text_problem
from landbridge.engine.catalogue import Catalogue, check_type, packed
from landbridge.engine.reference import References, referred
from landbridge.errors import InvalidInput, PayloadTooLarge
from landbridge.ids import EventId
from landbridge.store.bind import Awaiting, Blocking
from landbridge.store.outbox import insert_event
from landbridge.store.sql import Sql

LIMIT = 262_144
"""Bytes that an event's payload may have, unless the installation sets another cap."""

_ENVIRONMENT = re.compile(r"[a-z][a-z0-9_-]{0,31}")
_CONTENT_TYPE = re.compile(r"[a-z0-9.+-]+/[a-z0-9.+-]+(; ?[a-z0-9-]+=[A-Za-z0-9_.-]+)*")
_JSON = "application/json"
_LONGEST = 255
_SYSTEM = SystemClock()


class Options(TypedDict, total=False):
    """What an emit may say besides; see `prepare`. `by_reference` keeps the body out of the post:
    what is posted says where it is fetched, and for how long."""

    environment: str | None
    idempotency_key: str | None
    ordering_key: str | None
    subject: str | None
    schema_version: int | None
    content_type: str | None
    by_reference: bool


@overload
def emit(session: Blocking, event_type: str, data: object, **more: Any) -> EventId: ...


@overload
def emit(session: Awaiting, event_type: str, data: object, **more: Any) -> Awaitable[EventId]: ...


def emit(
    session: Blocking | Awaiting, event_type: str, data: object, **more: Any
) -> EventId | Awaitable[EventId]:
    """The id of the event that exists if the session's transaction commits.

    `session` comes from `store.bind.bind`; one of an async driver gives an awaitable. Wrong input
    raises at once, before anything is awaited. `more` is as in `prepare`.
    """
    event, statement, binds = prepare(event_type, data, **more)
    return session.execute(statement, binds, event)


def prepare(
    event_type: str,
    data: object,
    *,
    environment: str,
    tenant: str,
    idempotency_key: str | None = None,
    ordering_key: str | None = None,
    subject: str | None = None,
    schema_version: int | None = None,
    content_type: str | None = None,
    catalogue: Catalogue | None = None,
    references: References | None = None,
    limit: int = LIMIT,
    clock: Clock = _SYSTEM,
) -> tuple[EventId, Sql, dict[str, Any]]:
    """A fresh id, and the one statement that emits the event under it, with its binds.

    The payload is rendered here, once: every delivery and retry sends the same bytes,
    `{"type": ..., "timestamp": ..., "data": ...}` with the keys of `data` sorted. `data` is a dict,
    a list, a dataclass, a model of ours or of pydantic; or bytes, which are sent as they are under
    `content_type`. By a `catalogue` that declares types it is checked first and rendered in each of
    its type's versions. With `references` an address is posted where the body is fetched.

    Of two events of a tenant with one `idempotency_key` within `store.outbox.KEY_LIVES` only the
    first is delivered; the id given for the other leads nowhere. `ordering_key` names what events
    are in order with each other, `subject` the person they are about, for erasure.

    InvalidInput names what is wrong, in `data` by its path; PayloadTooLarge is about the rendered
    bytes.
    """
    check_type(event_type)
    _check_place(environment, tenant)
    _check_text("idempotency_key", idempotency_key)
    _check_text("ordering_key", ordering_key)
    _check_text("subject", subject)
    at = clock.now()
    version, kind, bodies = _rendered(event_type, at, data, content_type, schema_version, catalogue)
    event = EventId(ids.new(ids.PREFIXES["event"]))
    attachment = None
    if references is not None:
        bodies, attachment = referred(
            references,
            event=event,
            event_type=event_type,
            at=at,
            content_type=kind,
            bodies=bodies,
        )
        kind = _JSON
    for _, body in bodies:
        _check_size(event_type, body, limit)
    return event, *insert_event(
        environment=environment,
        tenant=tenant,
        id=event,
        type=event_type,
        schema_version=version,
        content_type=kind,
        idempotency_key=idempotency_key,
        ordering_key=ordering_key,
        subject=subject,
        payload=bodies[0][1],
        older=packed(bodies),
        attachment=attachment,
    )


def _rendered(
    event_type: str,
    at: datetime,
    data: object,
    content_type: str | None,
    version: int | None,
    catalogue: Catalogue | None,
) -> tuple[int, str, list[tuple[str, bytes]]]:
    """The number of the version, the content type, and the bodies, newest first."""
    raw = isinstance(data, bytes | bytearray | memoryview)
    if not raw and content_type is not None:
        raise InvalidInput("content_type: it goes with bytes; other data is sent as JSON")
    rendered = None if catalogue is None else catalogue.render(event_type, at, data)
    if rendered is not None:
        if version not in (None, rendered.version):
            raise InvalidInput(
                f"schema_version: by the catalogue {event_type} is at {rendered.version}; leave it"
                " out"
            )
        return rendered.version, _JSON, rendered.bodies
    version = 1 if version is None else version
    if not 1 <= version < 2**31:
        raise InvalidInput(f"schema_version: {version} is not a whole number from 1")
    if isinstance(data, bytes | bytearray | memoryview):
        return version, _checked_content_type(content_type), [("", bytes(data))]
    if not is_document(data):
        raise InvalidInput(
            f"data: it is {type(data).__name__}; give a dict, a list, a dataclass, a model or bytes"
        )
    return version, _JSON, [("", render(event_type, at, data))]


def _check_place(environment: str, tenant: str) -> None:
    if not _ENVIRONMENT.fullmatch(environment):
        raise InvalidInput(f"environment: {environment!r} is not a plain word such as live or test")
    if not tenant:
        raise InvalidInput("tenant: it is empty; give your own id of the customer, such as acme")
    _check_text("tenant", tenant)


def _check_text(name: str, text: str | None) -> None:
    if text is None:
        return
    if not isinstance(text, str):
        raise InvalidInput(f"{name}: it is {type(text).__name__}, text is needed")
    problem = text_problem(text)
    if problem or len(text.encode()) > _LONGEST:
        reason = problem or f"its {len(text.encode())} bytes are more than {_LONGEST}"
        raise InvalidInput(f"{name}: {reason}; give a short id")


def _checked_content_type(content_type: str | None) -> str:
    if content_type is None:
        raise InvalidInput("content_type: bytes need one, such as application/xml")
    if not _CONTENT_TYPE.fullmatch(content_type):
        raise InvalidInput(
            f"content_type: {content_type!r} is not one such as text/csv; charset=utf-8"
        )
    return content_type


def _check_size(event_type: str, body: bytes, limit: int) -> None:
    if len(body) > limit:
        raise PayloadTooLarge(
            f"data: {event_type} comes to {len(body)} bytes, {limit} are the most; emit it with"
            " by_reference=True, or send an address where the rest can be fetched",
            size=len(body),
            limit=limit,
        )

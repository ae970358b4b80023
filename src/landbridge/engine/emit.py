"""Emits an event in the caller's own transaction: one row, whatever its receivers are."""

from __future__ import annotations

import math
import re
from collections.abc import Awaitable, Iterable, Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, overload

import msgspec

from landbridge import ids
from landbridge.clock import Clock, SystemClock
from landbridge.errors import InvalidInput, PayloadTooLarge
from landbridge.ids import EventId
from landbridge.store.bind import Awaiting, Blocking
from landbridge.store.outbox import insert_event
from landbridge.store.sql import Sql

LIMIT = 262_144
"""Bytes that an event's payload may have, unless the installation sets another cap."""

_TYPE = re.compile(r"[a-z0-9_]+(\.[a-z0-9_]+)*")
_ENVIRONMENT = re.compile(r"[a-z][a-z0-9_-]{0,31}")
_CONTENT_TYPE = re.compile(r"[a-z0-9.+-]+/[a-z0-9.+-]+(; ?[a-z0-9-]+=[A-Za-z0-9_.-]+)*")
_LONGEST = 255
_SUSPECT = (b"null", b"\\u0000", b"NaN", b"Infinity")
_SYSTEM = SystemClock()


class _Body(msgspec.Struct):
    """The payload as Standard Webhooks suggests it."""

    type: str
    timestamp: datetime
    data: Any


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
    schema_version: int = 1,
    content_type: str | None = None,
    limit: int = LIMIT,
    clock: Clock = _SYSTEM,
) -> tuple[EventId, Sql, dict[str, Any]]:
    """A fresh id, and the one statement that emits the event under it, with its binds.

    The payload is rendered here, once: every delivery and retry sends the same bytes,
    `{"type": ..., "timestamp": ..., "data": ...}` with the keys of `data` sorted. `data` is a dict,
    a list, a dataclass, a model of ours or of pydantic; or bytes, which are sent as they are under
    `content_type`.

    Of two events of a tenant with one `idempotency_key` within `store.outbox.KEY_LIVES` only the
    first is delivered; the id given for the other leads nowhere. `ordering_key` names what events
    are in order with each other, `subject` the person they are about, for erasure.

    InvalidInput names what is wrong, in `data` by its path; PayloadTooLarge is about the rendered
    bytes.
    """
    if not _TYPE.fullmatch(event_type) or len(event_type) > _LONGEST:
        raise InvalidInput(
            f"type: {event_type!r} is not lower-case words with dots between, such as invoice.paid"
        )
    if not _ENVIRONMENT.fullmatch(environment):
        raise InvalidInput(f"environment: {environment!r} is not a plain word such as live or test")
    if not tenant:
        raise InvalidInput("tenant: it is empty; give your own id of the customer, such as acme")
    for name, text in (
        ("tenant", tenant),
        ("idempotency_key", idempotency_key),
        ("ordering_key", ordering_key),
        ("subject", subject),
    ):
        _check_text(name, text)
    if not 1 <= schema_version < 2**31:
        raise InvalidInput(f"schema_version: {schema_version} is not a whole number from 1")
    payload, content_type = _rendered(event_type, data, content_type, clock)
    if len(payload) > limit:
        raise PayloadTooLarge(
            f"data: {event_type} comes to {len(payload)} bytes, {limit} are the most; send an id or"
            " an address where the rest can be fetched",
            size=len(payload),
            limit=limit,
        )
    event = EventId(ids.new(ids.PREFIXES["event"]))
    return event, *insert_event(
        environment=environment,
        tenant=tenant,
        id=event,
        type=event_type,
        schema_version=schema_version,
        content_type=content_type,
        idempotency_key=idempotency_key,
        ordering_key=ordering_key,
        subject=subject,
        payload=payload,
    )


def _check_text(name: str, text: str | None) -> None:
    if text is None:
        return
    if not isinstance(text, str):
        raise InvalidInput(f"{name}: it is {type(text).__name__}, text is needed")
    problem = _text_problem(text)
    if problem or len(text.encode()) > _LONGEST:
        reason = problem or f"its {len(text.encode())} bytes are more than {_LONGEST}"
        raise InvalidInput(f"{name}: {reason}; give a short id")


def _rendered(
    event_type: str, data: object, content_type: str | None, clock: Clock
) -> tuple[bytes, str]:
    if isinstance(data, bytes | bytearray | memoryview):
        if content_type is None:
            raise InvalidInput("content_type: bytes need one, such as application/xml")
        if not _CONTENT_TYPE.fullmatch(content_type):
            raise InvalidInput(
                f"content_type: {content_type!r} is not one such as text/csv; charset=utf-8"
            )
        return bytes(data), content_type
    if content_type is not None:
        raise InvalidInput("content_type: it goes with bytes; other data is sent as JSON")
    if not _is_document(data):
        raise InvalidInput(
            f"data: it is {type(data).__name__}; give a dict, a list, a dataclass, a model or bytes"
        )
    body = _Body(type=event_type, timestamp=clock.now(), data=data)
    try:
        payload = msgspec.json.encode(body, enc_hook=_encoded, order="deterministic")
    except RecursionError:
        raise InvalidInput("data: it is nested too deep, or it holds itself") from None
    except (TypeError, ValueError) as error:
        place, problem = _fault(data) or ("", str(error))
        raise _unsaid(place, problem) from None
    # A float that is no number renders as null; NUL breaks receivers that keep text in Postgres.
    if any(mark in payload for mark in _SUSPECT) and (found := _fault(data)):
        raise _unsaid(*found)
    return payload, "application/json"


def _unsaid(place: str, problem: str) -> InvalidInput:
    return InvalidInput(f"data{place}: {problem}; event data is what JSON can say")


def _is_document(data: object) -> bool:
    return (
        isinstance(data, Mapping | list | tuple | msgspec.Struct)
        or (is_dataclass(data) and not isinstance(data, type))
        or hasattr(data, "model_dump")
    )


def _encoded(value: Any) -> Any:
    """What msgspec does not know by itself: pydantic models, and mappings that are no dict."""
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} has no form in JSON")


def _fault(value: Any) -> tuple[str, str] | None:
    """Where in the value something cannot be rendered truly (`.lines[3].amount`), and why."""
    if isinstance(value, str):
        problem = _text_problem(value)
        return ("", problem) if problem else None
    if value is None or isinstance(value, int):
        return None
    if isinstance(value, float | Decimal):
        return None if math.isfinite(value) else ("", f"{value} is no number")
    parts = _parts(value)
    if parts is None:
        return _leaf_fault(value)
    named = isinstance(value, Mapping)
    for key, inner in parts:
        if named and not isinstance(key, str):
            return "", f"a key of it is {type(key).__name__}, text is needed"
        if named and (problem := _text_problem(key)):
            return "", f"a key of it: {problem}"
        found = _fault(inner)
        if found is not None:
            place = f"[{key}]" if isinstance(key, int) else f".{key}"
            return place + found[0], found[1]
    return None


def _parts(value: Any) -> Iterable[tuple[Any, Any]] | None:
    """What a value is made of, by name or place; None: it has no parts."""
    if isinstance(value, Mapping):
        return value.items()
    if isinstance(value, list | tuple | set | frozenset):
        return enumerate(value)
    if isinstance(value, msgspec.Struct):
        return ((name, getattr(value, name)) for name in value.__struct_fields__)
    if is_dataclass(value) and not isinstance(value, type):
        return ((each.name, getattr(value, each.name)) for each in fields(value))
    if hasattr(value, "model_dump"):
        dumped: dict[str, Any] = value.model_dump(mode="json")
        return dumped.items()
    return None


def _leaf_fault(value: Any) -> tuple[str, str] | None:
    try:
        msgspec.json.encode(value)
    except (TypeError, ValueError):
        return "", f"{type(value).__name__} has no form in JSON"
    return None


def _text_problem(text: str) -> str:
    if "\x00" in text:
        return "it holds a NUL character"
    if text.isascii():
        return ""
    try:
        text.encode()
    except UnicodeEncodeError:
        return "it holds half of a surrogate pair"
    return ""

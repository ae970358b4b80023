"""The catalogue: which events there are, what their data looks like, and what it looked like."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple

import msgspec

from landbridge.engine.body import encoded, is_document, render
from landbridge.engine.forms import Form, Misfit, Model, form_of
from landbridge.errors import InvalidInput, SpecError, did_you_mean
from landbridge.store.event_types import StoredType

_TYPE = re.compile(r"[a-z0-9_]+(\.[a-z0-9_]+)*")
_LONGEST = 255
_MOST_WAITS = 100
_ANY = datetime(2026, 1, 1, tzinfo=UTC)
_BODIES = msgspec.msgpack.Decoder(dict[str, bytes])


@dataclass(frozen=True, kw_only=True)
class Version:
    """How an event's data looked before: what endpoints get that have not moved on.

    `since` is the date of the API version from which it held (`2026-01-01`). `down` makes its data
    from that of the next newer version, which it gets as an instance of that one's model and must
    not change.
    """

    since: str
    model: Model
    down: Callable[[Any], object]


@dataclass(frozen=True, kw_only=True)
class EventType:
    """A type of events, as receivers read of it.

    `model` is a msgspec.Struct, a dataclass, a TypedDict, a pydantic model or a JSON Schema as a
    dict; None promises nothing. `examples` are data that fit it. `since` is the date from which it
    holds, needed where there are `older` versions. `schedule` are the waits between tries at
    endpoints that have none of their own; None: the default ones.
    """

    type: str
    description: str
    model: Model = None
    examples: Sequence[object] = ()
    since: str = ""
    older: Sequence[Version] = ()
    schedule: Sequence[timedelta] | None = None


class Rendered(NamedTuple):
    """The bodies of one event: (since, bytes) for each version, newest first."""

    version: int
    bodies: list[tuple[str, bytes]]


@dataclass(frozen=True, slots=True)
class _Form:
    since: str
    form: Form
    down: Callable[[Any], object] | None = None


@dataclass(frozen=True, slots=True)
class _Entry:
    type: EventType
    forms: tuple[_Form, ...] = field(repr=False)

    @property
    def unchecked(self) -> bool:
        """Whether it takes whatever is given, bytes too."""
        return self.type.model is None


class EndpointFailing(msgspec.Struct, kw_only=True):
    """An endpoint has had no success for a while."""

    endpoint: str
    url: str
    since: datetime | None
    failures: int
    error: str | None
    disable_at: datetime | None


class Replayable(msgspec.Struct, kw_only=True):
    """What can be delivered once the endpoint is enabled: of the events emitted since then those
    that it did not get."""

    endpoint: str
    since: datetime


class EndpointDisabled(msgspec.Struct, kw_only=True):
    """An endpoint gets no more events."""

    endpoint: str
    url: str
    since: datetime | None
    failures: int
    error: str | None
    disabled_at: datetime
    reason: str
    replay: Replayable


class WebhookGap(msgspec.Struct, kw_only=True, rename={"from_": "from"}):
    """Webhooks of a provider had not come and were read from its list of events."""

    connection: str
    provider: str
    from_: datetime
    until: datetime
    count: int


BUILT_IN = (
    EventType(
        type="endpoint.failing",
        description="An endpoint has had no success for a day.",
        model=EndpointFailing,
    ),
    EventType(
        type="endpoint.disabled",
        description="An endpoint is disabled: it failed for days, or it said that it is gone.",
        model=EndpointDisabled,
    ),
    EventType(
        type="webhook.gap",
        description="Webhooks of a provider had not come; they were found and taken in.",
        model=WebhookGap,
    ),
)
"""The types that Landbridge itself emits; they are in every catalogue."""


class Catalogue:
    """The types that an application declares, and the built-in ones.

    While nothing is declared every type may be emitted, and data is whatever JSON can say.
    """

    def __init__(self, types: Iterable[EventType] = ()):
        self._entries = {each.type: _checked(each) for each in BUILT_IN}
        self.declare(types)

    def __iter__(self) -> Iterator[EventType]:
        return iter([each.type for each in self._entries.values()])

    def __bool__(self) -> bool:
        """Whether anything was declared."""
        return len(self._entries) > len(BUILT_IN)

    def declare(self, types: Iterable[EventType]) -> None:
        """Adds types. SpecError names what is wrong in one; none of them is added then."""
        fresh: dict[str, _Entry] = {}
        for each in types:
            if not isinstance(each, EventType):
                raise SpecError(
                    f"events: {type(each).__name__} is no EventType; give EventType(...)"
                )
            if each.type in self._entries or each.type in fresh:
                raise SpecError(f"{each.type}: it is declared twice; one of them has to go")
            fresh[each.type] = _checked(each)
        self._entries |= fresh

    def stored(self) -> list[StoredType]:
        """The declared types as they are written down."""
        own = {each.type for each in BUILT_IN}
        return [_stored(each) for name, each in self._entries.items() if name not in own]

    def render(self, event_type: str, at: datetime, data: object) -> Rendered | None:
        """The bodies of an event of a declared type; None while nothing is declared, or when the
        data is bytes that the type takes as they are.

        InvalidInput for a type that is not declared, and for data that does not fit its model, by
        the path of the field.
        """
        if not self:
            return None
        entry = self._entries.get(event_type)
        if entry is None:
            raise InvalidInput(
                f"type: {event_type!r} is not in the catalogue of events."
                f"{did_you_mean(event_type, self._entries)} Declare it, or see what is there with:"
                " landbridge events list"
            )
        if isinstance(data, bytes | bytearray | memoryview):
            if entry.unchecked:
                return None
            raise InvalidInput(f"data: it is bytes, and {event_type} is declared with a model")
        try:
            return Rendered(len(entry.forms), _bodies(entry, at, data))
        except Misfit as misfit:
            raise InvalidInput(f"data{misfit.path}: {misfit.problem}") from None


def check_type(event_type: str) -> None:
    """InvalidInput unless it is lower-case words with dots between."""
    if not _TYPE.fullmatch(event_type) or len(event_type) > _LONGEST:
        raise InvalidInput(
            f"type: {event_type!r} is not lower-case words with dots between, such as invoice.paid"
        )


def packed(bodies: Sequence[tuple[str, bytes]]) -> bytes | None:
    """What is kept beside the payload for endpoints of older versions; None: there are none.

    A MessagePack map of each version's date and body; the newest one's is empty, it is the payload.
    """
    if len(bodies) < 2:
        return None
    (newest, _), *older = bodies
    return msgspec.msgpack.encode({newest: b"", **dict(older)})


def unpacked(older: bytes | None) -> dict[str, bytes]:
    """The map of `packed`, newest first; empty for None."""
    return _BODIES.decode(older) if older else {}


def body_for(payload: bytes, older: bytes | None, api_version: str) -> bytes:
    """The body for an endpoint of this API version: a date, or empty for the newest.

    It is that of the newest version that held at that date; before the first one, the oldest.
    """
    if not older or not api_version:
        return payload
    bodies = unpacked(older)
    holding = [since for since in bodies if since <= api_version]
    return bodies[max(holding) if holding else min(bodies)] or payload


def _bodies(entry: _Entry, at: datetime, data: object) -> list[tuple[str, bytes]]:
    name = entry.type.type
    first, *older = entry.forms
    value = first.form.check(data)
    if not is_document(value):
        raise Misfit("", f"it is {type(value).__name__}; give a dict, a list, a model or bytes")
    bodies = [(first.since, render(name, at, first.form.plain(value)))]
    for each in older:
        assert each.down is not None
        try:
            value = each.form.check(each.down(value))
        except Misfit as misfit:
            raise Misfit(misfit.path, f"{misfit.problem}, in its version of {each.since}") from None
        except Exception as error:
            error.add_note(f"while {name} was turned into its version of {each.since}")
            raise
        bodies.append((each.since, render(name, at, each.form.plain(value))))
    return bodies


def built_in() -> list[StoredType]:
    """The built-in types as if they were written down."""
    return [_stored(_checked(each)) for each in BUILT_IN]


def _stored(entry: _Entry) -> StoredType:
    newest = entry.forms[0].form
    examples = [
        msgspec.to_builtins(newest.plain(newest.check(each)), enc_hook=encoded)
        for each in entry.type.examples
    ]
    return StoredType(
        type=entry.type.type,
        description=entry.type.description,
        versions=tuple(
            {"since": each.since, "schema": each.form.schema(), "examples": shown}
            for each, shown in zip(entry.forms, [examples, *[[]] * len(entry.forms)], strict=False)
        ),
        schedule=None if entry.type.schedule is None else tuple(entry.type.schedule),
    )


def _checked(declared: EventType) -> _Entry:
    """The entry of a declaration; SpecError names what is wrong."""
    name = declared.type
    try:
        check_type(name)
        newest = form_of(declared.model)
        older = [_Form(each.since, form_of(each.model), each.down) for each in declared.older]
    except (InvalidInput, SpecError) as error:
        raise SpecError(f"{name}: {error}") from None
    if not declared.description.strip():
        raise SpecError(f"{name}: description: it is empty; say in a sentence when it happens")
    if declared.older and declared.model is None:
        raise SpecError(f"{name}: model: there is none, so it cannot have older versions")
    _check_dates(declared)
    _check_schedule(name, declared.schedule)
    ordered = sorted(older, key=lambda each: each.since, reverse=True)
    entry = _Entry(declared, (_Form(declared.since, newest), *ordered))
    for place, example in enumerate(declared.examples):
        try:
            _bodies(entry, _ANY, example)
        except Misfit as misfit:
            raise SpecError(f"{name}: examples[{place}]{misfit.path}: {misfit.problem}") from None
        except Exception as error:
            problem = f"{type(error).__name__}: {error}"
            raise SpecError(f"{name}: examples[{place}]: {problem}") from error
    return entry


def _check_dates(declared: EventType) -> None:
    dates = [declared.since, *(each.since for each in declared.older)]
    if dates == [""]:
        return
    for each in dates:
        try:
            good = date.fromisoformat(each).isoformat() == each
        except (TypeError, ValueError):
            good = False
        if not good:
            raise SpecError(f"{declared.type}: since: {each!r} is not a date such as 2026-01-01")
    if len(set(dates)) < len(dates):
        raise SpecError(f"{declared.type}: since: two versions hold from the same date")
    if max(dates) != declared.since:
        raise SpecError(
            f"{declared.type}: since: {declared.since} is before {max(dates)} of an older version"
        )


def _check_schedule(name: str, schedule: Sequence[timedelta] | None) -> None:
    if schedule is None:
        return
    waits = list(schedule)
    if not 1 <= len(waits) <= _MOST_WAITS:
        raise SpecError(f"{name}: schedule: {len(waits)} waits; give 1 to {_MOST_WAITS}, or None")
    for each in waits:
        if each <= timedelta():
            raise SpecError(f"{name}: schedule: {each!r} is no positive timedelta")

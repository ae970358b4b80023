"""Answers that are made up for writes which are not sent: the record as it would be afterwards.

Pure. The provider's page says what a new record looks like (`Resource.blank`), or records that it
sent earlier do. Nothing of theirs is taken over but what a new one would have too.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import unquote

from landbridge.errors import InvalidInput, RecordError
from landbridge.formats import canonical, form, parse_json
from landbridge.spec import Format, Provider, Resource, Write, find, nested_at
from landbridge.wire import Request

_MARK = "lbshadow"
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_MADE = re.compile(
    rf"[A-Za-z0-9_-]*{_MARK}[0-9a-f]{{16}}"
    r"|5badc0de-[0-9a-f]{4}-8[0-9a-f]{3}-a[0-9a-f]{3}-[0-9a-f]{12}"
    r"|(?<!\d)90909[0-9]{10}(?!\d)"
)
_WHOLE = frozenset({"minor", "instant", "date", "integer"})
_MOST_DIFFERENCES = 200


@dataclass(frozen=True, kw_only=True)
class Aim:
    """What a request is about. Without a resource: nothing that the page knows."""

    resource: Resource | None = None
    action: str = ""
    """create, update, delete or read."""
    key: str = ""
    envelope: str = ""
    """Path to where the request holds the record, by itself or in a list."""


def aim_of(provider: Provider, base: str, request: Request) -> Aim:
    """Which resource and record a request is about, by the page's paths."""
    path = request.url.split("?", 1)[0]
    path = path.removeprefix(base)
    for resource in provider.resources:
        for action in ("update", "delete", "create"):
            step: Write | None = getattr(resource, action)
            if step is not None and step.method == request.method:
                key = _named(resource, step, path, request)
                if key is not None and _is_of(resource, step, request):
                    return Aim(resource=resource, action=action, key=key, envelope=step.envelope)
        if request.method == "GET" and resource.one:
            key = _at(resource.one, path)
            if key is not None:
                return Aim(resource=resource, action="read", key=key)
    return Aim()


def _named(resource: Resource, step: Write, path: str, request: Request) -> str | None:
    """The key in a write's address, or in its body where the page says so; empty for a new record,
    None: it is not this write."""
    key = _at(step.path, path)
    change = resource.update or resource.delete
    key_at = step.key_at or (change.key_at if change and key == "" else "")
    if key is None or not key_at:
        return key
    told = find(changes_in(request, step.envelope), key_at)
    if not step.key_at:
        return None if told else key
    asked = {name: text for name, text in request.query if name != resource.idempotency}
    return told if isinstance(told, str) and told and asked == dict(step.query) else None


def _is_of(resource: Resource, step: Write, request: Request) -> bool:
    """Whether what a write says is not what another resource at the same address would say."""
    told = changes_in(request, step.envelope) if resource.only else {}
    found = [(find(told, path), words) for path, words in resource.only.items()]
    return all(word is None or word in words for word, words in found)


def _at(template: str, path: str) -> str | None:
    """What stands in the hole of a path template; empty if it has none, None: no match."""
    pattern = re.escape(template).replace(r"\{id\}", "([^/]+)")
    found = re.fullmatch(pattern, path)
    if found is None:
        return None
    return unquote(found[1]) if found.groups() else ""


def new_key(call: str, alike: str) -> str:
    """A key for a record that was never made, formed like another one and told apart by `marked`.

    The same call gives the same key.
    """
    digest = hashlib.sha256(call.encode()).hexdigest()
    if _UUID.fullmatch(alike):
        return f"5badc0de-{digest[:4]}-8{digest[4:7]}-a{digest[7:10]}-{digest[10:22]}"
    if alike.isdigit():
        return f"90909{int(digest[:12], 16) % 10**10:010d}"
    prefix = alike[: alike.rfind("_") + 1] if "_" in alike else ""
    return f"{prefix}{_MARK}{digest[:16]}"


def marked(text: str) -> list[str]:
    """The made-up keys that a text names."""
    return list(dict.fromkeys(found[0] for found in _MADE.finditer(text)))


def wrapped(resource: Resource, value: Mapping[str, Any]) -> bytes:
    """The body of an answer with a single record, in the page's envelope: a list if listings come
    in the same one and writes send a list too, else the record itself."""
    if not resource.envelope:
        return canonical.canonical(value)
    listed = resource.create is None or resource.create.listed
    inside = [value] if listed and resource.envelope == resource.records else value
    return canonical.canonical(nested_at(resource.envelope, inside))


def unwrapped(resource: Resource, body: bytes) -> dict[str, Any] | None:
    """The record in such a body; None if there is none."""
    return _first(parse_json(body), resource.envelope)


def _first(told: Any, envelope: str) -> dict[str, Any] | None:
    found = find(told, envelope) if envelope else [told]
    one = found[0] if isinstance(found, list) and found else found
    return one if isinstance(one, dict) else None


def changes_in(request: Request, envelope: str = "") -> dict[str, Any]:
    """What the body of a request says of its record, form or JSON; empty if it is neither."""
    kind = request.headers.get("content-type", "")
    try:
        if kind.startswith(form.CONTENT_TYPE):
            return form.decode(request.body)
        told: Any = parse_json(request.body) if request.body else {}
    except (RecordError, InvalidInput):
        return {}
    return _first(told, envelope) or {}


def template(resource: Resource, known: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What a new record looks like before anything is written into it.

    That of the page; else the latest known record without what is its own: a field that is empty or
    absent in any of them is so here, lists and objects are empty.
    """
    if resource.blank:
        return _copied(resource.blank)
    if not known or resource.maps is None:
        return {}
    own = {_head(path) for path in resource.maps.written}
    fresh: dict[str, Any] = {}
    for name, value in known[0].items():
        if name not in own:
            fresh[name] = _deep(value)
        elif any(name not in record for record in known):
            continue
        elif any(record[name] is None for record in known):
            fresh[name] = None
        elif isinstance(value, Mapping | list):
            fresh[name] = {} if isinstance(value, Mapping) else []
        else:
            fresh[name] = value
    return fresh


def created(
    resource: Resource, blank: Mapping[str, Any], key: str, now: datetime
) -> dict[str, Any]:
    """A new record under its made-up key, with the time of its making where the page names it."""
    value = _copied(blank)
    _put(value, resource.key, int(key) if isinstance(find(value, resource.key), int) else key)
    stamp = getattr(resource.since, "stamp", "")
    if stamp and isinstance(find(value, stamp), int):
        _put(value, stamp, int(now.timestamp()))
    return value


def laid_on(
    provider: Provider, resource: Resource, value: Mapping[str, Any], changes: Mapping[str, Any]
) -> dict[str, Any]:
    """The record with the changes of a request in it, each in the type that the record has.

    A parameter that is no field of the record is left out: it would not be in the answer either.
    """
    words: dict[str, str] = {}
    if resource.maps is not None:
        words = {line.theirs: line.word for line in resource.maps.fields}
        changes = resource.maps.shown(changes)
    own = {_head(path) for path in (*words, resource.marker) if path}
    merged = _copied(value)
    as_form = provider.body is Format.FORM
    for name, change in changes.items():
        if name in merged or name in own:
            merged[name] = _fitted(merged.get(name), change, words.get(name, ""), as_form=as_form)
    return merged


def gone(resource: Resource, value: Mapping[str, Any]) -> dict[str, Any]:
    """The answer to a deletion: the record with the page's flag for it."""
    left = _copied(value)
    if resource.deleted:
        word = next(iter(resource.deleted_words), "")
        whole = type(find(value, resource.deleted)) is int and word.isdecimal()
        _put(left, resource.deleted, int(word) if whole else word or True)
    return left


def missing(provider: Provider) -> dict[str, Any]:
    """The body of a refusal that says, in the page's words, that a record is not there."""
    body: dict[str, Any] = {}
    errors = provider.errors
    if errors.message:
        _put(body, errors.message, "no such record (answered by a shadow)")
    if errors.code and errors.missing:
        _put(body, errors.code, next(iter(errors.missing)))
    return body


def differences(before: Any, after: Any, path: str = "") -> list[dict[str, Any]]:
    """Where two records differ: `path`, `before`, `after`; at most 200, lists as a whole."""
    found: list[dict[str, Any]] = []
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for name in dict.fromkeys([*before, *after]):
            inner = f"{path}.{name}" if path else str(name)
            found += differences(before.get(name), after.get(name), inner)
    elif before != after:
        found.append({"path": path, "before": before, "after": after})
    return found[:_MOST_DIFFERENCES]


def _fitted(now: Any, change: Any, word: str, *, as_form: bool) -> Any:
    """The new value of a field, which stays as it is where the change has another shape."""
    if isinstance(change, Mapping):
        if now is None or isinstance(now, Mapping):
            return _merged(now or {}, change, word, as_form=as_form)
        return now
    if isinstance(now, Mapping | list) and not isinstance(change, list):
        empty: Any = {} if isinstance(now, Mapping) else []
        return empty if change == "" else now
    return _typed(now, change, word) if as_form and isinstance(change, str) else change


def _merged(now: Mapping[str, Any], change: Mapping[str, Any], word: str, **how: bool) -> Any:
    merged = dict(now)
    for name, inner in change.items():
        if word == "entries" and inner in ("", None):
            merged.pop(name, None)
        else:
            merged[name] = _fitted(merged.get(name), inner, "", **how)
    return merged


def _typed(now: Any, text: str, word: str) -> Any:
    """What a text of a form stands for; an empty one clears the field."""
    if text == "":
        return None
    if text in ("true", "false") and (isinstance(now, bool) or word == "flag"):
        return text == "true"
    whole = (isinstance(now, int) and not isinstance(now, bool)) or word in _WHOLE
    return int(text) if whole and re.fullmatch(r"-?\d+", text) else text


def _head(path: str) -> str:
    return path.split(".", 1)[0].removesuffix("[]")


def _put(value: dict[str, Any], path: str, what: Any) -> None:
    *way, last = path.split(".")
    for name in way:
        value = value.setdefault(name, {})
    value[last] = what


def _copied(value: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _deep(inner) for name, inner in value.items()}


def _deep(value: Any) -> Any:
    if isinstance(value, Mapping):
        return _copied(value)
    if isinstance(value, list | tuple):
        return [_deep(inner) for inner in value]
    return value

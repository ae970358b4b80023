"""Reading a provider's JSON answers without losing the bytes of the records in them."""

from collections.abc import Mapping
from functools import cache
from typing import Any

import msgspec

from landbridge.errors import RecordError, Unreachable
from landbridge.protocols._looks import HOLE, Look, look_at
from landbridge.protocols.values import Fetched, Unreadable
from landbridge.spec import Provider, Resource, find
from landbridge.wire import Response


def records(
    provider: Provider, resource: Resource, response: Response, path: str, *, parse: bool = True
) -> tuple[list[Fetched], list[Unreadable]]:
    """The records that a listing holds at `path`, each with its own bytes as they were sent.

    An item without a key is unreadable, and the others are not touched by it. What is another
    resource's (`Resource.only`) is passed over. Without `parse` it may show later, at its `value`,
    that a record is not JSON.
    """
    fetched: list[Fetched] = []
    unreadable: list[Unreadable] = []
    look = look_at(resource)
    for raw in pluck(provider, response, path, list[msgspec.Raw]) or ():
        one = _record(resource, bytes(raw), look)
        if parse and type(one) is Fetched:
            one = _parsed(one)
        if type(one) is Fetched:
            fetched.append(one)
        elif type(one) is Unreadable:
            unreadable.append(one)
    return fetched, unreadable


def _record(
    resource: Resource, raw: bytes, look: Look, *, any_kind: bool = False
) -> Fetched | Unreadable | None:
    """One record from its bytes; None: it is another resource's."""
    try:
        seen = look(raw)
    except RecordError as error:
        return Unreadable(key=None, raw=raw, reason=str(error), field=None)
    key = _key(seen, resource.key)
    if not key:
        reason = f"{resource.name}: no key at {resource.key}"
        return Unreadable(key=None, raw=raw, reason=reason, field=resource.key)
    if not any_kind and any(seen[path] not in words for path, words in resource.only.items()):
        return None
    if not (resource.version or resource.deleted):
        return Fetched(key=key, raw=raw)
    return Fetched(
        key=key,
        raw=raw,
        version=_text(seen[resource.version]) if resource.version else None,
        deleted=_is_deleted(resource, seen[resource.deleted]) if resource.deleted else False,
    )


def _key(seen: Mapping[str, Any], path: str) -> str | None:
    """The key at a path; or where it is a template, made of what is in all of its holes."""
    if "{" not in path:
        return _text(seen[path])
    words = {hole: _text(seen[hole]) for hole in HOLE.findall(path)}
    return HOLE.sub(lambda hole: words[hole[1]] or "", path) if all(words.values()) else None


def single(provider: Provider, resource: Resource, response: Response) -> Fetched | Unreadable:
    """The one record of an answer, out of its envelope; an empty envelope is unreadable."""
    if not resource.envelope:
        return _one(resource, response.body)
    found = pluck(provider, response, resource.envelope, msgspec.Raw)
    if found is None and resource.or_envelope:
        found = pluck(provider, response, resource.or_envelope, msgspec.Raw)
    listed = found is not None and bytes(found).lstrip()[:1] == b"["
    items = msgspec.json.decode(found, type=list[msgspec.Raw]) if listed else [found]
    if not items or items[0] is None or bytes(items[0]) == b"null":
        reason = f"{resource.name}: nothing at {resource.envelope}"
        return Unreadable(key=None, raw=response.body, reason=reason, field=resource.envelope)
    return _one(resource, bytes(items[0]))


def _one(resource: Resource, raw: bytes) -> Fetched | Unreadable:
    one = _record(resource, raw, look_at(resource), any_kind=True)
    assert one is not None
    return _parsed(one) if type(one) is Fetched else one


def _parsed(one: Fetched) -> Fetched | Unreadable:
    try:
        one.value  # noqa: B018  # it is parsed now
    except RecordError as error:
        return Unreadable(key=None, raw=one.raw, reason=str(error), field=None)
    return one


def _is_deleted(resource: Resource, told: Any) -> bool:
    if not resource.deleted_words:
        return told is True
    return (str(told) if type(told) is int else told) in resource.deleted_words


def pluck(provider: Provider, response: Response, path: str, kind: Any) -> Any:
    """What is at a path of an answer, as `kind`; None if nothing is there. `[]` in the path stands
    for each item of a list on the way; what is at its end are then lists, and all of them count.

    An answer of another form (a maintenance page, say) is `Unreachable`: it will pass.
    """
    try:
        found = msgspec.json.decode(response.body, type=_envelope(path, kind))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Unreachable(
            f"{provider.name} answered {response.status} in a form that its page does not know"
            f" ({error}); it is tried again later",
            status=response.status,
        ) from None
    steps = path.split(".") if path else []
    if "[]" in path:
        return _gathered(found, steps)
    for _ in steps:
        if found is None:
            return None
        found = found.inner
    return found


def _gathered(found: Any, steps: list[str]) -> list[Any]:
    """The items of every list at the end of the steps, in their order."""
    places = [found]
    for step in steps:
        places = [place.inner for place in places if place is not None]
        if step.endswith("[]"):
            places = [item for place in places if place is not None for item in place]
    return [item for place in places if place is not None for item in place]


def text_at(value: Any, path: str) -> str | None:
    """A text or a number at a path, as text; None if there is neither."""
    return _text(find(value, path))


def _text(found: Any) -> str | None:
    if type(found) is str:
        return found or None
    if isinstance(found, bool) or not isinstance(found, str | int):
        return None
    return str(found) or None


@cache
def _envelope(path: str, kind: Any) -> Any:
    """A type that reads only what is at the path, and skips everything else."""
    expected = kind
    for step in reversed(path.split(".") if path else ()):
        name = step.removesuffix("[]")
        if step != name:
            expected = list[expected]  # type: ignore[valid-type]
        optional = expected if expected is msgspec.Raw else expected | None  # Raw takes null too
        expected = msgspec.defstruct("Answer", [("inner", optional, None)], rename={"inner": name})
    return expected

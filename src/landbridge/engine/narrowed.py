"""What a write for a link is narrowed to: the fields that it is about, over what there is."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET

from landbridge.engine.agreed import dumped, loaded
from landbridge.errors import Conflict, RecordError, UnmappedCode
from landbridge.formats import codec
from landbridge.merge import Policy, values_of, with_values
from landbridge.models import Model
from landbridge.protocols import Written
from landbridge.spec import Resource
from landbridge.store.intents import Intent


def narrowed(document: Model, held: Model, intent: Intent) -> Model:
    """What the record holds, with the fields of a link's document that it is to write.

    Conflict: one of them is not what it was when that was decided, nor what it is to be. Once it
    was tried, what is to be may be there already in the provider's own form.
    """
    seen = intent.seen or {}
    policy, fields = Policy(), seen["fields"]
    then, now = loaded(type(held), seen["held"]) or {}, values_of(held, policy)
    wanted = values_of(document, policy)
    for name in fields:
        is_now, is_to_be = now.get(name, UNSET), wanted.get(name, UNSET)
        if is_now in (then.get(name, UNSET), is_to_be):
            continue
        if intent.tried_at is None or not _alike(is_now, is_to_be):
            raise Conflict(f"{name} was changed at the provider meanwhile")
    return with_values(held, {name: wanted.get(name, UNSET) for name in fields})


def _alike(one: Any, other: Any) -> bool:
    """Whether two texts differ only in case, blanks and punctuation."""
    if not isinstance(one, str) or not isinstance(other, str):
        return False
    bare = ["".join(filter(str.isalnum, each.casefold())) for each in (one, other)]
    return bare[0] == bare[1]


def answer_of(resource: Resource, intent: Intent, written: Written) -> dict[str, Any] | None:
    """What the fields of a link's write are after it, by the provider's own answer."""
    if resource.maps is None or written.raw is None:
        return None
    try:
        held = resource.maps.read(codec(resource.format).parse(written.raw))
    except (RecordError, UnmappedCode):
        return None  # the mirror has it parked
    values = dumped(values_of(held, Policy())) or {}
    if intent.seen is None:
        return values
    return {name: values[name] for name in intent.seen["fields"] if name in values}

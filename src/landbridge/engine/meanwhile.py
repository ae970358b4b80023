"""What is to be sent of a document over the record that it changes, as that is by now."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET

from landbridge.engine import proof
from landbridge.engine.narrowed import narrowed
from landbridge.errors import Conflict
from landbridge.formats import codec
from landbridge.merge import Policy, values_of, with_values
from landbridge.models import Model, read_json
from landbridge.spec import Context, Provider, Resource
from landbridge.store.intents import Intent


def rereads(intent: Intent, resource: Resource) -> bool:
    """Whether the record is to be read again before it is changed: nothing else would tell that
    somebody changed it. Not where a change was tried already: it may be there."""
    plain = intent.action == "update" and intent.seen is None and intent.tried_at is None
    return plain and resource.unversioned and not resource.version


def compared(
    intent: Intent,
    provider: Provider,
    resource: Resource,
    base_raw: bytes | None,
    now_raw: bytes | None,
    context: Context,
) -> tuple[Model, Model | None, dict[str, Any]]:
    """The document, the record that it changes, and what is to be sent of it.

    `now_raw` is the record as it was read again, None if it was not: then the fields that the
    document changes of `base_raw` go over it, and all others are left as they are. Conflict: one
    of those is not what it was.
    """
    assert resource.maps is not None
    document: Model = read_json(resource.maps.model, intent.document or {})
    base = None
    if base_raw is not None:
        base = resource.maps.read(codec(resource.format).parse(base_raw), context)
    if intent.seen is not None and base is not None:
        document = narrowed(document, base, intent)
    if base is not None and now_raw is not None and now_raw != base_raw:
        now = resource.maps.read(codec(resource.format).parse(now_raw), context)
        document, base = over(document, base, now), now
    document = proof.with_amounts(provider, resource, document, base)
    return document, base, resource.maps.write(document, base, context)


def over(document: Model, base: Model, now: Model) -> Model:
    """The record of now with what a document changes of the record that it was made from."""
    policy = Policy()
    then, is_now, wanted = (values_of(one, policy) for one in (base, now, document))
    changed = {name: one for name, one in wanted.items() if one != then.get(name, UNSET)}
    for name, value in changed.items():
        if is_now.get(name, UNSET) not in (then.get(name, UNSET), value):
            raise Conflict(
                f"{name} was changed at the provider meanwhile: pull it, and say what it is to be"
            )
    return with_values(now, changed)

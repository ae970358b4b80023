"""What an earlier try of a write may have done, and whether it may be sent again."""

from __future__ import annotations

from landbridge.spec import Provider, Resource
from landbridge.store.intents import Intent


def repeatable(provider: Provider, resource: Resource, intent: Intent) -> bool:
    """Whether creating again makes no second object: by a key that the provider remembers still, or
    since we choose its address."""
    assert resource.create is not None
    if not resource.idempotency or not resource.create.keyed:
        return resource.create.method == "PUT"
    kept = provider.idempotency_kept
    return kept is None or intent.tried_at is None or intent.now - intent.tried_at < kept


def in_parts(resource: Resource, intent: Intent) -> bool:
    """Whether a call may have written before the one that failed."""
    create = resource.create if intent.action == "create" else None
    return create is not None and bool(create.first or create.then)

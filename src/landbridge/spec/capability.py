"""What a provider's page allows, computed from its facts: for tables, documentation and checks."""

from collections.abc import Iterator
from dataclasses import dataclass

from landbridge.spec.following import (
    ChangedSince,
    CreatedSince,
    EventFeed,
    InRanges,
    SinceHeader,
    SinceParam,
    SyncToken,
)
from landbridge.spec.paging import OnePage
from landbridge.spec.provider import Provider, Resource, can_pull, writable
from landbridge.spec.rows import Access

__all__ = [
    "Capability",
    "Grade",
    "capabilities",
    "grade",
]


@dataclass(frozen=True, kw_only=True, slots=True)
class Capability:
    """What can be done with one resource."""

    resource: str
    model: str
    """Kind of the unified model, such as `payments.invoice`; empty: raw only."""
    pull: bool
    incremental: str
    """How changes are followed: `events`, `created`, `since`, `changes`, `token`; empty: by listing
    all."""
    deletes: str
    """How deletions are seen: `events`, `status`, `changes`, `token`, `sweep` (the list is read by
    turns), `never` (it has none), `listing`."""
    webhooks: bool
    """Whether the provider tells about it by itself."""
    write: tuple[str, ...]
    """Which of create, update and delete there are."""
    two_way: bool
    """Whether what was read can be changed and sent back."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Grade:
    """How far a page goes: `none`, `bronze`, `silver`, `gold`, and what the next step lacks."""

    name: str
    missing: tuple[str, ...]
    """Sentences; none for gold."""


def capabilities(provider: Provider) -> tuple[Capability, ...]:
    """The capability table of a provider, one line a resource."""
    return tuple(_capability(provider, resource) for resource in provider.resources)


def grade(provider: Provider) -> Grade:
    """How complete the page is. Each grade also asks for what the grades below it ask.

    bronze: lists and maps something, knows the account, reads refusals. silver: every mapped
    resource is followed without listing it all, unless it only holds another one or one answer
    holds it all. gold: the
    provider tells of changes by itself or by token, and every write can be repeated or found again.
    """
    name = "none"
    for step, rules in (("bronze", _bronze), ("silver", _silver), ("gold", _gold)):
        missing = tuple(rules(provider))
        if missing:
            return Grade(name=name, missing=missing)
        name = step
    return Grade(name=name, missing=())


def _capability(provider: Provider, resource: Resource) -> Capability:
    writes = ("create", "update", "delete") if resource.maps else ()  # none by itself
    rows = resource.maps.fields if resource.maps else ()
    return Capability(
        resource=resource.name,
        model=getattr(resource.maps.model, "kind", "") if resource.maps else "",
        pull=can_pull(resource),
        incremental=_incremental(resource),
        deletes=_deletes(resource),
        webhooks=provider.webhook is not None and bool(resource.topics or resource.deletes),
        write=tuple(action for action in writes if writable(resource, action)),
        two_way=resource.update is not None and any(row.access is Access.BOTH for row in rows),
    )


def _incremental(resource: Resource) -> str:
    match resource.since:
        case EventFeed():
            return "events"
        case CreatedSince():
            return "created"
        case SinceHeader() | SinceParam():
            return "since"
        case InRanges():
            return "ranges"
        case ChangedSince():
            return "changes"
        case SyncToken():
            return "token"
        case _:
            return ""


def _deletes(resource: Resource) -> str:
    if resource.sweep is not None:
        return "sweep"
    match resource.since:
        case CreatedSince() | InRanges():
            return "never"
        case SinceHeader() | SinceParam():
            told = "events" if resource.deletes else "never"
            return "status" if resource.deleted else told
        case SyncToken():
            return "token"
        case ChangedSince():
            return "changes"
        case EventFeed():
            return "events" if resource.deletes else "never"
        case _:
            return "listing"


def _bronze(provider: Provider) -> Iterator[str]:
    if not any(resource.maps and can_pull(resource) for resource in provider.resources):
        yield "no resource is both listed and mapped"
    if provider.accounts is None and not any(resource.within for resource in provider.resources):
        yield "it does not say whose account a credential opens"
    if not provider.errors.message and not provider.errors.request_id and provider.accounts:
        yield "it does not say how refusals read"


def _silver(provider: Provider) -> Iterator[str]:
    few_of = {resource.within for resource in provider.resources}
    few_of |= {one.name for one in provider.resources if isinstance(one.page, OnePage)}
    for line in capabilities(provider):
        few = line.resource in few_of
        if line.model and line.pull and not line.incremental and not few:
            yield f"{line.resource}: changes are only seen by listing everything"


def _gold(provider: Provider) -> Iterator[str]:
    for line in capabilities(provider):
        if line.incremental == "events" and not line.webhooks:
            yield f"{line.resource}: no webhook tells of it"
    for resource in provider.resources:
        safe = resource.idempotency or resource.version or resource.marked
        if (resource.create or resource.update) and not safe:
            yield f"{resource.name}: a write cannot be repeated without doing it twice"

"""What a new record needs beside its own call: another record or a value before it, a part of it
behind it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import field
from typing import TYPE_CHECKING

from landbridge.errors import did_you_mean
from landbridge.spec._check import Path, Template, fact
from landbridge.spec._writes import holes

if TYPE_CHECKING:
    from landbridge.spec.provider import Provider, Resource

__all__ = [
    "First",
    "LookedUp",
    "Then",
]


@fact
class First:
    """A record of another resource that is made before: an invoice's order.

    Both are made under a key of idempotency, each of its own, so that a creation whose answer was
    lost is repeated as a whole and makes nothing twice. If the provider refuses the second record,
    the first one stays.
    """

    resource: str
    """The resource by whose `create` it is made."""
    of: Path
    """Path in the record that is to be written to what the other one is made of; it is not sent
    with it."""
    key_at: Path
    """Path in the record at which the key of the other one goes."""
    shares: Mapping[Path, Path] = field(default_factory=dict)
    """Paths of the other record, each with that in the record which says the same."""


@fact
class LookedUp:
    """A value that a new record needs and its mapping may leave open: then it is looked up."""

    at: Path
    """Path in the record that is to be written."""
    path: Template
    """Where it is, to be asked by GET."""
    found: Path
    """Path to it in the answer."""


@fact
class Then:
    """A part of a new record that goes into a call of its own, behind it: an invoice's lines.

    It has a key of idempotency of its own, so that a creation whose answer was lost is repeated as
    a whole and makes nothing twice. If the provider refuses the part, the record stays without it.
    """

    path: Template
    """Where it goes, by POST; `{id}` is the new record's key."""
    of: Path
    """Path to it in the record, which is sent without it, and in the body of this call. A record
    that has nothing there needs no such call."""


def unclear_creation(resource: Resource) -> Iterator[str]:
    """What stands at another call than a creation, and parts that cannot go behind one."""
    for name in ("update", "delete"):
        write = getattr(resource, name)
        if write and (write.first or write.looked_up or write.lists or write.then):
            yield f"{name}: first, looked_up, lists and then are facts of a creation"
    then = resource.create.then if resource.create else None
    if then and holes(then.path) != {"id"}:
        yield f"create, then: {then.path!r} needs the hole {{id}} and no other"
    if then and not resource.idempotency:
        yield "create, then: nothing makes a repeated call harmless; name `idempotency`"


def unready(provider: Provider, resource: Resource) -> Iterator[str]:
    """Why what a new record needs cannot be had, and who makes records that nobody writes."""
    names = [one.name for one in provider.resources]
    first = resource.create.first if resource.create else None
    if first is not None and first.resource not in names:
        yield f", create, first: no {first.resource!r}.{did_you_mean(first.resource, names)}"
    elif first is not None:
        other = next(one for one in provider.resources if one.name == first.resource)
        if other.create is None:
            yield f", create, first: the page does not say how a {other.name} is made"
        for one in (other, resource):
            if not one.idempotency:
                yield f", create, first: nothing makes a repeated creation of {one.name} harmless"
    if resource.create is not None and resource.maps is None:
        made = [one.create.first for one in provider.resources if one.create]
        if resource.name not in [each.resource for each in made if each]:
            yield ", create: nothing is written from it; give it a mapping, or name it in `first`"

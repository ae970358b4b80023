"""Which scopes a consent asks for, and why: computed from what is enabled, and no more."""

from collections.abc import Sequence
from dataclasses import dataclass

from landbridge.errors import InvalidInput, did_you_mean
from landbridge.spec.auth import ApiKey, Basic, OAuth2
from landbridge.spec.provider import Provider, Resource, Write, can_pull

__all__ = [
    "WRITES",
    "Asked",
    "asked",
    "check_enabled",
]

WRITES = ("create", "update", "delete")
"""What can be done to a resource beside reading it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """One scope of a consent."""

    scope: str
    why: str
    """What it is for, in the page's words."""
    by: tuple[str, ...]
    """What needs it: `always`, `invoice: read`, `invoice: create`."""


def asked(
    provider: Provider, resources: Sequence[str] = (), writes: Sequence[str] = ()
) -> tuple[Asked, ...]:
    """The scopes that these resources and writes need, in the order of the page's own list.

    Without `resources` every one that can be pulled is read. A write is named `invoice` (all that
    the page has) or `invoice.create`; none are asked for unless they are named. NotFound for a
    resource that there is none of, InvalidInput for a write that the page has not.
    """
    check_enabled(provider, resources, writes)
    words = getattr(provider.auth, "scopes", {})
    if isinstance(provider.auth, ApiKey | Basic):
        return ()
    by: dict[str, list[str]] = {}
    always = provider.auth.always if isinstance(provider.auth, OAuth2) else frozenset()
    for scope in always:
        by.setdefault(scope, []).append("always")
    for resource in _read(provider, resources):
        for scope in resource.needs:
            by.setdefault(scope, []).append(f"{resource.name}: read")
    for name in writes:
        for resource, action, write in _written(provider, name):
            # A write is read back: whoever may write a record may also see it.
            for scope in write.needs | resource.needs:
                line = f"{resource.name}: {action}"
                if line not in by.setdefault(scope, []):
                    by[scope].append(line)
    return tuple(
        Asked(scope=scope, why=words[scope], by=tuple(by[scope])) for scope in words if scope in by
    )


def check_enabled(provider: Provider, resources: Sequence[str], writes: Sequence[str]) -> None:
    """Raises NotFound for a resource that there is none of, InvalidInput for such a write."""
    _read(provider, resources)
    for name in writes:
        _written(provider, name)


def _read(provider: Provider, names: Sequence[str]) -> list[Resource]:
    if names:
        return [provider.resource(name) for name in names]
    return [resource for resource in provider.resources if can_pull(resource)]


def _written(provider: Provider, name: str) -> list[tuple[Resource, str, Write]]:
    """The writes that a name means, with their resource."""
    named, _, action = name.partition(".")
    resource = provider.resource(named)
    has = {one: write for one in WRITES if (write := getattr(resource, one)) is not None}
    if action and action not in has:
        raise InvalidInput(
            f"writes: {provider.name} has no {name!r}.{did_you_mean(action, list(has))}"
            f" It has: {', '.join(f'{named}.{one}' for one in has) or 'none'}"
        )
    if not has:
        raise InvalidInput(f"writes: {provider.name} takes no writes of {named}")
    return [(resource, one, write) for one, write in has.items() if action in ("", one)]

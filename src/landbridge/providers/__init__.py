"""Every provider's page of facts, by its slug. A page is imported when it is asked for."""

from importlib import import_module
from pkgutil import iter_modules

from landbridge.errors import NotFound, did_you_mean
from landbridge.spec import Provider


def names() -> tuple[str, ...]:
    """The slugs of all providers, sorted; imports no page."""
    return tuple(sorted(found.name for found in iter_modules(__path__) if found.ispkg))


def get(slug: str) -> Provider:
    """The page of the provider with this slug; `NotFound` says which there are."""
    known = names()
    if slug not in known:
        raise NotFound(
            f"there is no provider {slug!r}.{did_you_mean(slug, known)}"
            f" There are: {', '.join(known)}."
        )
    page: Provider = getattr(import_module(f"{__name__}.{slug}"), slug)
    return page

"""What commands share: the error for a wrong call, standard input, and finding a provider."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from landbridge.errors import SettingsError

if TYPE_CHECKING:
    from landbridge.spec.provider import Provider


class WrongUsage(SettingsError):
    """The command was called wrongly: an argument or option is at fault. Exit status 2."""


def standard_input() -> bytes:
    """All of standard input, as raw bytes."""
    return sys.stdin.buffer.read()


def provider_slugs() -> list[str]:
    """The names of all providers that are shipped, without importing any."""
    from pkgutil import iter_modules

    import landbridge.providers

    found = iter_modules(landbridge.providers.__path__)
    return sorted(module.name for module in found if module.ispkg)


def find_provider(slug: str, also: tuple[str, ...] = ()) -> Provider:
    """The provider of this name; `WrongUsage` lists those there are (and `also`)."""
    from importlib import import_module

    from landbridge.spec._check import did_you_mean
    from landbridge.spec.provider import Provider

    slugs = provider_slugs()
    if slug not in slugs:
        names = [*slugs, *also]
        raise WrongUsage(
            f"{slug!r} is no provider.{did_you_mean(slug, names)} There are: {', '.join(names)}."
        )
    page = getattr(import_module(f"landbridge.providers.{slug}"), slug)
    assert isinstance(page, Provider)
    return page

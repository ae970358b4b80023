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
    """All of standard input, as raw bytes; nothing where it is closed."""
    return b"" if sys.stdin is None else sys.stdin.buffer.read()


def find_provider(slug: str, also: tuple[str, ...] = ()) -> Provider:
    """The provider of this name; `WrongUsage` lists those there are (and `also`)."""
    from landbridge import providers
    from landbridge.errors import did_you_mean

    known = [*providers.names(), *also]
    if slug not in known:
        raise WrongUsage(
            f"{slug!r} is no provider.{did_you_mean(slug, known)} There are: {', '.join(known)}."
        )
    return providers.get(slug)

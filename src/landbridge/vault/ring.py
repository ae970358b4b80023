"""Several key providers at a time, while secrets move from one to another."""

from __future__ import annotations

from collections.abc import Sequence

from landbridge.errors import WrongKey
from landbridge.vault.keys import KeyProvider


class KeyRing:
    """The first provider wraps; all of them open what they wrapped."""

    def __init__(self, providers: Sequence[KeyProvider]):
        self._providers = tuple(providers)
        self.name = self._providers[0].name

    def __repr__(self) -> str:
        return f"KeyRing({self.names})"

    @property
    def names(self) -> str:
        """The names of the providers, for a message."""
        return ", ".join(each.name for each in self._providers)

    def first(self, name: str) -> KeyRing | None:
        """The same providers with this one first; None if it is not among them."""
        chosen = [each for each in self._providers if each.name == name]
        others = [each for each in self._providers if each.name != name]
        return KeyRing([*chosen, *others]) if chosen else None

    async def wrap(self, key: bytes, bound_to: bytes) -> bytes:
        """The key wrapped by the first provider."""
        return await self._providers[0].wrap(key, bound_to)

    async def unwrap(self, wrapped: bytes, bound_to: bytes) -> bytes:
        """The key, by the provider that wrapped it."""
        for each in self._providers:
            if each.made_by(wrapped) is not None:
                return await each.unwrap(wrapped, bound_to)
        return await self._by_form(wrapped, bound_to)

    def made_by(self, wrapped: bytes) -> str | None:
        """Which key of which provider wrapped this; None: none of them."""
        found = (each.made_by(wrapped) for each in self._providers)
        return next((name for name in found if name is not None), None)

    async def close(self) -> None:
        """Closes all of them."""
        for each in self._providers:
            await each.close()

    async def _by_form(self, wrapped: bytes, bound_to: bytes) -> bytes:
        """A provider may not know its key's name before it is asked: an alias of AWS KMS."""
        last = WrongKey("no key provider of this installation wrapped what the database holds")
        for each in self._providers:
            try:
                return await each.unwrap(wrapped, bound_to)
            except WrongKey as error:
                last = error
        raise last

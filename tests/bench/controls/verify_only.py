"""An intake that verifies and answers, and commits nothing: what the server alone can do."""

from __future__ import annotations

from typing import Self

from landbridge.store.arrivals import Arrival
from tests.bench.door import Door, open_door
from tests.bench.remote import perform


class VerifyOnly:
    """Forgets."""

    @classmethod
    async def make(cls, _url: str) -> Self:
        """It needs nothing."""
        return cls()

    async def add(self, _item: Arrival) -> None:
        """Returns at once."""


async def _verify(*, url: str, key: str) -> Door:
    return await open_door(url=url, key=key, commit=VerifyOnly.make)


if __name__ == "__main__":
    perform(_verify)

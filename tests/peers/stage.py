"""An open bridge on an embedded Postgres of its own, for rows about other people's servers."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from landbridge import Connection, Landbridge
from landbridge.spec import Provider

TENANT = "acme"


@contextmanager
def _reachable_home() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="landbridge-peers-") as folder:
        Path(folder).chmod(0o711)  # the server's own user passes through it
        yield Path(folder) / "home"


@asynccontextmanager
async def bridge(providers: Sequence[Provider] | None = None) -> AsyncIterator[Landbridge]:
    """A bridge that may call loopback addresses; everything it kept is gone afterwards."""
    with _reachable_home() as home:
        opened = Landbridge.from_env(
            providers=providers, home=home, allow_networks="127.0.0.0/8", database_url="", key=""
        )
        async with opened:
            yield opened


async def mirror(opened: Landbridge, connection: Connection, resource: str) -> dict[str, str]:
    """The raw text of every live record by its key."""
    return {
        record.key: record.raw.decode() async for record in opened.records(connection, resource)
    }

"""`python -m tests.engine.dying URL KEY CONNECTION INTENT`: creates a customer, to be killed."""

from __future__ import annotations

import asyncio
import sys

from landbridge.app.bridge import Landbridge
from landbridge.models.payments import Customer


async def main(url: str, key: str, connection: str, intent: str) -> None:
    bridge = Landbridge.from_env(database_url=url, key=key, allow_networks="127.0.0.0/8")
    async with bridge:
        api = bridge.api(await bridge.connection(connection))
        await api.create(Customer(name="Ada"), intent=intent)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))

"""Workers for pulls, each a process in a network namespace: `python -m tests.jobs.hosting URL KEY
NETWORK NAMESPACE...`.

They are forked from this process, which has all modules by then, and says their ids in one line. A
worker ends by SIGTERM; this ends when all have, with status 0 if each ended well or was killed.
"""

import asyncio
import ctypes
import os
import signal
import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from landbridge import Landbridge
from landbridge.app.kinds import Kinds
from landbridge.jobs import Worker, new_owner
from tests.engine.conftest import SHOP

AT_ONCE = 2
LEASE = timedelta(seconds=1)
_NETWORK = 0x40000000
"""CLONE_NEWNET; os.setns is there from Python 3.12 on."""


async def work(url: str, key: str, network: str) -> None:
    """Works until SIGTERM, then lets end what runs."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    bridge = Landbridge.from_env(
        database_url=url, key=key, providers=[SHOP], allow_networks=network, pool=6
    )
    async with bridge:
        kinds = Kinds(bridge._open).table()
        worker = Worker(bridge.db, new_owner(), kinds, {"pull": AT_ONCE}, lease=LEASE)
        await worker.run(stop)


def born(namespace: str, words: Sequence[str]) -> int:
    """The id of a process that works in a namespace."""
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        with Path("/var/run/netns", namespace).open() as place:
            if ctypes.CDLL(None, use_errno=True).setns(place.fileno(), _NETWORK):
                raise OSError(ctypes.get_errno(), f"setns: {namespace}")
        asyncio.run(work(*words))
        status = 0
    finally:
        os._exit(status)


if __name__ == "__main__":
    children = [born(name, sys.argv[1:4]) for name in sys.argv[4:]]
    print(*children, flush=True)
    ends = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    sys.exit(any(end not in (0, -signal.SIGKILL) for end in ends))

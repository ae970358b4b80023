"""Ends a long-running command in order: SIGTERM and Ctrl-C ask for it, a second one insists."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager

_ASKING = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def stop_on_signals() -> Iterator[asyncio.Event]:
    """An event that the first SIGTERM or SIGINT sets; a second one ends the process at once."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()

    def ask() -> None:
        stop.set()
        for number in _ASKING:
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_DFL)

    for number in _ASKING:
        loop.add_signal_handler(number, ask)
    try:
        yield stop
    finally:
        for number in _ASKING:
            loop.remove_signal_handler(number)

"""The supervisor: the server's parent, alive as long as a process is attached.

It polls its locks ten times a second, which costs nothing worth measuring, and needs neither
threads nor a protocol: the kernel drops the lock of a process that was killed.
"""

import json
import os
import signal
import sys
import time
from collections import deque
from pathlib import Path

from landbridge.errors import SettingsError
from landbridge.store.embedded._home import Home, Options
from landbridge.store.embedded._locks import EXCLUSIVE, opened, still_there, take
from landbridge.store.embedded._server import Server

_PAUSE = 0.1
_RESTARTS, _WITHIN = 5, 60.0  # a server that dies more often than that within seconds stays down


def supervise(directory: Path, options: Options) -> int:
    """Starts the server, answers on standard output with one line of JSON, stays until it is no
    longer needed. The exit status is 0 unless the server did not start."""
    if os.fork():
        os._exit(0)  # nobody's child: the process that starts us need not reap us
    home = Home(root=directory)
    told: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: told.append(number))
    signal.signal(signal.SIGINT, lambda number, _: told.append(number))
    alive = opened(home.supervised)
    if not take(alive, EXCLUSIVE, 5):
        return _answer(f"another supervisor of {directory} is alive; try again")
    home.withdraw()
    server = Server(home, options)
    try:
        home.announce(server.start())
    except SettingsError as error:
        return _answer(str(error))
    except OSError as error:
        server.stop()
        return _answer(str(home.explained(error)))
    _answer("")
    attached = opened(home.attached)
    deaths: deque[float] = deque(maxlen=_RESTARTS)
    try:
        while not told and still_there(alive, home.supervised) and not take(attached, EXCLUSIVE):
            if server.ended() is not None:
                deaths.append(time.monotonic())
                if len(deaths) == deaths.maxlen and deaths[-1] - deaths[0] < _WITHIN:
                    _note("the server keeps dying; it stays down until someone attaches")
                    return 1
                _note(f"the server ended with status {server.ended()}; starting it anew")
                home.withdraw()
                home.announce(server.start())
            time.sleep(_PAUSE)
    except (SettingsError, OSError) as error:
        _note(str(error))
        return 1
    finally:
        home.withdraw()
        server.stop()
    return 0


def _answer(problem: str) -> int:
    """Tells the process that started us how it went; it waits for this line."""
    sys.stdout.write(json.dumps({"problem": problem}) + "\n")
    sys.stdout.flush()
    with Path(os.devnull).open("w") as nothing:
        os.dup2(nothing.fileno(), sys.stdout.fileno())
    return 1 if problem else 0


def _note(words: str) -> None:
    sys.stderr.write(f"landbridge: {words}\n")
    sys.stderr.flush()

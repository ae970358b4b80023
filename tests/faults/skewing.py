"""A worker whose machine's clock is wrong: `python -m tests.faults.skewing ROLE URL [KEY SENDER]`.

The library that moves the clock is compiled on the spot and loaded before libc: it moves what
`clock_gettime(CLOCK_REALTIME)`, `gettimeofday` and `time` say, for Python and all it calls.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import structlog

from landbridge.client.guard import Guard
from landbridge.engine.courier import Courier
from landbridge.engine.deliver import Deliveries
from landbridge.jobs import new_owner
from landbridge.store.database import Database
from landbridge.vault import LocalKey, Vault
from tests.faults.senders import SENDERS

LEASE = timedelta(seconds=1)

_LIBRARY = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>

static long skew(void) { const char *by = getenv("SKEW"); return by ? atol(by) : 0; }

int clock_gettime(clockid_t id, struct timespec *t) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int done = real(id, t);
    if (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE) t->tv_sec += skew();
    return done;
}

int gettimeofday(struct timeval *t, void *zone) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    t->tv_sec = now.tv_sec;
    t->tv_usec = now.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *t) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (t) *t = now.tv_sec;
    return now.tv_sec;
}
"""


@contextmanager
def clocks() -> Iterator[Path | None]:
    """The library that moves a process's clock; None where there is no C compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or not sys.platform.startswith("linux"):
        yield None
        return
    with tempfile.TemporaryDirectory() as directory:
        source, library = Path(directory) / "skew.c", Path(directory) / "skew.so"
        source.write_text(_LIBRARY)
        command = [compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(source), "-ldl"]
        subprocess.run(command, check=True)
        yield library


async def start(
    role: str, url: str, *more: str, library: Path | None, skew: int
) -> asyncio.subprocess.Process:
    """A process of its own whose clock is wrong by so many seconds."""
    moved = {"LD_PRELOAD": str(library), "SKEW": str(skew)} if library else {}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.faults.skewing", role, url, *more),
        env=os.environ | moved,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    told = float(await process.stdout.readline())
    off = told - datetime.now(UTC).timestamp()
    assert library is None or abs(off - skew) < 60, f"its clock is off by {off:.0f} s"
    return process


async def deliver(url: str, key: str, sender: str) -> None:
    """Delivers by that client, with leases of a second."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    db = await Database.open(url, budget=4)
    vault = Vault(db, LocalKey.from_text(key))
    async with SENDERS[sender](Guard(["127.0.0.0/8"])) as posts:
        courier = Courier(
            db,
            new_owner(),
            Deliveries(db, vault, posts),
            {"deliver": 40, "retry": 20},
            lease=LEASE,
            poll=timedelta(milliseconds=50),
        )
        await courier.run(asyncio.Event())


CONTROL = """
    CREATE TABLE leased (id int PRIMARY KEY, until timestamptz NOT NULL, owner text);
    CREATE TABLE effect (id int, owner text);"""


async def by_own_clock(url: str) -> None:
    """The control: leases whose end the worker's own clock decides. It does a job in 0.3 s."""
    db = await Database.open(url, budget=2)
    owner = new_owner()
    while True:
        now = datetime.now(UTC)
        async with db.transaction() as tx:
            rows = await tx.execute(
                "UPDATE leased SET until = $1::timestamptz + interval '1 s', owner = $2"
                " WHERE id = (SELECT id FROM leased WHERE until <= $1"
                "             ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED) RETURNING id",
                now,
                owner,
            )
        if not rows:
            await asyncio.sleep(0.05)
            continue
        await asyncio.sleep(0.3)
        async with db.transaction() as tx:
            await tx.execute("INSERT INTO effect VALUES ($1, $2)", rows[0][0], owner)
            await tx.execute("DELETE FROM leased WHERE id = $1", rows[0][0])


ROLES: Mapping[str, Callable[..., Coroutine[None, None, None]]] = {
    "deliver": deliver,
    "control": by_own_clock,
}

if __name__ == "__main__":
    print(datetime.now(UTC).timestamp(), flush=True)
    asyncio.run(ROLES[sys.argv[1]](*sys.argv[2:]))

"""W14: the database restarts, is full, has no connection left or is too slow, under webhooks."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import asyncpg

from landbridge.store.database import Database
from landbridge.testing.running import in_thread
from tests.faults.serving import Load, Stage, connect_again, postmaster, serving, stage
from tests.rows import RowResult, Trial, row

_RATE = 60
_WITHIN = 15.0
"""Seconds in which the server has to answer 200 again, by itself."""
_SOON = 2.0
"""Seconds in which a webhook is answered whatever work is under way."""

Fault = Callable[[Stage], AbstractAsyncContextManager[None]]


@asynccontextmanager
async def killed(on: Stage) -> AsyncIterator[None]:
    """The server is killed, and started again by its supervisor."""
    os.kill(await postmaster(on.url), signal.SIGKILL)
    yield


@asynccontextmanager
async def restarted(on: Stage) -> AsyncIterator[None]:
    """A fast shutdown and a start, as for an upgrade."""
    os.kill(await postmaster(on.url), signal.SIGINT)
    yield


@asynccontextmanager
async def crowded(on: Stage) -> AsyncIterator[None]:
    """All connections of the server are taken by others, and ours were cut."""
    others = [await asyncpg.connect(on.url)]
    os.kill(on.pid, signal.SIGSTOP)  # else it fills its pool again before anybody comes
    await others[0].execute(_CUT)
    with suppress(asyncpg.TooManyConnectionsError):
        while True:
            others.append(await asyncpg.connect(on.url))
    os.kill(on.pid, signal.SIGCONT)
    yield
    for each in others:
        await each.close()


_CUT = """
    SELECT pg_terminate_backend(pid, 1000) FROM pg_stat_activity
    WHERE application_name = 'landbridge' AND datname = current_database()"""


@asynccontextmanager
async def too_slow(on: Stage) -> AsyncIterator[None]:
    """Somebody holds a lock on the table longer than statements may take."""
    admin = await asyncpg.connect(on.url)
    name = await admin.fetchval("SELECT current_database()")
    await admin.execute(f"ALTER DATABASE {name} SET statement_timeout = '200ms'")
    await admin.execute(_CUT)
    async with admin.transaction():
        await admin.execute("LOCK TABLE landbridge.arrival IN ACCESS EXCLUSIVE MODE")
        yield
    await admin.execute(f"ALTER DATABASE {name} RESET statement_timeout")
    await admin.close()


@asynccontextmanager
async def full(on: Stage) -> AsyncIterator[None]:
    """The disk on which webhooks are stored has no room left."""
    admin = await asyncpg.connect(on.url)
    place = await _small_disk(admin)
    filler = Path(place) / "filler"
    try:
        with suppress(OSError), filler.open("wb") as file:
            while file.write(b"\0" * 65_536):
                pass
        yield
        filler.unlink()
    finally:
        filler.unlink(missing_ok=True)
        await admin.execute(
            "DO $$ DECLARE t text; BEGIN FOR t IN SELECT c.oid::regclass FROM pg_class AS c"
            " JOIN pg_inherits AS i ON i.inhrelid = c.oid"
            " WHERE i.inhparent = 'landbridge.arrival'::regclass LOOP"
            " EXECUTE format('ALTER TABLE %s SET TABLESPACE pg_default', t); END LOOP; END $$"
        )
        await admin.execute("DROP TABLESPACE small")
        await admin.close()
        _unmount(place)


async def _small_disk(admin: asyncpg.Connection) -> str:
    """A file system of two megabytes that the table lies on from now; only root can make one."""
    place = _mount(await admin.fetchval("SELECT current_setting('data_directory')"))
    await admin.execute(f"CREATE TABLESPACE small LOCATION '{place}'")
    for partition in await admin.fetch(
        "SELECT inhrelid::regclass::text AS name FROM pg_inherits"
        " WHERE inhparent = 'landbridge.arrival'::regclass"
    ):
        await admin.execute(f"ALTER TABLE {partition['name']} SET TABLESPACE small")
    return place


def _mount(data: str) -> str:
    place = tempfile.mkdtemp(prefix="landbridge-small-")
    owner = Path(data).stat()
    options = f"size=2m,uid={owner.st_uid},gid={owner.st_gid},mode=700"
    try:
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", place], check=True)
    except subprocess.CalledProcessError:
        Path(place).rmdir()
        raise
    return place


def _mounts() -> bool:
    """Whether we may mount a small disk: as root, where nothing forbids it to root."""
    try:
        _unmount(_mount(tempfile.gettempdir()))
    except subprocess.CalledProcessError:
        return False
    return True


def _unmount(place: str) -> None:
    subprocess.run(["umount", place], check=True)
    Path(place).rmdir()


FAULTS: dict[str, Fault] = {
    "killed": killed,
    "restarted": restarted,
    "crowded": crowded,
    "too slow": too_slow,
    "full": full,
}


@row(
    "W14",
    alone=True,
    title="Postgres restarts, has no connection left, is full, times out; work holds our pool",
    goal="0 acknowledged and missing; 503 meanwhile, but 200 while work holds the pool; 200 again"
    " alone",
)
async def database_fails(trial: Trial) -> RowResult:
    """An open-loop load before, during and after each fault, at a real server process. The control
    acknowledges first and stores then."""
    times = trial.size.pick(small=1, medium=10)
    left_out = [] if _mounts() else ["full"]
    found: dict[str, dict[str, Any]] = {}
    async with stage() as on:
        for number in range(times):
            for name, fault in FAULTS.items():
                if name not in left_out:
                    _add(found, name, await _trouble(on, name, fault))
            trial.step(number + 1, times)
        missing = await on.missing()
        sent, acked, slowest = on.load.sent, len(on.load.acked), max(on.load.waited)
        hasty = await _control(on)
        held = await _while_held(on, pool=10)
        shared = await _while_held(on, pool=3)
    odd = sum(each["odd"] for each in found.values())
    quiet = [name for name, each in found.items() if not each["turned away"]]
    stuck = [name for name, each in found.items() if each["stuck"]]
    told = f"; NOT RUN, as nothing can be mounted here: {', '.join(left_out)}" if left_out else ""
    steady = held["answered"] == held["acknowledged"] > 0 and held["slowest_seconds"] < _SOON
    return RowResult(
        value=f"{sent} sent, {acked} acknowledged, {missing} missing;"
        f" 503 in {len(found) - len(quiet)} of {len(found)} faults, {len(stuck)} stuck"
        f" (control: {hasty} missing); our pool held by work: {held['acknowledged']} of"
        f" {held['answered']} acknowledged, within {held['slowest_seconds']} s (control, one pool"
        f" for both: {shared['acknowledged']}){told}",
        holds=not (missing or odd or quiet or stuck or left_out)
        and hasty > 0
        and steady
        and shared["acknowledged"] < shared["answered"],
        detail={
            "tried": sent,
            "lost": missing,
            "slowest_answer_seconds": round(slowest, 2),
            "control_missing": hasty,
            "left_out": left_out,
            "pool held": held,
            "pool held, one pool for both": shared,
            **found,
        },
    )


def _add(found: dict[str, dict[str, Any]], name: str, more: dict[str, int]) -> None:
    sums = found.setdefault(name, dict.fromkeys(more, 0))
    for key, value in more.items():
        sums[key] += value


async def _trouble(on: Stage, name: str, fault: Fault) -> dict[str, int]:
    """What was answered during one fault, and whether 200 came again without anybody's help."""
    before, during = f"before {name}", f"during {name}"
    await on.send(before, 0.2, rate=_RATE)
    async with fault(on):
        await on.send(during, 0.8, rate=_RATE)
    deadline = asyncio.get_running_loop().time() + _WITHIN
    after = f"after {name}"
    while not (again := on.load.seen(after)[200]):
        if asyncio.get_running_loop().time() > deadline:
            break
        await on.send(after, 0.2, rate=_RATE)
    statuses = on.load.seen(before) + on.load.seen(during) + on.load.seen(after)
    return {
        "turned away": on.load.seen(during)[503] + on.load.seen(after)[503],
        "odd": sum(count for status, count in statuses.items() if status not in (200, 503)),
        "stuck": int(not again),
    }


async def _while_held(on: Stage, *, pool: int) -> dict[str, Any]:
    """Webhooks at a process that also works, while its work waits for a lock with every connection
    that it can take. A pool of three has none to spare for webhooks: the control."""
    async with serving(on.url, on.key, pool=pool, work=True) as (address, pid):
        hook = f"{address}/in/{on.hook.rpartition('/')[2]}"
        apart = Stage(url=on.url, key=on.key, hook=hook, pid=pid, load=Load())
        await apart.send("before", 0.5, rate=_RATE)
        admin = await asyncpg.connect(on.url)
        async with admin.transaction():
            # Nobody has connected the account of these webhooks, so sorting them writes here.
            await admin.execute("LOCK TABLE landbridge.parked IN ACCESS EXCLUSIVE MODE")
            await apart.send("filling", 0.3, rate=_RATE)
            waiting = await admin.fetchval(_WAITING)
            apart.load.waited.clear()
            await apart.send("held", 0.5, rate=_RATE)
        await admin.close()
    seen = apart.load.seen("held")
    return {
        "jobs_waiting": waiting,
        "answered": seen.total(),
        "acknowledged": seen[200],
        "slowest_seconds": round(max(apart.load.waited), 2),
    }


_WAITING = """
    SELECT count(*) FROM pg_stat_activity
    WHERE application_name = 'landbridge' AND wait_event_type = 'Lock'"""


# The control


class Hasty:
    """Acknowledges a webhook and stores it then, as handlers do that hand it to a background task.
    Right as long as nothing happens in between."""

    def __init__(self, url: str):
        self._url = url
        self._db: Database | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        body = (await receive()).get("body", b"")
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})
        task = asyncio.create_task(self._store(body))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _store(self, body: bytes) -> None:
        with suppress(Exception):
            if self._db is None:
                self._db = await Database.open(self._url, budget=4)
            async with self._db.transaction() as tx:
                await tx.execute("INSERT INTO hasty VALUES ($1)", body)


async def _control(on: Stage) -> int:
    """Webhooks that the control acknowledged and lost when the server was killed; it loses none
    as long as it is not."""
    admin = await connect_again(on.url)
    await admin.execute("CREATE TABLE hasty (body bytea)")
    await admin.close()
    with in_thread(Hasty(on.url)) as address:
        calm = await _lost(on, f"{address}/", killing=False)
        assert calm == 0, "the control has to work without faults"
        return await _lost(on, f"{address}/", killing=True)


async def _lost(on: Stage, hook: str, *, killing: bool) -> int:
    apart = Stage(url=on.url, key=on.key, hook=hook, pid=os.getpid(), load=Load())
    await apart.send("before", 0.3, rate=_RATE)
    if killing:
        os.kill(await postmaster(on.url), signal.SIGKILL)
    await apart.send("during", 0.7, rate=_RATE)
    await asyncio.sleep(0.3)
    admin = await connect_again(on.url)
    stored = await admin.fetchval("SELECT count(*) FROM hasty")
    await admin.execute("TRUNCATE hasty")
    await admin.close()
    return len(apart.load.acked) - int(stored)

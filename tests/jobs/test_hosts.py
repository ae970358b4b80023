"""Workers on several hosts over one Postgres: one is cut off, one killed, one paused."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from signal import SIGCONT, SIGKILL, SIGSTOP, SIGTERM
from urllib.parse import parse_qs, urlsplit

import pytest

from landbridge import Landbridge
from landbridge.engine.orders import pull_job
from landbridge.engine.pull import stream_of
from landbridge.store import due
from landbridge.store.database import Database
from landbridge.store.sql import Sql
from landbridge.vault import new_key
from tests.engine.conftest import SHOP
from tests.jobs.hosting import AT_ONCE
from tests.jobs.hosts import missing, reachable, town

PAGES, EACH = 10, 5
SMALL = ("north", "east", "south")
LARGE = "large"
STREAMS = [*[(LARGE, f"shop {number}") for number in range(8)], *[(name, "") for name in SMALL]]

RUNS = Sql(
    "tests.runs_of_hosts",
    """
    SELECT tenant, connection, sum(pages)::int AS pages,
        count(*) FILTER (WHERE state = 'done') AS done,
        count(*) FILTER (WHERE state <> 'done') AS stopped
    FROM lb.run GROUP BY tenant, connection
    """,
    across="A test looks at everything.",
)
LEFT = Sql("tests.left", "SELECT count(*) FROM lb.due WHERE kind = 'pull'", across="The same.")
HELD = Sql("tests.held", "SELECT count(*) FROM lb.record", across="The same.")


class Shop:
    """Lists the customers of whoever asks, page by page, and notes which host asked for whom."""

    def __init__(self) -> None:
        self.order: list[str] = []
        """Keys, as each first asked."""
        self.hosts: set[str] = set()
        self.opened = asyncio.Event()
        """Until then everybody waits for an answer."""

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answers one connection's requests."""
        host = writer.get_extra_info("peername")[0]
        try:
            while head := (await reader.readuntil(b"\r\n\r\n")).decode():
                target = urlsplit(head.split(" ", 2)[1])
                key = head.lower().partition("authorization: bearer ")[2].split("\r\n")[0]
                if key not in self.order:
                    self.order.append(key)
                self.hosts.add(host)
                await self.opened.wait()
                await asyncio.sleep(0.02)
                first = int(parse_qs(target.query).get("after", ["0"])[0]) + 1
                data = [{"id": str(n), "name": f"{key} {n}"} for n in range(first, first + EACH)]
                more = first + EACH <= PAGES * EACH
                body = json.dumps({"data": data, "more": more}).encode()
                writer.write(
                    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
                    b"content-length: %d\r\n\r\n%b" % (len(body), body)
                )
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def serving(shop: Shop, address: str) -> AsyncIterator[str]:
    server = await asyncio.start_server(shop, address, 0)
    yield f"http://{address}:{server.sockets[0].getsockname()[1]}"
    server.close()


async def until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not true():  # noqa: ASYNC110 - other processes do it
            await asyncio.sleep(0.01)


async def order_pulls(bridge: Landbridge, base: str) -> None:
    """The tenants' connections; the large one's pulls are ordered first."""
    for tenant, label in STREAMS:
        connected = await bridge.connect(
            "shop",
            tenant=tenant,
            credentials={"key": f"{tenant} {label}".strip().replace(" ", "-")},
            settings={"base": base},
            label=label,
            every=None,
        )
        await due.put(bridge.db, [pull_job(stream_of(connected.connection, "customer"))])


def _end(group: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(group, SIGKILL)


async def drained(db: Database) -> None:
    async with asyncio.timeout(60):
        while await db.value(LEFT):  # noqa: ASYNC110 - other processes do it
            await asyncio.sleep(0.05)


async def test_others_go_on_with_the_pulls_of_hosts_that_are_cut_off_killed_or_paused(
    database_url: str,
) -> None:
    if why := missing():
        pytest.skip(why)
    shop, key = Shop(), new_key()
    with town(4) as place:
        bridge = Landbridge.from_env(
            database_url=database_url, key=key, providers=[SHOP], allow_networks=place.network
        )
        async with (
            bridge,
            reachable(database_url, place.address) as url,
            serving(shop, place.address) as base,
            AsyncExitStack() as after,
        ):
            await order_pulls(bridge, base)
            names = [host.name for host in place.hosts]
            working = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "tests.jobs.hosting", url, key, place.network, *names),
                stdout=asyncio.subprocess.PIPE,
                start_new_session=True,
            )
            after.callback(_end, working.pid)
            assert working.stdout is not None
            lost, killed, paused, well = map(int, (await working.stdout.readline()).split())
            held_up = len(place.hosts) * AT_ONCE
            await until(lambda: len(shop.order) == held_up)
            assert shop.hosts == {host.address for host in place.hosts}
            place.hosts[0].cut(off=True)
            os.kill(killed, SIGKILL)
            os.kill(paused, SIGSTOP)
            shop.opened.set()
            await drained(bridge.db)
            place.hosts[0].cut(off=False)
            os.kill(paused, SIGCONT)
            for process in (lost, paused, well):  # what they still hold they give up, and end
                os.kill(process, SIGTERM)
            async with asyncio.timeout(60):
                assert await working.wait() == 0
            await drained(bridge.db)
            runs = await bridge.db.fetch(RUNS)
            held = await bridge.db.value(HELD)
    assert len(runs) == len(STREAMS)
    assert held == len(STREAMS) * PAGES * EACH
    assert all(run["done"] >= 1 for run in runs)
    # A page of two at once would be counted twice: each is stored with its run's count.
    assert [run["pages"] for run in runs] == [PAGES * run["done"] for run in runs]
    assert sum(run["stopped"] for run in runs) >= 3 * AT_ONCE
    assert set(SMALL) <= set(shop.order[:held_up]), "the large tenant kept the small ones waiting"

"""Names whose servers hang hold up no other name."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest

from landbridge.client._names import SystemLookup

THREADS = 2
Lookup = Callable[[str, int], Coroutine[Any, Any, list[str]]]


class NameServers:
    """Answers for every name; those that begin with `hang` only once they are let go."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.threads: dict[str, str] = {}
        """Which threads looked a name up last."""
        self.late: set[str] = set()
        self.hands = 0.0
        self.let_go = threading.Event()

    def __call__(self, host: str, port: int, **_more: Any) -> list[Any]:
        self.asked[host] += 1
        self.threads[host] = threading.current_thread().name.split("-")[2].split("_")[0]
        self.hands += 5.0 if host in self.late else 0.0
        if host.startswith("hang"):
            self.let_go.wait(20)
        if host.startswith("none"):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(2, 1, 6, "", (address, port)) for address in ("192.0.2.7", "192.0.2.7")]


@asynccontextmanager
async def hanging(lookup: Lookup, servers: NameServers, *names: str) -> AsyncIterator[None]:
    """Someone asks for these names, and gets no answer while the block lasts."""
    asking = [asyncio.create_task(lookup(each, 443)) for each in names]
    await asyncio.sleep(0.05)
    yield
    servers.let_go.set()
    await asyncio.gather(*asking)
    servers.let_go.clear()


async def answers(lookup: Lookup, host: str) -> bool:
    try:
        async with asyncio.timeout(0.5):
            return await lookup(host, 443) == ["192.0.2.7"]
    except TimeoutError:
        return False


@pytest.fixture
def servers() -> NameServers:
    return NameServers()


MANY = [f"hang{number}" for number in range(3 * THREADS)]


async def test_names_that_answered_are_not_held_up_by_any_that_hang(servers: NameServers) -> None:
    lookup = SystemLookup(THREADS, resolve=servers)
    assert await answers(lookup, "shop")
    async with hanging(lookup, servers, *MANY):
        assert await answers(lookup, "shop")
        assert not await answers(lookup, "new"), "the threads for new ones are taken"


async def test_one_pool_for_all_is_used_up_by_strangers(servers: NameServers) -> None:
    """The control: as many threads as there are in all, and no difference between names."""
    pool = ThreadPoolExecutor(3 * THREADS, thread_name_prefix="landbridge-names-all")

    async def lookup(host: str, port: int) -> list[str]:
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(pool, partial(servers, host, port))
        return list(dict.fromkeys(each[4][0] for each in found))

    assert await answers(lookup, "shop")
    async with hanging(lookup, servers, *MANY):
        assert not await answers(lookup, "shop")
    pool.shutdown()


async def test_those_that_took_long_do_not_hold_up_new_ones_again(servers: NameServers) -> None:
    lookup = SystemLookup(THREADS, long=0.04, resolve=servers)
    async with hanging(lookup, servers, *MANY):
        pass
    async with hanging(lookup, servers, *MANY):
        assert await answers(lookup, "new")


async def test_one_that_took_long_is_as_others_after_a_while(servers: NameServers) -> None:
    lookup = SystemLookup(THREADS, resolve=servers, monotonic=lambda: servers.hands)
    servers.late.add("late")
    for _ in range(2):
        assert await answers(lookup, "late")
    assert servers.threads["late"] == "slow"
    servers.late.clear()
    servers.hands += 601
    assert await answers(lookup, "late")
    assert servers.threads["late"] == "new"
    assert await answers(lookup, "late")
    assert servers.threads["late"] == "known"


async def test_one_that_answered_and_then_takes_long_is_not_trusted(servers: NameServers) -> None:
    lookup = SystemLookup(THREADS, resolve=servers, monotonic=lambda: servers.hands)
    assert await answers(lookup, "shop")
    servers.late.add("shop")
    assert await answers(lookup, "shop")
    servers.late.clear()
    for _ in range(2):
        assert await answers(lookup, "shop")
        assert servers.threads["shop"] == "slow"


async def test_a_name_is_looked_up_once_for_all_who_ask(servers: NameServers) -> None:
    lookup = SystemLookup(THREADS, resolve=servers)
    impatient = asyncio.create_task(lookup("hang", 443))
    async with hanging(lookup, servers, *["hang"] * 20):
        impatient.cancel()
        await asyncio.wait([impatient])
    assert servers.asked["hang"] == 1
    assert await lookup("shop", 443) == await lookup("shop", 443) == ["192.0.2.7"]
    assert servers.asked["shop"] == 2, "nothing is kept"


async def test_a_name_that_is_not_there_is_said_to_be_so(servers: NameServers) -> None:
    lookup = SystemLookup(THREADS, resolve=servers)
    for _ in range(2):
        with pytest.raises(socket.gaierror, match="Name or service not known"):
            await lookup("none", 443)
    assert servers.threads["none"] == "new"


async def test_the_operating_system_is_asked() -> None:
    assert await SystemLookup()("127.0.0.1", 80) == ["127.0.0.1"]

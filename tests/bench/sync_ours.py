"""Landbridge as the row `sync` measures it, in a process of its own (`python -m
tests.bench.sync_ours`): pulls of one resource, and the same pages read alone."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import psutil
import structlog

from landbridge.app.bridge import Landbridge
from landbridge.client import Lane, SignIn
from landbridge.engine.connect import connect
from landbridge.models.base import Address
from landbridge.models.payments import Customer
from landbridge.protocols import Place, pull
from landbridge.spec import (
    ApiKey,
    Field,
    PageNumber,
    Provider,
    Resource,
    currency,
    entries,
    flag,
    instant,
    map_from,
    minor,
    nested,
    text,
)
from landbridge.store import ordering
from landbridge.store.connections import Connection
from landbridge.wire import Request, Response
from tests.bench.ours import bridge_of
from tests.bench.remote import perform

SIZE = 100
"""Records on a page, as many as most providers give."""

_NUMBERED = 1000
_SAMPLED = 50
"""Pages between two looks at the memory."""

PAGE = Provider(
    slug="paged",
    name="Paged",
    docs="https://paged.example/docs",
    checked="2026-11-27",
    auth=ApiKey(fields=[Field(name="key", label="Key", secret=True)]),
    base="https://paged.example",
    resources=[
        Resource(
            name="thing",
            path="/things",
            key="id",
            records="data",
            page=PageNumber(count="pages", size_param="size", size=SIZE),
            maps=map_from(
                Customer,
                id=text("id"),
                name=text("name"),
                email=text("email"),
                phone=text("phone"),
                description=text("description"),
                address=nested(
                    "address",
                    map_from(
                        Address,
                        line1=text("line1"),
                        line2=text("line2"),
                        city=text("city"),
                        region=text("state"),
                        postal_code=text("postal_code"),
                        country=text("country"),
                    ),
                ),
                currency=currency("currency"),
                balance=minor("balance", currency="currency"),
                delinquent=flag("delinquent"),
                created_at=instant("created", unix=True),
                extra=entries("metadata"),
            ),
        )
    ],
)


class OurSync:
    """A bridge with one connection to the source."""

    def __init__(self, bridge: Landbridge, connection: Connection, stack: AsyncExitStack):
        self._bridge = bridge
        self._connection = connection
        self._stack = stack

    async def pull(self) -> dict[str, Any]:
        """Pulls everything and numbers the changes; see `_measured`."""
        resident: list[int] = []
        own = psutil.Process()

        def look(_name: str, totals: Any) -> None:
            if totals.pages % _SAMPLED == 0:
                resident.append(own.memory_info().rss)

        async def work() -> dict[str, Any]:
            done = (await self._bridge.pull(self._connection, ["thing"], look))["thing"]
            after = numbered = 0
            while True:
                step = await ordering.sequence(self._bridge.db, limit=_NUMBERED, after=after)
                numbered += step.changes
                if not step.taken:
                    break
                after = step.last
            return {
                "rows": done.seen,
                "pages": done.pages,
                "changed": done.changed,
                "numbered": numbered,
                "resident": resident,
            }

        return await _measured(work)

    async def read(self) -> dict[str, Any]:
        """The same conversation over the same client, every record parsed, nothing stored."""

        async def work() -> dict[str, Any]:
            provider = self._bridge.provider(PAGE.slug)
            signed = self._bridge.client.signed(
                provider, SignIn(connection=self._connection), lane=Lane.BACKFILL
            )
            place = Place(base=str(self._connection.settings["base"]))
            now = self._bridge.client.clock.now()
            conversation = pull(provider, provider.resource("thing"), place, None, now)
            reply: Response | None = None
            rows = 0
            while True:
                try:
                    step = conversation.send(reply)
                except StopIteration:
                    return {"rows": rows}
                reply = await signed.send(step) if isinstance(step, Request) else None
                if not isinstance(step, Request):
                    rows += len([each.value for each in step.records])

        return await _measured(work)

    async def bare(self) -> dict[str, Any]:
        """The pages by a plain HTTP client and a fast parser: no reading is cheaper."""
        base = str(self._connection.settings["base"])

        async def work() -> dict[str, Any]:
            rows, page, pages = 0, 1, 1
            async with httpx2.AsyncClient(trust_env=False) as http:
                while page <= pages:
                    answer = await http.get(f"{base}/things?size={SIZE}&page={page}")
                    body = msgspec.json.decode(answer.content)
                    rows, page, pages = rows + len(body["data"]), page + 1, body["pages"]
            return {"rows": rows}

        return await _measured(work)

    async def close(self) -> None:
        await self._stack.aclose()


async def _measured(work: Callable[[], Awaitable[dict[str, Any]]]) -> dict[str, Any]:
    """What the work gave, the seconds it took by the clock and of this process's CPU, and the most
    memory that was resident so far, in bytes."""
    began, cpu = time.monotonic(), time.process_time()
    given = await work()
    return {
        **given,
        "seconds": time.monotonic() - began,
        "cpu": time.process_time() - cpu,
        "peak": _peak(),
    }


def _peak() -> int:
    """Bytes. Not `ru_maxrss`, which on Linux begins with what the parent had."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


async def _ours(*, url: str, key: str, source: str) -> OurSync:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    stack = AsyncExitStack()
    bridge = await stack.enter_async_context(bridge_of(url, key, providers=[PAGE]))
    joined = await connect(
        bridge.db,
        bridge.vault,
        bridge.client,
        PAGE,
        environment=bridge.settings.environment,
        tenant="acme",
        credentials={"key": "bench-" + "t" * 34},
        settings={"base": source},
    )
    return OurSync(bridge, joined.connection, stack)


if __name__ == "__main__":
    perform(_ours)

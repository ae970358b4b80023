"""A stream as a dlt resource: loaded whole, merged later, deleted when it is deleted."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import asyncpg
import pytest

from landbridge.app.bridge import Landbridge
from landbridge.exporting import dlt_resource
from landbridge.store import ordering
from landbridge.testing.control import Control
from landbridge.testing.running import in_thread
from landbridge.testing.stripe import KEY, Amounts, Settings, Simulator
from landbridge.vault import new_key
from tests.engine.test_pull import there

T = TypeVar("T")
LOADED = "SELECT * FROM loaded.customer"
AMOUNTS = Amounts(
    customers=12, products=0, subscriptions=0, invoices=0, refunds=0, payment_intents=0
)


@pytest.fixture
def stripe() -> Iterator[Control]:
    with in_thread(Simulator(Settings(seed=7, amounts=AMOUNTS)).app) as url, Control(url) as sim:
        yield sim


@pytest.fixture
def made(database_url: str) -> Callable[[], Landbridge]:
    key = new_key()
    return lambda: Landbridge.from_env(
        database_url=database_url, key=key, allow_networks="127.0.0.0/8"
    )


def on(bridge: Landbridge, work: Callable[[Landbridge], Awaitable[T]]) -> T:
    async def opened() -> T:
        async with bridge:
            return await work(bridge)

    return asyncio.run(opened())


def test_it_is_loaded_whole_then_by_number(
    made: Callable[[], Landbridge],
    stripe: Control,
    database_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RUNTIME__DLTHUB_TELEMETRY", "false")
    monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path))
    import dlt

    async def begin(bridge: Landbridge) -> str:
        joined = await bridge.connect(
            "stripe", tenant="acme", credentials={"key": KEY}, settings={"base": stripe.url}
        )
        return joined.connection.id

    connection = on(made(), begin)

    async def pull(bridge: Landbridge) -> None:
        await bridge.pull(await bridge.connection(connection), ["customer"])
        await ordering.sequence(bridge.db, limit=10_000)

    pipeline = dlt.pipeline(
        "customers",
        pipelines_dir=str(tmp_path),
        destination=dlt.destinations.postgres(with_host(database_url)),
        dataset_name="loaded",
    )

    def load() -> int:
        pipeline.run(dlt_resource(connection, "customer", bridge=made()))
        counts = pipeline.last_trace.last_normalize_info.row_counts
        return int(counts.get("customer", 0))

    on(made(), pull)
    assert load() == 12
    one, two, *rest = sorted(there(stripe, "customers"))
    stripe.patch(f"objects/customers/{one}", set={"name": "Other", "metadata": {"tier": "gold"}})
    stripe.delete(f"objects/customers/{two}")
    on(made(), pull)
    assert load() == 2
    rows = asyncio.run(loaded(database_url))
    assert sorted(rows) == [one, *rest]
    assert rows[one]["name"] == "Other"
    assert '"tier"' in rows[one]["extra"]


def with_host(url: str) -> str:
    """dlt demands a host; the socket in the address's query overrules it."""
    parts = urlsplit(url)
    user = parts.netloc.rpartition("@")[0]
    return parts._replace(netloc=f"{user}@localhost:5432").geturl()


async def loaded(url: str) -> dict[str, Any]:
    connection = await asyncpg.connect(url)
    try:
        return {row["_key"]: dict(row) for row in await connection.fetch(LOADED)}
    finally:
        await connection.close()

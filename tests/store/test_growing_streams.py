"""The statements of a pull, while the tables they read have no statistics yet: what they look at
grows with the page, not with what is stored."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from landbridge.store import catalogue, records, syncs
from landbridge.store.database import Database
from landbridge.store.records import Incoming
from landbridge.store.sql import Sql
from landbridge.store.syncs import Stream

STREAM = Stream(environment="test", tenant="acme", connection="con_1", resource="invoice")
KEYS = [f"in_{number:05d}" for number in range(3000)]
PAGE = KEYS[:100]
BY_KEY = ["records.held", "records.unchanged", "records.touch", "records.delete"]


@pytest.fixture
async def db(database_url: str) -> AsyncIterator[Database]:
    database = await Database.open(database_url)
    yield database
    await database.close()


async def grown(db: Database) -> None:
    """Stores all records and notes that a listing met them, a page of 100 at a time."""
    async with db.transaction() as tx:
        for first in range(0, len(KEYS), 100):
            page = KEYS[first : first + 100]
            await records.apply(
                tx,
                STREAM,
                [Incoming(key=key, raw=b"{}", sent=b"s", digest=b"d") for key in page],
            )
            await syncs.see(tx, STREAM, listing="gen", keys=page)


async def plan(db: Database, name: str, **binds: Any) -> list[dict[str, Any]]:
    """Every node of the plan, with what was read when it ran; what it wrote is undone."""
    statement: Sql = next(each for each in catalogue.every() if each.name == name)
    async with db.transaction() as tx:
        await tx.raw.execute("SAVEPOINT before")
        answer = await tx.raw.fetchval(
            f"EXPLAIN (ANALYZE, FORMAT JSON) {statement.render(db.schema)}",
            *statement.arguments(binds),
        )
        await tx.raw.execute("ROLLBACK TO before")
    return list(_nodes(json.loads(answer)[0]["Plan"]))


def _nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for each in node.get("Plans", []):
        yield from _nodes(each)


def most_rows(nodes: list[dict[str, Any]]) -> int:
    """The most rows that one node gave or threw away, all its turns together."""
    return max(
        int(
            node["Actual Loops"]
            * (
                node["Actual Rows"]
                + node.get("Rows Removed by Filter", 0)
                + node.get("Rows Removed by Join Filter", 0)
            )
        )
        for node in nodes
    )


@pytest.mark.parametrize("name", BY_KEY)
async def test_a_page_is_looked_up_by_its_keys_alone(db: Database, name: str) -> None:
    await grown(db)
    more: dict[str, dict[str, Any]] = {
        "records.held": {},
        "records.unchanged": {"keys": json.dumps(PAGE), "marks": b"d" * len(PAGE)},
        "records.touch": {"versions": ["2"] * len(PAGE)},
        "records.delete": {"changes": [f"chg_{key}" for key in PAGE]},
    }
    binds = STREAM.binds() | {"keys": PAGE} | more[name]
    read = [node for node in await plan(db, name, **binds) if "Relation Name" in node]
    assert most_rows(read) <= len(PAGE)


async def test_what_a_listing_missed_is_found_in_one_pass(db: Database) -> None:
    await grown(db)
    binds = STREAM.binds() | {"listing": "gen", "scope": "", "before": None}
    nodes = await plan(db, "records.missing", **binds)
    assert most_rows(nodes) <= 3 * len(KEYS)
    async with db.transaction() as tx:
        await records.apply(tx, STREAM, [Incoming(key="late", raw=b"{}", sent=b"s", digest=b"d")])
        assert await records.missing(tx, STREAM, listing="gen") == ["late"]

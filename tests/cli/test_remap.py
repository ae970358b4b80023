"""Reading what is stored again, by hand."""

from __future__ import annotations

import asyncio

import asyncpg

from tests.cli.conftest import Cli, Shop, connect


def test_it_says_what_was_read_and_what_differed(cli: Cli, shop: Shop) -> None:
    connection = connect(cli, shop)
    pulled = cli.ok("pull", connection, "customer", "product", "--json").json["resources"]
    customers, products = (each["changed"] for each in pulled)
    asyncio.run(rename(cli.environment["LANDBRIDGE_DATABASE_URL"]))
    (done,) = cli.ok("remap", connection, "customer", "--json").json["resources"]
    assert done == {
        "resource": "customer", "read": customers, "changed": customers,
        "parked": 0, "left": 0, "asked": 0,
    }  # fmt: skip
    every = {
        one["resource"]: one for one in cli.ok("remap", connection, "--json").json["resources"]
    }
    assert every["customer"]["read"] == customers
    assert every["product"]["read"] == products
    assert {one["changed"] for one in every.values()} == {0}
    assert "customer" in cli.ok("remap", connection, "customer").out


def test_it_says_which_resources_there_are(cli: Cli, shop: Shop) -> None:
    connection = connect(cli, shop)
    done = cli("remap", connection, "custmer")
    assert done.status == 1
    assert "Did you mean" in done.err or "did you mean" in done.err


async def rename(url: str) -> None:
    """Leaves unified forms as a mapping of earlier would have made them."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(
            """UPDATE landbridge.record SET unified = unified || '{"name": "By another mapping"}'
            WHERE resource = 'customer'"""
        )
    finally:
        await connection.close()

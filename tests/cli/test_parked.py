"""What could not be read: seen, replayed once it is mended, or discarded."""

from __future__ import annotations

import asyncio

import pytest

from landbridge.store import parked
from landbridge.store.database import Database
from landbridge.store.parked import Stop
from tests.cli.conftest import Cli, Shop, connect, run


def spoiled(cli: Cli, shop: Shop) -> tuple[str, str]:
    """The id of a price that lost its currency, and under which id it is parked."""
    connection = connect(cli, shop)
    price = run(shop, "GET", "objects/prices")["objects"][0]["id"]
    run(shop, "PATCH", f"objects/prices/{price}?event=false", {"set": {"currency": None}})
    done = cli.ok("pull", connection, "price", "--json").json
    assert done["resources"][0]["parked"] == 1
    (stopped,) = cli.ok("parked", "list", "--connection", connection, "--json").json["parked"]
    assert (stopped["what"], stopped["key"], stopped["tenant"]) == ("record", price, "acme")
    assert stopped["reason"] in cli.ok("parked", "list").out
    identifier: str = stopped["id"]
    return price, identifier


def test_an_unreadable_record_names_its_field_and_is_replayed(cli: Cli, shop: Shop) -> None:
    price, stopped = spoiled(cli, shop)
    shown = cli.ok("parked", "show", stopped, "--json").json
    assert "Price.currency" in shown["reason"]
    assert shown["raw"] is None or price in shown["raw"]
    still = cli.ok("parked", "replay", stopped)
    assert "still cannot be read and stays parked" in still.out
    run(shop, "PATCH", f"objects/prices/{price}", {"set": {"currency": "eur"}})
    done = cli.ok("parked", "replay", stopped, "--json").json
    assert done == {"replayed": [{"id": stopped, "outcome": "it is read and stored"}]}
    assert cli.ok("parked", "list", "--json").json == {"parked": [], "more": False}
    again = cli("parked", "replay", stopped)
    assert again.status == 1
    assert "it was replayed or never was" in again.err


def test_a_record_that_is_gone_meanwhile_is_deleted(cli: Cli, shop: Shop) -> None:
    price, stopped = spoiled(cli, shop)
    run(shop, "DELETE", f"objects/prices/{price}")
    cli.ok("parked", "replay", stopped)
    assert cli.ok("parked", "list", "--json").json == {"parked": [], "more": False}


def test_what_is_discarded_is_forgotten(cli: Cli, shop: Shop) -> None:
    _, stopped = spoiled(cli, shop)
    assert f"{stopped}: forgotten" in cli.ok("parked", "discard", stopped).out
    assert cli.ok("parked", "list").out.strip() == "nothing is parked"


def test_what_names_no_key_waits_for_a_later_pull(cli: Cli, shop: Shop) -> None:
    connection = connect(cli, shop)

    async def keyless() -> None:
        db = await Database.open(cli.environment["LANDBRIDGE_DATABASE_URL"])
        stop = Stop(key="digest:00ff", reason="no key at id", raw=b"{}")
        await parked.park(
            db,
            [stop],
            environment="test",
            tenant="acme",
            what="record",
            place=connection,
            resource="price",
        )
        await db.close()

    asyncio.run(keyless())
    (stopped,) = cli.ok("parked", "list", "--what", "record", "--json").json["parked"]
    done = cli("parked", "replay", stopped["id"])
    assert done.status == 1
    assert f"landbridge parked discard {stopped['id']}" in done.err
    cli.ok("parked", "discard", stopped["id"])


@pytest.mark.parametrize(
    ("words", "status", "expected"),
    [
        (("parked", "show", "prk_no"), 1, "'prk_no' is not parked in the environment 'test'"),
        (("parked", "list", "--what", "recard"), 2, "--what: 'recard' is none of record"),
        (("inbox", "show", "inb_no"), 1, "'inb_no' is no event"),
        (("inbox", "show", "arr_no"), 1, "'arr_no' is no webhook"),
        (("inbox", "replay", "arr_no"), 1, "'arr_no' is no webhook"),
        (("inbox", "replay", "prk_no"), 1, "'prk_no' is not parked"),
    ],
)
def test_an_unknown_id_says_where_to_look(
    cli: Cli, words: tuple[str, ...], status: int, expected: str
) -> None:
    done = cli(*words)
    assert done.status == status
    assert expected in done.err

"""Custom fields and objects on the command line."""

from __future__ import annotations

from tests.cli.conftest import Cli, Shop, connect


def test_a_field_is_set_listed_and_removed(cli: Cli, shop: Shop) -> None:
    connection = connect(cli, shop)
    cli.ok("pull", connection, "customer", "--json")
    wrong = cli("fields", "set", connection, "customer", "prefix", "invoice_prefx")
    assert wrong.status == 1
    assert "Did you mean 'invoice_prefix'?" in wrong.err
    done = cli.ok(
        "fields", "set", connection, "customer", "prefix", "invoice_prefix", "--access", "read",
        "--json",
    ).json  # fmt: skip
    assert done["seen"] == done["tried"] > 0
    cli.ok("remap", connection, "customer")
    (first, *_) = cli.ok("records", connection, "customer", "--json").json["records"]
    assert first["unified"]["extra"]["prefix"]
    (row,) = cli.ok("fields", "list", connection, "--json").json["fields"]
    assert row == {
        "resource": "customer", "field": "prefix", "path": "invoice_prefix", "word": "text",
        "access": "read", "holds_for": connection,
    }  # fmt: skip
    assert "invoice_prefix" in cli.ok("fields", "list", connection).out
    cli.ok("fields", "remove", connection, "customer", "prefix")
    assert cli.ok("fields", "list", connection, "--json").json["fields"] == []


def test_pairs_are_read_as_the_vendor_has_them(cli: Cli, shop: Shop) -> None:
    connection = connect(cli, shop)
    done = cli.ok(
        "fields", "set", connection, "customer", "seat", "list", "--where", "id=7", "--where",
        "kind=a", "--value", "value", "--access", "read", "--word", "A=aisle", "--json",
    ).json  # fmt: skip
    assert (done["where"], done["words"]) == ({"id": 7, "kind": "a"}, {"A": "aisle"})
    wrong = cli("fields", "set", connection, "customer", "seat", "list", "--word", "aisle")
    assert wrong.status == 2
    assert "no pair such as name=value" in wrong.err


def test_an_object_is_set_pulled_and_removed(cli: Cli, shop: Shop) -> None:
    connection = connect(cli, shop)
    wrong = cli("objects", "set", connection, "ware", "/v1/products", "--like", "custmer")
    assert wrong.status == 1
    assert "Did you mean 'customer'?" in wrong.err
    cli.ok("objects", "set", connection, "ware", "/v1/products", "--like", "customer", "--all")
    cli.ok("pull", connection, "ware")
    (first, *_) = cli.ok("records", connection, "ware", "--json").json["records"]
    assert first["model"] == "custom.record"
    (row,) = cli.ok("objects", "list", connection, "--json").json["objects"]
    assert row == {
        "object": "ware", "path": "/v1/products", "like": "customer", "holds_for": "all"
    }  # fmt: skip
    wrong = cli("objects", "remove", connection, "ware")
    assert "--all" in wrong.err
    cli.ok("objects", "remove", connection, "ware", "--all")
    assert cli.ok("objects", "list", connection, "--json").json["objects"] == []
    assert cli("pull", connection, "ware").status == 1


def test_a_table_that_the_page_has_not_is_refused(cli: Cli, shop: Shop) -> None:
    connection = connect(cli, shop)
    wrong = cli("codes", "set", connection, "accounts", "200=sales")
    assert wrong.status == 1
    assert "stripe has no code table 'accounts'" in wrong.err
    assert cli("codes", "set", connection, "accounts", "200").status == 2
    assert cli("codes", "remove", connection, "accounts").status == 1
    assert cli.ok("codes", "list", connection, "--json").json["codes"] == []

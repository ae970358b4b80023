"""Connecting an account: what is asked for, from where, and what is said."""

from __future__ import annotations

import pytest

from landbridge.testing.stripe import KEY
from tests.cli.conftest import Cli, Shop, connect


def test_it_connects_and_says_what_is_next(cli: Cli, shop: Shop) -> None:
    done = cli.ok(
        "connect", "stripe", "--tenant", "acme", "--url", shop.url, LANDBRIDGE_CONNECT_KEY=KEY
    )
    listed = cli.ok("connections", "list", "--json").json["connections"]
    assert [(each["tenant"], each["state"]) for each in listed] == [("acme", "active")]
    connection = listed[0]["connection"]
    assert connection in done.out
    assert "http://127.0.0.1:8700/in/" in done.out
    assert f"landbridge connections secret {connection}" in done.out
    assert f"landbridge pull {connection}" in done.out


def test_a_key_comes_from_standard_input(cli: Cli, shop: Shop) -> None:
    lines = f"\nkey = {KEY}\nwebhook_secret=whsec_1\n"
    done = cli.ok(
        "connect", "stripe", "--tenant", "acme", "--url", shop.url, "--stdin", "--json",
        stdin=lines,
    )  # fmt: skip
    assert done.json["webhook_secret"] == "set"
    assert KEY not in done.out
    assert "whsec_1" not in done.out


def test_a_webhook_secret_alone_comes_from_standard_input(cli: Cli, shop: Shop) -> None:
    done = cli.ok(
        "connect", "stripe", "--tenant", "acme", "--url", shop.url, "--webhook-secret-stdin",
        "--json", stdin="whsec_1\n", LANDBRIDGE_CONNECT_KEY=KEY,
    )  # fmt: skip
    assert done.json["webhook_secret"] == "set"


def test_the_same_account_keeps_its_connection(cli: Cli, shop: Shop) -> None:
    first = connect(cli, shop)
    again = cli.ok(
        "connect", "stripe", "--tenant", "acme", "--url", shop.url, "--json",
        LANDBRIDGE_CONNECT_KEY=KEY,
    ).json  # fmt: skip
    assert (again["connection"], again["new"]) == (first, False)
    assert connect(cli, shop, "--label", "second") != first


@pytest.mark.parametrize(
    ("words", "stdin", "expected"),
    [
        ((), "", "key: Stripe needs its Secret or restricted key; set LANDBRIDGE_CONNECT_KEY"),
        (("--set", f"key={KEY}"), "", "--set key: a secret would stand in the shell's history"),
        (("--set", "kee=1"), "", "--set kee: Stripe has no such field or setting. Did you mean"),
        (("--set", KEY), "", "--set: this has no equals sign"),
        (("--stdin",), f"key={KEY}\n{KEY}", "--stdin: line 2 is not of the form name=value"),
        (("--stdin", "--webhook-secret-stdin"), "", "read the same input"),
        (("--stdin",), "webhook_secret=whsec_1", "key: Stripe needs its Secret"),
    ],
)
def test_a_wrong_call_says_the_way_out(
    bare_cli: Cli, words: tuple[str, ...], stdin: str, expected: str
) -> None:
    done = bare_cli("connect", "stripe", "--tenant", "acme", *words, stdin=stdin)
    assert done.status == 2
    assert expected in done.err
    assert KEY not in done.err
    assert done.out == ""


def test_a_key_of_the_other_environment_is_refused(cli: Cli, shop: Shop) -> None:
    done = cli(
        "connect", "stripe", "--tenant", "acme", "--url", shop.url, "--environment", "live",
        LANDBRIDGE_CONNECT_KEY=KEY,
    )  # fmt: skip
    assert done.status == 1
    assert "connect them in the environment 'test'" in done.err
    assert cli.ok("connections", "list", "--json").json == {"connections": [], "more": False}


def test_a_server_of_the_customer_needs_its_address(bare_cli: Cli) -> None:
    done = bare_cli(
        "connect", "caldav", "--tenant", "acme", "--set", "username=ada",
        LANDBRIDGE_CONNECT_PASSWORD="secret",
    )  # fmt: skip
    assert done.status == 2
    assert "url: CalDAV needs its Server address" in done.err

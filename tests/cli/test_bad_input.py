"""What goes wrong most often: each is one sentence that names the cause and the way out."""

from __future__ import annotations

import json
import socket

import pytest

from landbridge.testing.stripe import KEY
from landbridge.vault import new_key
from tests.cli.conftest import Cli, Done, Shop, connect, run


def sentence(done: Done) -> str:
    """The one line on standard error, and nothing else anywhere."""
    assert done.status == 1
    assert done.out == ""
    (line,) = done.err.splitlines()
    assert line.startswith("error: ")
    return line


@pytest.fixture
def refused_port() -> int:
    """A port that nobody listens at."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port: int = closed.getsockname()[1]
    return port


def test_a_wrong_api_key(cli: Cli, shop: Shop) -> None:
    done = cli(
        "connect", "stripe", "--tenant", "acme", "--url", shop.url,
        LANDBRIDGE_CONNECT_KEY="sk_test_wrong",
    )  # fmt: skip
    assert sentence(done) == (
        "error: Stripe does not accept these credentials; check them and try again"
    )


def test_a_wrong_landbridge_key(cli: Cli, shop: Shop) -> None:
    connection = connect(cli, shop)
    done = cli("pull", connection, "product", LANDBRIDGE_KEY=new_key())
    assert done.status == 1
    assert "failed: LANDBRIDGE_KEY: another key sealed what the database holds" in done.out
    assert "put that key back" in done.out


@pytest.mark.parametrize("key", ["", "short", "=" * 44, "c2hvcnQ" * 6])
def test_a_landbridge_key_that_is_none(cli: Cli, key: str) -> None:
    line = sentence(cli("connections", "list", LANDBRIDGE_KEY=key))
    assert line.startswith("error: LANDBRIDGE_KEY: ")
    assert "landbridge keys new" in line


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql://ada@127.0.0.1:{port}/none", "Postgres does not answer"),
        ("postgresql://ada@no-such-host.invalid/none", "Postgres does not answer"),
        ("https://example.com", "not an address such as"),
        ("postgresql://ada@host:port/none", "not an address such as"),
        ("{server}/no_such_database", "create it with CREATE DATABASE"),
    ],
)
def test_a_wrong_database_url(cli: Cli, refused_port: int, url: str, expected: str) -> None:
    server = cli.environment["LANDBRIDGE_DATABASE_URL"]
    there = url.format(port=refused_port, server="")
    if url.startswith("{server}"):
        from tests.store.databases import with_database

        there = with_database(server, "no_such_database")
    line = sentence(cli("connections", "list", LANDBRIDGE_DATABASE_URL=there))
    assert expected in line
    assert "LANDBRIDGE_DATABASE_URL" in line


def test_a_wrong_database_password(cli: Cli) -> None:
    from urllib.parse import urlsplit

    url = cli.environment["LANDBRIDGE_DATABASE_URL"]
    password = urlsplit(url).password
    assert password
    wrong = url.replace(password, "wrong", 1)
    line = sentence(cli("connections", "list", LANDBRIDGE_DATABASE_URL=wrong))
    assert "refuses this user or password; check both" in line


def test_a_database_without_our_tables(cli: Cli, empty_database_url: str) -> None:
    done = cli("connections", "list", LANDBRIDGE_DATABASE_URL=empty_database_url)
    assert "run: landbridge db upgrade" in sentence(done)


def test_an_unknown_provider(bare_cli: Cli) -> None:
    done = bare_cli("connect", "strype", "--tenant", "acme")
    assert done.status == 2
    assert "'strype' is no provider. Did you mean 'stripe'? There are: caldav, " in done.err


def test_an_unreadable_record(cli: Cli, shop: Shop) -> None:
    connection = connect(cli, shop)
    invoice = run(shop, "GET", "objects/invoices")["objects"][0]["id"]
    run(shop, "PATCH", f"objects/invoices/{invoice}?event=false", {"set": {"status": "exploded"}})
    done = cli.ok("pull", connection, "invoice")
    assert "1 parked" in done.out
    (stopped,) = cli.ok("parked", "list", "--json").json["parked"]
    assert stopped["reason"].startswith("Invoice.status: ")
    assert "'exploded'" in stopped["reason"]
    held = cli.ok("records", connection, "invoice", "--json").json["records"]
    assert len(held) == len(run(shop, "GET", "objects/invoices")["objects"]) - 1


def test_an_unreachable_server(cli: Cli, refused_port: int) -> None:
    done = cli(
        "connect", "caldav", "--tenant", "acme", "--url", f"http://127.0.0.1:{refused_port}",
        "--set", "username=ada", LANDBRIDGE_CONNECT_PASSWORD="secret",
    )  # fmt: skip
    line = sentence(done)
    assert f"CalDAV at 127.0.0.1:{refused_port} does not answer" in line
    assert "check the address" in line


def test_a_server_inside_our_own_network(cli: Cli) -> None:
    done = cli(
        "connect", "caldav", "--tenant", "acme", "--url", "http://169.254.169.254/",
        "--set", "username=ada", LANDBRIDGE_CONNECT_PASSWORD="secret",
    )  # fmt: skip
    line = sentence(done)
    assert "169.254.169.254, which is link-local and not on the internet" in line
    assert "LANDBRIDGE_ALLOW_NETWORKS" in line


def test_a_setting_of_the_wrong_kind(cli: Cli) -> None:
    assert "LANDBRIDGE_POOL" in sentence(cli("connections", "list", LANDBRIDGE_POOL="many"))
    assert "LANDBRIDGE_SENDER" in sentence(cli("connections", "list", LANDBRIDGE_SENDER="curl"))
    line = sentence(cli("connections", "list", LANDBRIDGE_PROXY="socks5://ann:canary@squid:3128"))
    assert "LANDBRIDGE_PROXY: it is not written as http://host:port" in line
    assert "canary" not in line
    line = sentence(cli("connections", "list", "--environment", "l!ve"))
    assert "LANDBRIDGE_ENVIRONMENT: 'l!ve' is not a plain word such as test or live" in line


def test_with_json_an_error_is_one_object(cli: Cli) -> None:
    done = cli("pull", "con_no", "--json")
    assert done.status == 1
    assert done.err == ""
    told = json.loads(done.out)
    assert told["error"]["type"] == "NotFound"
    assert "'con_no' is no connection" in told["error"]["message"]


def test_an_empty_tenant(cli: Cli) -> None:
    done = cli("connect", "stripe", "--tenant", "", LANDBRIDGE_CONNECT_KEY=KEY)
    assert sentence(done).startswith("error: tenant: empty; give your own id")

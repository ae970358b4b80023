"""`landbridge calls`, `quotas` and `breakers`, as a user calls them."""

from __future__ import annotations

import asyncio

from landbridge.app.bridge import Landbridge
from landbridge.errors import LandbridgeError
from landbridge.testing.stripe import KEY
from tests.cli.conftest import Cli, Shop, connect, run


def call(cli: Cli, connection: str, path: str, times: int = 1) -> None:
    """Calls of an application; each may fail."""

    async def work() -> None:
        bridge = Landbridge.from_env(
            database_url=cli.environment["LANDBRIDGE_DATABASE_URL"],
            key=cli.environment["LANDBRIDGE_KEY"],
            allow_networks="127.0.0.0/8",
        )
        async with bridge:
            api = bridge.api(await bridge.connection(connection))
            for _ in range(times):
                try:
                    await api.get(path)
                except LandbridgeError:
                    continue

    asyncio.run(work())


def test_calls_are_listed_without_ids_bodies_and_secrets(cli: Cli, shop: Shop) -> None:
    connection = connect(cli, shop)
    call(cli, connection, "/v1/customers/cus_canary")
    call(cli, connection, "/v1/customers")
    listed = cli.ok("calls", connection, "--json").json["calls"]
    newest, before = listed[:2]
    assert (newest["method"], newest["path"], newest["status"]) == ("GET", "/v1/customers", 200)
    assert (newest["outcome"], newest["attempt"], newest["tenant"]) == ("ok", 1, "acme")
    assert (before["path"], before["status"]) == ("/v1/customers/{id}", 404)
    assert before["outcome"] in ("gone", "refusal")
    assert before["request_id"]
    (failed,) = cli.ok("calls", connection, "--failed", "--json").json["calls"]
    assert failed == before
    assert cli.ok("calls", connection, "--limit", "1", "--json").json == {
        "calls": [newest],
        "more": True,
    }
    assert cli.ok("calls", connection, "--limit", "1").err == "there are more: --limit 10\n"
    shown = cli.ok("calls", connection)
    assert "/v1/customers/{id}" in shown.out
    assert "cus_canary" not in shown.out
    assert [each["subject"] for each in listed[:2]] == [None, "cus_canary"]  # it is erased by it
    assert KEY not in shown.out + str(listed)


def test_a_connection_that_is_none_is_named(cli: Cli) -> None:
    told = cli("calls", "con_00000000000000000000000000")
    assert told.status != 0
    assert "con_00000000000000000000000000" in told.err
    assert "Traceback" not in told.err
    assert cli("calls", "con_1", "--limit", "0").status == 2


def test_quotas_show_what_is_used_of_them(cli: Cli, shop: Shop) -> None:
    assert cli.ok("quotas", "--json").json == {"quotas": [], "more": False}
    assert "no quotas yet" in cli.ok("quotas").out
    connection = connect(cli, shop)
    call(cli, connection, "/v1/customers", times=3)
    found = cli.ok("quotas", "--json").json["quotas"]
    assert found
    for each in found:
        assert each["place"].startswith("account/stripe/")
        assert each["left"] == max(0, each["limit"] - each["used"])
    names = [(each["place"], each["quota"]) for each in found]
    for words, shown in (
        (("--place", "account/stripe"), names),
        (("--place", "account/xero"), []),
        (("--limit", "1"), names[:1]),
    ):
        told = cli.ok("quotas", *words, "--json").json["quotas"]
        assert [(each["place"], each["quota"]) for each in told] == shown
    assert found[0]["quota"] in cli.ok("quotas").out
    assert cli.ok("quotas", "--environment", "live", "--json").json["quotas"] == []


def test_what_fails_is_listed_and_goes_on_after_a_reset(cli: Cli, shop: Shop) -> None:
    connection = connect(cli, shop)
    assert cli.ok("breakers", "list", "--json").json == {"breakers": [], "more": False}
    assert "everything answers" in cli.ok("breakers", "list").out
    run(shop, "POST", "faults", {"kind": "status", "status": 501, "path": "/v1/*", "times": 100})
    call(cli, connection, "/v1/customers", times=9)
    (row,) = cli.ok("breakers", "list", "--json").json["breakers"]
    assert (row["place"], row["tenant"], row["state"]) == (connection, "acme", "open")
    assert row["failures"] >= 8
    assert "501" in row["error"]
    assert connection in cli.ok("breakers", "list").out
    assert cli.ok("breakers", "reset", connection, "--json").json == {
        "place": connection,
        "state": "closed",
    }
    assert cli.ok("breakers", "list", "--json").json == {"breakers": [], "more": False}
    again = cli("breakers", "reset", connection)
    assert again.status != 0
    assert "landbridge breakers list" in again.err

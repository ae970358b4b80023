"""Pulling by hand, and looking at what was pulled."""

from __future__ import annotations

import json
import re
import signal
import time
from dataclasses import replace

import pytest

from landbridge.testing.running import in_thread
from landbridge.testing.stripe import Settings, Simulator
from tests.cli.conftest import SMALL, Cli, Shop, connect, run, started


def counts(shop: Shop) -> dict[str, int]:
    return {name: each["objects"] for name, each in run(shop, "GET", "objects").items()}


def test_it_pulls_everything_and_a_second_time_nothing(cli: Cli, shop: Shop) -> None:
    connection = connect(cli, shop)
    done = cli.ok("pull", connection, "--json").json
    assert set(done["quota_left"]) == {"global-rate"}
    pulled = {each["resource"]: each for each in done["resources"]}
    there = counts(shop)
    assert {name: pulled[name]["changed"] for name in ("customer", "invoice")} == {
        "customer": there["customers"],
        "invoice": there["invoices"],
    }
    assert all(each["state"] == "done" for each in pulled.values())
    again = cli.ok("pull", connection, "customer", "invoice", "--json").json["resources"]
    assert [(each["resource"], each["changed"]) for each in again] == [
        ("customer", 0),
        ("invoice", 0),
    ]


def test_a_person_reads_a_line_for_each_resource(cli: Cli, shop: Shop) -> None:
    connection = connect(cli, shop)
    lines = cli.ok("pull", connection, "product", "price").out.splitlines()
    assert re.fullmatch(
        r"product: \d+ rows in \d+ pages, [\d,]+ rows/s; \d+ changed, 0 gone, 0 parked", lines[0]
    )
    assert lines[1].startswith("price: ")
    assert re.fullmatch(r"left of quotas: \d+ of \d+ \(global-rate\)", lines[2])
    shown = cli.ok("connections", "show", connection, "--json").json
    there = counts(shop)
    assert {each["resource"]: each["records"] for each in shown["resources"]}["price"] == (
        there["prices"]
    )
    assert {each["state"] for each in shown["runs"]} == {"done"}
    assert "price" in cli.ok("connections", "show", connection).out


def test_a_resource_that_fails_does_not_stop_the_others(cli: Cli, shop: Shop) -> None:
    connection = connect(cli, shop)
    run(shop, "POST", "faults", {
        "kind": "status", "status": 400, "path": "/v1/customers*", "times": None,
    })  # fmt: skip
    done = cli("pull", connection, "customer", "product")
    assert done.status == 1
    assert "customer: 0 rows" in done.out
    assert "; failed: " in done.out
    assert re.search(r"^product: [1-9]\d* rows", done.out, re.MULTILINE)
    runs = cli.ok("connections", "show", connection, "--json").json["runs"]
    assert {each["resource"]: each["state"] for each in runs} == {
        "customer": "failed",
        "product": "done",
    }


def test_credentials_that_died_stop_the_pull_and_ask_for_a_reconnect(cli: Cli, shop: Shop) -> None:
    connection = connect(cli, shop)
    run(shop, "POST", "keys", {"accept": ["sk_test_another"]})
    done = cli("pull", connection, "--json")
    assert done.status == 1
    (only,) = done.json["resources"]
    assert only["state"] == "failed"
    assert "reconnect" in only["reason"]
    (shown,) = cli.ok("connections", "list", "--json").json["connections"]
    assert shown["state"] == "needs_reauth"
    refused = cli("connections", "resume", connection)
    assert refused.status == 1
    assert "landbridge connect stripe --tenant acme" in refused.err


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("con_nowhere",), "'con_nowhere' is no connection in the environment 'test'"),
        (("{}", "invoise"), "stripe has no resource 'invoise'. Did you mean 'invoice'?"),
        (("{}x",), "Did you mean '{}'?"),
    ],
)
def test_a_wrong_name_is_told_with_the_nearest(
    cli: Cli, shop: Shop, words: tuple[str, ...], expected: str
) -> None:
    connection = connect(cli, shop)
    done = cli("pull", *(word.format(connection) for word in words))
    assert done.status == 1
    assert expected.format(connection) in done.err


def test_ctrl_c_stops_after_the_page_and_the_next_pull_goes_on(cli: Cli) -> None:
    simulator = Simulator(Settings(amounts=replace(SMALL, customers=450)))
    with in_thread(simulator.app) as url:
        shop = Shop(url=url, simulator=simulator)
        connection = connect(cli, shop)
        slow = {"kind": "delay", "path": "/v1/customers", "times": None, "seconds": 1.0}
        run(shop, "POST", "faults", slow)
        words = ["pull", connection, "customer", "product", "--json"]
        with started(words, cli.environment) as process:
            while not run(shop, "GET", "journal?path=/v1/customers")["entries"]:
                time.sleep(0.05)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=60)
        assert process.returncode == 130, err
        assert "Traceback" not in err
        (stopped,) = json.loads(out)["resources"]
        assert stopped["state"] == "stopped"
        run(shop, "DELETE", "faults")
        (cancelled,) = cli.ok("connections", "show", connection, "--json").json["runs"]
        assert (cancelled["state"], cancelled["seen"]) == ("cancelled", stopped["seen"])
        done = cli.ok("pull", connection, "customer", "--json").json
        shown = cli.ok("connections", "show", connection, "--json").json["resources"]
        held = {each["resource"]: each["records"] for each in shown}
        assert done["resources"][0]["seen"] < held["customer"]
        assert done["resources"][0]["changed"] + stopped["changed"] == held["customer"]
        assert held["customer"] == counts(shop)["customers"]


def test_records_are_listed_page_by_page(cli: Cli, shop: Shop) -> None:
    connection = connect(cli, shop)
    cli.ok("pull", connection, "customer")
    keys: list[str] = []
    after = ""
    while True:
        page = cli.ok(
            "records", connection, "customer", "--limit", "5", "--after", after, "--json"
        ).json
        keys += [each["key"] for each in page["records"]]
        after = page["next"]
        if after is None:
            break
    assert len(keys) == counts(shop)["customers"]
    assert keys == sorted(keys)
    first = cli.ok("records", connection, "customer", "--limit", "1", "--raw", "--json").json
    (record,) = first["records"]
    assert record["model"] == "payments.customer"
    assert record["raw"]["id"] == record["unified"]["id"] == keys[0]
    lines = cli.ok("records", connection, "customer", "--limit", "1", "--raw")
    assert f'"id":"{keys[0]}"' in lines.out.replace(" ", "")
    assert f"--after {keys[0]}" in lines.err
    assert keys[0] in cli.ok("records", connection, "customer", "--limit", "1").out


def test_deleted_records_are_shown_when_asked_for(cli: Cli, shop: Shop) -> None:
    connection = connect(cli, shop)
    cli.ok("pull", connection, "customer")
    gone = cli.ok("records", connection, "customer", "--json").json["records"][0]["key"]
    run(shop, "DELETE", f"objects/customers/{gone}")
    cli.ok("pull", connection, "customer")
    held = cli.ok("records", connection, "customer", "--json").json["records"]
    assert gone not in [each["key"] for each in held]
    with_deleted = cli.ok("records", connection, "customer", "--deleted", "--json").json["records"]
    assert [each["key"] for each in with_deleted if each["deleted_at"]] == [gone]
    assert "no charge was pulled so far" in cli.ok("records", connection, "charge").out

"""`landbridge endpoints`: every setting by command, and what is said to a wrong one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from landbridge import Landbridge
from landbridge.engine.dispatch import Dispatcher
from landbridge.testing.receiver import Receiver
from landbridge.testing.running import in_thread
from tests.cli.conftest import Cli

URL = "http://127.0.0.1:9/hook"
ALL = [
    "--type", "invoice.*", "--description", "the till", "--filter", '{"data.amount": {"gte": 10}}',
    "--header", "Authorization: Bearer canary", "--header", "X-Shop: 7",
    "--api-version", "2026-11-24", "--schedule", "5s,2m,1.5h", "--concurrency", "7",
    "--rate", "0.5", "--ordered", "--skip-after", "2",
]  # fmt: skip
SHOWN: dict[str, Any] = {
    "types": ["invoice.*"],
    "description": "the till",
    "filter": {"data.amount": {"gte": 10}},
    "api_version": "2026-11-24",
    "schedule": ["5s", "2m", "90m"],
    "concurrency": 7,
    "rate": 0.5,
    "ordered": True,
    "skip_after": 2,
}
BLANK: dict[str, Any] = {
    "types": ["*"],
    "description": "",
    "filter": None,
    "api_version": "",
    "schedule": None,
    "concurrency": None,
    "rate": None,
    "ordered": True,
    "skip_after": None,
}


@pytest.fixture
def theirs() -> Iterator[tuple[Receiver, str]]:
    receiver = Receiver()
    with in_thread(receiver.app) as url:
        yield receiver, url
    receiver.stage.journal.close()


def create(cli: Cli, *more: str, url: str = URL) -> dict[str, Any]:
    made: dict[str, Any] = cli.ok(
        "endpoints", "create", url, "--tenant", "acme", "--json", *more
    ).json
    return made


def of(row: dict[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in SHOWN}


def test_every_setting_is_made_shown_listed_changed_and_cleared(cli: Cli) -> None:
    made = create(cli, *ALL)
    named = made["id"]
    assert of(made) == SHOWN
    (listed,) = cli.ok("endpoints", "list", "--json").json["endpoints"]
    assert of(listed) == SHOWN
    shown = cli.ok("endpoints", "show", named, "--json").json
    assert of(shown) == SHOWN
    assert shown["headers"] == ["Authorization", "X-Shop"]
    assert (shown["scheme"], [each["version"] for each in shown["keys"]]) == ("v1", ["v1"])
    told = cli.ok("endpoints", "show", named).out
    assert "5s, 2m, 90m" in told
    assert "canary" not in told + json.dumps(shown)
    clearing = [word for name in (
        "type", "description", "filter", "header", "api-version", "schedule", "concurrency",
        "rate", "skip-after",
    ) for word in ("--clear", name)]  # fmt: skip
    assert of(cli.ok("endpoints", "update", named, *clearing, "--json").json) == BLANK
    assert cli.ok("endpoints", "show", named, "--json").json["headers"] == []
    changed = cli.ok(
        "endpoints", "update", named, "--url", "http://127.0.0.1:9/other", "--unordered",
        "--schedule", "once", "--json",
    ).json  # fmt: skip
    assert (changed["url"], changed["ordered"]) == ("http://127.0.0.1:9/other", False)
    assert changed["schedule"] == "once"


def test_filter_and_headers_come_from_files(cli: Cli, tmp_path: Path) -> None:
    wanted, headers = tmp_path / "filter.json", tmp_path / "headers"
    wanted.write_text('{"data.status": ["paid", "öpen"]}')
    headers.write_text("Authorization: Bearer canary\n\nX-Shop: 7\n")
    made = create(cli, "--filter", f"@{wanted}", "--header", f"@{headers}", "--header", "X-A: 1")
    assert made["filter"] == {"data.status": ["paid", "öpen"]}
    shown = cli.ok("endpoints", "show", made["id"], "--json").json
    assert shown["headers"] == ["Authorization", "X-Shop", "X-A"]


def test_schemes_are_chosen_rotated_and_changed(cli: Cli) -> None:
    both = create(cli, "--scheme", "both")
    assert both["secret"].startswith("whsec_")
    assert both["public_key"].startswith("whpk_")
    unsaid = cli("endpoints", "rotate", both["id"])
    assert unsaid.status == 2
    assert "--scheme: 'both' is neither v1 nor v1a" in unsaid.err
    key = cli.ok("endpoints", "rotate", both["id"], "--scheme", "v1a", "--json").json
    assert key["public_key"] != both["public_key"]
    assert "secret" not in key
    ending = ("endpoints", "rotate", both["id"], "--scheme", "v1", "--overlap", "0s", "--json")
    assert cli.ok(*ending).json["secret"] != both["secret"]
    keys = cli.ok("endpoints", "show", both["id"], "--json").json["keys"]
    assert [each["version"] for each in keys] == ["v1", "v1a", "v1a"]
    assert [each["public_key"] for each in keys[1:]] == [key["public_key"], both["public_key"]]
    alone = create(cli, "--scheme", "v1a")
    assert "secret" not in alone
    fresh = cli.ok("endpoints", "rotate", alone["id"], "--json").json
    assert fresh["public_key"].startswith("whpk_")
    moved = cli.ok("endpoints", "update", alone["id"], "--scheme", "both", "--json").json
    assert moved["secret"].startswith("whsec_")
    assert "public_key" not in moved


def test_a_ping_says_what_came_of_it(cli: Cli, theirs: tuple[Receiver, str]) -> None:
    receiver, url = theirs
    made = create(cli, url=f"{url}/hook/till")
    receiver.add("till")
    refused = cli("endpoints", "ping", made["id"])
    assert refused.status == 1
    assert "the receiver's check of the signature fails" in refused.out
    receiver.add("till", made["secret"])
    cli.ok("endpoints", "disable", made["id"])
    done = cli.ok("endpoints", "ping", made["id"], "--json").json
    assert (done["delivered"], done["status"], done["state"]) == (True, 200, "disabled")
    assert done["sent"]["webhook-id"] == done["id"]
    assert "delivered" in cli.ok("endpoints", "ping", made["id"]).out
    nobody = cli("endpoints", "ping", create(cli)["id"], "--json")
    assert nobody.status == 1
    assert "no connection" in nobody.json["problem"]


def test_enabling_offers_to_replay_what_it_did_not_get(cli: Cli) -> None:
    made = create(cli, "--type", "invoice.*")
    assert "undelivered" not in cli.ok("endpoints", "enable", made["id"], "--json").json
    cli.ok("endpoints", "disable", made["id"])

    async def emitted() -> None:
        bridge = Landbridge.from_env(
            database_url=cli.environment["LANDBRIDGE_DATABASE_URL"],
            key=cli.environment["LANDBRIDGE_KEY"],
        )
        async with bridge:
            async with bridge.transaction() as tx:
                for kind in ("invoice.paid", "invoice.sent", "customer.new"):
                    await bridge.emit(tx, kind, {}, tenant="acme")
            await Dispatcher(bridge.db).step()

    asyncio.run(emitted())
    enabled = cli.ok("endpoints", "enable", made["id"], "--json").json
    assert (enabled["undelivered"], enabled["exact"]) == (2, True)
    words = enabled["to_deliver_them"].split()
    assert words[0] == "landbridge"
    planned = cli.ok(*words[1:], "--dry-run").out
    assert planned.startswith("2 ")


@pytest.mark.parametrize(
    ("words", "status", "expected"),
    [
        (["--filter", "{"], 1, "filter: it is not JSON"),
        (["--filter", '{"a": {"is": 1}}'], 1, "filter.a.is: 'is' is none of"),
        (["--filter", "@/no/file"], 2, "--filter: /no/file cannot be read (No such file"),
        (["--header", "canary"], 2, "--header number 1 has no name and colon"),
        (["--header", "X-A: 1", "--header", "X-A: 2"], 2, "--header number 2: X-A is given twice"),
        (["--header", "Host: canary"], 1, "set by the sender itself"),
        (["--header", "@/no/file"], 2, "--header: /no/file cannot be read"),
        (["--schedule", "5"], 2, "--schedule: '5' is no length of time"),
        (["--schedule", ""], 2, "--schedule: '' is no length of time"),
        (["--schedule", "10d,5d"], 1, "schedule: its waits come to 15.0 days"),
        (["--concurrency", "0"], 1, "concurrency: 0 is not a whole number from 1 to 1000"),
        (["--rate", "0"], 1, "rate: 0.0 is not from 0.01 to 10000"),
        (["--skip-after", "2"], 1, "skip_after: this endpoint is not ordered"),
        (["--scheme", "v2"], 2, "--scheme: 'v2' is none of v1, v1a and both"),
        (["--api-version", "a b"], 1, "api_version: 'a b' is not a version"),
    ],
)
def test_a_wrong_setting_says_the_way_out(
    cli: Cli, words: list[str], status: int, expected: str
) -> None:
    done = cli("endpoints", "create", URL, "--tenant", "acme", *words)
    assert done.status == status
    assert expected in done.err
    assert "canary" not in done.err


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["update", "--clear", "filters"], "Did you mean 'filter'?"),
        (["update", "--clear", "rate", "--rate", "3"], "--rate is given as well"),
        (["update", "--scheme", "both", "--overlap", "soon"], "--overlap: 'soon' is no length"),
        (["rotate", "--overlap", "-1h"], "--overlap"),
        (["rotate", "--scheme", "v3"], "--scheme: 'v3' is neither v1 nor v1a"),
    ],
)
def test_a_wrong_change_says_the_way_out(cli: Cli, words: list[str], expected: str) -> None:
    named = create(cli)["id"]
    done = cli("endpoints", words[0], named, *words[1:])
    assert done.status == 2
    assert expected in done.err


def test_a_wrong_id_says_the_way_out(cli: Cli) -> None:
    for verb in ("show", "update", "ping", "rotate"):
        done = cli("endpoints", verb, "end_no")
        assert done.status == 1
        assert "landbridge endpoints list" in done.err

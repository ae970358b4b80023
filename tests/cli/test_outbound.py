"""Endpoints and deliveries by command, with a real worker and a receiver that verifies."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from landbridge import Landbridge
from landbridge.testing.receiver import Receiver
from landbridge.testing.running import in_thread
from tests.cli.conftest import Cli, started
from tests.cli.test_serve_and_worker import until


@pytest.fixture
def theirs() -> Iterator[Receiver]:
    """A receiver whose endpoints are served at `.url`."""
    receiver = Receiver()
    yield receiver
    receiver.stage.journal.close()


def emit(cli: Cli, number: str) -> str:
    """The id of an event of the tenant acme."""

    async def emitted() -> str:
        bridge = Landbridge.from_env(
            database_url=cli.environment["LANDBRIDGE_DATABASE_URL"],
            key=cli.environment["LANDBRIDGE_KEY"],
        )
        async with bridge, bridge.transaction() as tx:
            event = await bridge.emit(tx, "invoice.paid", {"number": number}, tenant="acme")
            return str(event)

    return asyncio.run(emitted())


def create(cli: Cli, url: str) -> dict[str, Any]:
    done = cli.ok("endpoints", "create", url, "--tenant", "acme", "--type", "invoice.*", "--json")
    created: dict[str, Any] = done.json
    return created


def test_an_event_is_delivered_and_delivered_again(cli: Cli, theirs: Receiver) -> None:
    listed = ("deliveries", "list", "--json")
    with (
        in_thread(theirs.app) as url,
        started(["worker", "--json"], cli.environment) as working,
    ):
        endpoint = create(cli, f"{url}/hook/theirs")
        theirs.add("theirs", endpoint["secret"])
        event = emit(cli, "17")
        assert working.stdout is not None
        json.loads(working.stdout.readline())
        delivered = until(
            lambda: [
                each for each in cli.ok(*listed).json["deliveries"] if each["state"] == "delivered"
            ]
        )[0]
        assert (delivered["event"], delivered["endpoint"]) == (event, endpoint["id"])
        assert delivered["id"] in cli.ok("deliveries", "list", "--state", "delivered").out
        again = cli.ok("deliveries", "redeliver", delivered["id"], "--json").json
        assert again == {"redelivered": [delivered["id"]]}
        until(lambda: len(theirs.stage.journal.entries) == 2)
        until(
            lambda: len(cli.ok("deliveries", "show", delivered["id"], "--json").json["tries"]) == 2
        )
        working.send_signal(signal.SIGTERM)
        working.communicate(timeout=60)
    journal = theirs.stage.journal.entries
    assert {(each["webhook_id"], each["verified"]) for each in journal} == {(event, True)}
    assert "delivered" in cli.ok("deliveries", "show", delivered["id"]).out


def test_an_endpoint_is_disabled_enabled_rotated_and_deleted(cli: Cli) -> None:
    endpoint = create(cli, "http://127.0.0.1:9/hook")
    assert endpoint["secret"].startswith("whsec_")
    assert endpoint["types"] == ["invoice.*"]
    wanted = endpoint["id"]
    assert cli.ok("endpoints", "disable", wanted, "--json").json["state"] == "disabled"
    assert "disabled by hand" in cli.ok("endpoints", "list").out
    assert cli.ok("endpoints", "enable", wanted, "--json").json["state"] == "enabled"
    fresh = cli.ok("endpoints", "rotate", wanted, "--json").json["secret"]
    assert fresh.startswith("whsec_")
    assert fresh != endpoint["secret"]
    assert "secret" not in cli.ok("endpoints", "list", "--json").json["endpoints"][0]
    cli.ok("endpoints", "delete", wanted)
    assert cli.ok("endpoints", "list", "--json").json == {"endpoints": []}
    gone = cli("endpoints", "enable", wanted)
    assert gone.status == 1
    assert "landbridge endpoints list" in gone.err


@pytest.mark.parametrize(
    ("words", "status", "expected"),
    [
        (("endpoints", "create", "http://10.0.0.1/x", "--tenant", "acme"), 1, "ALLOW_NETWORKS"),
        (("endpoints", "create", "ftp://x", "--tenant", "acme"), 1, "url: it begins with neither"),
        (("endpoints", "disable", "end_no"), 1, "'end_no' is no endpoint in the environment"),
        (("deliveries", "list", "--state", "lost"), 2, "--state: 'lost' is none of waiting"),
        (("deliveries", "show", "dlv_no"), 1, "'dlv_no' is no delivery"),
        (("deliveries", "redeliver", "dlv_no"), 1, "landbridge deliveries list"),
    ],
)
def test_a_wrong_call_says_the_way_out(
    cli: Cli, words: tuple[str, ...], status: int, expected: str
) -> None:
    done = cli(*words)
    assert done.status == status
    assert expected in done.err

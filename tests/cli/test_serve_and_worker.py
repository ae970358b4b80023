"""The two long-running commands, as real processes, with real webhooks between."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from typing import Any, TypeVar

import aiohttp
import pytest

from landbridge.testing.stripe import KEY
from tests.cli.conftest import Cli, Shop, connect, run, started

T = TypeVar("T")

HANDLERS = """
from landbridge import Change, Landbridge, Tx
from landbridge.models.payments import Product

bridge = Landbridge.from_env()


@bridge.on(Product, name="products", attempts=1)
async def product_changed(change: Change[Product], tx: Tx) -> None:
    name = change.after.name if change.after else ""
    if name == "poison":
        raise ValueError("not this one")
    await tx.execute("INSERT INTO seen (name) VALUES ($1)", name)
"""


def ready(process: subprocess.Popen[str]) -> dict[str, Any]:
    """The line that a command prints when it is ready, parsed."""
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, process.stderr and process.stderr.read()
    told: dict[str, Any] = json.loads(line)
    return told


async def registered(shop: Shop, hook: str) -> str:
    """Gives the address to the provider, as a person would; the secret that it shows once."""
    async with (
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {KEY}"}) as session,
        session.post(
            f"{shop.url}/v1/webhook_endpoints", data={"url": hook, "enabled_events[0]": "*"}
        ) as answer,
    ):
        assert answer.status == 200, await answer.text()
        secret: str = (await answer.json())["secret"]
        return secret


def until(found: Callable[[], T]) -> T:
    """What `found` gives once it is true."""
    deadline = time.monotonic() + 60
    while not (answer := found()):
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.2)
    return answer


def ended(process: subprocess.Popen[str], number: signal.Signals) -> str:
    """Sends a signal and gives what it wrote to standard error; it must end well."""
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    return err


def test_webhooks_come_in_are_sorted_and_have_their_records_read(cli: Cli, shop: Shop) -> None:
    with (
        started(["serve", "--port", "0", "--json"], cli.environment) as serving,
        started(["worker", "--json"], cli.environment) as working,
    ):
        address = ready(serving)["serving"]
        assert ready(working)["working"] == "all"
        cli.environment["LANDBRIDGE_PUBLIC_URL"] = address
        done = cli.ok(
            "connect", "stripe", "--tenant", "acme", "--url", shop.url, "--json",
            LANDBRIDGE_CONNECT_KEY=KEY,
        )  # fmt: skip
        connection, hook = done.json["connection"], done.json["webhooks_to"]
        assert hook.startswith(f"{address}/in/")
        cli.ok("connections", "secret", connection, stdin=asyncio.run(registered(shop, hook)))
        name = ("records", connection, "customer", "--limit", "1", "--json")
        first = until(lambda: cli.ok(*name).json["records"])[0]["key"]
        run(shop, "PATCH", f"objects/customers/{first}", {"set": {"name": "Ada by webhook"}})
        until(lambda: cli.ok(*name).json["records"][0]["unified"]["name"] == "Ada by webhook")
        (event,) = until(  # a pull may have brought the change before its webhook did
            lambda: [
                each
                for each in cli.ok("inbox", "list", "--json").json["events"]
                if each["key"] == first
            ]
        )
        assert (event["tenant"], event["resource"]) == ("acme", "customer")
        shown = cli.ok("inbox", "show", event["id"], "--json").json
        assert "Ada by webhook" in shown["came"]["body"]
        assert first in cli.ok("inbox", "show", event["arrival"]).out
        again = cli.ok("inbox", "replay", event["id"], event["arrival"], "--json").json
        assert len(again["ordered"]) == 2
        run(shop, "POST", "webhooks/send", {"payload": {"id": "evt_x"}, "signature": "forged"})
        refused = until(lambda: cli.ok("inbox", "refused", "--json").json["refused"])
        assert (refused[0]["why"], refused[0]["provider"]) == ("forged", "stripe")
        told = [json.loads(line) for line in ended(working, signal.SIGTERM).splitlines()]
        first, *last = [each["event"] for each in told if each["event"] != "call"]
        assert (first, sorted(last)) == ("worker.started", ["courier.stopped", "worker.stopped"])
        assert ended(serving, signal.SIGINT) == ""


def test_a_handler_of_the_users_runs_and_its_change_is_replayed(
    cli: Cli, shop: Shop, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "their_app.py").write_text(HANDLERS)
    monkeypatch.chdir(tmp_path)
    psql(cli, "CREATE TABLE seen (name text)")
    connection = connect(cli, shop)
    product = run(shop, "GET", "objects/products")["objects"][0]["id"]
    run(shop, "PATCH", f"objects/products/{product}", {"set": {"name": "poison"}})
    cli.ok("pull", connection, "product")
    with started(["worker", "--app", "their_app:bridge", "--json"], cli.environment) as working:
        ready(working)
        (stopped,) = until(lambda: cli.ok("parked", "list", "--json").json["parked"])
        ended(working, signal.SIGTERM)
    assert (stopped["what"], stopped["key"]) == ("change", product)
    refused = cli("parked", "replay", stopped["id"])
    assert refused.status == 1
    assert f"landbridge parked replay {stopped['id']} --app package.module:bridge" in refused.err
    (tmp_path / "mended_app.py").write_text(HANDLERS.replace('"poison"', '"other poison"'))
    done = cli.ok("parked", "replay", stopped["id"], "--app", "mended_app:bridge")
    assert "its handler took 1 changes" in done.out
    assert cli.ok("parked", "list", "--json").json == {"parked": [], "more": False}
    names = psql(cli, "SELECT name FROM seen")
    assert ("poison",) in names
    assert len(names) == len(run(shop, "GET", "objects/products")["objects"])


def psql(cli: Cli, statement: str) -> list[tuple[Any, ...]]:
    """The rows of a statement of the user's own."""
    import psycopg

    with psycopg.connect(cli.environment["LANDBRIDGE_DATABASE_URL"], autocommit=True) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else []


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("worker", "--lanes", "pull,pusch"), "--lanes: 'pusch' is no lane. Did you mean 'push'?"),
        (("worker", "--app", "their_app"), "is not of the form package.module:attribute"),
        (("worker", "--app", "no_such_app:bridge"), "--app: there is no module 'no_such_app'"),
        (("serve", "--app", "json:loads"), "--app: json has no Landbridge called 'loads'"),
    ],
)
def test_a_wrong_call_says_the_way_out(
    bare_cli: Cli, words: tuple[str, ...], expected: str
) -> None:
    done = bare_cli(*words)
    assert done.status == 2
    assert expected in done.err


def test_a_port_that_is_taken_is_told(cli: Cli) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = cli("serve", "--port", port)
    assert done.status == 1
    assert f"--port {port}: cannot listen there" in done.err
    assert "--port 0 takes a free port" in done.err


def test_a_worker_may_keep_to_some_lanes(cli: Cli) -> None:
    with started(["worker", "--lanes", "pull, push"], cli.environment) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == f"working on pull, push (pid {process.pid})\n"
        os.kill(process.pid, signal.SIGINT)
        assert process.wait(60) == 0

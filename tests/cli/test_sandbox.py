"""`landbridge sandbox`: simulators as servers, connected by the very commands that it prints."""

from __future__ import annotations

import json
import shlex
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import httpx2
import pytest

from landbridge import providers
from landbridge.testing import pytest_plugin
from landbridge.testing.serve import KINDS
from tests.cli.conftest import Cli, Done, started
from tests.plain import PLAIN

FAULT = "stripe:status=429,path=/v1/customers,times=1,retry-after=7"
BAD = (
    *("--fault", "xero:path=/connect/*,status=503,every=2,after"),
    *("--webhooks", "late=1s,duplicate=1", "--token-life", "90s", "--quota", "1000/m"),
)


def ready(process: subprocess.Popen[str]) -> dict[str, Any]:
    """The line that it prints when everything answers, by the names of the simulators."""
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, process.stderr and process.stderr.read()
    return {one["name"]: one for one in json.loads(line)["simulators"]}


@pytest.fixture(scope="module")
def running() -> Iterator[dict[str, Any]]:
    """All simulators, as one process."""
    with started(
        ["sandbox", "--port", "0", "--seed", "4", "--fault", FAULT, *BAD, "--json"], {}
    ) as one:
        yield ready(one)


def follow(cli: Cli, command: str) -> Done:
    """Does what a printed line says, without a shell."""
    words = shlex.split(command)
    fed: list[str] = []
    if "|" in words:
        at = words.index("|")
        fed, words = words[:at], words[at + 1 :]
    text = "\n".join(fed[2:] if fed[:1] == ["printf"] else fed[1:])
    return cli.ok(*words[1:], "--json", stdin=text)


def test_every_provider_has_one_and_a_fixture(running: dict[str, Any]) -> None:
    assert set(providers.names()) <= set(running) == set(KINDS)
    for name in providers.names():
        assert hasattr(pytest_plugin, f"{name}_simulator")
        assert hasattr(pytest_plugin, f"{name}_settings")
    for one in running.values():
        listed = httpx2.get(one["control"], trust_env=False, verify=PLAIN).json()
        assert ("POST", "/_sim/faults") in {(each["method"], each["path"]) for each in listed}
    assert "connect" not in running["receiver"]


@pytest.mark.parametrize("name", ["stripe", "caldav", "paypal"])
def test_the_printed_command_connects(cli: Cli, running: dict[str, Any], name: str) -> None:
    (command,) = running[name]["connect"]
    made = follow(cli, command).json
    assert made["new"]
    listed = cli.ok("connections", "list", "--json").json["connections"]
    assert [one["provider"] for one in listed] == [name]


def test_a_consent_leads_to_the_simulator(cli: Cli, running: dict[str, Any]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    cli.environment["LANDBRIDGE_PUBLIC_URL"] = f"http://127.0.0.1:{port}"
    app, connect = running["square"]["connect"]
    with ExitStack() as stack:
        words = ["serve", "--port", str(port), "--json"]
        process = stack.enter_context(started(words, cli.environment))
        assert process.stdout is not None
        assert process.stdout.readline()
        follow(cli, app)
        opened = follow(cli, connect).json["open"]
        browser = stack.enter_context(
            httpx2.Client(trust_env=False, verify=PLAIN, follow_redirects=True)
        )
        last = browser.post(f"{opened.rstrip('/')}/to/square")
        assert "Square is connected" in last.text
    (made,) = cli.ok("connections", "list", "--json").json["connections"]
    assert made["account"] == running["square"]["merchant"]


def test_a_fault_is_committed_as_often_as_it_was_ordered(running: dict[str, Any]) -> None:
    one = running["stripe"]
    head = {"authorization": f"Bearer {one['key']}"}
    first, second = (
        httpx2.get(f"{one['url']}/v1/customers", headers=head, trust_env=False, verify=PLAIN)
        for _ in range(2)
    )
    assert (first.status_code, first.headers["retry-after"]) == (429, "7")
    assert second.status_code == 200


def test_the_quota_and_the_life_of_tokens_are_those_of_the_options(
    running: dict[str, Any],
) -> None:
    one = running["paypal"]
    with httpx2.Client(base_url=one["url"], trust_env=False, verify=PLAIN) as http:
        asked = {"grant_type": "client_credentials"}
        sign_in = (one["client_id"], one["client_secret"])
        told = http.post("/v1/oauth2/token", data=asked, auth=sign_in).json()
    assert told["expires_in"] == 90


def test_for_a_person_it_prints_what_to_type_until_ctrl_c() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    begin = port - list(KINDS).index("square")  # each has its own port, whichever run
    with started(["sandbox", "square", "--port", str(begin)], {}) as process:
        assert process.stdout is not None
        lines = [""]
        while "Ctrl-C" not in lines[-1]:
            lines.append(process.stdout.readline())
            assert lines[-1], process.stderr and process.stderr.read()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (0, "", "")
    assert lines[1].split() == ["name", "square"]
    assert lines[2].split() == ["url", f"http://127.0.0.1:{port}"]
    first, second = (line for line in lines if line.startswith("$ "))
    assert "landbridge apps set square" in first
    assert "landbridge connect square" in second


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("strip",), "'strip' has no simulator. Did you mean 'stripe'?"),
        (("xero", "--fault", "stripe:status=429"), "begins with one of those that run"),
        (("receiver", "--fault", "receiver:status=500"), "--fail-first"),
        (("square", "--fault", "square:status"), "'status' is not KEY=VALUE"),
        (("square", "--fault", "square:times=often"), "times is 'often', which is no number"),
        (("square", "--fault", "square:kind=x"), "Invalid enum value 'x'"),
        (("square", "--fault", "square:kind=x"), "kind (status or drop or delay or truncate or"),
        (("square", "--fault", "square:statsu=500"), "path, method, times, skip, every, after, st"),
        (("square", "--fault", "square:every=0"), "every is 0; it is 1 or more"),
        (("square", "--fault", "square:status=42"), "status is 42; it is 200 to 599"),
        (("square", "--webhooks", "early=5s"), "'early=5s' is neither late=SPAN nor duplicate="),
        (("square", "--webhooks", "late=5"), "--webhooks late: '5' is no span such as 30s"),
        (("square", "--webhooks", "duplicate=x"), "duplicate: 'x' is no share from 0 to 1"),
        (("square", "--webhooks", "duplicate=2"), "--webhooks duplicate: 2.0 is no share; 0.1"),
        (("square", "--token-life", "soon"), "--token-life: 'soon' is no span"),
        (("square", "--token-life", "0s"), "--token-life: 0.0 is no number of seconds from 1"),
        (("square", "--quota", "many"), "--quota: 'many' is not calls for a time, such as 10/s"),
    ],
)
def test_a_wrong_call_says_the_way_out(
    bare_cli: Cli, words: tuple[str, ...], expected: str
) -> None:
    done = bare_cli("sandbox", *words)
    assert (done.status, done.out) == (2, "")
    assert expected in done.err

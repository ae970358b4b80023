"""localstripe: somebody else's Stripe, filled by the official SDK and pulled by our page."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import httpx2
import stripe

from landbridge import Connection, Landbridge
from landbridge.providers import get
from landbridge.spec import EventFeed, Provider
from tests.peers.stage import TENANT, bridge, mirror
from tests.rows import RowResult, Trial, row

KEY = "sk_test_12345"


def _page() -> Provider:
    """Our page, less two things that localstripe has not: `/v1/account`, and events by `types`."""
    stripe_page = get("stripe")
    customer = stripe_page.resource("customer")
    assert isinstance(customer.since, EventFeed)
    unfiltered = replace(customer, since=replace(customer.since, types_param=""))
    return replace(stripe_page, accounts=None, resources=[unfiltered])


@row(
    "P04",
    title="localstripe filled by the stripe SDK: its customers, pulled and followed",
    goal="mirror = the SDK's list, twice",
)
async def local_stripe(trial: Trial) -> RowResult:
    count = trial.size.pick(small=130, medium=500)
    differences = 0
    with _running() as url:
        sdk = stripe.StripeClient(KEY, base_addresses={"api": url})
        made = [
            sdk.v1.customers.create({"name": f"Customer {number}", "email": f"c{number}@x.example"})
            for number in range(count)
        ]
        async with bridge([_page()]) as opened:
            connected = await opened.connect(
                "stripe",
                tenant=TENANT,
                credentials={"key": KEY},
                settings={"base": url},
                every=None,
            )
            names = {one.id: one.name or "" for one in made}
            differences += await _pulled(opened, connected.connection, names)
            first, second, *_ = names
            sdk.v1.customers.update(first, {"name": "Renamed"})
            sdk.v1.customers.delete(second)
            added = sdk.v1.customers.create({"name": "Added"})
            names |= {first: "Renamed", added.id: "Added"}
            del names[second]
            differences += await _pulled(opened, connected.connection, names)
            trial.step(1, 1)
    return RowResult(
        value=f"{differences} differences in {count} customers",
        holds=differences == 0,
        detail={"customers": count, "differences": differences},
    )


async def _pulled(opened: Landbridge, connection: Connection, names: dict[str, str]) -> int:
    await opened.pull(connection, ["customer"])
    return _differences(await mirror(opened, connection, "customer"), names)


def _differences(ours: dict[str, str], theirs: dict[str, str]) -> int:
    names = {key: json.loads(raw)["name"] for key, raw in ours.items()}
    return sum(names.get(key) != theirs.get(key) for key in names.keys() | theirs.keys())


@contextmanager
def _running() -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [str(Path(sys.executable).with_name("localstripe")), "--port", str(port)]
    with tempfile.TemporaryDirectory() as folder, (Path(folder) / "log").open("wb") as log:
        server = subprocess.Popen([*command, "--from-scratch"], stdout=log, stderr=log, cwd=folder)
        try:
            _wait(f"http://127.0.0.1:{port}")
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()
            server.wait(10)


def _wait(url: str) -> None:
    for _ in range(200):
        try:
            httpx2.get(f"{url}/v1/customers", auth=(KEY, ""))
        except (httpx2.TransportError, urllib.error.URLError):
            time.sleep(0.05)
        else:
            return
    raise TimeoutError("localstripe did not start")

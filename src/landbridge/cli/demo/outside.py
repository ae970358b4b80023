"""The other sides of a demonstration: payments, a calendar and a receiver, each a process."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import httpx2
from defusedxml import ElementTree

from landbridge.cli.demo.children import Child, Children, python
from landbridge.cli.demo.size import Size
from landbridge.testing import radicale
from landbridge.testing.caldav.events import events as make_events
from landbridge.testing.control import Control

SEED = 2026


@dataclass(frozen=True, kw_only=True)
class Calendar:
    """A CalDAV server with one calendar. `texts` reads every object where the server keeps it."""

    name: str
    url: str
    user: str
    password: str
    path: str
    texts: Callable[[], Mapping[str, str]]
    http: httpx2.Client

    def etags(self) -> dict[str, str]:
        """The ETag of every object by its href, asked of the server itself."""
        body = '<propfind xmlns="DAV:"><prop><getetag/></prop></propfind>'
        answer = self.http.request(
            "PROPFIND", self.path, content=body, headers={"depth": "1", "content-type": "text/xml"}
        )
        answer.raise_for_status()
        found = {}
        for response in ElementTree.fromstring(answer.content).iter("{DAV:}response"):
            href, etag = response.findtext("{DAV:}href"), response.find(".//{DAV:}getetag")
            if href and etag is not None and etag.text and not href.endswith("/"):
                found[href] = etag.text
        return found

    def put(self, name: str, text: str) -> None:
        """Creates or replaces an object."""
        head = {"content-type": "text/calendar; charset=utf-8"}
        self.http.put(self.path + name, content=text.encode(), headers=head).raise_for_status()

    def delete(self, name: str) -> None:
        """Deletes an object."""
        self.http.delete(self.path + name).raise_for_status()


@dataclass(frozen=True, kw_only=True)
class Outside:
    """All of them, running. Journals are files that only the processes themselves write."""

    stripe: Control
    stripe_process: Child
    stripe_key: str
    stripe_account: str
    calendar: Calendar
    xero: Control
    receiver: Control
    receiver_process: Child
    deliveries_file: Path

    @property
    def sides(self) -> dict[str, str]:
        """Who they are."""
        return {
            "payments": "a Stripe simulator",
            "books": "a Xero simulator",
            "calendar": self.calendar.name,
            "deliveries_verified_by": self.receiver.get("stats")["verified_by"],
        }

    def deliveries(self) -> list[dict[str, Any]]:
        """The receiver's journal as it is on disk."""
        return [
            entry
            for line in self.deliveries_file.read_text().splitlines()
            if (entry := json.loads(line))["kind"] == "delivery"
        ]

    def close(self) -> None:
        """Closes the connections to them; they run on."""
        self.stripe.close()
        self.xero.close()
        self.receiver.close()
        self.calendar.http.close()


async def start(children: Children, size: Size) -> Outside:
    """Starts all of them at once and returns when each answers."""
    folder = children.folder
    stripe = _simulator(
        children,
        "stripe",
        *(f"--{name.replace('_', '-')}={count}" for name, count in size.stripe.items()),
    )
    deliveries = folder / "receiver.jsonl"
    receiver = _simulator(children, "receiver", f"--journal={deliveries}")
    xero = _simulator(children, "xero", "--minute=2000", "--invoices=60")
    calendar, stripe_ready, receiver_ready, xero_ready = await asyncio.gather(
        _calendar(children, size),
        _ready(children, stripe),
        _ready(children, receiver),
        _ready(children, xero),
    )
    return Outside(
        stripe=Control(stripe_ready["url"]),
        stripe_process=stripe,
        stripe_key=stripe_ready["key"],
        stripe_account=stripe_ready["account"],
        calendar=calendar,
        xero=Control(xero_ready["url"]),
        receiver=Control(receiver_ready["url"]),
        receiver_process=receiver,
        deliveries_file=deliveries,
    )


def _simulator(children: Children, kind: str, *options: str) -> Child:
    command = python("-m", "landbridge.testing.serve", kind, f"--seed={SEED}", *options)
    return children.start(kind, command)


async def _ready(children: Children, child: Child) -> dict[str, Any]:
    """What the simulator said when it was up."""

    async def line() -> dict[str, Any] | None:
        text = child.output.read_text()
        ready: dict[str, Any] | None = json.loads(text) if text.endswith("\n") else None
        return ready

    return await children.until(line, what=f"the start of {child.name}", blame=child)


async def _calendar(children: Children, size: Size) -> Calendar:
    if radicale.missing() is not None:
        return await _simulated_calendar(children, size)
    items = make_events(size.events, seed=SEED)
    server = await asyncio.to_thread(radicale.start, children.small_folder, items=items)
    children.adopt(server.process)
    calendar = Calendar(
        name=f"Radicale {version('radicale')}",
        url=server.url,
        user=server.user,
        password=server.password,
        path=server.calendar_path,
        texts=server.objects,
        http=_client(server.url, server.user, server.password),
    )
    await asyncio.to_thread(calendar.etags)  # it reads and indexes its files when first asked
    return calendar


async def _simulated_calendar(children: Children, size: Size) -> Calendar:
    child = _simulator(children, "caldav", f"--events={size.events}")
    ready = await _ready(children, child)
    control = Control(ready["url"])
    name = ready["calendar"].strip("/").rpartition("/")[2]

    def texts() -> dict[str, str]:
        return {href: each["text"] for href, each in control.objects(name).items()}

    return Calendar(
        name="our CalDAV simulator (Radicale is not installed)",
        url=ready["url"],
        user=ready["username"],
        password=ready["password"],
        path=ready["calendar"],
        texts=texts,
        http=_client(ready["url"], ready["username"], ready["password"]),
    )


def _client(url: str, user: str, password: str) -> httpx2.Client:
    return httpx2.Client(base_url=url, auth=(user, password), timeout=60.0, trust_env=False)

"""Xero in a demonstration: a consent in a browser, its books, a webhook, a write, a comparison."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx2
import msgspec

from landbridge.cli.demo.inside import TENANT
from landbridge.cli.demo.mirror import Compared, Side, compare
from landbridge.cli.demo.scene import Scene
from landbridge.models.accounting import Contact
from landbridge.store.connections import Connection
from landbridge.testing import xero

ENVIRONMENT = "books"
"""An environment of its own: what comes in there is counted there."""
KINDS = ("Accounts", "Contacts", "Invoices", "Bills", "CreditNotes", "Payments", "BankTransactions")
_AMONG = {"Invoices": ("Invoices", "ACCREC"), "Bills": ("Invoices", "ACCPAY")}
"""In which of Xero's collections records of these kinds are, and by which type."""
_SECONDS = 60.0
_KEY = "the-signing-key-of-the-demonstration"


@dataclass(frozen=True, kw_only=True)
class Books:
    """The organisations that were connected."""

    connections: tuple[Connection, ...]


async def keep(scene: Scene) -> Books:
    """Connects two organisations by one consent, pulls them, hears of a change, and writes."""
    with scene.screen.step("connecting Xero by OAuth, pulling its books, writing to them") as step:
        connections = await _consent(scene)
        await asyncio.gather(*(scene.ours.bridge.pull(each, KINDS) for each in connections))
        first = connections[0]
        await _hear(scene, first)
        await _write(scene, first)
        names = " and ".join(each.account_name for each in connections)
        step.said = f"connected {names} by one consent; a webhook and a write came through"
    return Books(connections=connections)


async def compared(scene: Scene, books: Books) -> list[Compared]:
    """Both organisations' records on both sides, field by field as they were sent."""
    found = []
    for connection in books.connections:
        for kind in KINDS:
            theirs = await _theirs(scene, kind, connection.account)
            live: dict[str, Any] = {}
            async for record in scene.ours.bridge.records(connection, kind):
                live[record.key] = msgspec.json.decode(record.raw)
            ours = Side(live=live, deleted=frozenset())
            there = Side(live=theirs, deleted=frozenset())
            name = f"{kind} of {connection.account_name}"
            found.append(compare(name, ours=ours, theirs=there))
    return found


async def _consent(scene: Scene) -> tuple[Connection, ...]:
    bridge, url = scene.ours.bridge, scene.theirs.xero.url
    await bridge.set_client(
        "xero", client_id=xero.CLIENT, client_secret=xero.SECRET, environment=ENVIRONMENT
    )
    await bridge.enable("xero", writes=["Contacts"], environment=ENVIRONMENT)
    consent = await bridge.begin_consent(
        "xero", tenant=TENANT, environment=ENVIRONMENT, settings=xero.places(url), every=None
    )
    async with httpx2.AsyncClient(trust_env=False) as browser:
        answer = await browser.get(consent.url)
    query = dict(parse_qsl(urlsplit(answer.headers["location"]).query))
    finished = await bridge.finish_consent("xero", query, consent.browser_token)
    connections = tuple(each.connection for each in finished.connected)
    for connection in connections:
        await bridge.set_webhook_secrets(connection, [_KEY])
    return connections


async def _hear(scene: Scene, connection: Connection) -> None:
    """A contact is renamed there; its webhook brings the change here."""
    bridge, there = scene.ours.bridge, scene.theirs.xero
    address = await bridge.intake_url(connection)
    await asyncio.to_thread(there.post, "webhooks/register", url=address, key=_KEY)
    key = next(iter(await _theirs(scene, "Contacts", connection.account)))
    await asyncio.to_thread(there.patch, f"objects/Contacts/{key}", set={"FirstName": "Renamed"})

    async def heard() -> bool:
        return any(
            [
                b'"Renamed"' in record.raw
                async for record in bridge.records(connection, "Contacts")
                if record.key == key
            ]
        )

    await _until(scene, heard, "the webhook of Xero")


async def _write(scene: Scene, connection: Connection) -> None:
    """A contact of ours is made there, once."""
    bridge = scene.ours.bridge
    contact = Contact(name="Made by Landbridge", email="landbridge@example.com")
    async with bridge.transaction() as tx:
        await bridge.push(tx, contact, to=connection, resource="Contacts")

    async def arrived() -> bool:
        theirs = await _theirs(scene, "Contacts", connection.account)
        keys = {key for key, one in theirs.items() if one["Name"] == contact.name}
        ours = {record.key async for record in bridge.records(connection, "Contacts")}
        return bool(keys) and keys <= ours

    await _until(scene, arrived, "the contact at Xero")


async def _until(scene: Scene, done: Callable[[], Awaitable[bool]], what: str) -> None:
    async def asked() -> bool | None:
        return await done() or None

    await scene.children.until(
        asked, what=what, blame=scene.ours.worker, seconds=_SECONDS, pause=0.1
    )


async def _theirs(scene: Scene, kind: str, tenant: str) -> dict[str, Any]:
    there = scene.theirs.xero
    collection, word = _AMONG.get(kind, (kind, ""))
    found = (await asyncio.to_thread(there.get, f"objects/{collection}", tenant=tenant))["objects"]
    return {
        one["id"]: {name: value for name, value in one.items() if name != "id"}
        for one in found
        if one.get("Status") != "DELETED" and word in ("", one.get("Type"))
    }

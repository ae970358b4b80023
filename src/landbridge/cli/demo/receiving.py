"""Changes on the other sides: webhooks good and bad, an incremental pull, a record gone bad."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from landbridge.cli.demo import mirror, sides
from landbridge.cli.demo.outside import SEED, Calendar
from landbridge.cli.demo.scene import Before, Connected, Scene
from landbridge.store import parked, workload
from landbridge.store.parked import Parked
from landbridge.testing.caldav.events import events as make_events
from landbridge.testing.control import Control

CATCH_UP = 30.0
_PAUSE = 0.1
_NO_WEBHOOK = frozenset({"balance_transaction"})
"""What Stripe sends no webhooks about; the next pull brings it."""


@dataclass(frozen=True, kw_only=True)
class Spoiled:
    """How many records were made unreadable, and what was parked with which reason."""

    records: int
    parked: int
    reason: str


async def change_payments(scene: Scene, connected: Connected, earlier: Before) -> None:
    """Business goes on at Stripe, and webhooks tell of it; the mirror follows them alone."""
    stripe = scene.theirs.stripe
    with scene.screen.step("Stripe changes, webhooks arrive") as step:
        done = await asyncio.to_thread(stripe.post, "churn", count=scene.size.changes, seed=SEED)
        await asyncio.to_thread(_send_specials, stripe)
        await _all_sent(scene)
        told = set(mirror.STRIPE) - _NO_WEBHOOK
        followed = await _caught_up(scene, connected, earlier, told)
        sent = [each for each in stripe.journal() if each["kind"] == "webhook"]
        step.said = (
            f"Stripe made {len(done['done'])} changes and sent {len(sent)} webhooks:"
            f" the mirror {'followed' if followed else 'did NOT follow'}\n"
            "one forged, one signed ten minutes ago, one event three times"
        )


def _send_specials(stripe: Control) -> None:
    """A forged deletion of a customer, a webhook signed long ago, and one that comes again."""
    customer = next(iter(stripe.objects("customers").values()))
    happened = {
        "object": "event",
        "type": "customer.deleted",
        "created": customer["created"],
        "livemode": False,
        "data": {"object": customer},
    }
    for special in ({"signature": "forged"}, {"age": 600.0}):
        stripe.post("webhooks/send", payload=happened, **special)
    latest = list(stripe.objects("events"))[-1]
    stripe.post("webhooks/send", event=latest, times=2)


async def change_calendar(scene: Scene, connected: Connected, earlier: Before) -> None:
    """People edit the calendar; the next pull asks only for what changed."""
    with scene.screen.step("people edit the calendar, a pull follows") as step:
        each = max(1, scene.size.changes // 3)
        await asyncio.to_thread(_edit, scene.theirs.calendar, each)
        for connection in (connected.calendar, connected.stripe):
            await workload.bring_forward(scene.ours.bridge.db, connection)
        await scene.ours.bridge.db.notify()
        followed = await _caught_up(scene, connected, earlier, {sides.EVENT, *_NO_WEBHOOK})
        step.said = (
            f"{3 * each} calendar events were created, changed or deleted: the next pull"
            f" {'brought' if followed else 'did NOT bring'} them"
        )


def _edit(calendar: Calendar, each: int) -> None:
    texts = calendar.texts()
    names = sorted(texts)
    for item in make_events(each, seed=SEED + 1):
        calendar.put(item.name, item.text)
    for href in names[:each]:
        calendar.delete(href.removeprefix(calendar.path))
    for href in names[each : 2 * each]:
        moved = texts[href].replace("\nSUMMARY:", "\nSUMMARY:Moved: ")
        calendar.put(href.removeprefix(calendar.path), moved)


async def spoil_and_mend(scene: Scene) -> Spoiled:
    """An invoice loses its currency, is parked with the reason, is mended and replayed."""
    stripe, bridge = scene.theirs.stripe, scene.ours.bridge
    with scene.screen.step("a record goes bad") as step:
        invoices = await asyncio.to_thread(stripe.objects, "invoices")
        key = next(key for key, invoice in invoices.items() if invoice["status"] == "open")
        path = f"objects/invoices/{key}"
        changed = await asyncio.to_thread(stripe.patch, path, set={"currency": None})

        async def stopped() -> list[Parked] | None:
            return await still_parked(scene) or None

        found = await scene.children.until(
            stopped, what="the parking of the bad record", blame=scene.ours.worker
        )
        reason = found[0].reason
        mended = {"currency": changed["before"]["currency"]}
        await asyncio.to_thread(stripe.patch, path, event=False, set=mended)
        for each in found:
            await bridge.replay(each)
        step.said = f"a bad record was parked, then mended at Stripe and replayed\n{reason}"
    return Spoiled(records=1, parked=len(found), reason=reason)


async def still_parked(scene: Scene) -> list[Parked]:
    """Everything that is parked now."""
    bridge = scene.ours.bridge
    return await parked.every(bridge.db, environment=bridge.settings.environment)


async def _all_sent(scene: Scene) -> None:
    """Waits until the simulator has no webhook left to try."""

    async def none_waiting() -> dict[str, Any] | None:
        state: dict[str, Any] = await asyncio.to_thread(scene.theirs.stripe.get, "webhooks")
        return state if state["waiting"] == 0 else None

    await scene.children.until(
        none_waiting, what="the delivery of all webhooks", blame=scene.ours.server
    )


async def _caught_up(
    scene: Scene, connected: Connected, earlier: Before, kinds: Collection[str]
) -> bool:
    """Whether these came to equal the other sides'; False: not in time, the end shows how."""
    deadline = time.monotonic() + CATCH_UP
    left = set(kinds)
    while left and time.monotonic() < deadline:
        scene.children.check()
        left = {
            kind
            for kind in left
            if (await sides.compared(scene, connected, earlier, kind)).finding.differences
        }
        await asyncio.sleep(_PAUSE)
    return not left

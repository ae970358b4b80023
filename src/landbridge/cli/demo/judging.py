"""Holds everything against the other sides' own journals at the end."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from landbridge.cli.demo import books, ledger, mirror, plants, sides
from landbridge.cli.demo.books import Books
from landbridge.cli.demo.emitting import HOOKS, Spoken
from landbridge.cli.demo.inside import TENANT
from landbridge.cli.demo.ledger import Deliveries, Webhooks
from landbridge.cli.demo.mirror import Compared
from landbridge.cli.demo.outcome import Finding, Line, Outcome
from landbridge.cli.demo.plants import Plant
from landbridge.cli.demo.receiving import Spoiled, still_parked
from landbridge.cli.demo.scene import Before, Connected, Scene
from landbridge.engine.pull import stream_of
from landbridge.store import arrivals, deliveries
from landbridge.store.sql import Sql

_ALL = 1_000_000

_STORED = Sql(
    "demo.stored_arrivals",
    "SELECT count(*) FROM lb.arrival WHERE environment = :environment",
    across="Webhooks are stored before anybody knows which tenants they are for.",
)


async def plant(scene: Scene, connected: Connected) -> None:
    """Puts the faults in that were asked for, just before the comparison."""
    if Plant.LOST_DELIVERY in scene.plants:
        plants.lose_delivery(scene.theirs.deliveries_file)
    if Plant.LOST_RECORD in scene.plants:
        await plants.lose_record(scene.ours.bridge.db, stream_of(connected.stripe, "invoice"))


async def judge(
    scene: Scene,
    connected: Connected,
    earlier: Before,
    spoken: Spoken,
    spoiled: Spoiled,
    kept: Books,
    *,
    seconds: float,
) -> Outcome:
    """The outcome, each count of ours beside theirs."""
    mirrored = [
        await sides.compared(scene, connected, earlier, kind)
        for kind in (*mirror.STRIPE, sides.EVENT)
    ]
    in_books = await books.compared(scene, kept)
    inbox = await _webhooks(scene)
    sent = ledger.deliveries(scene.theirs.deliveries(), spoken.committed, HOOKS)
    others = await asyncio.to_thread(lambda: scene.theirs.sides)
    lines = [
        await _connected(scene),
        *_mirror_lines(mirrored),
        Line(
            what="in the books",
            ours=sum(len(each.ours.live) for each in in_books),
            theirs=sum(len(each.theirs.live) for each in in_books),
            note="two organisations of a Xero simulator, behind one consent",
        ),
        *await _webhook_lines(scene, inbox),
        Line(what="parked", ours=spoiled.parked, theirs=spoiled.records, note=spoiled.reason),
        Line(
            what="emitted",
            ours=len(spoken.committed),
            theirs=sent.events,
            note=f"{spoken.rolled_back} more were rolled back; none of them arrived",
        ),
        await _delivery_line(scene, sent, others["deliveries_verified_by"]),
    ]
    findings: list[Finding] = [each.finding for each in (*mirrored, *in_books)]
    findings += [inbox.finding, sent.finding, await _parked(scene)]
    return Outcome(
        lines=lines,
        findings=findings,
        duplicated=sent.duplicated,
        seconds=seconds,
        sides=others,
        facts={
            "rolled_back": spoken.rolled_back,
            "failed_on_purpose": sent.failed,
            "worker_killed_after": spoken.killed_at,
            "webhooks_repeated": inbox.repeated,
            "parked_because": spoiled.reason,
        },
        planted=tuple(sorted(scene.plants)),
    )


async def _connected(scene: Scene) -> Line:
    there = {("stripe", scene.theirs.stripe_account), ("caldav", scene.theirs.calendar.user)}
    found = await scene.ours.bridge.connections(tenant=TENANT)
    ours = {
        (each.provider, each.account if each.provider == "stripe" else each.account_name)
        for each in found
        if each.state == "active"
    }
    return Line(
        what="connected",
        ours=len(ours & there),
        theirs=len(there),
        note=f"a Stripe simulator, {scene.theirs.calendar.name}",
    )


async def _parked(scene: Scene) -> Finding:
    left = await still_parked(scene)
    return Finding(differences=tuple(f"still parked: {each.reason}" for each in left))


def _mirror_lines(mirrored: list[Compared]) -> list[Line]:
    return [
        Line(
            what="pulled",
            ours=sum(len(each.ours.live) for each in mirrored),
            theirs=sum(len(each.theirs.live) for each in mirrored),
            note="live records, equal field by field",
        ),
        Line(
            what="deleted",
            ours=sum(len(each.ours.deleted & each.theirs.deleted) for each in mirrored),
            theirs=sum(len(each.theirs.deleted) for each in mirrored),
            note="there since the first pull, and known here",
        ),
    ]


async def _webhooks(scene: Scene) -> Webhooks:
    stripe, bridge = scene.theirs.stripe, scene.ours.bridge
    journal = await asyncio.to_thread(stripe.journal)
    events = await asyncio.to_thread(stripe.objects, "events")
    held = await arrivals.events(bridge.db, environment=bridge.settings.environment, most=_ALL)
    return ledger.webhooks(
        [each for each in journal if each["kind"] == "webhook"],
        set(events),
        [each.vendor_id for each in held],
        stored=await bridge.db.value(_STORED, environment=bridge.settings.environment),
    )


async def _webhook_lines(scene: Scene, inbox: Webhooks) -> list[Line]:
    bridge = scene.ours.bridge
    where = bridge.settings.environment
    held = await arrivals.events(bridge.db, environment=where, most=_ALL)
    refused = await arrivals.tallies(bridge.db, environment=where)
    why = ", ".join(f"{count} {what}" for _, _, what, count in refused)
    return [
        Line(
            what="received",
            ours=len(held),
            theirs=inbox.accepted,
            note=f"webhooks; {inbox.repeated} came again and were kept once",
        ),
        Line(
            what="refused",
            ours=sum(count for _, _, _, count in refused),
            theirs=inbox.refused,
            note=why or "none",
        ),
    ]


async def _delivery_line(scene: Scene, sent: Deliveries, verifier: str) -> Line:
    bridge = scene.ours.bridge
    ended = await deliveries.every(
        bridge.db,
        environment=bridge.settings.environment,
        state="delivered",
        since=datetime.now(UTC) - timedelta(days=1),
        most=_ALL,
    )
    return Line(
        what="delivered",
        ours=len({each.id for each in ended}),
        theirs=sent.arrived,
        note=f"verified by {verifier}; {sent.failed} failed first",
    )

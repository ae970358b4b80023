"""Connects both accounts and pulls everything that there is."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import httpx2

from landbridge.cli.demo import mirror, plants, sides
from landbridge.cli.demo.inside import TENANT
from landbridge.cli.demo.plants import Plant
from landbridge.cli.demo.scene import Before, Connected, Scene
from landbridge.store import records, syncs
from landbridge.store.connections import Connection

_PULL_SECONDS = 90.0
_LOOK = 0.1


async def connect(scene: Scene) -> Connected:
    """Connects Stripe and the calendar, and tells Stripe where its webhooks go."""
    bridge, theirs = scene.ours.bridge, scene.theirs
    calendar = theirs.calendar
    with scene.screen.step("connecting both accounts") as step:
        caldav = await bridge.connect(
            "caldav",
            tenant=TENANT,
            credentials={
                "url": calendar.url,
                "username": calendar.user,
                "password": calendar.password,
            },
            settings={"url": calendar.url},
            every=timedelta(minutes=5),
        )
        stripe = await bridge.connect(
            "stripe",
            tenant=TENANT,
            credentials={"key": theirs.stripe_key},
            settings={"base": theirs.stripe.url},
            every=timedelta(minutes=5),
        )
        address = await bridge.intake_url(stripe.connection)
        secret = await asyncio.to_thread(_register, theirs.stripe.url, theirs.stripe_key, address)
        believed = [plants.FORGERS_SECRET] if Plant.FORGED in scene.plants else []
        await bridge.set_webhook_secrets(stripe.connection, [secret, *believed])
        step.said = (
            f"connected Stripe {stripe.connection.account} and the calendar of"
            f" {caldav.connection.account_name!r} for the tenant {TENANT!r}"
        )
    return Connected(stripe=stripe.connection, calendar=caldav.connection)


def _register(url: str, key: str, address: str) -> str:
    """Registers the webhook endpoint as a person would, at the provider; its signing secret."""
    answer = httpx2.post(
        f"{url}/v1/webhook_endpoints",
        data={"url": address, "enabled_events[0]": "*"},
        headers={"authorization": f"Bearer {key}"},
        trust_env=False,
    )
    answer.raise_for_status()
    return str(answer.json()["secret"])


async def pull(scene: Scene, connected: Connected) -> Before:
    """Waits until the worker has pulled everything, with bars."""
    wanted = await sides.counts(scene.theirs)
    with scene.screen.pulling(wanted) as bars:

        async def pulled() -> bool | None:
            done = await _all_pulled(scene, connected)
            for name, connection in zip(wanted, _in_order(connected), strict=True):
                bars.show(name, min(await _stored(scene, connection), wanted[name]))
            return done or None

        await scene.children.until(
            pulled,
            what="the pull of everything",
            blame=scene.ours.worker,
            seconds=_PULL_SECONDS,
            pause=_LOOK,
        )
        for name, connection in zip(wanted, _in_order(connected), strict=True):
            bars.took[name] = await _seconds(scene, connection)
    return await sides.before(scene.theirs)


def _in_order(connected: Connected) -> Sequence[Connection]:
    return (connected.stripe, connected.calendar)


async def _stored(scene: Scene, connection: Connection) -> int:
    there = await records.counts(
        scene.ours.bridge.db,
        environment=connection.environment,
        tenant=connection.tenant,
        connection=connection.id,
    )
    mirrored = {*mirror.STRIPE, sides.EVENT}
    return sum(live for resource, (live, _) in there.items() if resource in mirrored)


async def _all_pulled(scene: Scene, connected: Connected) -> bool:
    """Whether each resource was pulled to its end."""
    for connection in _in_order(connected):
        orders = await syncs.every(
            scene.ours.bridge.db,
            environment=connection.environment,
            tenant=connection.tenant,
            connection=connection.id,
        )
        if any(pulled_at is None for _, pulled_at in orders):
            return False
    return True


async def _seconds(scene: Scene, connection: Connection) -> float:
    """From the start of a connection's first run to the end of its last."""
    runs = await syncs.runs(
        scene.ours.bridge.db,
        environment=connection.environment,
        tenant=connection.tenant,
        connection=connection.id,
        most=1000,
    )
    ends = [run.ended_at for run in runs if run.ended_at is not None]
    return (max(ends) - min(run.started_at for run in runs)).total_seconds()

"""Emits events inside transactions, kills the worker meanwhile, and waits for the deliveries."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle
from typing import Any

from landbridge.cli.demo.inside import OTHER_TENANT, TENANT
from landbridge.cli.demo.ledger import Emitted, Hook, deliveries
from landbridge.cli.demo.scene import Scene

HOOKS = (
    Hook(name="everything", tenant=TENANT, types=("*",)),
    Hook(name="billing", tenant=TENANT, types=("invoice.*",)),
    Hook(name="crm", tenant=TENANT, types=("customer.created", "customer.updated")),
    Hook(name="globex", tenant=OTHER_TENANT, types=("*",)),
)
"""The receiver's endpoints."""

_FAILURES: tuple[dict[str, Any], ...] = (
    {"endpoint": "billing", "answer": "503", "every": 4},
    {"endpoint": "crm", "answer": "drop", "every": 5},
    {"endpoint": "globex", "answer": "500", "every": 10},
)
"""What the receiver fails at the first try: one message in `every`."""

_TYPES = ("invoice.created", "invoice.paid", "customer.created", "customer.updated", "order.placed")
_TENANTS = (TENANT, OTHER_TENANT)
_AT_ONCE = 10
_DELIVER_SECONDS = 60.0
_PAUSE = 0.2


@dataclass(frozen=True, kw_only=True)
class Spoken:
    """What was emitted, and when the worker was killed."""

    committed: list[Emitted]
    rolled_back: int
    killed_at: int | None
    """Deliveries that had arrived when the worker was killed; None: it was not."""


class _ChangedItsMind(Exception):
    """Rolls a transaction of the demonstration back."""


async def subscribe(scene: Scene) -> None:
    """Creates the endpoints and gives the receiver their secrets, as a customer would copy them."""
    bridge, receiver = scene.ours.bridge, scene.theirs.receiver
    for hook in HOOKS:
        created = await bridge.endpoints.create(
            environment=bridge.settings.environment,
            tenant=hook.tenant,
            url=f"{receiver.url}/hook/{hook.name}",
            types=hook.types,
        )
        await asyncio.to_thread(receiver.post, "endpoints", name=hook.name, secret=created.secret)
    for failure in _FAILURES if scene.size.fails_first else ():
        await asyncio.to_thread(receiver.post, "failures", tries=1, **failure)


async def emit_and_kill(scene: Scene) -> Spoken:
    """Emits all, and kills the worker after half of it; another worker is hired."""
    size, ours = scene.size, scene.ours
    with scene.screen.step("emitting events inside transactions") as step:
        await subscribe(scene)
        kinds = cycle((kind, tenant) for kind in _TYPES for tenant in _TENANTS)
        half = size.emitted // 2
        committed, rolled_back = await _emit(scene, kinds, half)
        killed_at = await _some_arrived(scene, committed)
        if size.kills_worker:
            ours.kill_worker()
        more, undone = await _emit(scene, kinds, size.emitted - half)
        committed += more
        rolled_back += undone
        if size.kills_worker:
            ours.hire()
        step.said = (
            f"emitted {len(committed):,} events inside transactions, rolled {rolled_back} back"
        )
        if size.kills_worker:
            step.said += (
                f"\nworker killed (SIGKILL) after {killed_at:,} deliveries; another one takes over"
            )
    return Spoken(
        committed=committed,
        rolled_back=rolled_back,
        killed_at=killed_at if size.kills_worker else None,
    )


async def await_deliveries(scene: Scene, spoken: Spoken) -> None:
    """Waits until everything has arrived, or too long a time is over."""
    with scene.screen.step("waiting for the last deliveries") as step:
        found = deliveries(scene.theirs.deliveries(), spoken.committed, HOOKS)
        deadline = time.monotonic() + _DELIVER_SECONDS
        while found.finding.lost and time.monotonic() < deadline:
            scene.children.check()
            await asyncio.sleep(_PAUSE)
            found = deliveries(scene.theirs.deliveries(), spoken.committed, HOOKS)
        step.said = (
            f"{found.arrived:,} of {found.promised:,} deliveries arrived;"
            f" {found.failed} tries had failed on purpose"
        )


async def _emit(
    scene: Scene, kinds: Iterator[tuple[str, str]], count: int
) -> tuple[list[Emitted], int]:
    """So many committed events, a few to a transaction; and every fifth transaction undone."""
    committed: list[Emitted] = []
    rolled_back = 0
    turn = 0
    while len(committed) < count:
        turn += 1
        events: list[Emitted] = []
        try:
            async with scene.ours.bridge.transaction() as tx:
                for _ in range(min(_AT_ONCE, count - len(committed))):
                    kind, tenant = next(kinds)
                    content = {"number": len(committed) + len(events), "note": "Grüße"}
                    event = await scene.ours.bridge.emit(tx, kind, content, tenant=tenant)
                    events.append(Emitted(id=str(event), type=kind, tenant=tenant))
                if turn % 5 == 2:
                    raise _ChangedItsMind
        except _ChangedItsMind:
            rolled_back += len(events)
        else:
            committed += events
    return committed, rolled_back


async def _some_arrived(scene: Scene, committed: list[Emitted]) -> int:
    """Waits for a fair part of the deliveries; how many have arrived."""
    promised = sum(hook.wants(event) for event in committed for hook in HOOKS)

    async def enough() -> int | None:
        count = sum(entry["status"] == 200 for entry in scene.theirs.deliveries())
        return count if count >= promised // 5 else None

    return await scene.children.until(
        enough, what="the first delivery", blame=scene.ours.worker, pause=0.0
    )

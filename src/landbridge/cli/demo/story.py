"""The story of a demonstration, step after step."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

from landbridge.cli.demo import books, emitting, inside, judging, outside, pulling, receiving
from landbridge.cli.demo.children import Children
from landbridge.cli.demo.outcome import Outcome
from landbridge.cli.demo.plants import Plant
from landbridge.cli.demo.scene import Connected, Scene
from landbridge.cli.demo.screen import Screen
from landbridge.cli.demo.size import Size

End = Callable[[Scene, Connected, Outcome], Awaitable[None]]


async def tell(
    children: Children, screen: Screen, size: Size, plants: frozenset[Plant], end: End
) -> Outcome:
    """Runs everything and shows the table; all of it runs on until `end` returns.

    DemoFailed, or another error of ours, when a step cannot be done at all; what merely disagrees
    is in the outcome.
    """
    begun = time.monotonic()
    screen.title("landbridge demo: everything on this machine, nothing leaves it")
    async with AsyncExitStack() as stack:
        with screen.step("starting Postgres, a server, a worker and the other sides") as step:
            ours, theirs = await asyncio.gather(
                stack.enter_async_context(inside.running(children)), outside.start(children, size)
            )
            stack.callback(theirs.close)
            step.said = (
                "Postgres, server and worker; the others: simulators of Stripe and Xero,"
                f" a receiver, {theirs.calendar.name}"
            )
        scene = Scene(
            children=children, screen=screen, size=size, plants=plants, ours=ours, theirs=theirs
        )
        connected = await pulling.connect(scene)
        earlier = await pulling.pull(scene, connected)
        spoken = await emitting.emit_and_kill(scene)
        await receiving.change_payments(scene, connected, earlier)
        await receiving.change_calendar(scene, connected, earlier)
        spoiled = await receiving.spoil_and_mend(scene)
        kept = await books.keep(scene)
        await emitting.await_deliveries(scene, spoken)
        await judging.plant(scene, connected)
        with screen.step("comparing everything with the others' own journals") as step:
            outcome = await judging.judge(
                scene, connected, earlier, spoken, spoiled, kept, seconds=time.monotonic() - begun
            )
            step.said = "compared everything, record by record, with the others' own journals"
        screen.outcome(outcome)
        await end(scene, connected, outcome)
    return outcome

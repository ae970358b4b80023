"""The command itself: its options, staying up at a terminal, and its exit status."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Coroutine
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from landbridge.cli.session import AsJson
from landbridge.cli.usage import WrongUsage

if TYPE_CHECKING:
    from landbridge.cli.demo.children import Children
    from landbridge.cli.demo.outcome import Outcome
    from landbridge.cli.demo.plants import Plant
    from landbridge.cli.demo.scene import Connected, Scene
    from landbridge.cli.demo.screen import Screen
    from landbridge.store.connections import Connection


def demo(
    stay: Annotated[
        bool | None,
        typer.Option(help="Stay up afterwards, to try commands; the default at a terminal."),
    ] = None,
    plant: Annotated[
        list[str] | None,
        typer.Option(
            help="Put a fault in that the comparison must find: lost-delivery, lost-record or"
            " forged; may be given more than once.",
            metavar="FAULT",
        ),
    ] = None,
    picture: Annotated[
        Path | None, typer.Option(help="Also write what is shown as an SVG.", dir_okay=False)
    ] = None,
    size: Annotated[Literal["full", "small", "least"], typer.Option(hidden=True)] = "full",
    as_json: AsJson = False,
) -> None:
    """Run the whole story on this machine, with real processes, in a folder that goes again.

    An embedded Postgres, a server and a worker connect a CalDAV server (Radicale where it is
    installed), a Stripe simulator and, by OAuth, a Xero simulator, pull everything, receive
    webhooks (one forged, one several times), park and mend a bad record, and deliver 1,000 events
    to a receiver that verifies them, while the worker is killed. At the end everything is compared
    with the others' own journals: exit 0 if all of it matched.
    """
    from landbridge.cli.demo import story
    from landbridge.cli.demo.children import Children
    from landbridge.cli.demo.inside import isolate
    from landbridge.cli.demo.screen import Screen
    from landbridge.cli.demo.size import SIZES

    planted = frozenset(plant_of(word) for word in plant or ())
    if picture is not None and not picture.absolute().parent.is_dir():
        raise WrongUsage(f"--picture: there is no folder {picture.absolute().parent}")
    screen = Screen(json=as_json, picture=picture is not None)
    stays = sys.stdout.isatty() and not as_json if stay is None else stay

    async def ended(scene: Scene, connected: Connected, outcome: Outcome) -> None:
        if picture is not None:
            screen.save(picture)
        if as_json:
            typer.echo(json.dumps(outcome.as_json(), ensure_ascii=False))
        if stays:
            await stay_up(scene, connected.stripe)

    with Children() as children:
        isolate(children.folder)
        outcome = run(
            children,
            screen,
            story.tell(children, screen, SIZES[size], planted, ended),
        )
    if not outcome.matched:
        raise typer.Exit(1)


def run(children: Children, screen: Screen, telling: Coroutine[Any, Any, Outcome]) -> Outcome:
    """The outcome of a story; DemoFailed after showing the end of a log that explains it."""
    try:
        return asyncio.run(telling)
    except Exception as error:  # noqa: BLE001 - whatever it is, a dead process goes before it
        failed = children.blamed(error)
        screen.fault(failed.tail)
        raise failed from None


async def stay_up(scene: Scene, stripe: Connection) -> None:
    """Says what can be tried, and returns at SIGTERM or Ctrl-C; DemoFailed if a process ends."""
    from landbridge.cli.signals import stop_on_signals

    scene.screen.say(_invitation(scene, stripe.id))
    with stop_on_signals() as stop:
        while not stop.is_set():
            scene.children.check()
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), 1.0)


def _invitation(scene: Scene, connection: str) -> str:
    theirs = scene.theirs
    return f"""
It all stays up until you press Ctrl-C.

  Landbridge   {scene.ours.address}/health
  Stripe       {theirs.stripe.url}/_sim (what it can do)
  Xero         {theirs.xero.url}/_sim
  calendar     {theirs.calendar.url} (user {theirs.calendar.user}, password \
{theirs.calendar.password})
  receiver     {theirs.receiver.url}/_sim/stats
  logs         {scene.children.folder}/logs

Try in another terminal:

  export LANDBRIDGE_HOME={scene.children.folder} LANDBRIDGE_ALLOW_NETWORKS=127.0.0.0/8
  landbridge connections list
  landbridge records {connection} invoice
  landbridge inbox list
  landbridge deliveries list
  landbridge doctor
"""


def plant_of(word: str) -> Plant:
    """The fault of this name; WrongUsage for a word that is none."""
    from landbridge.cli.demo.plants import Plant
    from landbridge.errors import did_you_mean

    names = [each.value for each in Plant]
    if word not in names:
        raise WrongUsage(
            f"--plant: {word!r} is no fault.{did_you_mean(word, names)}"
            f" There are: {', '.join(names)}"
        )
    return Plant(word)

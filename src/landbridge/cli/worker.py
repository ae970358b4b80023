"""`landbridge worker`: does what is due, until it is told to stop."""

from __future__ import annotations

import asyncio
import json
import os
from typing import TYPE_CHECKING, Annotated

import typer

from landbridge.cli.session import App, AsJson

if TYPE_CHECKING:
    from landbridge.app.bridge import Landbridge


def worker(
    lanes: Annotated[
        str, typer.Option(help="Only these, parted by commas; else all.", metavar="LANE,LANE")
    ] = "",
    app: App = None,
    as_json: AsJson = False,
) -> None:
    """Do what is due: pulls, pushes, webhooks, deliveries, handlers, upkeep.

    Runs until SIGTERM or Ctrl-C, then lets running work end. Any number of workers may run over
    one database; one that is killed loses nothing, another takes its work over. Handlers of
    changes run only where your bridge is named with --app.
    """
    from landbridge.cli.session import on_bridge

    chosen = chosen_lanes(lanes)

    async def work(bridge: Landbridge) -> None:
        from landbridge.cli.logs import log_to_stderr
        from landbridge.cli.signals import stop_on_signals

        log_to_stderr()
        with stop_on_signals() as stop:
            working = asyncio.create_task(bridge.work(stop, lanes=chosen))
            _say_ready(chosen, as_json=as_json)
            await working

    on_bridge(work, app=app)


def chosen_lanes(text: str) -> list[str]:
    """The lanes of `--lanes`; none: all. `WrongUsage` for a word that is no lane."""
    from landbridge.cli.usage import WrongUsage
    from landbridge.errors import did_you_mean
    from landbridge.store.due import LANES

    chosen = [word.strip() for word in text.split(",") if word.strip()]
    for word in chosen:
        if word not in LANES:
            raise WrongUsage(
                f"--lanes: {word!r} is no lane.{did_you_mean(word, LANES)}"
                f" There are: {', '.join(LANES)}"
            )
    return chosen


def _say_ready(lanes: list[str], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({"working": lanes or "all", "pid": os.getpid()}))
    else:
        typer.echo(f"working on {', '.join(lanes) or 'all lanes'} (pid {os.getpid()})")

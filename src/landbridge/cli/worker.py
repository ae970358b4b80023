"""`landbridge worker`: does what is due, until it is told to stop."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from landbridge.cli.session import App, AsJson
from landbridge.errors import SettingsError

if TYPE_CHECKING:
    from landbridge.app.bridge import Landbridge


def worker(
    lanes: Annotated[
        str, typer.Option(help="Only these, parted by commas; else all.", metavar="LANE,LANE")
    ] = "",
    metrics_port: Annotated[
        int | None,
        typer.Option(
            help="Also answer /metrics at this port; 0 takes a free one.", min=0, max=65_535
        ),
    ] = None,
    metrics_host: Annotated[
        str, typer.Option(help="The address for it; any but this host's own needs the token.")
    ] = "127.0.0.1",
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
            async with _metrics(bridge, metrics_host, metrics_port) as address:
                working = asyncio.create_task(bridge.work(stop, lanes=chosen))
                _say_ready(chosen, address, as_json=as_json)
                await working

    on_bridge(work, app=app)


@asynccontextmanager
async def _metrics(bridge: Landbridge, host: str, port: int | None) -> AsyncIterator[str | None]:
    """The address at which `/metrics` is answered meanwhile; None without a port."""
    if port is None:
        yield None
        return
    from landbridge.cli.serve import address_of, listening, server_of
    from landbridge.web import metrics_app

    token = bridge.settings.metrics_token
    if not token and host not in ("127.0.0.1", "::1", "localhost"):
        raise SettingsError(
            f"--metrics-host {host}: others could read the metrics there; set"
            " LANDBRIDGE_METRICS_TOKEN, or leave it at 127.0.0.1"
        )
    with listening(host, port, "--metrics-host {} --metrics-port {}") as listener:
        up = asyncio.Event()
        server = server_of(metrics_app(bridge.metrics, token=token), up.set)
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            await up.wait()
            yield f"{address_of(listener)}/metrics"
        finally:
            server.should_exit = True
            await serving


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


def _say_ready(lanes: list[str], metrics: str | None, *, as_json: bool) -> None:
    if as_json:
        shown = {"metrics": metrics} if metrics else {}
        typer.echo(json.dumps({"working": lanes or "all", "pid": os.getpid(), **shown}))
    else:
        shown_at = f", metrics at {metrics}" if metrics else ""
        typer.echo(f"working on {', '.join(lanes) or 'all lanes'} (pid {os.getpid()}){shown_at}")

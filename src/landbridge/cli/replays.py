"""`landbridge replays`: past events, delivered to an endpoint again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from landbridge.cli.session import AsJson, Environment, Limit, Tenant, noun

if TYPE_CHECKING:
    from landbridge.app.bridge import Landbridge
    from landbridge.store.replays import Replay

replays = noun("Past events, delivered to an endpoint again: a filter, a time range, any size.")

Id = Annotated[str, typer.Argument(help="rpl_...; `landbridge replays list`.", metavar="ID")]
Watch = Annotated[bool, typer.Option("--watch", help="Show how it goes until it ends or pauses.")]

_COLUMNS = ["id", "tenant", "endpoint", "state", "done", "total", "waiting", "to_go", "reason"]


@replays.command()
def create(
    endpoint: Annotated[str, typer.Argument(help="end_...; `landbridge endpoints list`.")],
    types: Annotated[
        list[str] | None,
        typer.Option(
            "--type", help="invoice.paid, or invoice.* for all of these; none: every one."
        ),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(help="Emitted from then on: 2h, 3d, or 2026-11-24T08:00.", metavar="WHEN"),
    ] = None,
    until: Annotated[str | None, typer.Option(help="Emitted before then.", metavar="WHEN")] = None,
    state: Annotated[
        str,
        typer.Option(
            help="failed: given up; missed: never sent, as while it was disabled; undelivered:"
            " both; all."
        ),
    ] = "all",
    events: Annotated[
        list[str] | None, typer.Option("--event", help="Only this event, evt_...; several at once.")
    ] = None,
    every: Annotated[
        bool,
        typer.Option("--every", help="Also what the endpoint's own types and filter leave out."),
    ] = False,
    rate: Annotated[float, typer.Option(help="Deliveries a second.", min=0.01, max=10_000)] = 50.0,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say how many it would be; change nothing.")
    ] = False,
    watch: Watch = False,
    environment: Environment = None,
    as_json: AsJson = False,
) -> None:
    """Deliver past events to an endpoint again; a worker does it, at the rate."""
    from landbridge.cli.moments import moment
    from landbridge.cli.session import on_bridge
    from landbridge.cli.usage import WrongUsage
    from landbridge.store.replays import WHICH

    which = next((each for each in WHICH if each == state), None)
    if which is None:
        raise WrongUsage(f"--state: {state!r} is none of {', '.join(WHICH)}")
    begin, end = moment(since, "--since"), moment(until, "--until")

    async def work(bridge: Landbridge) -> Replay:
        made = await bridge.replays.create(
            endpoint=endpoint,
            types=types or ["*"],
            since=begin,
            until=end,
            state=which,
            events=events or None,
            every=every,
            rate=rate,
            dry_run=dry_run,
        )
        return await _followed(bridge, made) if watch and not dry_run else made

    made = on_bridge(work, environment=environment)
    if dry_run and not as_json:
        typer.echo(f"{_size(made)} would be delivered to {made.endpoint}; nothing was changed")
    else:
        _tell(made, as_json=as_json)


@replays.command("list")
def list_(
    endpoint: Annotated[str | None, typer.Option(help="Only to this endpoint, end_...")] = None,
    tenant: Tenant = None,
    limit: Limit = 50,
    environment: Environment = None,
    as_json: AsJson = False,
) -> None:
    """List replays, newest first."""
    from landbridge.cli.output import print_page
    from landbridge.cli.session import on_bridge

    async def work(bridge: Landbridge) -> list[dict[str, Any]]:
        found = await bridge.replays.list(tenant=tenant, endpoint=endpoint, most=limit + 1)
        return [_row(each) for each in found]

    rows = on_bridge(work, environment=environment)
    print_page(
        "replays", rows, _COLUMNS, limit=limit, as_json=as_json, none="nothing was replayed so far"
    )


@replays.command()
def show(
    id: Id, watch: Watch = False, environment: Environment = None, as_json: AsJson = False
) -> None:
    """Show one replay, and how far it has come."""

    async def work(bridge: Landbridge, found: Replay) -> Replay:
        return await _followed(bridge, found) if watch else found

    _change(id, work, environment=environment, as_json=as_json)


@replays.command()
def pause(id: Id, environment: Environment = None, as_json: AsJson = False) -> None:
    """Add nothing more until it is resumed; what waits already goes out."""

    async def work(bridge: Landbridge, found: Replay) -> Replay:
        return await bridge.replays.pause(found.id)

    _change(id, work, environment=environment, as_json=as_json)


@replays.command()
def resume(
    id: Id, watch: Watch = False, environment: Environment = None, as_json: AsJson = False
) -> None:
    """Go on where it stopped."""

    async def work(bridge: Landbridge, found: Replay) -> Replay:
        resumed = await bridge.replays.resume(found.id)
        return await _followed(bridge, resumed) if watch else resumed

    _change(id, work, environment=environment, as_json=as_json)


@replays.command()
def cancel(id: Id, environment: Environment = None, as_json: AsJson = False) -> None:
    """End it; what was not tried yet is taken back."""

    async def work(bridge: Landbridge, found: Replay) -> Replay:
        return await bridge.replays.cancel(found.id)

    _change(id, work, environment=environment, as_json=as_json)


def _change(
    wanted: str,
    work: Callable[[Landbridge, Replay], Awaitable[Replay]],
    *,
    environment: str | None,
    as_json: bool,
) -> None:
    from landbridge.cli.session import on_bridge

    async def changed(bridge: Landbridge) -> Replay:
        return await work(bridge, await bridge.replays.get(wanted))

    _tell(on_bridge(changed, environment=environment), as_json=as_json)


async def _followed(bridge: Landbridge, replay: Replay) -> Replay:
    """The replay once it does not run any more, or Ctrl-C came; meanwhile shown on a terminal."""
    import asyncio
    from contextlib import suppress

    from landbridge.cli.signals import stop_on_signals

    with _bar(replay) as show, stop_on_signals() as stop:
        while replay.state == "running" and not stop.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), 0.5)
            replay = await bridge.replays.get(replay.id)
            show(replay)
    return replay


def _bar(replay: Replay) -> Any:
    from contextlib import contextmanager

    from landbridge.cli.output import watched

    @contextmanager
    def shown() -> Any:
        if not watched():
            yield lambda _replay: None
            return
        from rich.console import Console
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=20),
            TextColumn("{task.completed:,.0f} of {task.fields[size]}"),
            TextColumn("{task.fields[rate]}"),
        )
        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task(
                replay.id,
                total=replay.total if replay.exact else None,
                size=_size(replay),
                rate="",
            )

            def show(now: Replay) -> None:
                to_go = f", {now.time_to_go} to go" if now.time_to_go is not None else ""
                rate = f"{now.speed:,.1f}/s, {now.waiting:,} waiting{to_go}"
                bar.update(task, completed=now.done, rate=rate)

            yield show

    return shown()


def _tell(replay: Replay, *, as_json: bool) -> None:
    from landbridge.cli.output import print_facts

    print_facts(_row(replay), as_json=as_json)


def _size(replay: Replay) -> str:
    many = f"{replay.total:,} deliver{'y' if replay.total == 1 else 'ies'}"
    return many if replay.exact else f"more than {many}"


def _row(replay: Replay) -> dict[str, Any]:
    from dataclasses import asdict

    from msgspec import to_builtins

    row = asdict(replay)
    row["selection"] = to_builtins(replay.selection)
    row["speed"] = round(replay.speed, 2)
    row["to_go"] = None if replay.time_to_go is None else str(replay.time_to_go)
    return row

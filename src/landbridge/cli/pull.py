"""`landbridge pull`: pulls a connection now, in this process, and shows how it goes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from landbridge.cli.session import AsJson, Environment

if TYPE_CHECKING:
    from landbridge.app.bridge import Landbridge
    from landbridge.engine.pull import Totals
    from landbridge.store.connections import Connection
    from landbridge.store.quotas import Used


class Watch:
    """Is told how pulls go; `left` is what is left of quotas, in words."""

    left = ""

    def __call__(self, resource: str, totals: Totals) -> None:
        """A page of the resource is committed."""


_ASK_EVERY = 1.0
_PATIENCE = 10.0
"""Seconds that a page may take to its end after Ctrl-C."""


class _StoppedByHand(BaseException):
    """Ctrl-C came; the page before this is committed."""


@dataclass(frozen=True, kw_only=True)
class Pulled:
    """How the pull of one resource ended. `state` is done, failed or stopped."""

    resource: str
    state: str
    reason: str = ""
    seconds: float
    pages: int = 0
    seen: int = 0
    changed: int = 0
    gone: int = 0
    parked: int = 0
    missing: tuple[str, ...] = ()
    left: int | None = None

    @property
    def rate(self) -> float:
        """Rows a second."""
        return self.seen / self.seconds if self.seconds else 0.0


def pull(
    connection: Annotated[str, typer.Argument(help="con_...; `landbridge connections list`.")],
    resources: Annotated[
        list[str] | None,
        typer.Argument(help="The vendor's names, such as invoice; none: all.", metavar="RESOURCE"),
    ] = None,
    environment: Environment = None,
    as_json: AsJson = False,
) -> None:
    """Pull resources of a connection now, each from where its last page ended.

    Waits for its turn while a worker pulls the same resource. Ctrl-C stops after the page under
    way; the next pull goes on from there. Exit 1 if a resource could not be pulled to its end.
    """
    from landbridge.cli.output import print_json
    from landbridge.cli.session import on_bridge

    async def work(bridge: Landbridge) -> tuple[Connection, list[Pulled], list[Used]]:
        from landbridge.cli.connections import find
        from landbridge.cli.signals import stop_on_signals

        found = await find(bridge, connection)
        names = _names(bridge, found, resources or [])
        with stop_on_signals() as stop, _watching(as_json=as_json) as watch:
            asking = asyncio.create_task(_ask_quotas(bridge, found, watch))
            done = await _pull_each(bridge, found, names, watch, stop)
            asking.cancel()
            return found, done, await _quotas(bridge, found)

    found, done, quotas = on_bridge(work, environment=environment)
    if as_json:
        rows = [{**asdict(each), "rows_per_second": round(each.rate, 1)} for each in done]
        left = {each.name: max(0, each.limit - each.used) for each in quotas}
        print_json(
            {
                "connection": found.id,
                "provider": found.provider,
                "resources": rows,
                "quota_left": left,
            }
        )
    else:
        for each in done:
            _tell(each)
        if quotas:
            typer.echo(f"left of quotas: {_left(quotas)}")
    if any(each.state == "stopped" for each in done):
        raise typer.Exit(130)
    if any(each.state == "failed" for each in done):
        raise typer.Exit(1)


def _names(bridge: Landbridge, connection: Connection, wanted: Sequence[str]) -> list[str]:
    from landbridge.errors import InvalidInput
    from landbridge.spec import can_pull

    if connection.state in {"paused", "revoked"}:
        way = (
            f"landbridge connections resume {connection.id}"
            if connection.state == "paused"
            else f"landbridge connect {connection.provider} --tenant {connection.tenant}"
        )
        raise InvalidInput(f"{connection.id} is {connection.state}; first: {way}")
    page = bridge.page(connection)
    if wanted:
        return [page.resource(name).name for name in dict.fromkeys(wanted)]
    return [resource.name for resource in page.resources if can_pull(resource)]


async def _pull_each(
    bridge: Landbridge,
    connection: Connection,
    names: Sequence[str],
    watch: Watch,
    stop: asyncio.Event,
) -> list[Pulled]:
    from landbridge.errors import DatabaseUnavailable, ReconnectRequired, VaultError

    done: list[Pulled] = []
    for name in names:
        pulled, error = await _pull_one(bridge, connection, name, watch, stop)
        done.append(pulled)
        # What is wrong with the connection or our own house is wrong for every other resource too.
        if stop.is_set() or isinstance(error, DatabaseUnavailable | ReconnectRequired | VaultError):
            break
    return done


async def _pull_one(
    bridge: Landbridge, connection: Connection, name: str, watch: Watch, stop: asyncio.Event
) -> tuple[Pulled, Exception | None]:
    from landbridge.engine.pull import Totals
    from landbridge.errors import LandbridgeError

    latest = Totals()

    def on_progress(resource: str, totals: Totals) -> None:
        nonlocal latest
        latest = totals
        watch(resource, totals)
        if stop.is_set():
            raise _StoppedByHand

    def ended(state: str, reason: str = "") -> Pulled:
        seconds = round(time.perf_counter() - begun, 3)
        return Pulled(resource=name, state=state, reason=reason, seconds=seconds, **asdict(latest))

    begun = time.perf_counter()
    pulling = asyncio.ensure_future(bridge.pull(connection, [name], on_progress))
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait([pulling, stopping], return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if not pulling.done():
        await asyncio.wait([pulling], timeout=_PATIENCE)
        pulling.cancel()
    try:
        latest = (await pulling)[name]
    except (_StoppedByHand, asyncio.CancelledError):
        if not stop.is_set():
            raise
        return ended("stopped", "stopped by hand; the next pull goes on from here"), None
    except LandbridgeError as error:
        return ended("failed", str(error)), error
    return ended("done"), None


@contextmanager
def _watching(*, as_json: bool) -> Iterator[Watch]:
    """Shows pages as they come, on a terminal."""
    from landbridge.cli.output import watched

    if not watched(as_json=as_json):
        yield Watch()
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=10),
        TextColumn("{task.completed:,.0f} rows"),
        TextColumn("{task.fields[pace]}"),
        TextColumn("{task.fields[parked]}"),
        TextColumn("{task.fields[left]}", markup=False),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        tasks: dict[str, Any] = {}
        paces: dict[str, _Pace] = {}

        class Shown(Watch):
            def __call__(self, resource: str, totals: Totals) -> None:
                if resource not in tasks:
                    tasks[resource] = bar.add_task(
                        resource, total=None, parked="", pace="", left=""
                    )
                    paces[resource] = _Pace(totals.seen)
                bar.update(
                    tasks[resource],
                    completed=totals.seen,
                    total=None if totals.left is None else totals.seen + totals.left,
                    parked=f"{totals.parked:,} parked" if totals.parked else "",
                    pace=paces[resource].told(totals),
                    left=f"quotas: {self.left}" if self.left else "",
                )

        yield Shown()


class _Pace:
    """How fast rows come, from the first page on."""

    def __init__(self, seen: int):
        self._begun, self._seen = time.perf_counter(), seen

    def told(self, totals: Totals) -> str:
        """Rows a second, and how long the rest takes; empty before the second page."""
        seen = totals.seen - self._seen
        if not seen:
            return ""
        rate = seen / max(time.perf_counter() - self._begun, 1e-6)
        to_go = f", {timedelta(seconds=round(totals.left / rate))} to go" if totals.left else ""
        return f"{rate:,.0f} rows/s{to_go}"


async def _ask_quotas(bridge: Landbridge, connection: Connection, watch: Watch) -> None:
    """Keeps `watch.left` fresh until it is cancelled."""
    from landbridge.errors import DatabaseUnavailable

    while True:
        with suppress(DatabaseUnavailable):
            watch.left = _left(await _quotas(bridge, connection))
        await asyncio.sleep(_ASK_EVERY)


async def _quotas(bridge: Landbridge, connection: Connection) -> list[Used]:
    """How the account's own quotas stand."""
    from landbridge.store import quotas

    place = f"account/{connection.provider}/{connection.account or connection.id}"
    found = await quotas.every(bridge.db, environment=connection.environment, begins=place)
    return [each for each in found if each.place == place and each.period]


def _left(quotas: Sequence[Used]) -> str:
    return ", ".join(
        f"{max(0, each.limit - each.used):,} of {each.limit:,} ({each.name})" for each in quotas
    )


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}{'s' * (count != 1)}"


def _tell(pulled: Pulled) -> None:
    told = (
        f"{pulled.resource}: {_many(pulled.seen, 'row')} in {_many(pulled.pages, 'page')},"
        f" {pulled.rate:,.0f} rows/s; {pulled.changed:,} changed, {pulled.gone:,} gone,"
        f" {pulled.parked:,} parked"
    )
    if pulled.missing:
        told += f", {len(pulled.missing):,} missing from the listing and looked up one by one"
    typer.echo(told if pulled.state == "done" else f"{told}; {pulled.state}: {pulled.reason}")

"""One event or webhook as `landbridge inbox show` shows it, and the bar of a long replay."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import typer

from landbridge.cli.output import print_facts, print_json, print_rows, visible
from landbridge.store.erasing_subjects import ERASED

if TYPE_CHECKING:
    from landbridge.app.bridge import Landbridge
    from landbridge.engine.inbox import Replayed
    from landbridge.store.arrivals import Arrival, InboxEvent

_MOST = 20_000
_GONE = "its bytes were erased with a tenant or a person whose event it brought"
_SECRET = ("token", "secret", "key", "authorization", "cookie", "password")


@dataclass(frozen=True, kw_only=True)
class Shown:
    """What is known of an event, of the webhook that brought it, and what came of that."""

    event: InboxEvent | None
    arrival: Arrival | None
    became: list[InboxEvent]
    parked: tuple[str, str] | None


async def find(bridge: Landbridge, id: str) -> Shown:
    """What is known of an event (inb_) or a webhook (arr_); NotFound when nothing is."""
    from landbridge.errors import NotFound
    from landbridge.store import arrivals, inbox

    where = bridge.settings.environment
    event = await event_of(bridge, id) if id.startswith("inb_") else None
    name = event.arrival if event else id
    loaded = await arrivals.load(bridge.db, environment=where, arrivals=[name])
    arrival = loaded[0] if loaded else None
    if arrival is None and event is None:
        raise NotFound(
            f"{id!r} is no webhook in the environment {where!r}, or its day is no longer kept;"
            " see events with: landbridge inbox list"
        )
    became: list[InboxEvent] = []
    parked = None
    if arrival is not None:
        became = await inbox.of_arrival(bridge.db, environment=where, arrival=name)
        parked = await inbox.parked_as(bridge.db, environment=where, app=arrival.app, arrival=name)
    return Shown(event=event, arrival=arrival, became=became, parked=parked)


async def event_of(bridge: Landbridge, id: str) -> InboxEvent:
    """The inbox event with this id; NotFound says where to look."""
    from landbridge.errors import NotFound
    from landbridge.store import arrivals

    where = bridge.settings.environment
    found = await arrivals.event(bridge.db, environment=where, id=id)
    if found is None:
        raise NotFound(
            f"{id!r} is no event in the environment {where!r}, or its day is no longer kept;"
            " see them with: landbridge inbox list"
        )
    return found


def tell(shown: Shown, *, raw: bool, as_json: bool) -> None:
    """Prints it: for a person, as JSON, or the body's bytes alone."""
    from landbridge.errors import NotFound

    arrival = shown.arrival
    if raw:
        if arrival is None:
            raise NotFound("the webhook that brought it is no longer kept")
        if arrival.source == ERASED:
            raise NotFound(f"{arrival.id}: {_GONE}")
        sys.stdout.flush()
        sys.stdout.buffer.write(arrival.body)
        sys.stdout.buffer.flush()
        return
    event = asdict(shown.event) if shown.event else {}
    came = _came(arrival) if arrival else None
    became = [asdict(one) for one in shown.became]
    parked = {"id": shown.parked[0], "reason": shown.parked[1]} if shown.parked else None
    if as_json:
        name = arrival.id if arrival else ""
        print_json({**(event or {"id": name}), "came": came, "became": became, "parked": parked})
        return
    if event:
        print_facts(event, as_json=False)
        typer.echo("")
    if came is None or arrival is None:
        typer.echo("the webhook that brought it is no longer kept")
        return
    print_facts({**came, "body": None}, as_json=False)
    typer.echo("")
    typer.echo(_GONE if arrival.source == ERASED else _pretty(arrival.body))
    if became:
        typer.echo("")
        print_rows(
            "events", became, ["id", "tenant", "topic", "kind", "key", "outcome"], as_json=False
        )
    if parked:
        typer.echo(f"\nparked as {parked['id']}: {visible(parked['reason'])}")


def _came(arrival: Arrival) -> dict[str, Any]:
    headers = [] if arrival.source == ERASED else json.loads(arrival.headers)
    return {
        "arrival": arrival.id,
        "received_at": arrival.received_at,
        "source": arrival.source,
        "app": arrival.app,
        "connection": arrival.connection,
        "headers": {name: _kept(name, value) for name, value in headers},
        "body": arrival.body.decode(errors="replace"),
    }


def _kept(name: str, value: str) -> str:
    """A header's value; of one that may hold a secret only that it was there."""
    return "(not shown)" if any(word in name.lower() for word in _SECRET) else value


def _pretty(body: bytes) -> str:
    """The body for a person: JSON indented, anything else as text, cut off when it is long."""
    try:
        text = json.dumps(json.loads(body), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        text = body.decode(errors="replace")
    lines = "\n".join(visible(line) for line in text[:_MOST].splitlines())
    if len(text) > _MOST:
        lines += f"\n... ({len(body):,} bytes; all of it with --raw)"
    return lines


@contextmanager
def counting(total: int, *, as_json: bool) -> Iterator[Callable[[Replayed], None]]:
    """Shows how far a replay is, on a terminal."""
    from landbridge.cli.output import watched

    if not watched(as_json=as_json):
        yield lambda _so_far: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (TextColumn("events"), BarColumn(bar_width=30), MofNCompleteColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("events", total=total)
        yield lambda so_far: bar.update(task, completed=so_far.events)

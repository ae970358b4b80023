"""`landbridge inbox`: the webhooks that came in, what became of them, and doing it again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from landbridge.cli.session import AsJson, Environment, Limit, Tenant, noun

if TYPE_CHECKING:
    from landbridge.app.bridge import Landbridge
    from landbridge.store.arrivals import InboxEvent

inbox = noun("Webhooks that came in; replay them.")


@inbox.command("list")
def list_(
    tenant: Tenant = None,
    limit: Limit = 50,
    environment: Environment = None,
    as_json: AsJson = False,
) -> None:
    """List the events that webhooks brought, newest first."""
    from landbridge.cli.output import print_rows
    from landbridge.cli.session import on_bridge

    async def work(bridge: Landbridge) -> list[dict[str, Any]]:
        from dataclasses import asdict

        from landbridge.store import arrivals

        where = bridge.settings.environment
        found = await arrivals.events(bridge.db, environment=where, tenant=tenant, most=limit)
        return [asdict(event) for event in found]

    rows = on_bridge(work, environment=environment)
    columns = ["id", "tenant", "topic", "resource", "key", "outcome", "created_at"]
    print_rows("events", rows, columns, as_json=as_json, none="no webhook came in so far")


@inbox.command()
def show(
    id: Annotated[str, typer.Argument(help="inb_... or arr_...", metavar="ID")],
    environment: Environment = None,
    as_json: AsJson = False,
) -> None:
    """Show an event, and the webhook that brought it as it came."""
    from landbridge.cli.output import print_facts, print_json
    from landbridge.cli.session import on_bridge

    async def work(bridge: Landbridge) -> dict[str, Any]:
        from dataclasses import asdict

        from landbridge.errors import NotFound

        if id.startswith("inb_"):
            event = await _event(bridge, id)
            return {**asdict(event), "came": await _as_it_came(bridge, event.arrival)}
        came = await _as_it_came(bridge, id)
        if came is None:
            raise NotFound(
                f"{id!r} is no webhook in the environment {bridge.settings.environment!r}, or its"
                " day is no longer kept; see events with: landbridge inbox list"
            )
        return {"id": id, "came": came}

    facts = on_bridge(work, environment=environment)
    if as_json:
        print_json(facts)
        return
    came = facts.pop("came")
    print_facts(facts, as_json=False)
    if came is None:
        typer.echo("the webhook that brought it is no longer kept")
    else:
        typer.echo("")
        print_facts(came, as_json=False)


@inbox.command()
def refused(environment: Environment = None, as_json: AsJson = False) -> None:
    """Count what was turned away and never stored, by day: forged, too old, too large."""
    from landbridge.cli.output import print_rows
    from landbridge.cli.session import on_bridge

    async def work(bridge: Landbridge) -> list[dict[str, Any]]:
        from landbridge.store import apps, arrivals

        where = bridge.settings.environment
        names = {app.id: app.provider for app in await apps.every(bridge.db, environment=where)}
        return [
            {"day": day, "provider": names.get(app, ""), "app": app, "why": what, "count": count}
            for app, day, what, count in await arrivals.tallies(bridge.db, environment=where)
        ]

    rows = on_bridge(work, environment=environment)
    columns = ["day", "provider", "why", "count"]
    print_rows("refused", rows, columns, as_json=as_json, none="nothing was refused so far")


@inbox.command()
def parked(limit: Limit = 50, environment: Environment = None, as_json: AsJson = False) -> None:
    """List the webhooks that could not be sorted, and why."""
    from landbridge.cli.output import print_rows
    from landbridge.cli.parked import COLUMNS, rows_of
    from landbridge.cli.session import on_bridge

    rows = on_bridge(
        lambda bridge: rows_of(bridge, tenant=None, what="arrival", place=None, limit=limit),
        environment=environment,
    )
    print_rows("parked", rows, COLUMNS, as_json=as_json, none="no webhook is parked")


@inbox.command()
def replay(
    ids: Annotated[
        list[str], typer.Argument(help="inb_..., arr_... or prk_...; several.", metavar="ID")
    ],
    environment: Environment = None,
    as_json: AsJson = False,
) -> None:
    """Do again what webhooks asked for; a worker does it.

    An event (inb_) has its record read again. A webhook (arr_, or parked as prk_) is sorted again:
    events of it that were admitted before are not admitted twice.
    """
    from landbridge.cli.output import print_json
    from landbridge.cli.session import on_bridge

    async def work(bridge: Landbridge) -> list[dict[str, Any]]:
        return [await _again(bridge, each) for each in ids]

    ordered = on_bridge(work, environment=environment)
    if as_json:
        print_json({"ordered": ordered})
    else:
        for each in ordered:
            typer.echo(f"{each['id']}: {each['ordered']}; a worker does it")


async def _again(bridge: Landbridge, id: str) -> dict[str, Any]:
    from landbridge.cli.parked import find
    from landbridge.cli.usage import WrongUsage
    from landbridge.engine.replay import fetch_again, sort_again

    if id.startswith("inb_"):
        event = await _event(bridge, id)
        await fetch_again(bridge.db, event)
        return {"id": id, "ordered": f"{event.resource} {event.key} is read again"}
    arrival = id
    if id.startswith("prk_"):
        stopped = await find(bridge, id)
        if stopped.what != "arrival":
            raise WrongUsage(
                f"{id} is a {stopped.what}, not a webhook: landbridge parked replay {id}"
            )
        arrival = stopped.key
    await sort_again(bridge.db, environment=bridge.settings.environment, arrival=arrival)
    return {"id": id, "ordered": "it is sorted again"}


async def _event(bridge: Landbridge, id: str) -> InboxEvent:
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


async def _as_it_came(bridge: Landbridge, id: str) -> dict[str, Any] | None:
    from json import loads

    from landbridge.store import arrivals

    where = bridge.settings.environment
    found = await arrivals.load(bridge.db, environment=where, arrivals=[id])
    if not found:
        return None
    arrival = found[0]
    return {
        "arrival": arrival.id,
        "app": arrival.app,
        "connection": arrival.connection,
        "headers": dict(loads(arrival.headers)),
        "body": arrival.body.decode(errors="replace"),
    }

"""`landbridge parked`: what could not be read, sorted or handled, until it is replayed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from landbridge.cli.session import App, AsJson, Environment, Limit, Tenant, noun

if TYPE_CHECKING:
    from landbridge.app.bridge import Landbridge
    from landbridge.store.parked import Parked

parked = noun("What could not be read or handled.")

COLUMNS = ("id", "tenant", "what", "resource", "key", "attempts", "reason")

Ids = Annotated[list[str], typer.Argument(help="prk_...; several at once.", metavar="ID")]


@parked.command("list")
def list_(
    what: Annotated[
        str | None,
        typer.Option(help="Only these: record, listing, arrival, change, event or push."),
    ] = None,
    connection: Annotated[str | None, typer.Option(help="Only records of this one.")] = None,
    tenant: Tenant = None,
    limit: Limit = 50,
    environment: Environment = None,
    as_json: AsJson = False,
) -> None:
    """List what is parked and why, oldest first."""
    from landbridge.cli.output import print_page
    from landbridge.cli.session import on_bridge
    from landbridge.cli.usage import WrongUsage

    kinds = ("record", "listing", "arrival", "change", "event", "push")
    if what is not None and what not in kinds:
        raise WrongUsage(f"--what: {what!r} is none of {', '.join(kinds)}")
    rows = on_bridge(
        lambda bridge: rows_of(bridge, tenant=tenant, what=what, place=connection, limit=limit + 1),
        environment=environment,
    )
    print_page("parked", rows, COLUMNS, limit=limit, as_json=as_json, none="nothing is parked")


@parked.command()
def show(
    id: Annotated[str, typer.Argument(help="prk_...", metavar="ID")],
    environment: Environment = None,
    as_json: AsJson = False,
) -> None:
    """Show one parked thing with its reason and, where there is one, the raw record."""
    from landbridge.cli.output import print_facts
    from landbridge.cli.session import on_bridge

    async def work(bridge: Landbridge) -> dict[str, Any]:
        stopped = await find(bridge, id)
        raw = None if stopped.raw is None else stopped.raw.decode(errors="replace")
        return {**row_of(stopped), "raw": raw}

    print_facts(on_bridge(work, environment=environment), as_json=as_json)


@parked.command()
def replay(
    ids: Ids, app: App = None, environment: Environment = None, as_json: AsJson = False
) -> None:
    """Try parked things again: read the record, sort the webhook, call the handler.

    What a listing missed is looked up one by one, and deleted if the provider says so. A change
    that your own handler did not take needs that handler: name your bridge with --app. An event
    (bridge.on_received) is handed over by a worker, and then what waits behind it. A push that is
    held for lack of a code goes out by itself when the code has a line.
    What fails again stays parked.
    """
    from landbridge.cli.output import print_json
    from landbridge.cli.session import on_bridge

    async def work(bridge: Landbridge) -> list[dict[str, str]]:
        return [
            {"id": each, "outcome": await bridge.replay(await find(bridge, each))} for each in ids
        ]

    done = on_bridge(work, environment=environment, app=app)
    if as_json:
        print_json({"replayed": done})
    else:
        for each in done:
            typer.echo(f"{each['id']}: {each['outcome']}")


@parked.command()
def discard(ids: Ids, environment: Environment = None, as_json: AsJson = False) -> None:
    """Forget parked things for good, without trying them again.

    What a parked listing missed is kept as it is. A push that is held is never sent. An event is
    left out; what waits behind it goes on.
    """
    from landbridge.cli.output import print_json
    from landbridge.cli.session import on_bridge

    async def work(bridge: Landbridge) -> list[dict[str, Any]]:
        from landbridge.engine.replay import discard as forget

        found = [await find(bridge, each) for each in ids]
        for stopped in found:
            await forget(bridge.db, stopped)
        return [row_of(stopped) for stopped in found]

    gone = on_bridge(work, environment=environment)
    if as_json:
        print_json({"discarded": gone})
    else:
        for each in gone:
            typer.echo(f"{each['id']}: forgotten ({each['what']} {each['key']})")


async def find(bridge: Landbridge, id: str) -> Parked:
    """The parked thing with this id; NotFound with the nearest id that there is."""
    from landbridge.errors import NotFound, did_you_mean
    from landbridge.store import parked

    where = bridge.settings.environment
    found = await parked.one(bridge.db, environment=where, id=id)
    if found is None:
        near = [each.id for each in await parked.every(bridge.db, environment=where, most=1000)]
        raise NotFound(
            f"{id!r} is not parked in the environment {where!r}: it was replayed or never was."
            f"{did_you_mean(id, near)} See: landbridge parked list"
        )
    return found


async def rows_of(
    bridge: Landbridge, *, tenant: str | None, what: str | None, place: str | None, limit: int
) -> list[dict[str, Any]]:
    """What is parked, as rows for output."""
    from landbridge.store import parked

    found = await parked.every(
        bridge.db,
        environment=bridge.settings.environment,
        tenant=tenant,
        what=what,
        place=place,
        most=limit,
    )
    return [row_of(stopped) for stopped in found]


def row_of(stopped: Parked) -> dict[str, Any]:
    """A parked thing as a row for output, without its bytes."""
    return {
        "id": stopped.id,
        "environment": stopped.environment,
        "tenant": stopped.tenant,
        "what": stopped.what,
        "place": stopped.place,
        "resource": stopped.resource,
        "key": stopped.key,
        "field": stopped.field,
        "attempts": stopped.attempts,
        "created_at": stopped.created_at,
        "reason": stopped.reason,
    }

"""`landbridge deliveries`: events on their way to endpoints, and trying again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from landbridge.cli.session import AsJson, Environment, Limit, Tenant, noun

if TYPE_CHECKING:
    from landbridge.app.bridge import Landbridge
    from landbridge.store.deliveries import Delivery

deliveries = noun("Events on their way to endpoints; try them again.")


@deliveries.command("list")
def list_(
    state: Annotated[
        str | None, typer.Option(help="waiting, delivered, failing or abandoned.")
    ] = None,
    endpoint: Annotated[str | None, typer.Option(help="Only to this endpoint, end_...")] = None,
    event: Annotated[str | None, typer.Option(help="Only of this event, evt_...")] = None,
    tenant: Tenant = None,
    days: Annotated[int, typer.Option(help="How far back ended ones go.", min=1, max=3650)] = 7,
    limit: Limit = 50,
    environment: Environment = None,
    as_json: AsJson = False,
) -> None:
    """List deliveries, newest events first: those under way, and those that ended lately."""
    from landbridge.cli.output import print_rows
    from landbridge.cli.session import on_bridge
    from landbridge.cli.usage import WrongUsage
    from landbridge.store.deliveries import STATES

    chosen = next((each for each in STATES if each == state), None)
    if state is not None and chosen is None:
        raise WrongUsage(f"--state: {state!r} is none of {', '.join(STATES)}")

    async def work(bridge: Landbridge) -> list[dict[str, Any]]:
        from dataclasses import asdict
        from datetime import UTC, datetime, timedelta

        from landbridge.store import deliveries

        found = await deliveries.every(
            bridge.db,
            environment=bridge.settings.environment,
            since=datetime.now(UTC) - timedelta(days=days),
            tenant=tenant,
            endpoint=endpoint,
            event=event,
            state=chosen,
            most=limit,
        )
        return [asdict(delivery) for delivery in found]

    rows = on_bridge(work, environment=environment)
    columns = [
        "id",
        "tenant",
        "type",
        "endpoint",
        "state",
        "attempts",
        "status",
        "next_at",
        "error",
    ]
    print_rows("deliveries", rows, columns, as_json=as_json, none="nothing was sent so far")


@deliveries.command()
def show(
    id: Annotated[str, typer.Argument(help="dlv_...", metavar="ID")],
    environment: Environment = None,
    as_json: AsJson = False,
) -> None:
    """Show one delivery with its attempts."""
    from landbridge.cli.output import print_facts, print_json, print_rows
    from landbridge.cli.session import on_bridge

    async def work(bridge: Landbridge) -> dict[str, Any]:
        from dataclasses import asdict

        from landbridge.store import deliveries

        found = await _find(bridge, id)
        tries = await deliveries.attempts(
            bridge.db, environment=found.environment, tenant=found.tenant, id=found.id
        )
        return {**asdict(found), "tries": [asdict(each) for each in tries]}

    facts = on_bridge(work, environment=environment)
    if as_json:
        print_json(facts)
        return
    tries = facts.pop("tries")
    print_facts(facts, as_json=False)
    typer.echo("")
    columns = ["number", "outcome", "status", "took_ms", "at", "error"]
    print_rows("tries", tries, columns, as_json=False, none="not tried so far")


@deliveries.command()
def redeliver(
    ids: Annotated[list[str], typer.Argument(help="dlv_...; several at once.", metavar="ID")],
    environment: Environment = None,
    as_json: AsJson = False,
) -> None:
    """Try deliveries again now: bring waiting ones forward, begin ended ones anew."""
    from landbridge.cli.output import print_json
    from landbridge.cli.session import on_bridge

    async def work(bridge: Landbridge) -> list[str]:
        from landbridge.store import deliveries

        found = [await _find(bridge, each) for each in ids]
        async with bridge.transaction() as tx:
            for each in found:
                await deliveries.redeliver(
                    tx, environment=each.environment, tenant=each.tenant, id=each.id
                )
            tx.wake = True
        return [each.id for each in found]

    due = on_bridge(work, environment=environment)
    if as_json:
        print_json({"redelivered": due})
    else:
        for each in due:
            typer.echo(f"{each}: due now; a worker delivers it")


async def _find(bridge: Landbridge, id: str) -> Delivery:
    from landbridge.errors import NotFound
    from landbridge.store import deliveries

    where = bridge.settings.environment
    found = await deliveries.by_id(bridge.db, environment=where, id=id)
    if found is None:
        raise NotFound(
            f"{id!r} is no delivery in the environment {where!r}, or its days are no longer kept;"
            " see them with: landbridge deliveries list"
        )
    return found

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
    type: Annotated[
        str | None, typer.Option("--type", help="Only of this type, or invoice.* for all of these.")
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(help="Emitted from then on: 2h, 3d, or 2026-11-24T08:00.", metavar="WHEN"),
    ] = None,
    until: Annotated[str | None, typer.Option(help="Emitted before then.", metavar="WHEN")] = None,
    tenant: Tenant = None,
    limit: Limit = 50,
    environment: Environment = None,
    as_json: AsJson = False,
) -> None:
    """List deliveries, newest events first: those under way, and those that ended lately.

    Without --since, ended ones go back for 7 days.
    """
    from landbridge.cli.moments import moment
    from landbridge.cli.output import print_page
    from landbridge.cli.session import on_bridge
    from landbridge.cli.usage import WrongUsage
    from landbridge.store.deliveries import STATES

    chosen = next((each for each in STATES if each == state), None)
    if state is not None and chosen is None:
        raise WrongUsage(f"--state: {state!r} is none of {', '.join(STATES)}")
    begin, end = moment(since, "--since"), moment(until, "--until")

    async def work(bridge: Landbridge) -> list[dict[str, Any]]:
        from dataclasses import asdict
        from datetime import UTC, datetime, timedelta

        from landbridge.store import deliveries

        found = await deliveries.every(
            bridge.db,
            environment=bridge.settings.environment,
            since=begin or datetime.now(UTC) - timedelta(days=7),
            tenant=tenant,
            endpoint=endpoint,
            event=event,
            state=chosen,
            type=type,
            emitted_since=begin,
            emitted_until=end,
            most=limit + 1,
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
        "lane",
        "next",
        "error",
    ]
    if not as_json:
        rows = [{**row, "next": _next(row)} for row in rows]
    print_page(
        "deliveries", rows, columns, limit=limit, as_json=as_json, none="nothing like that was sent"
    )


def _next(row: dict[str, Any]) -> str:
    """What a delivery waits for, in a cell."""
    from landbridge.cli.output import cell

    if row["behind"]:
        return f"stands in line behind {row['behind']}"
    return cell(row["next_at"]) + (", stepped aside" if row["aside"] else "")


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
    behind, aside = facts.pop("behind"), facts.pop("aside")
    print_facts(facts, as_json=False)
    if behind:
        typer.echo(f"it stands in line behind {behind}, and is tried once that one is through")
    if aside:
        typer.echo("it stepped aside: the events behind it in its line went on without it")
    typer.echo("")
    columns = ["number", "outcome", "status", "took_ms", "at", "retry_at", "error"]
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
        for each in found:  # one by one: together they could wait for a worker that waits for them
            async with bridge.transaction() as tx:
                await deliveries.redeliver(
                    tx, environment=each.environment, tenant=each.tenant, id=each.id
                )
        await bridge.db.notify()
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

"""`landbridge links`: how links stand, what they would do at first, and what somebody decides."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from landbridge.cli.session import After, App, AsJson, Environment, Limit, Tenant, noun

if TYPE_CHECKING:
    from landbridge.app.bridge import Landbridge

links = noun("Tables kept in step with providers' records, both ways.")

Pair = Annotated[str, typer.Argument(help="lnk_...; `landbridge links pairs`.", metavar="PAIR")]
Name = Annotated[str | None, typer.Option("--link", help="Only pairs of this link.")]


@links.command("list")
def list_(tenant: Tenant = None, environment: Environment = None, as_json: AsJson = False) -> None:
    """List how far each link is with each connection: loading, scanning, live."""
    from landbridge.cli.output import print_rows
    from landbridge.cli.session import on_bridge

    async def work(bridge: Landbridge) -> list[dict[str, Any]]:
        return [asdict(each) for each in await bridge.links.state(tenant=tenant)]

    print_rows(
        "links",
        on_bridge(work, environment=environment),
        ["name", "tenant", "connection", "state", "reason"],
        as_json=as_json,
        none="no link has begun: declare one with bridge.link, and run a worker",
    )


@links.command()
def pairs(
    link: Name = None,
    stuck: Annotated[
        bool, typer.Option("--stuck", help="Only those that somebody has to look at.")
    ] = False,
    tenant: Tenant = None,
    limit: Limit = 50,
    after: After = "",
    environment: Environment = None,
    as_json: AsJson = False,
) -> None:
    """List which rows and records belong together, oldest first, and why some do not go on."""
    from landbridge.cli.output import print_page
    from landbridge.cli.session import on_bridge

    async def work(bridge: Landbridge) -> list[dict[str, Any]]:
        found = await bridge.links.pairs(
            link=link, tenant=tenant, stuck=stuck, after=after, most=limit + 1
        )
        return [
            {
                "id": pair.id,
                "link": pair.name,
                "tenant": pair.tenant,
                "connection": pair.connection,
                "resource": pair.resource,
                "local": pair.local,
                "key": pair.key,
                "state": pair.state,
                "writes": pair.intent,
                "candidates": list(pair.candidates),
                "reason": pair.reason,
            }
            for pair in found
        ]

    print_page(
        "pairs",
        on_bridge(work, environment=environment),
        ["id", "link", "tenant", "local", "key", "state", "candidates", "reason"],
        limit=limit,
        key="id",
        as_json=as_json,
        none="nothing has to be looked at" if stuck else "no pairs yet",
    )


@links.command()
def match(
    pair: Pair,
    local: Annotated[str | None, typer.Option(help="The id of the row that it is.")] = None,
    new: Annotated[bool, typer.Option("--new", help="It is none of them: make a row.")] = False,
    environment: Environment = None,
    as_json: AsJson = False,
) -> None:
    """Say which row a pair in review is, or that it is a new one."""
    from landbridge.cli.output import print_facts
    from landbridge.cli.session import on_bridge
    from landbridge.cli.usage import WrongUsage

    if new == (local is not None):
        raise WrongUsage("match: give --local ID, or --new")

    async def work(bridge: Landbridge) -> dict[str, Any]:
        await bridge.links.match(pair, local=local)
        return {"id": pair, "local": local, "new": new}

    print_facts(on_bridge(work, environment=environment), as_json=as_json)


@links.command()
def retry(
    pairs: Annotated[
        list[str] | None, typer.Argument(help="lnk_...; several at once.", metavar="PAIR")
    ] = None,
    stuck: Annotated[
        bool, typer.Option("--stuck", help="All that do not go on, but for those in review.")
    ] = False,
    link: Name = None,
    tenant: Tenant = None,
    environment: Environment = None,
    as_json: AsJson = False,
) -> None:
    """Try what a provider or your table refused once more, as it is."""
    from landbridge.cli.output import print_json
    from landbridge.cli.session import on_bridge
    from landbridge.cli.usage import WrongUsage

    if stuck == bool(pairs):
        raise WrongUsage("retry: give pairs, or --stuck")

    async def work(bridge: Landbridge) -> list[str]:
        ids, after = list(pairs or []), ""
        while stuck:
            page = await bridge.links.pairs(link=link, tenant=tenant, stuck=True, after=after)
            if not page:
                break
            ids += [each.id for each in page if each.state != "review"]
            after = page[-1].id
        for each in ids:
            await bridge.links.retry(each)
        return ids

    done = on_bridge(work, environment=environment)
    if as_json:
        print_json({"retried": done})
    else:
        typer.echo(f"tried again: {len(done)}")


@links.command()
def plan(
    link: Annotated[str, typer.Argument(help="The link's name.", metavar="LINK")],
    app: App = None,
    tenant: Tenant = None,
    limit: Limit = 50,
    environment: Environment = None,
    as_json: AsJson = False,
) -> None:
    """Show what a link would do with what is on both sides now. Nothing is written.

    The remote records are those that were pulled so far. Counts are of all, lines of the first.
    """
    from landbridge.cli.output import print_json, print_rows, watched
    from landbridge.cli.session import on_bridge

    def told(done: int) -> None:
        if watched(as_json=as_json) and done % 100 == 0:
            typer.echo(f"\r{done} looked at", nl=False, err=True)

    async def work(bridge: Landbridge) -> dict[str, Any]:
        found = await bridge.links.plan(link, tenant=tenant, most=limit, progress=told)
        return {
            "connections": list(found.connections),
            "unpulled": list(found.unpulled),
            "counts": dict(found.counts),
            "lines": [
                {
                    name: list(value) if isinstance(value, tuple) else value
                    for name, value in asdict(line).items()
                }
                for line in found.lines
            ],
        }

    found = on_bridge(work, environment=environment, app=app)
    if as_json:
        print_json(found)
        return
    none = "nothing to do: everything is in a pair"
    if not found["connections"]:
        none = "no account is connected that this link is for; see: landbridge connections list"
    if found["lines"] or not found["unpulled"]:
        columns = ["tenant", "what", "local", "key", "here", "there", "conflicts", "reason"]
        print_rows("lines", found["lines"], columns, as_json=False, none=none)
    if found["counts"]:
        typer.echo(", ".join(f"{count} {name}" for name, count in found["counts"].items()))
    for connection in found["unpulled"]:
        typer.echo(
            f"its records were not pulled yet, more may come: landbridge pull {connection}",
            err=True,
        )


@links.command()
def install(
    app: App = None,
    sql: Annotated[
        bool, typer.Option("--sql", help="Only print the statements, for the tables' owner.")
    ] = False,
    environment: Environment = None,
    as_json: AsJson = False,
) -> None:
    """Make the triggers that note changes of linked tables. Doing so again changes nothing."""
    from landbridge.cli.output import print_json
    from landbridge.cli.session import on_bridge

    async def work(bridge: Landbridge) -> list[str]:
        return bridge.links.statements() if sql else await bridge.links.install()

    made = on_bridge(work, environment=environment, app=app)
    if as_json:
        print_json({"statements": made})
    elif sql:
        typer.echo("".join(f"{each};\n" for each in made), nl=False)
    else:
        typer.echo(f"{len(made)} triggers are there" if made else "no link has a table: see --app")

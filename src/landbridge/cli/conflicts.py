"""`landbridge conflicts`: fields that both sides of a link changed, and which value to take."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from landbridge.cli.session import After, AsJson, Environment, Limit, Tenant, noun

if TYPE_CHECKING:
    from landbridge.app.bridge import Landbridge
    from landbridge.engine.links import Disputed

conflicts = noun("Fields that both sides of a link changed.")

COLUMNS = ["id", "link", "tenant", "local", "key", "field", "baseline", "ours", "theirs"]

Ids = Annotated[list[str] | None, typer.Argument(help="cfl_...; several at once.", metavar="ID")]


class Side(StrEnum):
    """Whose value is taken."""

    OURS = "ours"
    THEIRS = "theirs"


@conflicts.command("list")
def list_(
    link: Annotated[str | None, typer.Option(help="Only those of this link.")] = None,
    tenant: Tenant = None,
    limit: Limit = 50,
    after: After = "",
    environment: Environment = None,
    as_json: AsJson = False,
) -> None:
    """List open conflicts with the value of either side, oldest first."""
    from landbridge.cli.output import print_page
    from landbridge.cli.session import on_bridge

    async def work(bridge: Landbridge) -> list[dict[str, Any]]:
        found = await bridge.conflicts.list(link=link, tenant=tenant, after=after, most=limit + 1)
        return [row_of(each) for each in found]

    print_page(
        "conflicts",
        on_bridge(work, environment=environment),
        COLUMNS,
        limit=limit,
        key="id",
        as_json=as_json,
        none="no conflicts: both sides agree",
    )


@conflicts.command()
def show(
    id: Annotated[str, typer.Argument(help="cfl_...", metavar="ID")],
    environment: Environment = None,
    as_json: AsJson = False,
) -> None:
    """Show one conflict: what both sides agreed on last, and what each has now."""
    from landbridge.cli.output import print_facts
    from landbridge.cli.session import on_bridge

    async def work(bridge: Landbridge) -> dict[str, Any]:
        return row_of(await bridge.conflicts.get(id))

    print_facts(on_bridge(work, environment=environment), as_json=as_json)


@conflicts.command()
def resolve(
    take: Annotated[Side, typer.Option(help="Whose value both sides get.")],
    ids: Ids = None,
    every: Annotated[
        bool, typer.Option("--all", help="All open ones, or those that the next three name.")
    ] = False,
    link: Annotated[str | None, typer.Option(help="With --all: of this link.")] = None,
    field: Annotated[
        str | None,
        typer.Option(help="With --all: over this field; * is a record that one side deleted."),
    ] = None,
    tenant: Annotated[str | None, typer.Option(help="With --all: of this tenant.")] = None,
    environment: Environment = None,
    as_json: AsJson = False,
) -> None:
    """Take the value of one side; a worker writes the other one.

    If either side has changed since it was shown, the conflict stays open with the new values.
    """
    from landbridge.cli.output import print_json
    from landbridge.cli.session import on_bridge
    from landbridge.cli.usage import WrongUsage

    if every == bool(ids):
        raise WrongUsage("resolve: give conflicts, or --all")

    async def work(bridge: Landbridge) -> list[dict[str, str]]:
        chosen, after = list(ids or []), ""
        while every:
            page = await bridge.conflicts.list(link=link, tenant=tenant, after=after)
            if not page:
                break
            chosen += [each.id for each in page if field in (None, each.field)]
            after = page[-1].id
        for each in chosen:
            await bridge.conflicts.resolve(each, take.value)
        return [{"id": each, "take": take.value} for each in chosen]

    done = on_bridge(work, environment=environment)
    if as_json:
        print_json({"resolved": done})
    else:
        for each in done:
            typer.echo(f"{each['id']}: {each['take']}")


def row_of(conflict: Disputed) -> dict[str, Any]:
    """A conflict as commands show it."""
    return {
        "id": conflict.id,
        "link": conflict.name,
        "tenant": conflict.tenant,
        "connection": conflict.connection,
        "resource": conflict.resource,
        "local": conflict.local,
        "key": conflict.key,
        "pair": conflict.link,
        "field": conflict.field,
        "baseline": conflict.baseline,
        "ours": conflict.ours,
        "theirs": conflict.theirs,
        "take": conflict.take,
        "opened_at": conflict.opened_at,
        "resolved_at": conflict.resolved_at,
    }

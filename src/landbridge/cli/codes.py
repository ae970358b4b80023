"""`landbridge codes`: code tables of a connection, our word for each code of the provider's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from landbridge.cli.fields import Id, Whole, pair
from landbridge.cli.session import AsJson, Environment, noun

if TYPE_CHECKING:
    from landbridge.app.bridge import Landbridge

codes = noun("Set our words for a tenant's ledger accounts, tax rates and the like.")

Table = Annotated[str, typer.Argument(help="The table of the page, such as accounts.")]

_COLUMNS = ["table", "theirs", "ours", "holds_for"]


@codes.command("list")
def list_(
    connection: Id,
    environment: Environment = None,
    as_json: AsJson = False,
) -> None:
    """List the lines of the code tables that hold for a connection."""
    from landbridge.cli.output import print_rows
    from landbridge.cli.session import on_bridge

    async def work(bridge: Landbridge) -> list[dict[str, Any]]:
        from landbridge.cli.connections import find

        found = await find(bridge, connection)
        return [
            {
                "table": row.field,
                "theirs": theirs,
                "ours": ours,
                "holds_for": "all" if row.whole else found.id,
            }
            for row in await bridge.custom.list(found)
            if not row.resource
            for theirs, ours in row.facts.items()
        ]

    rows = on_bridge(work, environment=environment)
    none = "no code table is set: codes are the provider's own"
    print_rows("codes", rows, _COLUMNS, as_json=as_json, none=none)


@codes.command("set")
def set_(
    connection: Id,
    table: Table,
    lines: Annotated[list[str], typer.Argument(help="THEIRS=OURS, ...", metavar="LINE")],
    whole: Whole = False,
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Also if stored records have other codes.")
    ] = False,
    environment: Environment = None,
    as_json: AsJson = False,
) -> None:
    """Put lines into a code table; what is stored is read again by a worker, without a call.

    Records with a code that has no line are parked.
    """
    from landbridge.cli.output import print_facts
    from landbridge.cli.session import on_bridge

    given = dict(pair(each, "LINE") for each in lines)

    async def work(bridge: Landbridge) -> int:
        from landbridge.cli.connections import find

        found = await find(bridge, connection)
        return await bridge.custom.set_codes(found, table, given, whole=whole, anyway=anyway)

    count = on_bridge(work, environment=environment)
    print_facts({"table": table, "lines": count}, as_json=as_json)


@codes.command("remove")
def remove(
    connection: Id,
    table: Table,
    theirs: Annotated[
        list[str] | None,
        typer.Argument(help="The provider's codes; none: the whole table.", metavar="CODE"),
    ] = None,
    whole: Whole = False,
    environment: Environment = None,
    as_json: AsJson = False,
) -> None:
    """Take lines out of a code table; without it the provider's own codes stand."""
    from landbridge.cli.output import print_facts
    from landbridge.cli.session import on_bridge

    async def work(bridge: Landbridge) -> int:
        from landbridge.cli.connections import find

        found = await find(bridge, connection)
        return await bridge.custom.remove_codes(found, table, theirs or (), whole=whole)

    count = on_bridge(work, environment=environment)
    print_facts({"table": table, "lines": count}, as_json=as_json)

"""`landbridge codes`: code tables of a connection, our word for each code of the provider's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from landbridge.cli.fields import Whole, pair
from landbridge.cli.session import App, AsJson, ConnectionId, Environment, noun

if TYPE_CHECKING:
    from landbridge.app.bridge import Landbridge
    from landbridge.engine.suggest import Suggestion
    from landbridge.store.connections import Connection

codes = noun("Set our words for a tenant's ledger accounts, tax rates and the like.")

Table = Annotated[str, typer.Argument(help="The table of the page, such as accounts.")]

_COLUMNS = ["table", "theirs", "ours", "holds_for"]
_SUGGESTED = ["table", "ours", "theirs", "score", "reason"]
_LACKING = ["table", "code", "whose", "records", "documents"]

OneTable = Annotated[
    str | None, typer.Argument(help="The table of the page, such as accounts; none: all of them.")
]


@codes.command("list")
def list_(
    connection: ConnectionId,
    environment: Environment = None,
    as_json: AsJson = False,
) -> None:
    """List the lines of the code tables that hold for a connection."""
    from landbridge.cli.output import print_rows
    from landbridge.cli.session import on_connection

    async def work(bridge: Landbridge, found: Connection) -> list[dict[str, Any]]:
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

    rows = on_connection(connection, work, environment=environment)
    none = "no code table is set: codes are the provider's own"
    print_rows("codes", rows, _COLUMNS, as_json=as_json, none=none)


@codes.command("set")
def set_(
    connection: ConnectionId,
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
    from landbridge.cli.session import on_connection

    given = dict(pair(each, "LINE") for each in lines)

    async def work(bridge: Landbridge, found: Connection) -> int:
        return await bridge.custom.set_codes(found, table, given, whole=whole, anyway=anyway)

    count = on_connection(connection, work, environment=environment)
    print_facts({"table": table, "lines": count}, as_json=as_json)


@codes.command("remove")
def remove(
    connection: ConnectionId,
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
    from landbridge.cli.session import on_connection

    async def work(bridge: Landbridge, found: Connection) -> int:
        return await bridge.custom.remove_codes(found, table, theirs or (), whole=whole)

    count = on_connection(connection, work, environment=environment)
    print_facts({"table": table, "lines": count}, as_json=as_json)


@codes.command("suggest")
def suggest(
    connection: ConnectionId,
    table: OneTable = None,
    confirm: Annotated[
        float | None,
        typer.Option(
            "--confirm",
            help="Set those with at least this score.",
            min=0.0,
            max=1.0,
            metavar="SCORE",
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before they are set.")] = False,
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Also if stored records have other codes.")
    ] = False,
    app: App = None,
    environment: Environment = None,
    as_json: AsJson = False,
) -> None:
    """Suggest the provider's code for each of ours that has no line, with a score and the reason.

    Ours are those that your bridge declares: name it with --app. The provider's are those that
    were pulled. Nothing is set unless you say --confirm, and then after you saw it.
    """
    from landbridge.cli.output import print_json, print_rows
    from landbridge.cli.session import on_connection

    async def find_all(bridge: Landbridge, found: Connection) -> list[dict[str, Any]]:
        tables = [table] if table else sorted(bridge.provider(found.provider).code_tables)
        return [
            _row(name, one)
            for name in tables
            for one in await bridge.custom.suggest_codes(found, name)
        ]

    async def set_all(bridge: Landbridge, found: Connection) -> None:
        for name in sorted({row["table"] for row in taken}):
            lines = {row["theirs"]: row["ours"] for row in taken if row["table"] == name}
            await bridge.custom.set_codes(found, name, lines, anyway=anyway)

    rows = on_connection(connection, find_all, environment=environment, app=app)
    taken = [] if confirm is None else [row for row in rows if _takes(row, confirm)]
    if not as_json:
        none = "nothing to suggest: every code has a line, or none was declared (see --app)"
        print_rows("suggestions", rows, _SUGGESTED, as_json=False, none=none)
    if taken:
        _ask(taken, yes=yes)
        on_connection(connection, set_all, environment=environment, app=app)
    for row in rows:
        row["confirmed"] = row in taken
    if as_json:
        print_json({"suggestions": rows})
    elif confirm is not None:
        typer.echo(f"{len(taken)} lines are set")


@codes.command("check")
def check(
    connection: ConnectionId,
    app: App = None,
    environment: Environment = None,
    as_json: AsJson = False,
) -> None:
    """List codes without a line: ours that nothing stands for yet, or that documents wait for, and
    the provider's for which records are parked.

    Ours are known where your bridge declares them: name it with --app.
    """
    from dataclasses import asdict

    from landbridge.cli.output import print_rows
    from landbridge.cli.session import on_connection

    async def work(bridge: Landbridge, found: Connection) -> list[dict[str, Any]]:
        return [asdict(each) for each in await bridge.custom.check_codes(found)]

    rows = on_connection(connection, work, environment=environment, app=app)
    none = "every code has a line, and nothing waits for one"
    print_rows("codes", rows, _LACKING, as_json=as_json, none=none)


def _row(table: str, one: Suggestion) -> dict[str, Any]:
    return {
        "table": table,
        "ours": one.ours.code,
        "our_name": one.ours.name,
        "theirs": one.theirs.code if one.theirs else None,
        "their_name": one.theirs.name if one.theirs else None,
        "score": one.score,
        "reason": one.reason,
    }


def _takes(row: dict[str, Any], least: float) -> bool:
    return row["theirs"] is not None and row["score"] >= least


def _ask(taken: list[dict[str, Any]], *, yes: bool) -> None:
    """Goes on only after somebody agreed."""
    import sys

    from landbridge.cli.usage import WrongUsage

    if yes:
        return
    if not sys.stdin.isatty():
        raise WrongUsage("--yes: nobody is there to be asked; look first, then give it")
    lines = ", ".join(f"{row['theirs']}={row['ours']}" for row in taken)
    if not typer.confirm(f"Set {lines}?", err=True):
        raise WrongUsage("nothing was set")

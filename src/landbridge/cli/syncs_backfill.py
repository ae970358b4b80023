"""`landbridge syncs backfill`: resources loaded anew beside their pulls."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from landbridge.cli.session import AsJson, ConnectionId, Environment

if TYPE_CHECKING:
    from landbridge.app.bridge import Landbridge
    from landbridge.store.connections import Connection

Resources = Annotated[
    list[str] | None,
    typer.Argument(
        help="The vendor's names, such as invoice; none: all.",
        metavar="RESOURCE",
        show_default=False,
    ),
]

_COLUMNS = [
    "resource", "generation", "state", "since", "until", "pages", "seen", "changed", "parked",
    "began_at", "ended_at", "tries", "reason",
]  # fmt: skip


def backfill(
    connection: ConnectionId,
    resources: Resources = None,
    since: Annotated[
        str | None, typer.Option(help="Only what was made since then: 90d, or a date.")
    ] = None,
    until: Annotated[
        str | None, typer.Option(help="Only what was made before then: 30d, or a date.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the last one, if it was stopped.")
    ] = False,
    environment: Environment = None,
    as_json: AsJson = False,
) -> None:
    """Have workers load resources anew, beside their pulls and without their cursor.

    What is here stays readable, and a load that fails takes nothing away: it goes on from its last
    page with --resume. One whose next page cannot be had for a day has failed. Without a range,
    records that were not met are looked up one by one at its end. `landbridge syncs backfills`
    shows how far it is.
    """
    from landbridge.cli.moments import moment

    begin, end = moment(since, "--since"), moment(until, "--until")

    async def work(bridge: Landbridge, found: Connection) -> str:
        names = await bridge.syncs.backfill(
            found, resources=resources or [], since=begin, until=end, resume=resume
        )
        return f"loading {', '.join(names)}; see: landbridge syncs backfills {found.id}"

    change(
        "backfills",
        connection,
        work,
        resources or [],
        _rows,
        environment=environment,
        as_json=as_json,
    )


def backfills(
    connection: ConnectionId, environment: Environment = None, as_json: AsJson = False
) -> None:
    """Show the last load of each resource that was ever loaded anew."""
    from landbridge.cli.output import print_rows
    from landbridge.cli.session import on_connection

    async def work(bridge: Landbridge, found: Connection) -> list[dict[str, Any]]:
        return await _rows(bridge, found, [])

    rows = on_connection(connection, work, environment=environment)
    none = "nothing was loaded anew; see: landbridge syncs backfill --help"
    print_rows("backfills", rows, _COLUMNS, as_json=as_json, none=none)


def cancel(
    connection: ConnectionId,
    resources: Resources = None,
    environment: Environment = None,
    as_json: AsJson = False,
) -> None:
    """End loads that are under way at their next page; what they stored stays."""

    async def work(bridge: Landbridge, found: Connection) -> str:
        names = await bridge.syncs.cancel(found, resources=resources or [])
        return f"cancelled: {', '.join(names)}" if names else "no load was under way"

    change(
        "backfills",
        connection,
        work,
        resources or [],
        _rows,
        environment=environment,
        as_json=as_json,
    )


def change(
    noun: str,
    wanted: str,
    work: Callable[[Landbridge, Connection], Awaitable[str]],
    resources: list[str],
    rows_of: Callable[[Landbridge, Connection, list[str]], Awaitable[list[dict[str, Any]]]],
    *,
    environment: str | None,
    as_json: bool,
) -> None:
    """Changes something of a connection and says so, or as JSON how it is then."""
    from landbridge.cli.output import print_json
    from landbridge.cli.session import on_connection

    async def changed(bridge: Landbridge, found: Connection) -> tuple[str, list[dict[str, Any]]]:
        said = await work(bridge, found)
        return said, await rows_of(bridge, found, resources)

    said, rows = on_connection(wanted, changed, environment=environment)
    if as_json:
        print_json({noun: rows})
    else:
        typer.echo(said)


async def _rows(
    bridge: Landbridge, connection: Connection, resources: list[str]
) -> list[dict[str, Any]]:
    from msgspec.structs import asdict

    found = await bridge.syncs.backfills(connection)
    return [
        {
            "resource": name,
            **{key: value for key, value in asdict(each).items() if key != "cursor"},
        }
        for name, each in found.items()
        if not resources or name in resources
    ]

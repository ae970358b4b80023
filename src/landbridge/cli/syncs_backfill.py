"""`landbridge syncs backfill`: resources loaded anew beside their pulls."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from landbridge.cli.session import AsJson, Environment

if TYPE_CHECKING:
    from landbridge.app.bridge import Landbridge
    from landbridge.store.connections import Connection

Id = Annotated[str, typer.Argument(help="con_...; `landbridge connections list` has them.")]
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
    "began_at", "ended_at", "reason",
]  # fmt: skip


def backfill(
    connection: Id,
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
    page with --resume. Without a range, records that were not met are looked up one by one at its
    end. `landbridge syncs backfills` shows how far it is.
    """
    from landbridge.cli.moments import moment

    begin, end = moment(since, "--since"), moment(until, "--until")

    async def work(bridge: Landbridge, found: Connection) -> str:
        names = await bridge.syncs.backfill(
            found, resources=resources or [], since=begin, until=end, resume=resume
        )
        return f"loading {', '.join(names)}; see: landbridge syncs backfills {found.id}"

    _change(connection, work, resources or [], environment=environment, as_json=as_json)


def backfills(connection: Id, environment: Environment = None, as_json: AsJson = False) -> None:
    """Show the last load of each resource that was ever loaded anew."""
    from landbridge.cli.output import print_rows
    from landbridge.cli.session import on_bridge

    async def work(bridge: Landbridge) -> list[dict[str, Any]]:
        from landbridge.cli.connections import find

        return await _rows(bridge, await find(bridge, connection), [])

    rows = on_bridge(work, environment=environment)
    none = "nothing was loaded anew; see: landbridge syncs backfill --help"
    print_rows("backfills", rows, _COLUMNS, as_json=as_json, none=none)


def cancel(
    connection: Id,
    resources: Resources = None,
    environment: Environment = None,
    as_json: AsJson = False,
) -> None:
    """End loads that are under way at their next page; what they stored stays."""

    async def work(bridge: Landbridge, found: Connection) -> str:
        names = await bridge.syncs.cancel(found, resources=resources or [])
        return f"cancelled: {', '.join(names)}" if names else "no load was under way"

    _change(connection, work, resources or [], environment=environment, as_json=as_json)


def _change(
    wanted: str,
    work: Callable[[Landbridge, Connection], Awaitable[str]],
    resources: list[str],
    *,
    environment: str | None,
    as_json: bool,
) -> None:
    from landbridge.cli.output import print_json
    from landbridge.cli.session import on_bridge

    async def changed(bridge: Landbridge) -> tuple[str, list[dict[str, Any]]]:
        from landbridge.cli.connections import find

        found = await find(bridge, wanted)
        said = await work(bridge, found)
        return said, await _rows(bridge, found, resources)

    said, rows = on_bridge(changed, environment=environment)
    if as_json:
        print_json({"backfills": rows})
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

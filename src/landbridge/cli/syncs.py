"""`landbridge syncs`: how often each resource of a connection is pulled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from landbridge.cli.session import AsJson, ConnectionId, Environment, Limit, Tenant, noun
from landbridge.cli.syncs_backfill import Resources, backfill, backfills, cancel, change
from landbridge.cli.syncs_sweeps import sweeps

if TYPE_CHECKING:
    from datetime import timedelta

    from landbridge.app.bridge import Landbridge
    from landbridge.store.connections import Connection
    from landbridge.store.schedules import Schedule

syncs = noun("How often resources are pulled; pause, resume and backfill them.")
syncs.command()(backfill)
syncs.command()(backfills)
syncs.command()(cancel)
syncs.command()(sweeps)

_COLUMNS = ["connection", "tenant", "resource", "state", "between", "every", "pulled_at", "next_at"]


@syncs.command("list")
def list_(
    connection: Annotated[str | None, typer.Argument(help="Only those of this one.")] = None,
    tenant: Tenant = None,
    limit: Limit = 1000,
    environment: Environment = None,
    as_json: AsJson = False,
) -> None:
    """List schedules: the bounds, how far apart pulls are at present, and the next one.

    `state` is on, off (pulled by hand and by webhooks alone) or paused.
    """
    from landbridge.cli.output import print_page
    from landbridge.cli.session import on_bridge

    async def work(bridge: Landbridge) -> list[dict[str, Any]]:
        from landbridge.cli.connections import find

        wanted = (await find(bridge, connection)).id if connection else None
        found = await bridge.syncs.list(tenant=tenant, connection=wanted, limit=limit + 1)
        return [_row(each, as_json=as_json) for each in found]

    rows = on_bridge(work, environment=environment)
    none = "nothing is pulled; see: landbridge connect --help"
    print_page("syncs", rows, _COLUMNS, limit=limit, as_json=as_json, none=none)


@syncs.command()
def every(
    connection: ConnectionId,
    span: Annotated[
        str,
        typer.Argument(
            help="5m; 30s..15m: nearer while changes come, further while it is quiet; off: by hand"
            " and by webhooks alone. At least 10s.",
            metavar="SPAN",
        ),
    ],
    resources: Resources = None,
    environment: Environment = None,
    as_json: AsJson = False,
) -> None:
    """Set how often resources are pulled.

    Where the account's quotas do not bear it, pulls are further apart than that.
    """
    least, most = _bounds(span)

    async def work(bridge: Landbridge, found: Connection) -> str:
        await bridge.syncs.every(found, least, most, resources=resources or [])
        if least is None:
            return f"{found.id} is pulled by hand and by webhooks alone"
        return f"{found.id} is pulled every {span.strip()}"

    change(
        "syncs", connection, work, resources or [], _rows, environment=environment, as_json=as_json
    )


@syncs.command()
def pause(
    connection: ConnectionId,
    resources: Resources = None,
    environment: Environment = None,
    as_json: AsJson = False,
) -> None:
    """Read nothing of resources until `resume`; a pull under way stops at its next page.

    Webhooks are still taken in; what they name is read after the pause.
    """

    async def work(bridge: Landbridge, found: Connection) -> str:
        names = await bridge.syncs.pause(found, resources=resources or [])
        again = " ".join([found.id, *(resources or [])])
        return f"paused: {', '.join(names)}; go on with: landbridge syncs resume {again}"

    change(
        "syncs", connection, work, resources or [], _rows, environment=environment, as_json=as_json
    )


@syncs.command()
def resume(
    connection: ConnectionId,
    resources: Resources = None,
    environment: Environment = None,
    as_json: AsJson = False,
) -> None:
    """Go on with paused resources; what waited is done at once."""

    async def work(bridge: Landbridge, found: Connection) -> str:
        names = await bridge.syncs.resume(found, resources=resources or [])
        return f"resumed: {', '.join(names)}" if names else "none of them was paused"

    change(
        "syncs", connection, work, resources or [], _rows, environment=environment, as_json=as_json
    )


async def _rows(
    bridge: Landbridge, connection: Connection, resources: list[str]
) -> list[dict[str, Any]]:
    after = await bridge.syncs.list(connection=connection.id)
    rows = [each for each in after if not resources or each.resource in resources]
    return [_row(each, as_json=True) for each in rows]


def _bounds(text: str) -> tuple[timedelta | None, timedelta | None]:
    from landbridge.cli.moments import span

    if text.strip() == "off":
        return None, None
    first, dots, second = text.partition("..")
    least = span(first, "SPAN")
    return least, span(second, "SPAN") if dots else least


def _row(each: Schedule, *, as_json: bool) -> dict[str, Any]:
    from dataclasses import asdict

    from landbridge.cli.moments import told

    state = "paused" if each.paused_at else "off" if each.least is None else "on"
    row = {**asdict(each), "state": state}
    if not as_json:
        bounds = dict.fromkeys(told(span) for span in (each.least, each.most) if span is not None)
        row |= {"between": "..".join(bounds), "every": told(each.every)}
    return row

"""`landbridge quotas`: how much of providers' quotas is used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from landbridge.cli.session import AsJson, Environment, Limit

if TYPE_CHECKING:
    from landbridge.app.bridge import Landbridge

_COLUMNS = ["place", "quota", "used", "limit", "left", "processes", "waits_until"]


def quotas(
    place: Annotated[
        str | None,
        typer.Option(
            help="Only places that begin so, as account/xero or app.",
            metavar="account/..., app/...",
        ),
    ] = None,
    limit: Limit = 1000,
    environment: Environment = None,
    as_json: AsJson = False,
) -> None:
    """Show what is used of the quotas that providers' pages name.

    A place is a remote account, an app or a tenant of an app. What processes have leased and not
    used yet counts as used. `waits until` is when the provider wants calls again.
    """
    from landbridge.cli.output import print_page
    from landbridge.cli.session import on_bridge
    from landbridge.store import quotas as stored

    async def read(bridge: Landbridge) -> list[dict[str, Any]]:
        where = bridge.settings.environment
        found = await stored.every(bridge.db, environment=where, begins=place or "", most=limit + 1)
        return [
            {
                "place": each.place,
                "quota": each.name,
                "used": each.used,
                "limit": each.limit,
                "left": max(0, each.limit - each.used),
                "at_once": not each.period,
                "processes": each.processes if not each.period else None,
                "waits_until": each.blocked_until,
                "updated_at": each.updated_at,
            }
            for each in found
        ]

    print_page(
        "quotas",
        on_bridge(read, environment=environment),
        _COLUMNS,
        limit=limit,
        as_json=as_json,
        none="no quotas yet: no call to a provider whose page names one was made",
    )

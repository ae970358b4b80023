"""`landbridge reconcile`: compare webhooks with what providers list; take in what is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from landbridge.cli.session import AsJson, Environment, Tenant

if TYPE_CHECKING:
    from landbridge.app.bridge import Landbridge
    from landbridge.store.connections import Connection


def reconcile(
    connection: Annotated[
        str | None,
        typer.Argument(help="con_...; none: every one that can be compared.", metavar="CONNECTION"),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            help="From then on: 2h, 3d, or 2026-11-24T08:00; else from where the last one ended.",
            metavar="WHEN",
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only count what is missing; take nothing in.")
    ] = False,
    tenant: Tenant = None,
    environment: Environment = None,
    as_json: AsJson = False,
) -> None:
    """Compare webhooks with the provider's own list of events, and take in what never came.

    Workers do so by themselves every LANDBRIDGE_RECONCILE_MINUTES. What is taken in is sorted like
    any webhook, and one that comes late is a duplicate.
    """
    from landbridge.cli.moments import moment
    from landbridge.cli.output import print_rows
    from landbridge.cli.session import on_bridge

    begin = moment(since, "--since")

    async def work(bridge: Landbridge) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        for each in await _those(bridge, connection, tenant):
            done = await bridge.reconcile(each, since=begin, dry_run=dry_run)
            found.append(
                {
                    "connection": each.id,
                    "tenant": each.tenant,
                    "provider": each.provider,
                    "since": done.since,
                    "until": done.until,
                    "checked": done.checked,
                    "missing": done.missing,
                    "repaired": done.repaired,
                    "unreadable": done.unreadable,
                }
            )
        return found

    rows = on_bridge(work, environment=environment)
    columns = ["connection", "tenant", "since", "until", "checked", "missing", "repaired"]
    none = "no connection has a webhook secret and a provider that lists its events"
    print_rows("reconciled", rows, columns, as_json=as_json, none=none)


async def _those(bridge: Landbridge, id: str | None, tenant: str | None) -> list[Connection]:
    from landbridge.store import apps

    if id is not None:
        return [await bridge.connection(id)]
    where = bridge.settings.environment
    signed = {app.id for app in await apps.every(bridge.db, environment=where) if app.secrets}
    found = []
    for each in await bridge.connections(tenant=tenant):
        listed = _listed(bridge, each.provider)
        if listed and each.state == "active" and (each.secrets or each.app in signed):
            found.append(each)
    return found


def _listed(bridge: Landbridge, slug: str) -> bool:
    """Whether events are listed there; not where only your application has the page."""
    from landbridge.errors import NotFound

    try:
        webhook = bridge.provider(slug).webhook
    except NotFound:
        return False
    return webhook is not None and webhook.listing is not None

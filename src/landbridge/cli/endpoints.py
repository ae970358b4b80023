"""`landbridge endpoints`: where tenants want their events."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from landbridge.cli.session import AsJson, Environment, Tenant, noun

if TYPE_CHECKING:
    from landbridge.app.bridge import Landbridge
    from landbridge.store.endpoints import Endpoint

endpoints = noun("Where tenants want their events.")

Id = Annotated[str, typer.Argument(help="end_...; `landbridge endpoints list`.", metavar="ID")]


@endpoints.command("list")
def list_(tenant: Tenant = None, environment: Environment = None, as_json: AsJson = False) -> None:
    """List endpoints, oldest first."""
    from landbridge.cli.output import print_rows
    from landbridge.cli.session import on_bridge

    async def work(bridge: Landbridge) -> list[dict[str, Any]]:
        where = bridge.settings.environment
        found = await bridge.endpoints.list(environment=where, tenant=tenant)
        return [_row(endpoint) for endpoint in found]

    rows = on_bridge(work, environment=environment)
    columns = ["id", "tenant", "url", "types", "state", "reason"]
    print_rows("endpoints", rows, columns, as_json=as_json)


@endpoints.command()
def create(
    url: Annotated[str, typer.Argument(help="Where events are posted to.", metavar="URL")],
    tenant: Annotated[str, typer.Option(help="Your own id of the customer, such as acme.")],
    types: Annotated[
        list[str] | None,
        typer.Option(
            "--type", help="invoice.paid, or invoice.* for all of these; none: every one."
        ),
    ] = None,
    environment: Environment = None,
    as_json: AsJson = False,
) -> None:
    """Add an endpoint. Its secret is shown this once: the receiver verifies with it."""
    from landbridge.cli.output import print_facts
    from landbridge.cli.session import on_bridge

    async def work(bridge: Landbridge) -> dict[str, Any]:
        created = await bridge.endpoints.create(
            environment=bridge.settings.environment,
            tenant=tenant,
            url=url,
            types=types or ["*"],
        )
        return {**_row(created.endpoint), "secret": created.secret}

    print_facts(on_bridge(work, environment=environment), as_json=as_json)


@endpoints.command()
def enable(id: Id, environment: Environment = None, as_json: AsJson = False) -> None:
    """Send events again: those that are emitted from now on."""

    async def work(bridge: Landbridge, found: Endpoint) -> dict[str, Any]:
        enabled = await bridge.endpoints.enable(found.id, **_whose(found))
        return _row(enabled.endpoint)

    _change(id, work, environment=environment, as_json=as_json)


@endpoints.command()
def disable(id: Id, environment: Environment = None, as_json: AsJson = False) -> None:
    """Send no more events; deliveries under way are given up."""

    async def work(bridge: Landbridge, found: Endpoint) -> dict[str, Any]:
        return _row(await bridge.endpoints.disable(found.id, **_whose(found)))

    _change(id, work, environment=environment, as_json=as_json)


@endpoints.command()
def delete(id: Id, environment: Environment = None, as_json: AsJson = False) -> None:
    """Remove an endpoint; deliveries under way are given up."""

    async def work(bridge: Landbridge, found: Endpoint) -> dict[str, Any]:
        await bridge.endpoints.delete(found.id, **_whose(found))
        return {**_row(found), "state": "deleted"}

    _change(id, work, environment=environment, as_json=as_json)


@endpoints.command()
def rotate(id: Id, environment: Environment = None, as_json: AsJson = False) -> None:
    """Make a new secret, shown this once; for 24 hours the one before it signs as well."""

    async def work(bridge: Landbridge, found: Endpoint) -> dict[str, Any]:
        secret = await bridge.endpoints.rotate_secret(
            found.id, environment=found.environment, tenant=found.tenant
        )
        return {**_row(found), "secret": secret}

    _change(id, work, environment=environment, as_json=as_json)


def _change(
    wanted: str,
    work: Callable[[Landbridge, Endpoint], Awaitable[dict[str, Any]]],
    *,
    environment: str | None,
    as_json: bool,
) -> None:
    from landbridge.cli.output import print_facts
    from landbridge.cli.session import on_bridge

    async def changed(bridge: Landbridge) -> dict[str, Any]:
        return await work(bridge, await _find(bridge, wanted))

    print_facts(on_bridge(changed, environment=environment), as_json=as_json)


async def _find(bridge: Landbridge, id: str) -> Endpoint:
    from landbridge.errors import NotFound, did_you_mean
    from landbridge.store import endpoints

    where = bridge.settings.environment
    found = await endpoints.by_id(bridge.db, environment=where, id=id)
    if found is None:
        near = [each.id for each in await bridge.endpoints.list(environment=where)]
        raise NotFound(
            f"{id!r} is no endpoint in the environment {where!r}.{did_you_mean(id, near)}"
            " See them with: landbridge endpoints list"
        )
    return found


def _whose(endpoint: Endpoint) -> dict[str, str]:
    return {"environment": endpoint.environment, "tenant": endpoint.tenant}


def _row(endpoint: Endpoint) -> dict[str, Any]:
    return {
        "id": endpoint.id,
        "environment": endpoint.environment,
        "tenant": endpoint.tenant,
        "url": endpoint.url,
        "types": list(endpoint.types),
        "state": endpoint.state,
        "reason": endpoint.reason,
        "created_at": endpoint.created_at,
    }

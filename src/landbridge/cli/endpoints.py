"""`landbridge endpoints`: where tenants want their events."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from landbridge.cli import endpoint_options as options
from landbridge.cli.session import AsJson, Environment, Tenant, noun

if TYPE_CHECKING:
    from landbridge.app.bridge import Landbridge
    from landbridge.engine.endpoints import Created, Scheme
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
def show(id: Id, environment: Environment = None, as_json: AsJson = False) -> None:
    """Show one endpoint: its settings, public keys, the names of its headers, and how it fares."""

    async def work(bridge: Landbridge, found: Endpoint) -> dict[str, Any]:
        shown = await bridge.endpoints.show(found.id, **_whose(found))
        return {
            **_row(shown.endpoint),
            "scheme": shown.scheme,
            "headers": list(shown.headers),
            "keys": [
                {"version": each.version, "public_key": each.public_key, "until": each.until}
                for each in shown.keys
            ],
            **await _health(bridge, found),
        }

    _change(id, work, environment=environment, as_json=as_json)


async def _health(bridge: Landbridge, found: Endpoint) -> dict[str, Any]:
    """How it fares: failures since its last success, its breaker, and who waits in its lines."""
    from landbridge.store import health, lines

    whose = _whose(found)
    stands = await health.of(bridge.db, **whose, endpoint=found.id)
    waiting = await lines.length(
        bridge.db, environment=found.environment, tenant=found.tenant, endpoint=found.id
    )
    return {
        "failing_since": stands.failing_since if stands else None,
        "failures": stands.failures if stands else 0,
        "last_error": stands.error if stands else None,
        "spared_until": stands.open_until if stands else None,
        "in_lines": waiting,
    }


@endpoints.command()
def create(
    url: Annotated[str, typer.Argument(help="Where events are posted to.", metavar="URL")],
    tenant: Annotated[str, typer.Option(help="Your own id of the customer, such as acme.")],
    *,
    types: options.Types = None,
    description: options.Description = None,
    filter: options.Filter = None,
    header: options.Header = None,
    api_version: options.ApiVersion = None,
    schedule: options.Schedule = None,
    concurrency: options.Concurrency = None,
    rate: options.Rate = None,
    ordered: options.Ordered = None,
    skip_after: options.SkipAfter = None,
    scheme: Annotated[
        str, typer.Option(help="How it is signed: v1 (HMAC), v1a (ed25519) or both.")
    ] = "v1",
    environment: Environment = None,
    as_json: AsJson = False,
) -> None:
    """Add an endpoint. Its secret is shown this once: the receiver verifies with it."""
    from landbridge.cli.output import print_facts
    from landbridge.cli.session import on_bridge

    given = options.settings(
        types=types,
        description=description,
        filter=filter,
        header=header,
        api_version=api_version,
        schedule=schedule,
        concurrency=concurrency,
        rate=rate,
        ordered=ordered,
        skip_after=skip_after,
    )

    async def work(bridge: Landbridge) -> dict[str, Any]:
        created = await bridge.endpoints.create(
            environment=bridge.settings.environment,
            tenant=tenant,
            url=url,
            scheme=_scheme(scheme),
            **given,
        )
        return {**_row(created.endpoint), **_made(created)}

    print_facts(on_bridge(work, environment=environment), as_json=as_json)


@endpoints.command()
def update(
    id: Id,
    *,
    url: Annotated[
        str | None, typer.Option(help="Where events are posted to.", metavar="URL")
    ] = None,
    types: options.Types = None,
    description: options.Description = None,
    filter: options.Filter = None,
    header: options.Header = None,
    api_version: options.ApiVersion = None,
    schedule: options.Schedule = None,
    concurrency: options.Concurrency = None,
    rate: options.Rate = None,
    ordered: options.Ordered = None,
    skip_after: options.SkipAfter = None,
    clear: Annotated[
        list[str] | None,
        typer.Option(
            help=f"Back to what the installation has: {', '.join(options.BLANK)}.", metavar="NAME"
        ),
    ] = None,
    scheme: Annotated[
        str | None,
        typer.Option(help="v1, v1a or both; what it gives up signs on for the overlap."),
    ] = None,
    overlap: options.Overlap = "24h",
    environment: Environment = None,
    as_json: AsJson = False,
) -> None:
    """Change settings; what is not given stays. Headers are replaced all together."""
    given = options.settings(
        types=types,
        description=description,
        filter=filter,
        header=header,
        api_version=api_version,
        schedule=schedule,
        concurrency=concurrency,
        rate=rate,
        ordered=ordered,
        skip_after=skip_after,
    )
    given |= options.cleared(clear or (), given)
    if url is not None:
        given["url"] = url
    lasts = options.span(overlap, "--overlap")

    async def work(bridge: Landbridge, found: Endpoint) -> dict[str, Any]:
        row = _row(await bridge.endpoints.update(found.id, **_whose(found), **given))
        if scheme is None:
            return row
        changed = await bridge.endpoints.change_scheme(
            found.id, **_whose(found), scheme=_scheme(scheme), overlap=lasts
        )
        return {**_row(changed.endpoint), **_made(changed)}

    _change(id, work, environment=environment, as_json=as_json)


@endpoints.command()
def enable(id: Id, environment: Environment = None, as_json: AsJson = False) -> None:
    """Send events again: those that are emitted from now on. Says what it did not get."""

    async def work(bridge: Landbridge, found: Endpoint) -> dict[str, Any]:
        enabled = await bridge.endpoints.enable(found.id, **_whose(found))
        row = _row(enabled.endpoint)
        if enabled.disabled_at is None:
            return row
        row |= {"disabled_at": enabled.disabled_at, "undelivered": enabled.undelivered}
        row["exact"] = enabled.exact
        if enabled.undelivered and enabled.since is not None:
            since = enabled.since.isoformat()
            row["to_deliver_them"] = (
                f"landbridge replays create {found.id} --state undelivered --since {since}"
            )
        return row

    _change(id, work, environment=environment, as_json=as_json)


@endpoints.command()
def ping(id: Id, environment: Environment = None, as_json: AsJson = False) -> None:
    """Post a signed test event now and say what really came of it; exit 1 if not accepted."""
    from landbridge.cli.output import print_facts
    from landbridge.cli.session import on_bridge

    async def work(bridge: Landbridge) -> dict[str, Any]:
        found = await _find(bridge, id)
        return asdict(await bridge.endpoints.ping(found.id, **_whose(found)))

    pinged = on_bridge(work, environment=environment)
    print_facts(pinged, as_json=as_json)
    if not pinged["delivered"]:
        raise typer.Exit(1)


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
def rotate(
    id: Id,
    scheme: Annotated[
        str | None,
        typer.Option(help="Which to renew, v1 or v1a; needed where an endpoint has both."),
    ] = None,
    overlap: options.Overlap = "24h",
    environment: Environment = None,
    as_json: AsJson = False,
) -> None:
    """Make a new secret, shown this once, or a new key; for a while the one before signs as well.

    Of v1 the secret is printed, of v1a the public key.
    """
    from landbridge.cli.usage import WrongUsage

    lasts = options.span(overlap, "--overlap")

    async def work(bridge: Landbridge, found: Endpoint) -> dict[str, Any]:
        wanted = scheme or (await bridge.endpoints.show(found.id, **_whose(found))).scheme
        if wanted not in ("v1", "v1a"):
            raise WrongUsage(f"--scheme: {wanted!r} is neither v1 nor v1a; say which to renew")
        if wanted == "v1a":
            key = await bridge.endpoints.rotate_key(found.id, **_whose(found), overlap=lasts)
            return {**_row(found), "public_key": key}
        secret = await bridge.endpoints.rotate_secret(found.id, **_whose(found), overlap=lasts)
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


def _whose(endpoint: Endpoint) -> dict[str, Any]:
    return {"environment": endpoint.environment, "tenant": endpoint.tenant}


def _scheme(given: str) -> Scheme:
    from landbridge.cli.usage import WrongUsage

    match given:
        case "v1" | "v1a" | "both":
            return given
    raise WrongUsage(f"--scheme: {given!r} is none of v1, v1a and both")


def _made(created: Created) -> dict[str, Any]:
    """The keys that were made, which the receiver verifies with."""
    made = {"secret": created.secret, "public_key": created.public_key}
    return {name: value for name, value in made.items() if value}


def _row(endpoint: Endpoint) -> dict[str, Any]:
    waits = endpoint.schedule
    return {
        "id": endpoint.id,
        "environment": endpoint.environment,
        "tenant": endpoint.tenant,
        "url": endpoint.url,
        "description": endpoint.description,
        "types": list(endpoint.types),
        "filter": endpoint.filter,
        "state": endpoint.state,
        "reason": endpoint.reason,
        "disabled_at": endpoint.disabled_at,
        "api_version": endpoint.api_version,
        "schedule": None if waits is None else [options.written(each) for each in waits] or "once",
        "concurrency": endpoint.concurrency,
        "rate": endpoint.rate,
        "ordered": endpoint.ordered,
        "skip_after": endpoint.skip_after,
        "created_at": endpoint.created_at,
    }

"""`landbridge connections`: what is connected, and its pause, resumption and end."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from landbridge.cli.connections_revoke import revoke
from landbridge.cli.connections_scopes import audit, import_
from landbridge.cli.connections_subscribe import subscribe
from landbridge.cli.session import AsJson, ConnectionId, Environment, Limit, Tenant, noun

if TYPE_CHECKING:
    from landbridge.app.bridge import Landbridge
    from landbridge.store.connections import Connection

connections = noun("What is connected; pause it, end it.")
connections.command("audit")(audit)
connections.command("import")(import_)
connections.command("revoke")(revoke)
connections.command("subscribe")(subscribe)


@connections.command("list")
def list_(
    tenant: Tenant = None,
    limit: Limit = 1000,
    environment: Environment = None,
    as_json: AsJson = False,
) -> None:
    """List connections, oldest first."""
    from landbridge.cli.output import print_page
    from landbridge.cli.session import on_bridge

    async def work(bridge: Landbridge) -> list[dict[str, Any]]:
        found = await bridge.connections(tenant=tenant)
        return [_row(connection) for connection in found]

    rows = on_bridge(work, environment=environment)
    columns = ["connection", "tenant", "provider", "account_name", "label", "state", "reason"]
    none = "nothing is connected; see: landbridge connect --help"
    print_page("connections", rows, columns, limit=limit, as_json=as_json, none=none)


@connections.command()
def show(
    connection: ConnectionId, environment: Environment = None, as_json: AsJson = False
) -> None:
    """Show one connection: its resources and records, its latest runs, its webhook address."""
    from landbridge.cli.output import print_facts, print_json, print_rows
    from landbridge.cli.session import on_bridge

    facts = on_bridge(lambda bridge: _facts(bridge, connection), environment=environment)
    if as_json:
        print_json(facts)
        return
    resources, runs = facts.pop("resources"), facts.pop("runs")
    print_facts(facts, as_json=False)
    typer.echo("")
    columns = ["resource", "records", "deleted", "pulled_at"]
    print_rows("resources", resources, columns, as_json=False)
    typer.echo("")
    columns = ["resource", "state", "pages", "seen", "changed", "gone", "parked", "ended_at"]
    print_rows("runs", runs, [*columns, "reason"], as_json=False, none="never pulled so far")


@connections.command()
def pause(
    connection: ConnectionId, environment: Environment = None, as_json: AsJson = False
) -> None:
    """Stop pulling and pushing until `resume`; webhooks are still taken in."""

    async def work(bridge: Landbridge, found: Connection) -> dict[str, Any]:
        from landbridge.engine.disconnect import pause

        await pause(bridge.db, found)
        return {
            "said": f"{found.id} is paused; go on with: landbridge connections resume {found.id}"
        }

    _change(connection, work, environment=environment, as_json=as_json)


@connections.command()
def resume(
    connection: ConnectionId, environment: Environment = None, as_json: AsJson = False
) -> None:
    """Go on with a paused connection; what waited is done at once."""

    async def work(bridge: Landbridge, found: Connection) -> dict[str, Any]:
        from landbridge.engine.disconnect import resume

        await resume(bridge.db, found)
        return {"said": f"{found.id} is active again; what waited for it is due now"}

    _change(connection, work, environment=environment, as_json=as_json)


@connections.command()
def disconnect(
    connection: ConnectionId, environment: Environment = None, as_json: AsJson = False
) -> None:
    """End a connection: have the provider take its tokens back, forget its credentials and cancel
    what waits for it. Its records stay."""

    async def work(bridge: Landbridge, found: Connection) -> dict[str, Any]:
        ended = await bridge.disconnect(found)
        told = ended.provider
        return {
            "cancelled_reads": ended.reads,
            "refused_pushes": ended.pushes,
            "at_provider": told.state if told else None,
            "at_provider_detail": told.detail if told else None,
            "said": f"{found.id} is disconnected: its credentials are forgotten,"
            f" {ended.reads} waiting reads are cancelled and {ended.pushes} pushes refused;"
            f" its records stay. At the provider: {told.detail if told else 'it was not asked'}",
        }

    _change(connection, work, environment=environment, as_json=as_json)


@connections.command()
def secret(
    connection: ConnectionId,
    also: Annotated[
        bool, typer.Option("--two", help="Two secrets, a line each, while one replaces the other.")
    ] = False,
    environment: Environment = None,
    as_json: AsJson = False,
) -> None:
    """Set the secret that the provider signs this connection's webhooks with.

    It is asked for unseen on a terminal, and read from standard input elsewhere, a secret a line.
    """
    from landbridge.cli.usage import WrongUsage, standard_input

    wanted = 2 if also else 1
    if sys.stdin.isatty():
        secrets = [typer.prompt("Webhook secret", hide_input=True, err=True) for _ in range(wanted)]
    else:
        secrets = [line for line in standard_input().decode(errors="replace").split() if line]
    if len(secrets) != wanted:
        raise WrongUsage(
            f"standard input: {wanted} secret{'s' * (wanted > 1)} wanted, a line each, and"
            f" {len(secrets)} found"
        )

    async def work(bridge: Landbridge, found: Connection) -> dict[str, Any]:
        await bridge.set_webhook_secrets(found, secrets)
        return {"said": f"webhooks of {found.id} are checked with this from now on"}

    _change(connection, work, environment=environment, as_json=as_json)


async def find(bridge: Landbridge, wanted: str) -> Connection:
    """The connection with this id; NotFound with the nearest id that there is."""
    from landbridge.errors import NotFound, did_you_mean

    try:
        return await bridge.connection(wanted)
    except NotFound as error:
        ids = [connection.id for connection in await bridge.connections()]
        begun = [each for each in ids if wanted and each.startswith(wanted)]
        hint = did_you_mean(wanted, ids) or (f" Did you mean {begun[0]!r}?" if begun else "")
        raise NotFound(f"{error}{'.' * bool(hint)}{hint}") from None


def _change(
    wanted: str,
    work: Callable[[Landbridge, Connection], Awaitable[dict[str, Any]]],
    *,
    environment: str | None,
    as_json: bool,
) -> None:
    from landbridge.cli.output import print_json
    from landbridge.cli.session import on_bridge

    async def changed(bridge: Landbridge) -> dict[str, Any]:
        done = await work(bridge, await find(bridge, wanted))
        after = await bridge.connection(wanted)
        return {"connection": after.id, "state": after.state, **done}

    facts = on_bridge(changed, environment=environment)
    said = facts.pop("said")
    if as_json:
        print_json(facts)
    else:
        typer.echo(said)


async def _facts(bridge: Landbridge, wanted: str) -> dict[str, Any]:
    from dataclasses import asdict

    from landbridge.store import records, syncs

    connection = await find(bridge, wanted)
    page = bridge.provider(connection.provider)
    of = {
        "environment": connection.environment,
        "tenant": connection.tenant,
        "connection": connection.id,
    }
    counts = await records.counts(bridge.db, **of)
    return {
        **_row(connection),
        "webhooks_to": await bridge.intake_url(connection) if page.webhook else None,
        "webhook_secret": (("set" if connection.secrets else "missing") if page.webhook else None),
        "resources": [
            {
                "resource": resource,
                "records": counts.get(resource, (0, 0))[0],
                "deleted": counts.get(resource, (0, 0))[1],
                "pulled_at": pulled_at,
            }
            for resource, pulled_at in await syncs.every(bridge.db, **of)
        ],
        "runs": [asdict(run) for run in await syncs.runs(bridge.db, **of, most=10)],
    }


def _row(connection: Connection) -> dict[str, Any]:
    return {
        "connection": connection.id,
        "environment": connection.environment,
        "tenant": connection.tenant,
        "provider": connection.provider,
        "account": connection.account,
        "account_name": connection.account_name,
        "owner": connection.owner,
        "label": connection.label,
        "state": connection.state,
        "reason": connection.reason,
        "created_at": connection.created_at,
    }

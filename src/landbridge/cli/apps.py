"""`landbridge apps`: our OAuth clients at the providers, and what their consents ask for."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from landbridge.cli.session import AsJson, Environment, noun

if TYPE_CHECKING:
    from landbridge.app.bridge import Landbridge
    from landbridge.store.apps import App

apps = noun("Our OAuth clients at the providers, and what their consents ask for.")

SECRET = "LANDBRIDGE_CONNECT_CLIENT_SECRET"


@apps.command("list")
def list_(environment: Environment = None, as_json: AsJson = False) -> None:
    """List apps, with the address that each has to have registered at its provider."""
    from landbridge.cli.output import print_rows
    from landbridge.cli.session import on_bridge

    async def work(bridge: Landbridge) -> list[dict[str, Any]]:
        return [_row(bridge, app) for app in await bridge.apps()]

    rows = on_bridge(work, environment=environment)
    columns = ["provider", "tenant", "client_id", "secret", "resources", "writes", "redirect_uri"]
    none = "there are no apps; see: landbridge apps set --help"
    print_rows("apps", rows, columns, as_json=as_json, none=none)


@apps.command("set")
def set_(
    provider: Annotated[
        str, typer.Argument(help="One of those that `landbridge providers` lists.")
    ],
    client_id: Annotated[
        str | None, typer.Option(help="The client id that the provider gave you.")
    ] = None,
    tenant: Annotated[
        str | None, typer.Option(help="The client is this tenant's own, and for it alone.")
    ] = None,
    resource: Annotated[
        list[str] | None,
        typer.Option("--resource", help="Only this is pulled and asked for; repeatable."),
    ] = None,
    write: Annotated[
        list[str] | None,
        typer.Option(
            "--write", help="Consents also ask for this: invoice, or invoice.create; repeatable."
        ),
    ] = None,
    stdin: Annotated[
        bool, typer.Option("--stdin", help="Read the client's secret from standard input.")
    ] = False,
    environment: Environment = None,
    as_json: AsJson = False,
) -> None:
    """Set an OAuth client, or what consents ask for.

    The secret is asked for unseen; without a terminal it is LANDBRIDGE_CONNECT_CLIENT_SECRET, or
    comes from standard input with --stdin. It is never an argument: it would stand in the shell's
    history. It is sealed before it is stored. Only what is given changes.
    """
    from landbridge.cli.output import print_facts
    from landbridge.cli.session import on_bridge
    from landbridge.cli.usage import WrongUsage, find_provider

    page = find_provider(provider)
    if client_id is None and resource is None and write is None:
        raise WrongUsage("nothing to set: give --client-id, --resource or --write")
    public = getattr(page.auth, "client", "") == "none"
    secret = "" if client_id is None or public else _secret(stdin=stdin)

    async def work(bridge: Landbridge) -> dict[str, Any]:
        app = None
        if client_id is not None:
            app = await bridge.set_client(
                page.slug, client_id=client_id, client_secret=secret, tenant=tenant
            )
        if resource is not None or write is not None:
            app = await bridge.enable(page.slug, resources=resource, writes=write, tenant=tenant)
        assert app is not None
        return _row(bridge, app)

    facts = on_bridge(work, environment=environment)
    print_facts(facts, as_json=as_json)
    if not as_json and facts["redirect_uri"]:
        typer.echo(f"\nRegister this address at {page.name}: {facts['redirect_uri']}")


def _secret(*, stdin: bool) -> str:
    from landbridge.cli.usage import WrongUsage, standard_input

    if stdin:
        try:
            secret = standard_input().decode().strip()
        except UnicodeDecodeError:
            raise WrongUsage("--stdin: standard input is not UTF-8 text") from None
    else:
        secret = os.environ.get(SECRET, "")
    if not secret and not stdin and sys.stdin.isatty():
        secret = typer.prompt("Client secret", hide_input=True, err=True)
    if not secret:
        raise WrongUsage(f"client_secret: missing; set {SECRET}, or give it with --stdin")
    return secret


def _row(bridge: Landbridge, app: App) -> dict[str, Any]:
    return {
        "app": app.id,
        "provider": app.provider,
        "environment": app.environment,
        "tenant": app.tenant,
        "client_id": app.client_id,
        "secret": "set" if app.client_secret else "none",
        "resources": list(app.resources) or "all",
        "writes": list(app.writes),
        "redirect_uri": bridge.redirect_uri(app.provider) if app.client_id else None,
    }

"""`landbridge calls`: what was asked of a provider, for one connection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from landbridge.cli.session import AsJson, Environment, Limit

if TYPE_CHECKING:
    from landbridge.app.bridge import Landbridge

COLUMNS = ("created_at", "method", "path", "status", "outcome", "attempt", "took_ms", "error")


def calls(
    connection: Annotated[str, typer.Argument(help="con_...", metavar="CONNECTION")],
    failed: Annotated[bool, typer.Option("--failed", help="Only those that failed.")] = False,
    limit: Limit = 50,
    environment: Environment = None,
    as_json: AsJson = False,
) -> None:
    """List the last calls for a connection, newest first.

    Each try is a line. Paths have {id} where ids were; bodies are not kept.
    """
    from landbridge.cli.output import print_page
    from landbridge.cli.session import on_bridge

    async def work(bridge: Landbridge) -> list[dict[str, Any]]:
        import msgspec

        from landbridge.store import calls as store

        named = await bridge.connection(connection)
        found = await store.of_connection(
            bridge.db,
            environment=named.environment,
            tenant=named.tenant,
            connection=named.id,
            failed=failed,
            most=limit + 1,
        )
        return [msgspec.structs.asdict(each) for each in found]

    rows = on_bridge(work, environment=environment)
    print_page("calls", rows, COLUMNS, limit=limit, as_json=as_json, none="no calls")

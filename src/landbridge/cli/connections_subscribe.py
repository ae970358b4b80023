"""`landbridge connections subscribe`: has a provider post its events here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from landbridge.cli.session import AsJson, ConnectionId, Environment

if TYPE_CHECKING:
    from landbridge.app.bridge import Landbridge
    from landbridge.store.connections import Connection


def subscribe(
    connection: ConnectionId,
    environment: Environment = None,
    as_json: AsJson = False,
) -> None:
    """Tell the provider of this connection's webhook address and the events that are wanted there.

    For providers that take it by their API and post a code to the address first (FreshBooks); a
    worker sends the code back. Doing it again makes what is missing. Ends with status 1 when the
    provider refused an event.
    """
    from dataclasses import asdict

    from landbridge.cli.output import print_rows
    from landbridge.cli.session import on_connection

    async def work(bridge: Landbridge, found: Connection) -> list[dict[str, Any]]:
        return [asdict(one) for one in await bridge.subscribe(found)]

    rows = on_connection(connection, work, environment=environment)
    none = "the page names no events"
    print_rows("events", rows, ["event", "state", "detail"], as_json=as_json, none=none)
    if any(row["state"] == "refused" for row in rows):
        raise typer.Exit(1)

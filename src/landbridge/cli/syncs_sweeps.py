"""`landbridge syncs sweeps`: how far the look for deletions is of which nothing tells."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from landbridge.cli.session import AsJson, ConnectionId, Environment

if TYPE_CHECKING:
    from landbridge.app.bridge import Landbridge
    from landbridge.store.connections import Connection
    from landbridge.store.sweeps import Sweeping

_COLUMNS = ["resource", "state", "calls", "began_at", "turned_from", "turned_at", "missed"]


def sweeps(
    connection: ConnectionId,
    environment: Environment = None,
    as_json: AsJson = False,
) -> None:
    """Show the sweeps for deleted records: the turn under way, its calls, and the last full one.

    `missed` are the records that the last turn did not meet: they are looked up, and deleted if the
    provider says so, when the next turn does not meet them either.
    """
    from landbridge.cli.output import print_rows
    from landbridge.cli.session import on_connection

    async def work(bridge: Landbridge, found: Connection) -> list[dict[str, Any]]:
        swept = await bridge.syncs.sweeps(found)
        return [{"resource": name, **_row(each)} for name, each in swept.items()]

    rows = on_connection(connection, work, environment=environment)
    none = "nothing is swept: see `deletes` in landbridge provider show"
    print_rows("sweeps", rows, _COLUMNS, as_json=as_json, none=none)


def _row(sweep: Sweeping) -> dict[str, Any]:
    return {
        "state": "waiting" if sweep.cursor is None else "under way",
        "calls": sweep.calls,
        "began_at": sweep.began_at,
        "turned_from": sweep.turned_from,
        "turned_at": sweep.turned_at,
        "missed": sweep.missed,
    }

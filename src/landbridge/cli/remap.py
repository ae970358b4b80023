"""`landbridge remap`: reads what is stored of a connection again, without a call."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from landbridge.cli.session import App, AsJson, Environment

if TYPE_CHECKING:
    from landbridge.app.bridge import Landbridge
    from landbridge.store.connections import Connection


def remap(
    connection: Annotated[str, typer.Argument(help="con_...; `landbridge connections list`.")],
    resources: Annotated[
        list[str] | None,
        typer.Argument(help="The vendor's names, such as invoice; none: all.", metavar="RESOURCE"),
    ] = None,
    app: App = None,
    environment: Environment = None,
    as_json: AsJson = False,
) -> None:
    """Read what is stored of a connection again, by the mappings of now. No call is made.

    Handlers are told of records whose unified form differs. Records that cannot be read now are
    parked, parked ones that can be read now leave the park. Workers do this by themselves when a
    mapping changed. What Ctrl-C leaves a worker goes on with.
    """
    from landbridge.cli.output import print_rows
    from landbridge.cli.session import on_connection

    async def work(bridge: Landbridge, found: Connection) -> list[dict[str, Any]]:
        done = await bridge.remap(found, resources or [])
        return [{"resource": name, **asdict(each)} for name, each in done.items()]

    rows = on_connection(connection, work, environment=environment, app=app)
    columns = ["resource", "read", "changed", "parked", "left", "asked"]
    none = "nothing of this connection is pulled"
    print_rows("resources", rows, columns, as_json=as_json, none=none)

"""`landbridge objects`: custom objects of a connection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from landbridge.cli.fields import Whole
from landbridge.cli.session import AsJson, ConnectionId, Environment, noun

if TYPE_CHECKING:
    from landbridge.app.bridge import Landbridge
    from landbridge.store.connections import Connection

objects = noun("Pull objects that a tenant made at its provider.")

Name = Annotated[str, typer.Argument(help="Its name here, such as car.")]

_COLUMNS = ["object", "path", "like", "key", "holds_for"]


@objects.command("list")
def list_(
    connection: ConnectionId,
    environment: Environment = None,
    as_json: AsJson = False,
) -> None:
    """List the custom objects that are pulled for a connection."""
    from landbridge.cli.output import print_rows
    from landbridge.cli.session import on_connection

    async def work(bridge: Landbridge, found: Connection) -> list[dict[str, Any]]:
        return [
            {
                "object": row.resource,
                **row.facts,
                "holds_for": "all" if row.whole else found.id,
            }
            for row in await bridge.custom.list(found)
            if not row.field
        ]

    rows = on_connection(connection, work, environment=environment)
    print_rows("objects", rows, _COLUMNS, as_json=as_json, none="no custom object is set")


@objects.command("set")
def set_(
    connection: ConnectionId,
    name: Name,
    path: Annotated[str, typer.Argument(help="Where the API lists it: /v1/cars, ...")],
    like: Annotated[
        str,
        typer.Option(
            help="The resource of the page that is listed, paged, read and written as this one is."
        ),
    ],
    key: Annotated[str, typer.Option(help="Path to a record's key; empty: as in --like.")] = "",
    records: Annotated[
        str, typer.Option(help="Path to the list in an answer; empty: as in --like.")
    ] = "",
    free: Annotated[
        str,
        typer.Option(help="Path of an object in a record whose keys are all custom fields."),
    ] = "",
    topics: Annotated[
        list[str] | None,
        typer.Option("--topic", help="Topic of webhooks about it, as car.*; several at once."),
    ] = None,
    deletes: Annotated[
        list[str] | None,
        typer.Option("--deletes", help="Topic of webhooks that mean one was deleted."),
    ] = None,
    whole: Whole = False,
    environment: Environment = None,
    as_json: AsJson = False,
) -> None:
    """Pull a custom object from now on, as often as the resource that it is like.

    Its records are models of the kind custom.record. What they hold is in `extra`: the keys of
    --free, and each field that `landbridge fields set` names.
    """
    from landbridge.cli.output import print_facts
    from landbridge.cli.session import on_connection

    facts: dict[str, Any] = {"path": path, "like": like, "key": key, "records": records}
    facts |= {"free": free, "topics": topics, "deletes": deletes}
    given = {fact: told for fact, told in facts.items() if told}

    async def work(bridge: Landbridge, found: Connection) -> None:
        await bridge.custom.set_object(found, name, whole=whole, **given)

    on_connection(connection, work, environment=environment)
    print_facts({"object": name, **given}, as_json=as_json)


@objects.command("remove")
def remove(
    connection: ConnectionId,
    name: Name,
    whole: Whole = False,
    environment: Environment = None,
    as_json: AsJson = False,
) -> None:
    """End the pulls of a custom object and forget its fields; its records stay."""
    from landbridge.cli.output import print_facts
    from landbridge.cli.session import on_connection

    async def work(bridge: Landbridge, found: Connection) -> None:
        await bridge.custom.remove_object(found, name, whole=whole)

    on_connection(connection, work, environment=environment)
    print_facts({"removed": name}, as_json=as_json)

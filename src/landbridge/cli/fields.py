"""`landbridge fields`: custom fields of a connection's resources."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from landbridge.cli.session import AsJson, ConnectionId, Environment, noun
from landbridge.cli.usage import WrongUsage

if TYPE_CHECKING:
    from landbridge.app.bridge import Landbridge
    from landbridge.engine.custom import FieldSet
    from landbridge.store.connections import Connection

fields = noun("Set what a tenant added to a resource at its provider.")

Resource = Annotated[str, typer.Argument(help="The vendor's name, such as invoice.")]
Name = Annotated[str, typer.Argument(help="Its name in `extra`, such as tier.")]
Whole = Annotated[
    bool, typer.Option("--all", help="For all connections of this tenant to this provider.")
]

COLUMNS = ["resource", "field", "path", "word", "access", "holds_for"]


@fields.command("list")
def list_(
    connection: ConnectionId,
    environment: Environment = None,
    as_json: AsJson = False,
) -> None:
    """List the custom fields that hold for a connection."""
    from landbridge.cli.output import print_rows
    from landbridge.cli.session import on_connection

    async def work(bridge: Landbridge, found: Connection) -> list[dict[str, Any]]:
        return [
            {
                "resource": row.resource,
                "field": row.field,
                "word": "text",
                "access": "both",
                **row.facts,
                "holds_for": "all" if row.whole else found.id,
            }
            for row in await bridge.custom.list(found)
            if row.resource and row.field
        ]

    rows = on_connection(connection, work, environment=environment)
    print_rows("fields", rows, COLUMNS, as_json=as_json, none="no custom field is set")


@fields.command("set")
def set_(
    connection: ConnectionId,
    resource: Resource,
    name: Name,
    path: Annotated[
        str, typer.Argument(help="Where it is in the vendor's record: custom.tier, ...")
    ],
    *,
    word: Annotated[
        str,
        typer.Option(
            "--as",
            help="What it holds: text, texts, integer, decimal, flag, date, instant, unix (an"
            " instant in seconds) or json (as it comes, only read).",
        ),
    ] = "text",
    access: Annotated[
        str, typer.Option(help="both, read, or create: written only when a record is made.")
    ] = "both",
    words: Annotated[
        list[str] | None,
        typer.Option("--word", help="THEIRS=OURS, for each word that there is.", metavar="PAIR"),
    ] = None,
    where: Annotated[
        list[str] | None,
        typer.Option(
            help="PATH is a list: the item that says so, such as id=7. Only read.", metavar="PAIR"
        ),
    ] = None,
    value: Annotated[str, typer.Option(help="With --where: the path within that item.")] = "",
    whole: Whole = False,
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Also if stored records lack it or would be parked.")
    ] = False,
    environment: Environment = None,
    as_json: AsJson = False,
) -> None:
    """Read a field that a tenant added into `extra`, and write it from there.

    What is stored is read again by a worker, without a call; landbridge remap does it at once.
    """
    from landbridge.cli.output import print_facts
    from landbridge.cli.session import on_connection

    facts: dict[str, Any] = {"path": path, "word": word, "access": access}
    if words:
        facts["words"] = dict(pair(each, "--word") for each in words)
    if where:
        facts["where"] = {name: _value(told) for name, told in (pair(w, "--where") for w in where)}
    if value:
        facts["value"] = value

    async def work(bridge: Landbridge, found: Connection) -> FieldSet:
        return await bridge.custom.set_field(
            found, resource, name, whole=whole, anyway=anyway, **facts
        )

    done = on_connection(connection, work, environment=environment)
    told = {"resource": resource, "field": name, **facts}
    counts = {"tried": done.tried, "seen": done.seen, "parked": done.parked}
    print_facts({**told, **counts}, as_json=as_json)


@fields.command("remove")
def remove(
    connection: ConnectionId,
    resource: Resource,
    name: Name,
    whole: Whole = False,
    environment: Environment = None,
    as_json: AsJson = False,
) -> None:
    """Take a custom field away; at the provider it stays as it is."""
    from landbridge.cli.output import print_facts
    from landbridge.cli.session import on_connection

    async def work(bridge: Landbridge, found: Connection) -> None:
        await bridge.custom.remove_field(found, resource, name, whole=whole)

    on_connection(connection, work, environment=environment)
    print_facts({"resource": resource, "removed": name}, as_json=as_json)


def pair(text: str, option: str) -> tuple[str, str]:
    """Both sides of `name=value`; WrongUsage if it is none."""
    name, sign, value = text.partition("=")
    if not sign or not name:
        raise WrongUsage(f"{option}: {text!r} is no pair such as name=value")
    return name, value


def _value(text: str) -> Any:
    """A number, a flag or text, as it stands in the vendor's JSON."""
    from json import JSONDecodeError, loads

    try:
        found = loads(text)
    except JSONDecodeError:
        return text
    return text if isinstance(found, dict | list | float) else found

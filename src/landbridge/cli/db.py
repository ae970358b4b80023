"""`landbridge db`: the schema in the database, or its SQL for who looks after it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated

import typer

from landbridge.cli.session import AsJson, noun

if TYPE_CHECKING:
    from landbridge.app.settings import Settings

db = noun("The schema in the database: migrate it, or print its SQL.")

Schema = Annotated[
    str | None,
    typer.Option("--schema", help="Which schema; else that of LANDBRIDGE_SCHEMA.", metavar="NAME"),
]


@db.command()
def upgrade(schema: Schema = None, as_json: AsJson = False) -> None:
    """Migrate the schema to what this version works with. Safe to call twice, and from several.

    A migration that does not get its locks within five seconds gives up and changes nothing.
    """
    from landbridge.cli.output import print_json
    from landbridge.store import migrate

    settings, applied = _on_database(migrate.upgrade, schema)
    if as_json:
        print_json({"schema": settings.schema_name, "applied": applied, "at": migrate.head()})
    elif applied:
        typer.echo(f"applied {', '.join(applied)} in the schema {settings.schema_name}")
    else:
        typer.echo(f"nothing to do: the schema {settings.schema_name} is at {migrate.head()}")


@db.command()
def check(schema: Schema = None, as_json: AsJson = False) -> None:
    """Say which migrations are missing. Exit 1 if any is."""
    from landbridge.cli.output import print_json
    from landbridge.store import migrate

    settings, missing = _on_database(migrate.pending, schema)
    if as_json:
        print_json({"schema": settings.schema_name, "missing": missing, "wanted": migrate.head()})
    elif missing:
        typer.echo(
            f"missing in the schema {settings.schema_name}: {', '.join(missing)};"
            " run: landbridge db upgrade"
        )
    else:
        typer.echo(f"nothing is missing: the schema {settings.schema_name} is at {migrate.head()}")
    if missing:
        raise typer.Exit(1)


@db.command()
def sql(
    schema: Schema = None,
    app_role: Annotated[
        str, typer.Option(help="Also the GRANTs for this role, which runs the application.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Print every statement of every migration, without connecting."""
    from landbridge.app.settings import load
    from landbridge.cli.output import print_json
    from landbridge.store import migrate

    name = load(schema=schema).schema_name
    text = migrate.sql(name, app_role)
    if as_json:
        print_json({"schema": name, "sql": text})
    else:
        typer.echo(text.rstrip())


def _on_database(
    work: Callable[[str, str], Awaitable[list[str]]], schema: str | None
) -> tuple[Settings, list[str]]:
    """What `work` gives for the database of the settings, past a pooler."""
    from contextlib import AsyncExitStack

    from landbridge.app.opening import start_embedded
    from landbridge.app.settings import load

    settings = load(schema=schema)

    async def worked() -> list[str]:
        async with AsyncExitStack() as stack:
            url = settings.direct_url or settings.database_url
            return await work(url or await start_embedded(stack, settings), settings.schema_name)

    return settings, asyncio.run(worked())

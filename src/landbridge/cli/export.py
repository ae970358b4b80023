"""`landbridge export`: what was pulled, as a file of rows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated

import typer

from landbridge.cli.session import App, AsJson, Environment
from landbridge.cli.usage import WrongUsage

if TYPE_CHECKING:
    from landbridge.app.bridge import Landbridge


def export(
    connection: Annotated[str, typer.Argument(help="con_...; `landbridge connections list`.")],
    resource: Annotated[str, typer.Argument(help="The vendor's name, such as invoice.")],
    format: Annotated[
        str, typer.Option(help="ndjson, arrow (a stream of batches) or parquet.")
    ] = "ndjson",
    to: Annotated[
        Path | None,
        typer.Option(help="The file; none: standard output.", dir_okay=False, metavar="FILE"),
    ] = None,
    since: Annotated[
        int | None,
        typer.Option(
            help="Only what changed since the export that gave this number, deleted ones too.",
            metavar="NUMBER",
        ),
    ] = None,
    anew: Annotated[
        bool,
        typer.Option("--anew", help="Whole, if changes are not kept back to that number any more."),
    ] = False,
    deleted: Annotated[
        bool, typer.Option("--deleted", help="Also those that are deleted.")
    ] = False,
    raw: Annotated[
        bool, typer.Option("--raw", help="Also each record as it was sent, in the column _raw.")
    ] = False,
    app: App = None,
    environment: Environment = None,
    as_json: AsJson = False,
) -> None:
    """Write the records of a resource to a file, and say from where the next export goes on.

    A row has _connection, _key, _changed_at and _deleted_at, and the fields of the model. The file
    is there when it is whole. --json tells of it, and needs --to.
    """
    from landbridge.cli.output import print_json
    from landbridge.cli.session import on_bridge
    from landbridge.exporting import columns_of, open_sink, row_of

    if as_json and to is None:
        raise WrongUsage("--json tells of a file: name one with --to")

    async def work(bridge: Landbridge) -> tuple[int, int]:
        from landbridge.cli.connections import find

        found = await find(bridge, connection)
        columns = columns_of(bridge.page(found).resource(resource), raw=raw)
        count = number = 0
        with _target(to, text=format == "ndjson") as target:
            sink = open_sink(format, target, columns)
            async for batch in bridge.export(
                found, resource, since=since, deleted=deleted, anew=anew
            ):
                sink.write([row_of(columns, record) for record in batch.records])
                count += len(batch.records)
                number = batch.next
            sink.close(since=number)
        return count, number

    count, number = on_bridge(work, environment=environment, app=app)
    if as_json:
        print_json({"records": count, "next": number, "path": str(to), "format": format})
    else:
        typer.echo(f"{count} records; what changes from now on: --since {number}", err=True)


@contextmanager
def _target(path: Path | None, *, text: bool) -> Iterator[IO[bytes]]:
    """Where to write; a file takes its name when it is whole."""
    import sys

    if path is None:
        if not text and sys.stdout.isatty():
            raise WrongUsage("a terminal cannot show this format: name a file with --to")
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    part = path.with_name(f"{path.name}.part")
    try:
        with part.open("wb") as target:
            yield target
        part.replace(path)
    except OSError as error:
        if error.filename is None and error.errno is None:
            raise
        raise WrongUsage(f"--to: {path} cannot be written ({error.strerror})") from None
    finally:
        with suppress(OSError):
            part.unlink()

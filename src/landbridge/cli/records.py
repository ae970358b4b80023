"""`landbridge records`: what was pulled, unified or raw."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from landbridge.cli.session import AsJson, Environment

if TYPE_CHECKING:
    from landbridge.app.bridge import Landbridge
    from landbridge.store.records import Stored


def records(
    connection: Annotated[str, typer.Argument(help="con_...")],
    resource: Annotated[str, typer.Argument(help="The vendor's own name: invoice, VEVENT, ...")],
    limit: Annotated[int, typer.Option(help="At most this many.", min=1, max=100_000)] = 50,
    after: Annotated[str, typer.Option(help="Begin behind the record with this key.")] = "",
    raw: Annotated[
        bool, typer.Option("--raw", help="The records as the provider sent them.")
    ] = False,
    deleted: Annotated[
        bool, typer.Option("--deleted", help="Also those that are deleted.")
    ] = False,
    environment: Environment = None,
    as_json: AsJson = False,
) -> None:
    """List the records of a resource in the order of their keys.

    With --raw each record is one line, as its provider sent it. With --json each also has its
    unified form; `next` is what --after takes to go on, or null at the end.
    """
    from landbridge.cli.output import print_json, print_rows, visible
    from landbridge.cli.session import on_bridge

    async def work(bridge: Landbridge) -> list[Stored]:
        from landbridge.cli.connections import find
        from landbridge.engine.pull import stream_of
        from landbridge.store import records

        found = await find(bridge, connection)
        name = bridge.page(found).resource(resource).name
        return await records.read(
            bridge.db, stream_of(found, name), after=after, most=limit + 1, deleted=deleted
        )

    found = on_bridge(work, environment=environment)
    page, more = found[:limit], len(found) > limit
    if as_json:
        rows = [_row(record, raw=raw) for record in page]
        print_json({"records": rows, "next": page[-1].key if more else None})
        return
    if raw:
        for record in page:
            typer.echo(visible(" ".join(_text(record).splitlines())))
    else:
        columns = ["key", "model", "changed_at", "deleted_at", "in_short"]
        rows = [{**_row(record, raw=False), "in_short": in_short(record)} for record in page]
        if not deleted:
            columns.remove("deleted_at")
        print_rows("records", rows, columns, as_json=False, none=f"no {resource} was pulled so far")
    if more:
        typer.echo(f"there are more: --after {visible(page[-1].key)}", err=True)


def in_short(record: Stored) -> str:
    """The first telling fields of the unified record, in at most 60 characters."""
    unified = record.unified or {}
    names = ("number", "title", "name", "email", "description", "status", "total", "amount")
    told = [str(unified[name]) for name in names if unified.get(name) not in (None, "", {}, [])]
    text = ", ".join(told)
    return text if len(text) <= 60 else text[:59] + "\N{HORIZONTAL ELLIPSIS}"


def _row(record: Stored, *, raw: bool) -> dict[str, Any]:
    row: dict[str, Any] = {
        "key": record.key,
        "model": record.kind,
        "version": record.version,
        "changed_at": record.changed_at,
        "deleted_at": record.deleted_at,
        "unified": record.unified,
    }
    return {**row, "raw": _parsed(record)} if raw else row


def _parsed(record: Stored) -> Any:
    from json import JSONDecodeError, loads

    try:
        return loads(_text(record))
    except JSONDecodeError:
        return _text(record)


def _text(record: Stored) -> str:
    return record.raw.decode(errors="replace")

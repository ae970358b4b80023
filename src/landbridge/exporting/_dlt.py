"""A stream as a dlt resource: whole at first, then what changed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator, Sequence
from typing import Any

from landbridge.app.bridge import Landbridge
from landbridge.engine.export import Batch
from landbridge.errors import SettingsError
from landbridge.exporting._columns import Column, columns_of, row_of

_Batches = AsyncGenerator[tuple[Sequence[Column], Batch], None]


def dlt_resource(
    connection: str,
    resource: str,
    *,
    bridge: Landbridge | None = None,
    environment: str | None = None,
    name: str = "",
    raw: bool = False,
) -> Any:
    """A dlt resource of what is stored of a connection: give it to `dlt.pipeline(...).run`.

    The first run loads everything. Later ones load what changed since, by the number of the feed
    that dlt keeps with what it loaded, and delete what was deleted; when the feed does not reach
    back that far, everything once more. Rows are merged by `_connection` and `_key`, so that
    several connections can share a table. `name` is the table's, else the vendor's word; `raw` adds
    each record as it was sent. `bridge` is yours, not open; else one by the LANDBRIDGE_...
    variables.

    SettingsError without the package dlt. NotFound for a connection or resource there is not.
    """
    try:
        import dlt  # noqa: PLC0415  # optional
    except ImportError:
        raise SettingsError(
            "dlt: the package is not here; install it with: pip install dlt"
        ) from None

    def rows() -> Iterator[list[dict[str, Any]]]:
        places = dlt.current.resource_state().setdefault("landbridge", {})
        place = f"{connection}/{resource}"
        opened = bridge or Landbridge.from_env(environment=environment)
        with asyncio.Runner() as runner:
            runner.run(opened.__aenter__())
            number = None
            batches = _batches(opened, places.get(place))
            try:
                while (found := runner.run(_following(batches))) is not None:
                    columns, batch = found
                    if batch.records:
                        yield [row_of(columns, record) for record in batch.records]
                    number = batch.next
                places[place] = number  # only now: who stops early begins at the same place again
            finally:
                runner.run(batches.aclose())
                runner.run(opened.__aexit__(None, None, None))

    async def _batches(opened: Landbridge, since: int | None) -> _Batches:
        found = await opened.connection(connection, environment=environment)
        chosen = opened.page(found).resource(resource)
        columns = columns_of(chosen, raw=raw)
        async for batch in opened.export(found, resource, since=since, anew=True):
            yield columns, batch

    return dlt.resource(
        rows,
        name=name or resource,
        write_disposition="merge",
        primary_key=("_connection", "_key"),
        columns={
            "_deleted_at": {"hard_delete": True, "data_type": "timestamp"},
            "extra": {"data_type": "json"},
        },
    )


async def _following(batches: _Batches) -> tuple[Sequence[Column], Batch] | None:
    """The next batch; None at the end."""
    return await anext(batches, None)

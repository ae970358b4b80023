"""Where an export goes, batch by batch: lines of JSON, an Arrow stream, or a Parquet file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import IO, Any, Protocol

import msgspec

from landbridge.errors import InvalidInput, RecordError, SettingsError, did_you_mean
from landbridge.exporting._columns import Column

FORMATS = ("ndjson", "arrow", "parquet")

ROWS = 10_000
BYTES = 16_000_000
"""A row group is written when it has so many rows, or so many bytes of text."""

Rows = Sequence[dict[str, Any]]


class Sink(Protocol):
    """Takes rows; nothing is complete before `close`."""

    def write(self, rows: Rows) -> None:
        """Takes these rows."""

    def close(self, *, since: int) -> None:
        """Writes what is left, and the number that the next export goes on from."""


def open_sink(format: str, target: IO[bytes], columns: Sequence[Column]) -> Sink:
    """A sink of one of `FORMATS` into an open file; InvalidInput names another word.

    SettingsError: Arrow and Parquet need the package pyarrow.
    """
    if format not in FORMATS:
        raise InvalidInput(
            f"format: {format!r} is none of {', '.join(FORMATS)}.{did_you_mean(format, FORMATS)}"
        )
    if format == "ndjson":
        return _Lines(target)
    return _Tables(format, target, columns)


class _Lines:
    def __init__(self, target: IO[bytes]):
        self._target = target
        self._encode = msgspec.json.Encoder().encode_lines

    def write(self, rows: Rows) -> None:
        """A line each."""
        self._target.write(self._encode(rows))

    def close(self, *, since: int) -> None:
        """Nothing is left; lines have no place for the number."""


class _Tables:
    """Gathers rows into record batches that are worth their overhead."""

    def __init__(self, format: str, target: IO[bytes], columns: Sequence[Column]):
        self._arrow = _pyarrow()
        self._columns = columns
        self._schema = _schema(self._arrow, columns)
        self._rows: list[dict[str, Any]] = []
        self._size = 0
        self._parquet = format == "parquet"
        if self._parquet:
            from pyarrow.parquet import ParquetWriter  # noqa: PLC0415  # optional

            self._writer: Any = ParquetWriter(target, self._schema, compression="zstd")
        else:
            self._writer = self._arrow.ipc.new_stream(target, self._schema)

    def write(self, rows: Rows) -> None:
        """Gathers them, and writes when there are enough."""
        for row in rows:
            self._rows.append(row)
            self._size += _size(row)
            if len(self._rows) >= ROWS or self._size >= BYTES:
                self._flush()

    def close(self, *, since: int) -> None:
        """The last batch, and in a Parquet file's metadata `landbridge.since`."""
        self._flush()
        if self._parquet:
            self._writer.add_key_value_metadata({"landbridge.since": str(since)})
        self._writer.close()

    def _flush(self) -> None:
        if not self._rows:
            return
        rows = [_flat(self._columns, row) for row in self._rows]
        try:
            batch = self._arrow.RecordBatch.from_pylist(rows, schema=self._schema)
        except (self._arrow.ArrowInvalid, self._arrow.ArrowTypeError) as error:
            keys = f"{rows[0]['_key']} to {rows[-1]['_key']}"
            raise RecordError(
                f"the records {keys} do not fit their columns ({error}); if the mapping changed, do"
                f" first: landbridge remap {rows[0]['_connection']}"
            ) from None
        self._writer.write_batch(batch)
        self._rows, self._size = [], 0


def _pyarrow() -> Any:
    try:
        import pyarrow as pa  # noqa: PLC0415  # optional
    except ImportError:
        raise SettingsError(
            "format: arrow and parquet need the package pyarrow; install it with:"
            " pip install 'landbridge[arrow]'"
        ) from None
    return pa


def _schema(arrow: Any, columns: Sequence[Column]) -> Any:
    return arrow.schema([arrow.field(each.name, _type(arrow, each)) for each in columns])


def _type(arrow: Any, column: Column) -> Any:
    match column.word:
        case "integer":
            return arrow.int64()
        case "flag":
            return arrow.bool_()
        case "decimal":
            return arrow.decimal128(38, 18)
        case "date":
            return arrow.date32()
        case "instant":
            return arrow.timestamp("us", tz="UTC")
        case "part":
            return arrow.struct([(each.name, _type(arrow, each)) for each in column.inner])
        case "list":
            return arrow.list_(_type(arrow, column.inner[0]))
        case _:
            return arrow.string()


def _flat(columns: Sequence[Column], row: dict[str, Any]) -> dict[str, Any]:
    """The row with free objects as JSON text: they have no columns of their own."""
    for each in columns:
        if each.word == "json" and row[each.name] is not None:
            row[each.name] = msgspec.json.encode(row[each.name]).decode()
    return row


def _size(row: dict[str, Any]) -> int:
    return sum(len(value) for value in row.values() if isinstance(value, str | list | dict))

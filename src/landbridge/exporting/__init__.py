"""What was pulled, handed on: files of rows, and a resource for dlt."""

from landbridge.exporting._columns import OWN, RAW, Column, columns_of, row_of
from landbridge.exporting._dlt import dlt_resource
from landbridge.exporting._files import FORMATS, Sink, open_sink

__all__ = [
    "FORMATS",
    "OWN",
    "RAW",
    "Column",
    "Sink",
    "columns_of",
    "dlt_resource",
    "open_sink",
    "row_of",
]

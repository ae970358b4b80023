"""airbyte-cdk: a declarative source of numbered pages, read to its end; nothing is stored.

    python airbyte_pipeline.py '{"source": ..., "size": 100, "home": ...}'

Prints a line of JSON for each line on standard input: one reading.
"""

import json
import logging
import sys
import time
from importlib.metadata import version
from pathlib import Path

from airbyte_cdk.models import ConfiguredAirbyteCatalogSerializer, Type
from airbyte_cdk.sources.declarative.concurrent_declarative_source import (
    ConcurrentDeclarativeSource,
)

options = json.loads(sys.argv[1])
MANIFEST = {
    "version": "6.0.0",
    "type": "DeclarativeSource",
    "check": {"type": "CheckStream", "stream_names": ["thing"]},
    "spec": {
        "type": "Spec",
        "connection_specification": {"type": "object", "properties": {}},
    },
    "streams": [
        {
            "type": "DeclarativeStream",
            "name": "thing",
            "primary_key": ["id"],
            "retriever": {
                "type": "SimpleRetriever",
                "requester": {
                    "type": "HttpRequester",
                    "url_base": options["source"],
                    "path": "/things",
                    "http_method": "GET",
                },
                "record_selector": {
                    "type": "RecordSelector",
                    "extractor": {"type": "DpathExtractor", "field_path": ["data"]},
                },
                "paginator": {
                    "type": "DefaultPaginator",
                    "page_token_option": {
                        "type": "RequestOption",
                        "inject_into": "request_parameter",
                        "field_name": "page",
                    },
                    "page_size_option": {
                        "type": "RequestOption",
                        "inject_into": "request_parameter",
                        "field_name": "size",
                    },
                    "pagination_strategy": {
                        "type": "PageIncrement",
                        "start_from_page": 1,
                        "page_size": options["size"],
                        "inject_on_first_request": True,
                    },
                },
            },
            "schema_loader": {
                "type": "InlineSchemaLoader",
                "schema": {"type": "object", "properties": {}},
            },
        }
    ],
}
CATALOG = ConfiguredAirbyteCatalogSerializer.load(
    {
        "streams": [
            {
                "stream": {
                    "name": "thing",
                    "json_schema": {},
                    "supported_sync_modes": ["full_refresh"],
                },
                "sync_mode": "full_refresh",
                "destination_sync_mode": "overwrite",
            }
        ]
    }
)


def peak():
    """Bytes that were resident at most so far."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


logging.disable(logging.ERROR)
for _ in sys.stdin:
    began, used = time.monotonic(), time.process_time()
    source = ConcurrentDeclarativeSource(
        catalog=CATALOG, config={}, state=[], source_config=MANIFEST
    )
    read = source.read(logging.getLogger("airbyte"), {}, CATALOG, [])
    rows = sum(message.type == Type.RECORD for message in read)
    told = {
        "version": version("airbyte-cdk"),
        "rows": rows,
        "seconds": time.monotonic() - began,
        "cpu": time.process_time() - used,
        "peak": peak(),
    }
    print(json.dumps(told), flush=True)

"""dlt: a REST client with page numbers into Postgres, merged by the key.

    python dlt_pipeline.py '{"source": ..., "database": ..., "size": 100, "home": ...}'

Prints a line of JSON for each line on standard input: one run of the pipeline.
"""

import json
import os
import resource
import sys
import time
from pathlib import Path

options = json.loads(sys.argv[1])
os.environ["DLT_DATA_DIR"] = options["home"]
os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
os.environ["RUNTIME__LOG_LEVEL"] = "CRITICAL"

import dlt  # noqa: E402
from dlt.sources.helpers.rest_client import RESTClient  # noqa: E402
from dlt.sources.helpers.rest_client.paginators import PageNumberPaginator  # noqa: E402


@dlt.resource(name="thing", primary_key="id", write_disposition="merge")
def things():
    """Every page of the API."""
    client = RESTClient(
        base_url=options["source"],
        paginator=PageNumberPaginator(base_page=1, total_path="pages"),
        data_selector="data",
    )
    yield from client.paginate("/things", params={"size": options["size"]})


pipeline = dlt.pipeline(
    pipeline_name=options["name"],
    pipelines_dir=options["home"],
    destination=dlt.destinations.postgres(options["database"]),
    dataset_name="loaded",
)


def cpu() -> float:
    """Seconds of CPU of this process and of its children that ended."""
    own, children = resource.getrusage(resource.RUSAGE_SELF), os.times()
    return own.ru_utime + own.ru_stime + children.children_user + children.children_system


def peak() -> int:
    """Bytes that were resident at most so far."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


for _ in sys.stdin:
    began, used = time.monotonic(), cpu()
    pipeline.run(things())
    counts = pipeline.last_trace.last_normalize_info.row_counts
    print(
        json.dumps(
            {
                "version": dlt.__version__,
                "rows": counts["thing"],
                "seconds": time.monotonic() - began,
                "cpu": cpu() - used,
                "peak": peak(),
            }
        ),
        flush=True,
    )

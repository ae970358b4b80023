"""A tap made with singer-sdk, piped into target-postgres, each a process, as Singer has it.

    python singer_pipeline.py '{"source": ..., "database": ..., "size": 100, "home": ...}'

Prints a line of JSON for each line on standard input: one run of the pipeline. With `--config` it
is the tap.
"""

import json
import os
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path


def tap():
    """The tap, by its own command line."""
    from singer_sdk import RESTStream, Tap
    from singer_sdk import typing as th
    from singer_sdk.pagination import BasePageNumberPaginator

    class Pages(BasePageNumberPaginator):
        """Numbered pages, as many as each answer says."""

        def has_more(self, response):
            return self.current_value < response.json()["pages"]

    class Things(RESTStream):
        """The one stream."""

        name = "thing"
        path = "/things"
        primary_keys = ("id",)
        records_jsonpath = "$.data[*]"
        schema = th.PropertiesList(
            th.Property("id", th.StringType, required=True),
            *(
                th.Property(name, th.StringType)
                for name in ("object", "name", "email", "phone", "currency", "description")
            ),
            th.Property(
                "address",
                th.ObjectType(
                    *(
                        th.Property(name, th.StringType)
                        for name in ("line1", "line2", "city", "state", "postal_code", "country")
                    )
                ),
            ),
            th.Property("balance", th.IntegerType),
            th.Property("created", th.IntegerType),
            th.Property("delinquent", th.BooleanType),
            th.Property("livemode", th.BooleanType),
            th.Property(
                "metadata",
                th.ObjectType(
                    th.Property("plan", th.StringType), th.Property("edition", th.StringType)
                ),
            ),
        ).to_dict()

        @property
        def url_base(self):
            return self.config["source"]

        def get_new_paginator(self):
            return Pages(1)

        def get_url_params(self, context, next_page_token):
            return {"size": self.config["size"], "page": next_page_token or 1}

    class Source(Tap):
        """The tap of the one stream."""

        name = "tap-things"
        config_jsonschema = th.PropertiesList(
            th.Property("source", th.StringType, required=True),
            th.Property("size", th.IntegerType, required=True),
        ).to_dict()

        def discover_streams(self):
            return [Things(self)]

    Source.cli()


def run(options):
    """One run of both; how many records are in the table after it."""
    import sqlalchemy

    home, here = Path(options["home"]), Path(sys.executable).parent
    url = options["database"].replace("postgresql://", "postgresql+psycopg://", 1)
    (home / "tap.json").write_text(
        json.dumps({"source": options["source"], "size": options["size"]})
    )
    (home / "target.json").write_text(
        json.dumps({"sqlalchemy_url": url, "default_target_schema": "loaded"})
    )
    with (home / "log").open("ab") as log:
        reading = subprocess.Popen(
            [sys.executable, __file__, "--config", str(home / "tap.json")],
            stdout=subprocess.PIPE,
            stderr=log,
        )
        writing = subprocess.run(
            [here / "target-postgres", "--config", str(home / "target.json")],
            stdin=reading.stdout,
            stdout=log,
            stderr=log,
            check=False,
        )
    if reading.wait() or writing.returncode:
        sys.exit((home / "log").read_text()[-2000:])
    engine = sqlalchemy.create_engine(url)
    with engine.connect() as connection:
        return connection.execute(sqlalchemy.text("SELECT count(*) FROM loaded.thing")).scalar()


def cpu():
    """Seconds of CPU of the processes that ended."""
    children = os.times()
    return children.children_user + children.children_system


def main():
    """Runs the pipeline for each line on standard input."""
    import resource

    options = json.loads(sys.argv[1])
    versions = f"{version('singer-sdk')}, target {version('meltanolabs-target-postgres')}"
    for _ in sys.stdin:
        began, used = time.monotonic(), cpu()
        rows = run(options)
        told = {
            "version": versions,
            "rows": rows,
            "seconds": time.monotonic() - began,
            "cpu": cpu() - used,
            "peak": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024,
        }
        print(json.dumps(told), flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "--config":
        tap()
    else:
        main()

"""What was pulled, as files."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from landbridge.store import ordering
from landbridge.store.database import Database
from tests.cli.conftest import Cli, Shop, connect, run


def number(cli: Cli) -> None:
    """What a worker does after each commit."""

    async def work() -> None:
        db = await Database.open(cli.environment["LANDBRIDGE_DATABASE_URL"])
        await ordering.sequence(db, limit=10_000)
        await db.close()

    asyncio.run(work())


def test_a_resource_becomes_a_file_and_later_what_changed(
    cli: Cli, shop: Shop, tmp_path: Path
) -> None:
    connection = connect(cli, shop)
    (pulled,) = cli.ok("pull", connection, "customer", "--json").json["resources"]
    number(cli)
    path = tmp_path / "customers.parquet"
    done = cli.ok(
        "export", connection, "customer", "--format", "parquet", "--to", str(path), "--json"
    ).json
    assert done["records"] == pulled["changed"]
    table = pq.read_table(path)
    assert table.num_rows == pulled["changed"]
    assert [each.name for each in tmp_path.iterdir()] == [path.name]

    key = table["_key"][0].as_py()
    run(shop, "PATCH", f"objects/customers/{key}", {"set": {"name": "Other"}})
    cli.ok("pull", connection, "customer")
    number(cli)
    lines = cli.ok("export", connection, "customer", "--since", str(done["next"]))
    (row,) = [json.loads(line) for line in lines.out.splitlines()]
    assert (row["_key"], row["name"]) == (key, "Other")
    assert "1 records; what changes from now on: --since" in lines.err

    path = tmp_path / "customers.arrow"
    cli.ok("export", connection, "customer", "--format", "arrow", "--to", str(path), "--raw")
    batches = pa.ipc.open_stream(path.read_bytes()).read_all()
    assert json.loads(batches["_raw"][0].as_py())["object"] == "customer"


def test_what_cannot_be_exported_leaves_no_file(cli: Cli, shop: Shop, tmp_path: Path) -> None:
    connection = connect(cli, shop)
    path = tmp_path / "out"
    wrong = cli("export", connection, "customer", "--format", "parqet", "--to", str(path))
    assert wrong.status == 1
    assert "Did you mean 'parquet'?" in wrong.err
    wrong = cli("export", connection, "custmer", "--to", str(path))
    assert "Did you mean 'customer'?" in wrong.err
    wrong = cli("export", connection, "event", "--since", "3", "--to", str(path))
    assert "kept raw" in wrong.err
    assert cli("export", connection, "customer", "--json").status == 2
    nowhere = cli("export", connection, "customer", "--to", str(tmp_path / "none" / "out"))
    assert nowhere.status == 2
    assert nowhere.err.endswith("none/out cannot be written (No such file or directory)\n")
    assert list(tmp_path.iterdir()) == []

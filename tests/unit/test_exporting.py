"""The columns of an export: each model's fields, with their types and values."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from io import BytesIO
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from msgspec.structs import fields

from landbridge.errors import InvalidInput, RecordError
from landbridge.exporting import FORMATS, columns_of, open_sink, row_of
from landbridge.models import KINDS, Address, Model, write_json
from landbridge.models.accounting import TaxComponent, TaxRate
from landbridge.models.calendar import Event, Moment
from landbridge.models.payments import Customer
from landbridge.spec import CustomField, Overlaid, Resource, map_from, read_only, text, via
from landbridge.store.records import Stored

AT = datetime(2026, 11, 27, 9, tzinfo=UTC)
ADA = Customer(
    id="cus_1",
    name="Ada",
    address=Address(city="Graz"),
    balance=-5,
    created_at=AT,
    extra={"tier": "gold", "seats": 4},
)


def resource(model: type[Model] | None) -> Resource:
    """A resource that is read as this model."""
    if model is None:
        return Resource(name="thing", path="/things", key="id")
    needed = {one.name: via(read=len, paths=["x"]) for one in fields(model) if one.required}
    return Resource(name="thing", path="/things", key="id", maps=map_from(model, **needed))


def stored(model: Model, **more: Any) -> Stored:
    values: dict[str, Any] = {
        "environment": "test", "tenant": "acme", "connection": "con_1", "resource": "thing",
        "key": model.id or "", "raw": b'{"a": 1}', "version": None, "scope": "",
        "kind": model.kind, "unified": write_json(model), "deleted_at": None, "changed_at": AT,
        "subject": None,
    }  # fmt: skip
    return Stored(**{**values, **more})


def written(format: str, *models: Model, raw: bool = False) -> bytes:
    columns = columns_of(resource(type(models[0])), raw=raw)
    target = BytesIO()
    sink = open_sink(format, target, columns)
    sink.write([row_of(columns, stored(model)) for model in models])
    sink.close(since=7)
    return target.getvalue()


@pytest.mark.parametrize("kind", KINDS)
def test_every_model_has_a_column_for_each_field(kind: str) -> None:
    columns = columns_of(resource(KINDS[kind]), raw=True)
    target = BytesIO()
    open_sink("parquet", target, columns).close(since=0)
    names = pq.read_schema(BytesIO(target.getvalue())).names
    names_of = [one.name for one in fields(KINDS[kind])]
    assert names == ["_connection", "_key", "_changed_at", "_deleted_at", *names_of, "_raw"]


def test_decimals_and_lists_of_parts_are_exact() -> None:
    parts = (TaxComponent(name="State", percentage=Decimal("6.250")),)
    rate = TaxRate(id="t", name="Sales", percentage=Decimal("0.000000000001"), components=parts)
    (row,) = pq.read_table(BytesIO(written("parquet", rate))).to_pylist()
    assert row["percentage"] == Decimal("0.000000000001")
    assert row["components"][0]["percentage"] == Decimal("6.25")
    assert row["active"] is True  # as it is where nothing else is stored
    with pytest.raises(RecordError, match=r"the records t to t do not fit their columns"):
        written("parquet", TaxRate(id="t", name="Sales", percentage=Decimal("1e-19")))


def test_rows_are_as_python_has_them() -> None:
    columns = columns_of(resource(Customer))
    row = row_of(columns, stored(ADA))
    assert (row["_connection"], row["_key"], row["_changed_at"]) == ("con_1", "cus_1", AT)
    assert row["_deleted_at"] is None
    assert row["created_at"] == AT
    assert row["address"]["city"] == "Graz"
    assert row["extra"] == {"tier": "gold", "seats": 4}
    assert "_raw" not in row
    assert row_of(columns_of(resource(None)), stored(ADA))["_raw"] == '{"a": 1}'


@pytest.mark.parametrize("format", ["parquet", "arrow"])
def test_tables_have_types(format: str) -> None:
    text = written(format, ADA)
    if format == "parquet":
        found = pq.read_table(BytesIO(text))
        assert pq.read_metadata(BytesIO(text)).metadata[b"landbridge.since"] == b"7"
    else:
        found = pa.ipc.open_stream(text).read_all()
    assert found.schema.field("balance").type == pa.int64()
    assert found.schema.field("created_at").type == pa.timestamp("us", tz="UTC")
    (row,) = found.to_pylist()
    assert (row["balance"], row["created_at"], row["address"]["city"]) == (-5, AT, "Graz")
    assert msgspec.json.decode(row["extra"]) == {"tier": "gold", "seats": 4}


def test_lines_are_json() -> None:
    one, two = written("ndjson", ADA, Customer(id="cus_2"), raw=True).splitlines()
    assert msgspec.json.decode(one)["address"]["city"] == "Graz"
    assert msgspec.json.decode(two)["_key"] == "cus_2"
    assert msgspec.json.decode(two)["_raw"] == '{"a": 1}'


def test_a_time_on_the_wall_gets_no_zone() -> None:
    event = Event(id="e", start=Moment(local=datetime(2026, 11, 27, 9), zone="Europe/Vienna"))  # noqa: DTZ001
    (row,) = pq.read_table(BytesIO(written("parquet", event))).to_pylist()
    assert row["start"] == {"day": None, "local": "2026-11-27T09:00:00", "zone": "Europe/Vienna"}
    day = Event(id="e", start=Moment(day=date(2026, 11, 27)))
    (row,) = pq.read_table(BytesIO(written("parquet", day))).to_pylist()
    assert row["start"]["day"] == date(2026, 11, 27)


def test_another_format_is_refused_with_the_nearest() -> None:
    with pytest.raises(InvalidInput, match="Did you mean 'parquet'"):
        open_sink("parqet", BytesIO(), columns_of(resource(TaxRate)))
    assert "parquet" in FORMATS


def test_a_custom_field_has_a_typed_column() -> None:
    own = [
        CustomField(name="tier", path="tier"),
        CustomField(name="seats", path="seats", word="integer"),
        CustomField(name="rate", path="rate", word="decimal"),
        CustomField(name="tags", path="tags", word="texts"),
        CustomField(name="since", path="since", word="unix"),
    ]
    maps = Overlaid(map_from(Customer, id=read_only(text("id"))), own)
    value = {"id": "1", "seats": 4, "rate": "1.50", "tags": ["a"], "since": 1_700_000_000}
    columns = columns_of(Resource(name="thing", path="/things", key="id", maps=maps))
    target = BytesIO()
    sink = open_sink("parquet", target, columns)
    sink.write([row_of(columns, stored(maps.read(value)))])
    sink.close(since=0)
    (row,) = pq.read_table(BytesIO(target.getvalue())).to_pylist()
    assert {name: row[f"extra__{name}"] for name in ("tier", "seats", "rate", "tags")} == {
        "tier": None,
        "seats": 4,
        "rate": Decimal("1.50"),
        "tags": ["a"],
    }
    assert row["extra__since"] == datetime.fromtimestamp(1_700_000_000, UTC)


@pytest.mark.parametrize(
    ("word", "value"), [("decimal", "much"), ("date", "2026"), ("integer", "7")]
)
def test_what_an_earlier_mapping_stored_is_named(word: str, value: str) -> None:
    own = [CustomField(name="own", path="own", word=word)]
    maps = Overlaid(map_from(Customer, id=read_only(text("id"))), own)
    columns = columns_of(Resource(name="thing", path="/things", key="id", maps=maps))

    def export() -> None:
        sink = open_sink("parquet", BytesIO(), columns)
        sink.write([row_of(columns, stored(Customer(id="cus_1", extra={"own": value})))])
        sink.close(since=0)

    with pytest.raises(RecordError, match="landbridge remap con_1"):
        export()

"""What an emit makes of its input: the payload's bytes, or a sentence that says what is wrong."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
import psycopg
import pydantic
import pytest

from landbridge import ids
from landbridge.clock import FakeClock
from landbridge.engine.emit import LIMIT, emit, prepare
from landbridge.errors import InvalidInput, PayloadTooLarge
from landbridge.models.payments import Customer
from landbridge.store.bind import bind

NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)


@dataclass
class Line:
    sku: str
    price: Any


class Order(pydantic.BaseModel):
    number: int
    at: datetime


class Node(msgspec.Struct):
    name: str
    inner: Any = None


def binds(data: object, event_type: str = "invoice.paid", **more: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {"environment": "test", "tenant": "acme", "clock": FakeClock(NOON)}
    event, _, made = prepare(event_type, data, **fields | more)
    assert made["id"] == event
    return made


def payload(data: object) -> bytes:
    rendered: bytes = binds(data)["payload"]
    return rendered


def test_the_payload_is_type_timestamp_and_data_with_sorted_keys() -> None:
    assert payload({"b": [1, None, True], "a": {"z": "ü", "y": 1.5}}) == (
        b'{"type":"invoice.paid","timestamp":"2026-07-01T12:00:00Z",'
        b'"data":{"a":{"y":1.5,"z":"\xc3\xbc"},"b":[1,null,true]}}'
    )


@pytest.mark.parametrize(
    ("data", "rendered"),
    [
        ({}, {}),
        ([], []),
        ([{"a": 1}, 2], [{"a": 1}, 2]),
        (Line(sku="x", price=Decimal("1.50")), {"sku": "x", "price": "1.50"}),
        (Order(number=1, at=NOON), {"number": 1, "at": "2026-07-01T12:00:00Z"}),
        (
            {"orders": [Order(number=2, at=NOON)]},
            {"orders": [{"number": 2, "at": "2026-07-01T12:00:00Z"}]},
        ),
        (Node(name="a", inner=[Node(name="b")]), None),
        ({"id": UUID(int=1)}, {"id": "00000000-0000-0000-0000-000000000001"}),
        ({"big": 2**80, "null": None, "NaN": "Infinity"}, None),
        ({"text": "\\u0000 is written out"}, None),
    ],
)
def test_what_can_be_said_in_json_is_rendered(data: object, rendered: object) -> None:
    read = json.loads(payload(data))["data"]
    expected = rendered if rendered is not None else json.loads(msgspec.json.encode(data))
    assert read == expected


def test_a_model_of_ours_is_rendered_with_its_fields() -> None:
    customer = Customer(id="cus_1", name="Ann")
    read = json.loads(payload(customer))["data"]
    assert (read["id"], read["name"]) == ("cus_1", "Ann")


def test_bytes_are_sent_as_they_are_under_their_content_type() -> None:
    made = binds(b"\x00\xff<xml/>", content_type="application/xml; charset=utf-8")
    assert made["payload"] == b"\x00\xff<xml/>"
    assert made["content_type"] == "application/xml; charset=utf-8"
    assert binds({})["content_type"] == "application/json"


def test_each_event_has_an_id_of_its_own() -> None:
    made = {binds({})["id"] for _ in range(100)}
    assert len(made) == 100
    assert all(ids.is_id(each, "evt") for each in made)


def _itself() -> dict[str, Any]:
    loop: dict[str, Any] = {}
    loop["again"] = [loop]
    return loop


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"lines": [{"price": 1}, {"price": float("nan")}]}, r"data\.lines\[1\]\.price: nan is no"),
        ({"a": float("-inf")}, r"data\.a: -inf is no number"),
        ({"a": Decimal("NaN")}, r"data\.a: NaN is no number"),
        (Line(sku="x", price=object()), r"data\.price: object has no form in JSON"),
        ({"a": [Node(name="n", inner={"f": len})]}, r"data\.a\[0\]\.inner\.f: builtin_function"),
        ({"a": ["x\x00"]}, r"data\.a\[0\]: it holds a NUL"),
        ({"a\x00": 1}, r"data: a key of it: it holds a NUL"),
        ({"a": {"b": "\ud800"}}, r"data\.a\.b: it holds half of a surrogate pair"),
        ({"a": {1: 2}}, r"data\.a: a key of it is int, text is needed"),
        ({"a": 1j}, r"data\.a: complex has no form"),
        (_itself(), "nested too deep, or it holds itself"),
        ("text", "data: it is str; give a dict"),
        (7, "data: it is int"),
        (None, "data: it is NoneType"),
        (Line, "data: it is type"),
        (b"bytes", "content_type: bytes need one"),
    ],
)
def test_data_that_cannot_be_said_truly_is_refused_by_its_path(data: object, said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        binds(data)


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("event_type", "", "type: ''"),
        ("event_type", "Invoice.Paid", "such as invoice.paid"),
        ("event_type", "invoice..paid", "type:"),
        ("event_type", "invoice.paid\n", "type:"),
        ("event_type", "invoice.*", "type:"),
        ("event_type", "a" * 256, "type:"),
        ("environment", "Live", "environment: 'Live'"),
        ("environment", "", "environment:"),
        ("tenant", "", "tenant: it is empty"),
        ("tenant", "a\x00b", "tenant: it holds a NUL"),
        ("tenant", "\udc80", "tenant: it holds half of a surrogate"),
        ("tenant", "ü" * 128, "tenant: its 256 bytes are more than 255"),
        ("idempotency_key", "k" * 256, "idempotency_key: its 256 bytes"),
        ("idempotency_key", "\x00", "idempotency_key: it holds a NUL"),
        ("ordering_key", 7, "ordering_key: it is int, text is needed"),
        ("subject", "\x00", "subject:"),
        ("schema_version", 0, "schema_version: 0"),
        ("schema_version", 2**31, "schema_version:"),
        ("content_type", "text/plain", "content_type: it goes with bytes"),
    ],
)
def test_a_wrong_field_is_named(field: str, value: Any, said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        binds({}, **{field: value})


@pytest.mark.parametrize("wrong", ["", "text", "text/plain\r\nX: y", "a/b; c", "text/plain\n"])
def test_a_content_type_that_is_none_is_refused(wrong: str) -> None:
    with pytest.raises(InvalidInput, match="content_type:"):
        binds(b"x", content_type=wrong)


def test_keys_may_be_as_long_as_a_column_takes() -> None:
    assert binds({}, tenant="ü" * 127)["tenant"] == "ü" * 127
    assert binds({}, idempotency_key="k" * 255)["idempotency_key"] == "k" * 255


def test_a_payload_at_the_cap_passes_and_one_above_tells_both_sizes() -> None:
    frame = len(payload({"x": ""}))
    assert len(payload({"x": "y" * (LIMIT - frame)})) == LIMIT == 262_144
    with pytest.raises(
        PayloadTooLarge, match=r"invoice\.paid comes to 262145 bytes, 262144 are"
    ) as e:
        payload({"x": "y" * (LIMIT - frame + 1)})
    assert (e.value.size, e.value.limit) == (LIMIT + 1, LIMIT)
    with pytest.raises(PayloadTooLarge):
        binds(b"12345", content_type="text/plain", limit=4)


def test_no_error_repeats_the_data() -> None:
    with pytest.raises(InvalidInput) as caught:
        binds({"card": "4242-canary", "bad": object()})
    assert "canary" not in str(caught.value)


def test_a_wrong_emit_runs_nothing(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        bound = bind(connection, "landbridge")
        with pytest.raises(InvalidInput):
            emit(bound, "Wrong", {}, environment="test", tenant="acme")
        emit(bound, "right", {}, environment="test", tenant="acme")
        count = connection.execute("SELECT count(*) FROM landbridge.emitted").fetchone()
        assert count == (1,)

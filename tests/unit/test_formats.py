from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from landbridge.errors import InvalidInput, RecordError
from landbridge.formats import codec, form
from landbridge.formats.canonical import canonical, digest
from landbridge.spec import Format

leaf = st.text(max_size=8) | st.integers() | st.booleans()
nested = st.recursive(
    leaf,
    lambda inner: (
        st.lists(inner, min_size=1, max_size=3)
        | st.dictionaries(
            st.text("abc dé&=%+", min_size=1, max_size=4), inner, min_size=1, max_size=3
        )
    ),
    max_leaves=8,
)


def as_sent(value: Any) -> Any:
    """What is left of a value when a form has carried it: texts."""
    if isinstance(value, dict):
        return {key: as_sent(item) for key, item in value.items()}
    if isinstance(value, list):
        return [as_sent(item) for item in value]
    return str(value).lower() if isinstance(value, bool) else str(value)


@settings(max_examples=50)
@given(st.dictionaries(st.sampled_from(["metadata", "items", "a b"]), nested, min_size=1))
def test_a_form_carries_nested_values(value: dict[str, Any]) -> None:
    assert form.decode(form.encode(value)) == as_sent(value)


def test_nothing_clears_a_field_and_decimals_have_no_exponent() -> None:
    assert (
        form.encode({"name": None, "n": Decimal("1E+3"), "list": [], "of": {}}) == b"name=&n=1000"
    )
    with pytest.raises(
        InvalidInput, match=r"a\[b\]: a form cannot hold bytes; give text or a numb"
    ):
        form.encode({"a": {"b": b"x"}})
    with pytest.raises(InvalidInput, match=r"'b\[c\]': a form cannot carry a name with brackets"):
        form.encode({"a": {"b[c]": "x"}})


def test_forms_from_outside_are_read_with_care() -> None:
    assert form.decode(b"a[]=1&a[]=2&b[1]=x&c[0]=y") == {
        "a": ["1", "2"],
        "b": {"1": "x"},
        "c": ["y"],
    }
    assert form.decode("") == {}
    for wrong in (b"a=1&a[b]=2", b"a[b]=2&a=1", b"a" + b"[x]" * 30 + b"=1", b"x=1&" * 10_001):
        with pytest.raises(InvalidInput, match="the form"):
            form.decode(wrong)


def test_json_numbers_stay_exact() -> None:
    json = codec(Format.JSON)
    value = json.parse(b'{"price": 0.1000, "big": 123456789012345678901234567890, "n": 7}')
    assert value == {"price": Decimal("0.1000"), "big": 123456789012345678901234567890, "n": 7}
    assert str(value["price"]) == "0.1000"
    assert json.render({"b": Decimal("0.10"), "a": None}, None) == (
        "application/json",
        b'{"a":null,"b":0.10}',
    )
    deep, endless = b"[" * 100_000, b"1e99999999999999999999"
    for wrong in (b"", b"{", b"\xff", b"<html>", deep, endless):
        with pytest.raises(RecordError, match="not JSON"):
            json.parse(wrong)


def test_a_form_goes_out_and_json_comes_back() -> None:
    both = codec(Format.FORM)
    assert both.render({"a": {"b": True}}, b"{}") == (form.CONTENT_TYPE, b"a[b]=true")
    assert both.parse(b'{"a": 1}') == {"a": 1}


def test_a_calendar_object_is_its_event_and_where_it_was_found() -> None:
    text = (
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\nBEGIN:VEVENT\r\nUID:u1\r\n"
        "DTSTAMP:20260101T000000Z\r\nDTSTART;VALUE=DATE:20260131\r\nSUMMARY:Tea\r\nX-A:1\r\n"
        "END:VEVENT\r\nEND:VCALENDAR\r\n"
    )
    raw = canonical({"href": "/c/u1.ics", "etag": '"1"', "calendar": "/c/", "data": text})
    ical = codec(Format.ICALENDAR)
    value = ical.parse(raw)
    assert (value["href"], value["SUMMARY"], value["DTSTART"]) == ("/c/u1.ics", "Tea", "2026-01-31")
    content_type, body = ical.render({"SUMMARY": "Coffee"}, raw)
    assert content_type.startswith("text/calendar")
    assert body.decode().replace("Coffee", "Tea") == text
    assert b"SUMMARY:New" in ical.render({"SUMMARY": "New", "DTSTART": "2026-02-01"}, None)[1]
    with pytest.raises(RecordError, match="a calendar object without its text"):
        ical.parse(b'{"href": "/c/u1.ics"}')


@settings(max_examples=30)
@given(st.dictionaries(st.text(max_size=5), nested, max_size=4))
def test_equal_values_have_equal_digests(value: dict[str, Any]) -> None:
    turned = dict(reversed(value.items()))
    assert canonical(value) == canonical(turned)
    assert digest(value) == digest(turned)
    assert digest(value | {"": [value]}) != digest(value)


def test_a_digest_is_sixteen_bytes_and_sees_every_digit() -> None:
    assert len(digest(None)) == 16
    assert digest({"a": Decimal("1.0")}) != digest({"a": Decimal("1.00")})
    assert canonical({"b": Decimal("1.50"), "a": [True, None]}) == b'{"a":[true,null],"b":1.50}'

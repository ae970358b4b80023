"""What is taken out of a record's text before it is parsed is what parsing would find there."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from landbridge.errors import RecordError
from landbridge.protocols._looks import look_at
from landbridge.spec import AfterLast, Resource, find


def listed(**facts: Any) -> Resource:
    """A resource with these facts."""
    return Resource(
        name="thing",
        path="/things",
        page=AfterLast(param="after", more="more"),
        **{"key": "id", "records": "data", **facts},
    )


NAMES = ("id", "a", "b")
DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(NAMES), inner),
    max_leaves=8,
)
RESOURCES = [
    listed(),
    listed(key="a.id"),
    listed(key="a.b.id", version="a.b.a", deleted="b"),
    listed(key="{a.id}/{b}", only={"a.b": ["x"]}),
    listed(key="a", version="a.b"),
]


@given(document=DOCUMENTS, resource=st.sampled_from(RESOURCES))
def test_it_is_what_parsing_finds(document: Any, resource: Resource) -> None:
    seen = look_at(resource)(json.dumps(document).encode())
    assert seen
    for path, found in seen.items():
        assert (type(found), found) == (type(find(document, path)), find(document, path))


@pytest.mark.parametrize("raw", [b"", b"{", b"[" * 100_000, b"<html>"])
def test_a_text_that_is_not_json_is_said_to_be_none(raw: bytes) -> None:
    with pytest.raises(RecordError, match="not JSON"):
        look_at(listed())(raw)

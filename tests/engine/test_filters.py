"""Python and Postgres give the same answer to every filter and body."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import asyncpg
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from landbridge.engine import filters
from landbridge.store.embedded import Attached
from tests.store.databases import fresh_database, migrated_template


class Asked:
    """`lb.passes`, from a test that is not async."""

    def __init__(self, runner: asyncio.Runner, connection: asyncpg.Connection):
        self._runner = runner
        self._connection = connection

    def __call__(self, column: str, body: bytes) -> bool:
        asking = self._connection.fetchval("SELECT landbridge.passes($1, $2::jsonb)", body, column)
        passed: bool = self._runner.run(asking)
        return passed

    def path(self, column: str, body: str) -> Any:
        """What the jsonpath alone gives; an error is raised, not passed over."""
        return self._runner.run(
            self._connection.fetchval(
                "SELECT jsonb_path_match($1::jsonb, ($2::jsonb->>'path')::jsonpath)", body, column
            )
        )


@pytest.fixture(scope="module")
def asked(postgres: Attached) -> Iterator[Asked]:
    with (
        fresh_database(postgres.dsn, migrated_template(postgres.dsn)) as url,
        asyncio.Runner() as runner,
    ):
        connection = runner.run(asyncpg.connect(url))
        yield Asked(runner, connection)
        runner.run(connection.close())


# Few keys and values, so that they often meet; among them the ones that are hard to quote.
KEYS = st.sampled_from(
    ["a", "b", "a.b", 'say "x"', "back\\slash", "ü\U0001f600", "", "$", "\x7f\n"]
)
TEXTS = st.sampled_from(
    ["", "a", "ab", "b", 'x" || @ == "y', "\\", "ü\U0001f600", "\uffee", "\x1f'"]
)
NUMBERS = st.one_of(
    st.sampled_from([0, -0.0, 1, -1, 0.1, 1e-7, 1e22, 10**40, -(10**19), 1.5, 2**53 + 1]),
    st.integers(-(10**20), 10**20),
    st.floats(allow_nan=False, allow_infinity=False, min_value=-1e30, max_value=1e30),
)
SCALARS = st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS)
BODIES = st.recursive(
    SCALARS,
    lambda each: st.one_of(st.lists(each, max_size=3), st.dictionaries(KEYS, each, max_size=4)),
    max_leaves=12,
)
COMPARED = st.one_of(NUMBERS, TEXTS)
TESTS = st.fixed_dictionaries(
    {},
    optional={
        "eq": SCALARS,
        "ne": SCALARS,
        "in": st.lists(SCALARS, min_size=1, max_size=3),
        "not_in": st.lists(SCALARS, min_size=1, max_size=3),
        "gt": COMPARED,
        "gte": COMPARED,
        "lt": COMPARED,
        "lte": COMPARED,
        "exists": st.booleans(),
        "prefix": TEXTS.filter(bool),
    },
).filter(bool)
PATHS = st.lists(KEYS, min_size=1, max_size=3).map(lambda keys: ".".join(map(json.dumps, keys)))
CONDITIONS = st.one_of(SCALARS, st.lists(SCALARS, min_size=1, max_size=3), TESTS)


def _groups(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    several = st.lists(inner, min_size=1, max_size=3)
    return st.one_of(
        st.builds(lambda each: {"any": each}, several),
        st.builds(lambda each: {"all": each}, several),
        st.builds(lambda each: {"not": each}, inner),
        st.builds(lambda path, test, each: {path: test, "not": each}, PATHS, CONDITIONS, inner),
    )


SOURCES = st.recursive(
    st.dictionaries(PATHS, CONDITIONS, min_size=1, max_size=3), _groups, max_leaves=5
)


@settings(max_examples=400)
@given(source=SOURCES, body=BODIES)
@example(source={"a": {"gte": 10, "lt": 20}}, body={"a": [[5, 25]]})
@example(source={"a": "x"}, body={"a": [[["x"]]]})
@example(source={"a": None}, body={"a": [[]]})
@example(source={"a": {"gt": "\uffee"}}, body={"a": "\U0001f600"})
@example(source={"a": 10**308}, body={"a": 10**308})
@example(source={"a": 5e-324}, body={"a": 5e-324})
def test_python_and_postgres_agree(source: Any, body: Any, asked: Asked) -> None:
    column = filters.compiled(source)
    text = json.dumps(body)
    expected = filters.passes(source, text.encode())
    assert asked.path(column, text) is expected
    assert asked(column, text.encode()) is expected


@settings(max_examples=300)
@given(
    st.one_of(
        st.binary(max_size=20),
        st.text(max_size=20).map(str.encode),
        BODIES.map(lambda each: json.dumps({"a": each}, ensure_ascii=False).encode()[:-1] + b"}"),
    )
)
@example(b'{"a": 1')
@example(b'{"a": "\\u0000"}')
@example(b'{"b": "\\ud800", "a": 2}')
@example(b'{"a": "\\ud83d\\ude00"}')
@example(b'{"a": 1e131072}')
@example(b'{"a": 1e131071}')
@example(b'{"a": 1e-20000}')
@example(b'{"a": NaN}')
@example(b'{"a": Infinity}')
@example(b'\xef\xbb\xbf{"a": 2}')
@example(b' {"a": 2, "a": 1}\n')
@example(b'{"\\u0000": 1, "a": 2}')
@example(b'{"a": "\x01"}')
@example(b'{"a": 01}')
@example(b"2")
@example(b"")
@example(b'{"a": 2, "data": {"$ref": "https://x.example/", "sha256": ""}}')
@example(b'{"a": 2, "data": {"$ref": "https://x.example/"}}')
@example(b'{"a": 2, "data": ["$ref", "sha256"]}')
@example(b'{"a": 2, "data": "$ref"}')
@example(b'[{"data": {"$ref": 1, "sha256": 2}}]')
def test_they_agree_on_what_cannot_be_asked(asked: Asked, body: bytes) -> None:
    column = filters.compiled({"a": 1})
    assert asked(column, body) is filters.passes({"a": 1}, body)


def test_a_body_that_is_fetched_by_its_address_passes(asked: Asked) -> None:
    column = filters.compiled({"data.total": 1})
    assert asked(column, b'{"data": {"$ref": "https://x.example/", "sha256": "0"}}') is True
    assert asked(column, b'{"data": {"$ref": "https://x.example/"}}') is False


def test_a_wrong_path_would_be_noticed(asked: Asked) -> None:
    column = filters.compiled({"a": 1})
    assert asked(column, b'{"a": 2}') is False
    assert asked('{"path": "$.a == "}', b'{"a": 2}') is True
    with pytest.raises(asyncpg.PostgresError):
        asked.path('{"path": "$.a == "}', '{"a": 2}')

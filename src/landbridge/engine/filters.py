"""Filters on what an event's body holds: a small language in JSON, asked of Postgres at fan-out.

    {"data.amount": {"gte": 1000}, "data.status": ["paid", "open"], "data.memo": {"exists": false},
     "any": [{"data.country": "NL"}, {"data.number": {"prefix": "A"}}], "not": {"data.test": true}}

Each entry is a condition, and all must hold. A place is a path of keys with dots between; a key
that holds a dot or is empty is written as a JSON string within it: `data."a.b".c`. Where an array
is met on the way, each of its elements is asked, and one that fits is enough. At a place stands a
value that has to be there, a list of which one has to be, or comparisons that one value there has
to pass together. `ne` and `not_in` hold where no value fits, also where there is none.

It is compiled into one jsonpath predicate (PostgreSQL documentation, 9.16.2), for `lb.passes`.
`passes` here says the same without a database. A body that cannot be asked (no JSON, what jsonb
does not take, or one that is fetched by its address) passes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from landbridge.engine._filter_asking import Unaskable, holds, read_body
from landbridge.engine._filter_nodes import ORDERS, All, At, Node, Not, Scalar, Some
from landbridge.engine._filter_reading import MOST_BYTES, Reader, loaded, plain
from landbridge.errors import InvalidInput


def parsed(source: Mapping[str, Any] | str) -> tuple[dict[str, Any], Node]:
    """The filter as JSON values, and what it means; `source` may be its JSON text.

    InvalidInput names the place in the filter and what is wrong there.
    """
    given = loaded(source) if isinstance(source, str) else source
    reader = Reader()
    node = reader.group(given, "filter", 1)
    values: dict[str, Any] = plain(given)
    size = len(json.dumps(values, ensure_ascii=False).encode())
    if size > MOST_BYTES:
        raise InvalidInput(f"filter: its {size} bytes are more than {MOST_BYTES}; make it shorter")
    return values, node


def compiled(source: Mapping[str, Any] | str) -> str:
    """What the column `filter` holds: JSON of the source and of its jsonpath."""
    values, node = parsed(source)
    return json.dumps({"source": values, "path": jsonpath(node)})


def source_of(column: str) -> dict[str, Any]:
    """The filter as it was given, from what the column holds."""
    source: dict[str, Any] = json.loads(column)["source"]
    return source


def passes(source: Mapping[str, Any] | str, body: bytes) -> bool:
    """Whether an event with this body passes; the same answer as `lb.passes` gives at fan-out.

    A body nested deeper than Python reads JSON (about 1,000 levels) counts as one that cannot be
    asked, and passes.
    """
    _, node = parsed(source)
    try:
        return holds(node, read_body(body))
    except Unaskable:
        return True


# The jsonpath


def jsonpath(node: Node) -> str:
    """The predicate; true or false for every body, never unknown."""
    match node:
        case At(path=path, tests=tests):
            place = "$" + "".join(f".{json.dumps(key)}" for key in path)
            wanted = " && ".join(f"({_test(word, values)})" for word, values in tests)
            return f"exists({place} ? ({wanted}))" if wanted else f"exists({place})"
        case All(parts=parts):
            return " && ".join(f"({jsonpath(each)})" for each in parts)
        case Some(parts=parts):
            return " || ".join(f"({jsonpath(each)})" for each in parts)
        case Not(part=part):
            return f"!({jsonpath(part)})"


def _test(word: str, values: Sequence[Scalar]) -> str:
    sign = {"in": "==", "prefix": "starts with"}.get(word) or ORDERS[word]
    return " || ".join(f"@ {sign} {json.dumps(each)}" for each in values)

"""Nested values as a form (application/x-www-form-urlencoded), in the way of PHP and Rails.

`{"metadata": {"order": 7}, "items": [{"price": "p"}]}` is `metadata[order]=7&items[0][price]=p`.
"""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl, quote_plus

from landbridge.errors import InvalidInput

CONTENT_TYPE = "application/x-www-form-urlencoded"
_MOST_KEYS = 10_000
_DEEPEST = 20


def encode(value: Mapping[str, Any]) -> bytes:
    """The form of nested values: True is `true`, None is empty (which clears a field).

    Empty objects and lists leave no trace. A name with brackets, or a value that is no JSON value,
    is `InvalidInput`.
    """
    return "&".join(f"{key}={quote_plus(text)}" for key, text in _pairs(value)).encode()


def decode(body: bytes | str) -> dict[str, Any]:
    """The nested values of a form, every leaf as text; keys that count from 0 make a list.

    A form whose keys contradict each other (`a=1&a[b]=2`), or that nests deeper than 20 keys or
    holds more than 10,000, is `InvalidInput`.
    """
    text = body.decode("utf-8", "replace") if isinstance(body, bytes) else body
    found: dict[str, Any] = {}
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=_MOST_KEYS)
    except ValueError:
        raise InvalidInput(f"the form holds more than {_MOST_KEYS} fields") from None
    for key, value in pairs:
        _place(found, _keys(key), value)
    return {key: _listed(value) for key, value in found.items()}


def _pairs(value: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for key, item in value.items():
        yield from _leaves(item, _name(key))


def _leaves(value: Any, key: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield from _leaves(item, f"{key}[{_name(name)}]")
    elif isinstance(value, list | tuple):
        for position, item in enumerate(value):
            yield from _leaves(item, f"{key}[{position}]")
    else:
        yield key, _text(value, key)


def _name(name: Any) -> str:
    text = str(name)
    if "[" in text or "]" in text:
        raise InvalidInput(f"{text[:40]!r}: a form cannot carry a name with brackets; rename it")
    return quote_plus(text)


def _text(value: Any, key: str) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, str | int):
        return str(value)
    raise InvalidInput(f"{key}: a form cannot hold {type(value).__name__}; give text or a number")


def _keys(key: str) -> list[str]:
    """`a[b][0]` as a, b, 0."""
    head, *rest = key.replace("]", "").split("[")
    keys = [head, *rest]
    if len(keys) > _DEEPEST:
        raise InvalidInput(f"the form nests deeper than {_DEEPEST} keys at {head}")
    return keys


def _place(found: dict[str, Any], keys: list[str], value: str) -> None:
    *way, last = keys
    here: Any = found
    for key in way:
        here = here.setdefault(key, {})
        if not isinstance(here, dict):
            raise InvalidInput(f"the form gives {key} both a value and fields of its own")
    name = str(len(here)) if last == "" and way else last
    if isinstance(here.get(name), dict):
        raise InvalidInput(f"the form gives {name} both a value and fields of its own")
    here[name] = value


def _listed(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    inner = {key: _listed(item) for key, item in value.items()}
    if inner and list(inner) == [str(position) for position in range(len(inner))]:
        return list(inner.values())
    return inner

"""Models to JSON and back."""

from collections.abc import Iterator, Mapping
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin

import msgspec

from landbridge.errors import InvalidInput, did_you_mean
from landbridge.models.base import Model

M = TypeVar("M", bound=Model)


def write_json(model: Model) -> dict[str, Any]:
    """The model as JSON values, keys sorted, fields at their default left out.

    Decimals are strings and keep the digits they came with, dates and instants are ISO 8601.
    """
    plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(model, order="sorted"))
    return plain


def read_json(model: type[M], value: Mapping[str, Any] | bytes | str) -> M:
    """The model that JSON values or text describe; the other way round of `write_json`.

    An unknown field, a missing one or one of the wrong shape: `InvalidInput` names it.
    """
    if isinstance(value, bytes | str):
        try:
            value = msgspec.json.decode(value)
        except msgspec.DecodeError as error:
            raise InvalidInput(f"{model.kind}: not JSON ({error})") from None
    if not isinstance(value, Mapping):
        raise InvalidInput(f"{model.kind}: expected a JSON object, found {_shape(value)}")
    try:
        return msgspec.convert(dict(value), model)
    except msgspec.ValidationError as error:
        for path, name, names in _unknown(value, model, model.kind):
            raise InvalidInput(
                f"{path} has no field {name!r}.{did_you_mean(name, names)}"
            ) from None
        raise InvalidInput(f"{model.kind}: {_sentence(str(error))}") from None


def checked(model: M) -> M:
    """The model with each of its fields of its type: a date that was given as text is read.

    A field that holds something else: `InvalidInput` names it. Nothing checks a model that is made
    in a program before.
    """
    if not isinstance(model, Model):
        raise InvalidInput(f"document: expected a model such as Invoice, found {_shape(model)}")
    try:
        plain = write_json(model)
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"{model.kind}: {error}") from None
    return read_json(type(model), plain)


def _unknown(value: object, expected: Any, path: str) -> Iterator[tuple[str, str, list[str]]]:
    """Every field in `value` that its model does not have: where, which, and what it has."""
    origin = get_origin(expected)
    if origin in (Union, UnionType):
        for option in get_args(expected):
            yield from _unknown(value, option, path)
    elif origin is tuple and isinstance(value, list):
        for position, item in enumerate(value):
            yield from _unknown(item, get_args(expected)[0], f"{path}[{position}]")
    elif isinstance(expected, type) and issubclass(expected, msgspec.Struct):
        if not isinstance(value, Mapping):
            return
        types = {field.name: field.type for field in msgspec.structs.fields(expected)}
        for name, item in value.items():
            if name in types:
                yield from _unknown(item, types[name], f"{path}.{name}")
            else:
                yield path, str(name), list(types)


def _sentence(text: str) -> str:
    """The library's message with our way of naming a path: `lines[0].amount: Expected ...`."""
    problem, _, path = text.partition(" - at `$")
    path = path.rstrip("`").lstrip(".")
    return f"{path}: {problem}" if path else problem


def _shape(value: object) -> str:
    return {list: "a list", str: "text", type(None): "null"}.get(type(value), "a single value")

"""Models to JSON and back."""

from collections.abc import Iterator, Mapping
from enum import Enum
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
        told = _mistake(value, model) or f"{model.kind}: {_sentence(str(error))}"
        raise InvalidInput(told) from None


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


def _places(value: object, expected: Any, path: str) -> Iterator[tuple[str, Any, type]]:
    """Every place in `value` that its model knows: where, what is there, and of which type."""
    origin = get_origin(expected)
    if origin in (Union, UnionType):
        for option in get_args(expected):
            yield from _places(value, option, path)
    elif origin is tuple and isinstance(value, list):
        for position, item in enumerate(value):
            yield from _places(item, get_args(expected)[0], f"{path}[{position}]")
    elif isinstance(expected, type):
        yield path, value, expected
        if issubclass(expected, msgspec.Struct) and isinstance(value, Mapping):
            for field in msgspec.structs.fields(expected):
                if field.name in value:
                    yield from _places(value[field.name], field.type, f"{path}.{field.name}")


def _mistake(value: object, model: type[Model]) -> str | None:
    """The field that a model does not have, or the word that is none of its field's."""
    for path, there, kind in _places(value, model, model.kind):
        if issubclass(kind, msgspec.Struct) and isinstance(there, Mapping):
            for name in there:
                if name not in kind.__struct_fields__:
                    near = did_you_mean(str(name), kind.__struct_fields__)
                    return f"{path} has no field {str(name)!r}.{near}"
        if issubclass(kind, Enum) and isinstance(there, str):
            words = [str(one.value) for one in kind]
            if there not in words:
                field = path.removeprefix(f"{model.kind}.")
                return f"{model.kind}: {field}: {there!r} is none of {', '.join(words)}"
    return None


def _sentence(text: str) -> str:
    """The library's message with our way of naming a path: `lines[0].amount: Expected ...`."""
    problem, _, path = text.partition(" - at `$")
    path = path.rstrip("`").lstrip(".")
    return f"{path}: {problem}" if path else problem


def _shape(value: object) -> str:
    return {list: "a list", str: "text", type(None): "null"}.get(type(value), "a single value")

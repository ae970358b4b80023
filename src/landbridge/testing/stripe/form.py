"""Reads Stripe's nested form encoding: `a[b][0]=c`, `a[]=c`, and typed values by the vendor's spec.

Decoding gives strings, dicts and lists; `typed` turns them into numbers and booleans by the shapes
in vendor.json and refuses what the vendor refuses. An empty string unsets a value: it reads None.
"""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from typing import Any
from urllib.parse import parse_qsl

from landbridge.testing.stripe.problems import Problem, missing, unknown

Shape = dict[str, Any]
_NAME = re.compile(r"([^\[\]]+)((?:\[[^\[\]]*\])*)")


def decoded(text: str) -> dict[str, Any]:
    """The nested parameters of a query or a form body; lists stay dicts with numbers as keys."""
    out: dict[str, Any] = {}
    try:
        pairs = parse_qsl(text, keep_blank_values=True, errors="strict")
    except UnicodeDecodeError:
        raise Problem("Invalid request: the parameters are not UTF-8.") from None
    for name, value in pairs:
        match = _NAME.fullmatch(name)
        if match is None:
            raise Problem(f"Invalid parameter name: {name}", param=name)
        _put(out, [match[1], *re.findall(r"\[([^\[\]]*)\]", match[2])], value, name)
    return out


def _put(out: dict[str, Any], path: list[str], value: str, name: str) -> None:
    here = out
    for step in path[:-1]:
        below = here.setdefault(_place(here, step), {})
        if not isinstance(below, dict):
            raise Problem("Invalid object", param=name)
        here = below
    last = _place(here, path[-1])
    if isinstance(here.get(last), dict):
        raise Problem("Invalid object", param=name)
    here[last] = value


def _place(here: dict[str, Any], step: str) -> str:
    return step or str(len(here))


def typed(shape: Shape, params: dict[str, Any]) -> dict[str, Any]:
    """The parameters of one operation as Python values; raises the vendor's own refusals."""
    read = _object(shape, params, "")
    assert isinstance(read, dict)
    return read


def _value(shape: Shape, value: Any, name: str) -> Any:
    if "anyOf" in shape:
        return _any_of(shape["anyOf"], value, name)
    match shape.get("type"):
        case "object":
            return _object(shape, value, name)
        case "array":
            return _array(shape, value, name)
        case "string":
            return _string(shape, value, name)
        case scalar:
            return _scalar(scalar, value, name)


def _any_of(shapes: list[Shape], value: Any, name: str) -> Any:
    """The alternative of the value's own form; a string tries every scalar one."""
    if value == "" and any(each.get("enum") == [""] for each in shapes):
        return None
    form = {"object"} if isinstance(value, dict) else {"string", "integer", "number", "boolean"}
    if isinstance(value, dict) and all(key.isdigit() for key in value):
        form.add("array")
    fitting = [each for each in shapes if each["type"] in form and each.get("enum") != [""]]
    refusal = Problem(f"Invalid {name}", param=name)
    for each in fitting:
        try:
            return _value(each, value, name)
        except Problem as problem:
            refusal = problem
    raise refusal


def _object(shape: Shape, value: Any, name: str) -> Any:
    if not isinstance(value, dict):
        if value == "":
            return None
        raise Problem("Invalid object", param=name)
    if "values" in shape:
        return _metadata(shape["values"], value, name)
    properties = shape.get("properties", {})
    strangers = [_joined(name, key) for key in value if key not in properties]
    if strangers:
        raise unknown(strangers)
    for required in shape.get("required", []):
        if value.get(required, "") == "":
            raise missing(_joined(name, required))
    return {key: _value(properties[key], each, _joined(name, key)) for key, each in value.items()}


def _metadata(shape: Shape, value: dict[str, Any], name: str) -> dict[str, Any]:
    for key, each in value.items():
        if not isinstance(each, str):
            raise Problem("Metadata values must be strings", param=_joined(name, key))
        if len(key) > 40 or len(each) > 500:
            message = "Metadata keys can have up to 40 characters and values up to 500 characters."
            raise Problem(message, param=_joined(name, key))
    if len(value) > 50:
        raise Problem("Metadata can have up to 50 keys.", param=name)
    if shape.get("type") == "string":
        return dict(value)
    return {key: _value(shape, each, _joined(name, key)) for key, each in value.items()}


def _array(shape: Shape, value: Any, name: str) -> list[Any] | None:
    if value == "":
        return None
    if not isinstance(value, dict) or not all(key.isdigit() for key in value):
        raise Problem("Invalid array", param=name)
    ordered = [value[key] for key in sorted(value, key=int)]
    return [_value(shape["items"], each, f"{name}[{index}]") for index, each in enumerate(ordered)]


def _string(shape: Shape, value: Any, name: str) -> str | None:
    if not isinstance(value, str):
        raise Problem(f"Invalid string: {value}", param=name)
    if value == "" and "enum" not in shape:
        return None
    if "enum" in shape and value not in shape["enum"]:
        choices = " or ".join(each for each in shape["enum"] if each)
        raise Problem(f"Invalid {name}: must be one of {choices}", param=name)
    limit = shape.get("maxLength", 5000)
    if len(value) > limit:
        message = f"Invalid string: {value[:10]}...; must be at most {limit} characters"
        raise Problem(message, param=name)
    if shape.get("format") == "decimal":
        return _decimal(value, name)
    return _currency(value, name) if shape.get("format") == "currency" else value


def _currency(value: str, name: str) -> str:
    if not re.fullmatch(r"[A-Za-z]{3}", value):
        raise Problem(f"Invalid currency: {value}.", param=name)
    return value.lower()


def _decimal(value: str, name: str) -> str:
    try:
        number = Decimal(value)
    except InvalidOperation:
        raise Problem(f"Invalid decimal: {value}", param=name) from None
    if -int(number.as_tuple().exponent) > 12:
        raise Problem("Invalid decimal: at most 12 decimal places", param=name)
    return value


def _scalar(kind: Any, value: Any, name: str) -> Any:
    if value == "":
        message = (
            f"You passed an empty string for '{name}'. We assume empty values are an attempt to"
            f" unset a parameter; however '{name}' cannot be unset. You should remove '{name}'"
            " from your request or supply a non-empty value."
        )
        raise Problem(message, code="parameter_invalid_empty", param=name)
    if kind == "boolean" and value in {"true", "false"}:
        return value == "true"
    if kind == "integer" and isinstance(value, str) and re.fullmatch(r"-?\d{1,18}", value):
        return int(value)
    if kind == "number" and isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            pass
    code = "parameter_invalid_integer" if kind == "integer" else None
    raise Problem(f"Invalid {kind}: {value}", code=code, param=name)


def _joined(name: str, key: str) -> str:
    return f"{name}[{key}]" if name else key

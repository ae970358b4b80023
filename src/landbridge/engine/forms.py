"""What the data of an event has to look like: by a class, or by a JSON Schema."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import is_dataclass
from typing import Any, Protocol, TypeAlias

import msgspec

from landbridge.engine.body import encoded, step, too_deep
from landbridge.errors import SpecError

Model: TypeAlias = Any
"""A msgspec.Struct, a dataclass, a TypedDict, a pydantic model, or a JSON Schema as a dict."""

_MESSAGE = re.compile(r"(?P<problem>.*?)(?: - at `\$(?P<path>.*)`)?", re.DOTALL)
_TYPES = re.compile(r"Expected `(?P<wanted>[^`]+)`, got `(?P<given>[^`]+)`")
_FIELD = re.compile(r"Object (?P<what>missing required|contains unknown) field `(?P<name>.+)`")


class Misfit(Exception):
    """Data that does not fit its model; `.path` is where, such as `.lines[2].amount`."""

    def __init__(self, path: str, problem: str):
        super().__init__(f"data{path}: {problem}")
        self.path = path
        self.problem = problem


class Form(Protocol):
    """A model that data is held against."""

    def check(self, data: Any) -> Any:
        """The data as the model has it; Misfit says where it differs."""
        ...

    def plain(self, value: Any) -> Any:
        """What is rendered of a checked value."""
        ...

    def schema(self) -> dict[str, Any]:
        """The JSON Schema of what is rendered."""
        ...


def form_of(model: Model) -> Form:
    """The form of a model; SpecError when it is none that data can be held against."""
    if model is None:
        return _Anything()
    if isinstance(model, Mapping):
        return _Schema(dict(model))
    if hasattr(model, "model_validate") and isinstance(model, type):
        return _Pydantic(model)
    if isinstance(model, msgspec.Struct | str | bytes | int) or model is Any:
        raise SpecError(_no_model(model))
    return _Typed(model)


class _Anything:
    """No promise: any data, and bytes as well."""

    def check(self, data: Any) -> Any:
        return data

    def plain(self, value: Any) -> Any:
        return value

    def schema(self) -> dict[str, Any]:
        return {}


class _Typed:
    """A class that msgspec knows. Fields that it does not declare are left out, unless it forbids
    them; an instance of it is taken as it is."""

    def __init__(self, model: Any):
        try:
            self._schema = msgspec.json.schema(model, schema_hook=_unknown)
        except (TypeError, ValueError, NameError) as error:
            raise SpecError(f"{_no_model(model)} ({error})") from None
        self._model = model
        closed = is_dataclass(model) or (
            isinstance(model, type) and issubclass(model, msgspec.Struct)
        )
        self._own = model if closed else None

    def check(self, data: Any) -> Any:
        if type(data) is self._own:
            return data
        try:
            return msgspec.convert(data, self._model, from_attributes=True)
        except msgspec.ValidationError as error:
            raise _misfit(str(error)) from None
        except RecursionError:
            raise too_deep() from None

    def plain(self, value: Any) -> Any:
        return value

    def schema(self) -> dict[str, Any]:
        return self._schema


class _Pydantic:
    """A pydantic model. Fields that it does not declare are left out, unless it forbids them."""

    def __init__(self, model: Any):
        from pydantic import PydanticUserError, ValidationError  # noqa: PLC0415 - whoever needs it has it

        try:
            self._schema: dict[str, Any] = model.model_json_schema(mode="serialization")
        except PydanticUserError as error:
            raise SpecError(f"{_no_model(model)} ({error.message})") from None
        self._model = model
        self._wrong = ValidationError

    def check(self, data: Any) -> Any:
        try:
            return self._model.model_validate(data, from_attributes=True)
        except RecursionError:
            raise too_deep() from None
        except self._wrong as error:
            first = error.errors(include_url=False, include_input=False, include_context=False)[0]
            path = "".join(step(each) for each in first["loc"])
            raise Misfit(path, _lowered(first["msg"])) from None

    def plain(self, value: Any) -> Any:
        return value.model_dump(mode="json", by_alias=True)

    def schema(self) -> dict[str, Any]:
        return self._schema


class _Schema:
    """A JSON Schema; formats are checked, and no schema is fetched from elsewhere."""

    def __init__(self, schema: dict[str, Any]):
        import jsonschema_rs  # noqa: PLC0415 - large, and seldom needed

        try:
            self._validator = jsonschema_rs.validator_for(
                schema, mask="it", validate_formats=True, retriever=_elsewhere
            )
        except ValueError as error:
            problem = str(error).partition("\n")[0]
            raise SpecError(f"model: it is no JSON Schema: {problem}") from None
        self._wrong = jsonschema_rs.ValidationError
        self._schema = schema

    def check(self, data: Any) -> Any:
        try:
            plain = msgspec.to_builtins(data, enc_hook=encoded)
            self._validator.validate(plain)
        except self._wrong as error:
            path = "".join(step(each) for each in error.instance_path)
            if error.kind.name == "required":
                raise Misfit(
                    f"{path}.{error.kind.as_dict()['property']}", "it is missing"
                ) from None
            raise Misfit(path, _lowered(error.message)) from None
        except RecursionError:
            raise too_deep() from None
        except (TypeError, ValueError):
            return data  # what JSON cannot say is named when it is rendered
        return plain

    def plain(self, value: Any) -> Any:
        return value

    def schema(self) -> dict[str, Any]:
        return self._schema


def _misfit(message: str) -> Misfit:
    """msgspec's message as ours, without a value of the data."""
    match = _MESSAGE.fullmatch(message)
    path, problem = (match["path"] or "", match["problem"]) if match else ("", message)
    if types := _TYPES.fullmatch(problem):
        return Misfit(path, f"it is {types['given']}, {types['wanted']} is needed")
    if field := _FIELD.fullmatch(problem):
        missing = field["what"] == "missing required"
        said = "it is missing" if missing else "the model has no such field"
        return Misfit(f"{path}.{field['name']}", said)
    if problem.startswith(("Invalid enum value", "Invalid value")):
        return Misfit(path, "it is none of the values that the model allows")
    return Misfit(path, _lowered(problem))


def _lowered(text: str) -> str:
    return text[:1].lower() + text[1:]


def _no_model(model: Any) -> str:
    name = model.__qualname__ if isinstance(model, type) else type(model).__name__
    return (
        f"model: {name} is nothing that data can be held against; give a msgspec.Struct, a"
        " dataclass, a TypedDict, a pydantic model, or a JSON Schema as a dict"
    )


def _unknown(kind: type) -> dict[str, Any]:
    raise TypeError(f"{kind.__qualname__} has no form in JSON")


def _elsewhere(address: str) -> Any:
    raise ValueError(f"{address} is not part of it")

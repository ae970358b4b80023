"""Facts: frozen values whose constructor turns every mistake into a `SpecError` with a hint."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from datetime import date
from functools import cache
from types import UnionType
from typing import (
    Annotated,
    Any,
    TypeVar,
    Union,
    cast,
    dataclass_transform,
    get_args,
    get_origin,
    get_type_hints,
)

from landbridge.errors import SpecError, did_you_mean
from landbridge.spec._paths import check_path

__all__ = [
    "did_you_mean",
    "fact",
]

C = TypeVar("C")

Path = Annotated[str, "path"]
"""Dotted keys into a document, such as `data.object.id`; empty: the document itself."""
Template = Annotated[str, "template"]
"""A URL's path with its holes in braces, such as `/v1/customers/{id}`; empty: none."""
Day = Annotated[str, "day"]
"""A date as ISO text."""

_TEMPLATE = re.compile(r"(\{[a-z_]+\}|[^{}\s?#])*")
_NAMES: Mapping[Any, str] = {
    str: "text",
    bool: "True or False",
    int: "a whole number",
    list: "a list",
    tuple: "a list",
    dict: "a mapping",
    set: "a set",
    frozenset: "a set",
    type(None): "None",
}


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(field,))
def fact(cls: type[C]) -> type[C]:
    """The class as a frozen, keyword-only dataclass that checks what it is given.

    Unknown, missing, ill-typed and ill-formed facts raise `SpecError`, which names the fact (and
    the thing, if it has a `name` or `slug`). Lists become tuples. A `__post_init__` can check more.
    """
    made: Any = dataclass(frozen=True, kw_only=True)(cls)
    build = made.__init__
    known = [one.name for one in fields(made)]
    needed = [
        one.name
        for one in fields(made)
        if one.default is MISSING and one.default_factory is MISSING
    ]

    @cache
    def hints() -> dict[str, Any]:
        return get_type_hints(made, include_extras=True)

    def checked(self: Any, *positional: Any, **given: Any) -> None:
        label = _label(cls, given)
        if positional:
            raise SpecError(f"{label}: name every fact, as in {cls.__name__}({known[0]}=...)")
        _complete(label, given, known, needed)
        for name, value in given.items():
            problem = mismatch(value, hints()[name])
            if problem:
                raise SpecError(f"{label}, {name}: {problem}")
            if isinstance(value, list):
                given[name] = tuple(value)
        build(self, **given)

    made.__init__ = checked
    return cast("type[C]", made)


def among(word: str, words: Sequence[str], where: str) -> None:
    """Raises `SpecError` unless the word is one of these."""
    if word not in words:
        raise SpecError(
            f"{where}: {word!r} is none of {', '.join(filter(None, words))}"
            f".{did_you_mean(word, words)}"
        )


def _label(cls: type, given: Mapping[str, Any]) -> str:
    names = [given[key] for key in ("name", "slug") if isinstance(given.get(key), str)]
    return f"{cls.__name__} {names[0]!r}" if names else cls.__name__


def _complete(
    label: str, given: Mapping[str, Any], known: Sequence[str], needed: Sequence[str]
) -> None:
    for name in given:
        if name not in known:
            raise SpecError(f"{label} has no fact {name!r}.{did_you_mean(name, known)}")
    for name in needed:
        if name not in given:
            raise SpecError(f"{label} lacks the fact {name!r}")


def mismatch(value: object, expected: Any) -> str:
    """Why a value does not have the annotated type; empty if it does."""
    origin = get_origin(expected)
    if expected is Any:
        return ""
    if origin is Annotated:
        base, form = get_args(expected)
        return mismatch(value, base) or _FORMS[form](str(value))
    if origin in (Union, UnionType):
        problems = [mismatch(value, option) for option in get_args(expected)]
        return "" if "" in problems else f"expected {_name(expected)}, found {_shape(value)}"
    kind = origin or expected
    if kind is Sequence:
        fits = isinstance(value, list | tuple)
    elif kind is frozenset:
        fits = isinstance(value, frozenset | set)
    elif kind is Callable or kind is _CALLABLE:
        fits = callable(value)
    else:
        fits = isinstance(value, kind) and not (kind is int and isinstance(value, bool))
    if not fits:
        return f"expected {_name(expected)}, found {_shape(value)}"
    return _inside(value, expected)


def _inside(value: Any, expected: Any) -> str:
    """Why an item of a collection does not have its type; empty if all do."""
    arguments = get_args(expected)
    if isinstance(value, Mapping) and len(arguments) == 2:
        pairs = [(key, arguments[0]) for key in value]
        pairs += [(item, arguments[1]) for item in value.values()]
    elif isinstance(value, list | tuple | set | frozenset) and arguments:
        pairs = [(item, arguments[0]) for item in value]
    else:
        return ""
    return next((problem for item, kind in pairs if (problem := mismatch(item, kind))), "")


def _name(expected: Any) -> str:
    origin = get_origin(expected)
    if origin is Annotated:
        return _name(get_args(expected)[0])
    if origin in (Union, UnionType):
        return " or ".join(_name(option) for option in get_args(expected))
    kind = origin or expected
    words = {**_NAMES, Sequence: "a list", Mapping: "a mapping", _CALLABLE: "a function"}
    return words.get(kind) or str(getattr(kind, "__name__", kind))


def _shape(value: object) -> str:
    return _NAMES.get(type(value)) or f"{type(value).__name__} {value!r}"[:80]


def _template(text: str) -> str:
    if not text or (text.startswith("/") and _TEMPLATE.fullmatch(text)):
        return ""
    return f"{text!r} is no path template like /v1/customers/{{id}}"


def _day(text: str) -> str:
    try:
        date.fromisoformat(text)
    except ValueError:
        return f"{text!r} is no date like 2026-11-22"
    return ""


def _path(text: str) -> str:
    return check_path(text) if text else ""


_CALLABLE = get_origin(Callable[[], None])
_FORMS: Mapping[str, Callable[[str], str]] = {"path": _path, "template": _template, "day": _day}

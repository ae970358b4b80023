"""What a mapping is, in a few letters: other letters when it would read a record otherwise.

Rows are functions, so their code is looked at: instructions, constants, what they closed over and
the functions they call by name, also through a module of the same package; of Python's own library
only the names, as its modules change while they are used. Letters that differ for no reason cost a
reading; another version of Python is such a reason.
"""

import hashlib
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from decimal import Decimal
from enum import Enum
from functools import partial
from re import Pattern
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import msgspec

__all__ = ["fingerprint"]


def fingerprint(value: Any) -> str:
    """24 letters for a value: the same in every process that has the same code."""
    told = hashlib.blake2b(digest_size=12)
    for word in _told(value, {}):
        told.update(word.encode())
        told.update(b"\0")
    return told.hexdigest()


def _told(value: Any, seen: dict[int, tuple[int, Any]]) -> Iterator[str]:
    if value is None or isinstance(value, _PLAIN):
        yield f"{type(value).__qualname__}:{value!r}"
        return
    if id(value) in seen:
        yield f"again {seen[id(value)][0]}"
        return
    seen[id(value)] = len(seen), value  # kept, so that no other value gets its id
    yield type(value).__qualname__
    for part in _parts(value):
        yield from _told(part, seen)
    yield "end"


def _parts(value: Any) -> Iterable[Any]:
    readings = getattr(value, "readings", None)
    if readings is not None and not isinstance(value, type):
        return (readings,)
    for kind, parts in _KINDS:
        if isinstance(value, kind):
            return parts(value)
    if is_dataclass(value):
        return [(one.name, getattr(value, one.name)) for one in fields(value)]
    return (getattr(value, "__qualname__", ""),)


def _of_type(kind: type) -> Iterator[Any]:
    yield f"{kind.__module__}.{kind.__qualname__}"
    if issubclass(kind, msgspec.Struct):
        for one in msgspec.structs.fields(kind):
            yield (one.name, one.encode_name, repr(one.type), one.required)
            yield None if one.default is msgspec.NODEFAULT else one.default
        yield kind.__dict__.get("__post_init__")


def _of_function(function: FunctionType) -> Iterator[Any]:
    if (function.__module__ or "").partition(".")[0] in sys.stdlib_module_names:
        yield f"{function.__module__}.{function.__qualname__}"
        return
    yield from (function.__code__, function.__defaults__, function.__kwdefaults__)
    for cell in function.__closure__ or ():
        yield cell.cell_contents
    names = sorted(_names(function.__code__))
    own = (function.__module__ or "").partition(".")[0]
    for name in names:
        called = function.__globals__.get(name)
        if isinstance(called, FunctionType | Mapping | Pattern | tuple | frozenset | str | int):
            yield called
        elif isinstance(called, ModuleType) and called.__name__.partition(".")[0] == own:
            inner = (getattr(called, each, None) for each in names)
            yield from (each for each in inner if isinstance(each, FunctionType))


def _names(code: CodeType) -> set[str]:
    """The names that a function and those inside it look up."""
    inner = [const for const in code.co_consts if isinstance(const, CodeType)]
    return set(code.co_names).union(*(_names(const) for const in inner))


_PLAIN = (str, bytes, int, float, Decimal, complex)
_KINDS: Sequence[tuple[Any, Callable[[Any], Iterable[Any]]]] = (
    (type, _of_type),
    (FunctionType, _of_function),
    (CodeType, lambda code: (code.co_code, code.co_names, code.co_varnames, code.co_consts)),
    (MethodType, lambda bound: (bound.__func__, bound.__self__)),
    (partial, lambda bound: (bound.func, bound.args, bound.keywords)),
    (Pattern, lambda pattern: (pattern.pattern, int(pattern.flags))),
    (Enum, lambda member: (member.name, member.value)),
    (Mapping, lambda mapping: mapping.items()),
    (tuple | list, lambda items: items),
    (set | frozenset, lambda items: sorted(fingerprint(item) for item in items)),
)

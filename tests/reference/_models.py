"""docs/reference/models.md: the unified models, field by field."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from types import ModuleType
from typing import Any, get_type_hints

import msgspec

from landbridge.models import accounting, base, calendar, payments
from landbridge.models.base import Model, Part
from tests.reference._markdown import code, field_notes, flat, page, table

_HEAD = """
A model is a frozen value: `from landbridge.models.payments import Invoice`. Every model has
`id`, the provider's own id (None: not created there yet), and `extra`, the tenant's custom
fields. What the provider sent is kept beside the model, untouched: `landbridge records
CONNECTION RESOURCE --raw`.

Amounts of documents are exact: whole minor units, or `Decimal`; never floats. Dates of
documents are dates; they are never moved between zones.
"""


def models_page() -> str:
    """The page."""
    parts = [
        part for module in (payments, accounting, calendar, base) for part in _sections(module)
    ]
    return page("Unified models", _HEAD, *parts)


def _sections(module: ModuleType) -> Iterator[str]:
    own = [
        value
        for value in vars(module).values()
        if isinstance(value, type) and value.__module__ == module.__name__
    ]
    if module is not base:
        yield f"## {module.__name__.rpartition('.')[2]}\n\n{flat(module.__doc__)}"
    else:
        yield "## shared"
    notes = field_notes(module)
    for kind in own:
        if kind in (Model, Part):
            continue
        if issubclass(kind, msgspec.Struct):
            yield _struct(kind, notes.get(kind.__name__, {}))
        elif issubclass(kind, Enum):
            words = ", ".join(code(member.value) for member in kind)
            yield f"### {kind.__name__}\n\n{flat(kind.__doc__)}\n\nOne of {words}."


def _struct(kind: type[msgspec.Struct], notes: dict[str, str]) -> str:
    named = getattr(kind, "kind", "")
    title = f"### {kind.__name__}" + (f" ({code(named)})" if named else "")
    hints = get_type_hints(kind)
    rows = [
        [code(field.name), code(_type(hints[field.name])), notes.get(field.name, "")]
        for field in msgspec.structs.fields(kind)
        if field.name not in Model.__struct_fields__ or not issubclass(kind, Model)
    ]
    return f"{title}\n\n{flat(kind.__doc__)}\n\n{table(['field', 'type', ''], rows)}"


def _type(hint: Any) -> str:
    if isinstance(hint, type) and not hasattr(hint, "__args__"):
        return hint.__name__
    text = str(hint).replace("typing.", "")
    words = text.replace("[", " [ ").replace("]", " ] ").replace(",", " , ").split()
    joined = " ".join(word if word == "..." else word.rpartition(".")[2] for word in words)
    return joined.replace(" [ ", "[").replace(" ]", "]").replace(" ,", ",")

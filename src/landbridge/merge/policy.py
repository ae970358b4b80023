"""Which side counts where both changed the same field."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import get_origin, get_type_hints

from landbridge.errors import InvalidInput, did_you_mean
from landbridge.models import Model

EXTRA = "extra"
_IDENTITY = "id"


class Take(StrEnum):
    """What to take for a field that both sides changed to different values."""

    OURS = "ours"
    THEIRS = "theirs"
    NEWEST = "newest"
    """The side that was changed last; a conflict if that is unknown or at the same instant."""
    MERGE = "merge"
    """For lists: what either side added, without what either side removed."""
    ASK = "ask"
    """A conflict: each side keeps its value until somebody decides."""


@dataclass(frozen=True, kw_only=True)
class Policy:
    """How two sides are merged. A field that only one side changed follows that side, always."""

    default: Take = Take.ASK
    """For fields that `by_field` does not name."""
    by_field: Mapping[str, Take] = field(default_factory=lambda: MappingProxyType({}))
    """By the model's field; `extra` for all custom fields, `extra.NAME` for one."""
    deleted: Take = Take.ASK
    """For a record that one side deleted and the other edited."""
    covers: frozenset[str] | None = None
    """The fields that both sides have; the others stay as they are on each side. None: all."""

    def of(self, name: str) -> Take:
        """What to take for a field such as `email` or `extra.region`."""
        if name in self.by_field:
            return self.by_field[name]
        if name.startswith(f"{EXTRA}."):
            return self.by_field.get(EXTRA, self.default)
        return self.default

    def check(self, model: type[Model]) -> None:
        """`InvalidInput` if the policy names what the model lacks, or a `merge` of no list.

        A `default` of `merge` is for the lists; other fields are asked for.
        """
        names = [name for name in model.__struct_fields__ if name != _IDENTITY]
        for name in (*self.by_field, *(self.covers or ())):
            if name in names or (name in self.by_field and _is_custom(name)):
                continue
            raise InvalidInput(
                f"policy: a {model.kind} has no field {name!r} to merge.{did_you_mean(name, names)}"
            )
        lists = [name for name, take in self.by_field.items() if take is Take.MERGE]
        hints = get_type_hints(model) if lists else {}
        for name in lists:
            if get_origin(hints.get(name)) is not tuple:
                raise InvalidInput(
                    f"policy: {name} is no list, so it cannot be merged; take one of"
                    " ours, theirs, newest, ask"
                )
        if self.deleted is Take.MERGE:
            raise InvalidInput("policy: deleted is one of ours, theirs, newest, ask")

    def fields(self, model: type[Model]) -> tuple[str, ...]:
        """The model's fields that are merged, in the model's order: never its id."""
        return tuple(
            name
            for name in model.__struct_fields__
            if name != _IDENTITY and (self.covers is None or name in self.covers)
        )


def _is_custom(name: str) -> bool:
    return name.startswith(f"{EXTRA}.") and len(name) > len(EXTRA) + 1

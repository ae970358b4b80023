"""The three-way merge of a record: what was agreed, what each side holds now, what each should.

Laws, tested with values made up at random: merging what was merged changes nothing; where only one
side changed, that side counts; the sides can be swapped where the policy names neither; an edit is
in the result or among the conflicts, never lost.

A part such as an address is one value: half of one address and half of another is neither.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, Literal, TypeAlias, TypeVar

import msgspec
from msgspec import UNSET

from landbridge.errors import InvalidInput, did_you_mean
from landbridge.merge.policy import EXTRA, Policy, Take
from landbridge.models import Model

M = TypeVar("M", bound=Model)

WHOLE = "*"
"""In the place of a field's name: the record as a whole, created or deleted."""

Values: TypeAlias = Mapping[str, Any]
_Bases: TypeAlias = tuple[Values | None, Values | None]

_ENCODER = msgspec.json.Encoder(order="sorted")


@dataclass(frozen=True, kw_only=True)
class Conflict:
    """A field that both sides changed and the policy does not decide; both values are kept.

    `UNSET` stands for a custom field that is not there, and for a baseline that never was. The
    field `*` is the record as a whole, with models as values and None for the side that deleted it.
    """

    field: str
    baseline: Any
    ours: Any
    theirs: Any


@dataclass(frozen=True, kw_only=True)
class Merged(Generic[M]):
    """What to write where. While `conflicts` has a field, each side keeps its own value of it."""

    ours: M | None
    """What our side is to hold; None: nothing, it is deleted there."""
    theirs: M | None
    """What their side is to hold; None: nothing, it is deleted there."""
    baseline: Values | None
    """What our side held when both agreed last, for the next merge: the fields as `values_of` gives
    them. A field that they never agreed on is missing. None: there is no record to agree on."""
    theirs_baseline: Values | None
    """What their side held then. It differs where a side keeps a value in a form of its own."""
    ours_changed: tuple[str, ...]
    """The fields to write on our side; `*` alone to create or delete the record."""
    theirs_changed: tuple[str, ...]
    """The fields to write on their side; `*` alone to create or delete the record."""
    conflicts: tuple[Conflict, ...]


def values_of(record: Model, policy: Policy) -> dict[str, Any]:
    """The merged fields of a record by name, each custom field by itself."""
    values = {name: getattr(record, name) for name in policy.fields(type(record))}
    extra = values.pop(EXTRA, {})
    return values | {f"{EXTRA}.{name}": value for name, value in extra.items()}


def with_values(record: M, values: Values) -> M:
    """A copy of the record with these values in the place of its own; `UNSET` takes a custom field
    away."""
    fields = {name: value for name, value in values.items() if "." not in name}
    extra = dict(record.extra)
    for name, value in values.items():
        if "." in name:
            extra.pop(custom := name.partition(".")[2], None)
            if value is not UNSET:
                extra[custom] = value
    return msgspec.structs.replace(record, **fields, extra=extra)


def merge(
    baseline: Values | None,
    ours: M | None,
    theirs: M | None,
    policy: Policy,
    *,
    theirs_baseline: Values | None = None,
    ours_at: datetime | None = None,
    theirs_at: datetime | None = None,
) -> Merged[M]:
    """What each side is to hold, given what both held when they last agreed (`values_of`).

    `theirs_baseline` is what their side held then, where that was not the same: a side that writes
    telephone numbers in a form of its own has not edited them. None as a baseline: they never
    agreed. Then a field at its default on one side takes the other's value. None as a side: it has
    no such record, which is a deletion if there is a baseline. `ours_at` and `theirs_at`, with a
    zone, are when each side was last changed, for `newest`. The sides' ids are left alone; a record
    that is created somewhere has none yet.
    """
    newest = _newest(ours_at, theirs_at)
    model = next((type(each) for each in (ours, theirs) if each is not None), None)
    if model is None:
        return Merged(
            ours=None,
            theirs=None,
            baseline=None,
            theirs_baseline=None,
            ours_changed=(),
            theirs_changed=(),
            conflicts=(),
        )
    policy.check(model)
    bases = (baseline, baseline if theirs_baseline is None else theirs_baseline)
    if ours is None or theirs is None:
        return _one_sided(bases, ours, theirs, policy, newest)
    return _both(bases, ours, theirs, policy, newest)


def resolve(
    merged: Merged[M],
    take: Literal["ours", "theirs"] | Mapping[str, Literal["ours", "theirs"]],
    policy: Policy,
) -> Merged[M]:
    """The merge with its conflicts decided: all for one side, or field by field.

    What it says to write comes on top of what the merge wrote. A field that `take` does not name
    stays a conflict. `policy` is the merge's own. `InvalidInput` names a field that is in no
    conflict, or a side that is neither.
    """
    fields = [conflict.field for conflict in merged.conflicts]
    sides = dict.fromkeys(fields, take) if isinstance(take, str) else dict(take)
    for name, side in sides.items():
        if name not in fields:
            raise InvalidInput(
                f"take: {name!r} is in no conflict.{did_you_mean(name, fields)}"
                f" There are: {', '.join(fields) or 'none'}."
            )
        if side not in (Take.OURS, Take.THEIRS):
            raise InvalidInput(f"take: {name} is to be ours or theirs, not {side!r}")
    decided = Policy(
        by_field={name: Take(side) for name, side in sides.items() if name != WHOLE},
        deleted=Take(sides.get(WHOLE, Take.ASK)),
        covers=policy.covers,
    )
    return merge(
        merged.baseline,
        merged.ours,
        merged.theirs,
        decided,
        theirs_baseline=merged.theirs_baseline,
    )


def _one_sided(
    bases: _Bases, ours: M | None, theirs: M | None, policy: Policy, newest: Take
) -> Merged[M]:
    """A record that is new on one side, or that one side has deleted."""
    left = ours if ours is not None else theirs
    assert left is not None
    holder, base = (Take.OURS, bases[0]) if ours is not None else (Take.THEIRS, bases[1])
    values = values_of(left, policy)
    if base is None:
        take = holder
    elif not _differ(base, values):
        take = Take.THEIRS if holder is Take.OURS else Take.OURS
    else:
        take = newest if policy.deleted is Take.NEWEST else policy.deleted
    if take is Take.ASK:
        conflict = Conflict(field=WHOLE, baseline=base, ours=ours, theirs=theirs)
        return Merged(
            ours=ours,
            theirs=theirs,
            baseline=bases[0],
            theirs_baseline=bases[1],
            ours_changed=(),
            theirs_changed=(),
            conflicts=(conflict,),
        )
    kept = left if take is holder else None
    copy = msgspec.structs.replace(kept, id=None) if kept is not None else None
    return Merged(
        ours=kept if ours is not None else copy,
        theirs=kept if theirs is not None else copy,
        baseline=values if kept is not None else None,
        theirs_baseline=values if kept is not None else None,
        ours_changed=(WHOLE,) if (ours is None) != (kept is None) else (),
        theirs_changed=(WHOLE,) if (theirs is None) != (kept is None) else (),
        conflicts=(),
    )


def _both(bases: _Bases, ours: M, theirs: M, policy: Policy, newest: Take) -> Merged[M]:
    held = values_of(ours, policy), values_of(theirs, policy)
    agreed = [_defaults(theirs, policy) if base is None else base for base in bases]
    conflicts: list[Conflict] = []
    settled: tuple[dict[str, Any], dict[str, Any]] = {}, {}
    kept: tuple[dict[str, Any], dict[str, Any]] = {}, {}
    for name in _names(*held, *agreed):
        base = tuple(each.get(name, UNSET) for each in agreed)
        sides = tuple(each.get(name, UNSET) for each in held)
        take = policy.of(name)
        both = _field(base, sides, newest if take is Take.NEWEST else take)
        if both is None:
            conflicts.append(Conflict(field=name, baseline=base[0], ours=sides[0], theirs=sides[1]))
        for side in (0, 1):
            if both is not None:
                settled[side][name] = both[side]
            value = base[side] if both is None else both[side]
            if value is not UNSET:
                kept[side][name] = value
    return Merged(
        ours=with_values(ours, settled[0]),
        theirs=with_values(theirs, settled[1]),
        baseline=kept[0],
        theirs_baseline=kept[1],
        ours_changed=_changed(held[0], settled[0]),
        theirs_changed=_changed(held[1], settled[1]),
        conflicts=tuple(conflicts),
    )


def _field(base: tuple[Any, ...], sides: tuple[Any, ...], take: Take) -> tuple[Any, Any] | None:
    """What each side is to hold of a field; None for a conflict."""
    ours, theirs = sides
    changed = [not _same(side, before) for side, before in zip(sides, base, strict=True)]
    if _same(ours, theirs):
        return ours, ours
    if not any(changed):
        return ours, theirs
    if not all(changed):
        return (ours, ours) if changed[0] else (theirs, theirs)
    if take in (Take.OURS, Take.THEIRS):
        value = ours if take is Take.OURS else theirs
        return value, value
    if take is Take.MERGE and isinstance(ours, tuple) and isinstance(theirs, tuple):
        before = [each if isinstance(each, tuple) else () for each in base]
        merged = _union((before[0], before[1]), ours, theirs)
        return merged, merged
    return None


def _union(
    base: tuple[tuple[Any, ...], tuple[Any, ...]], ours: tuple[Any, ...], theirs: tuple[Any, ...]
) -> Any:
    """What was there and neither side removed, as it was; then what was added, in a fixed order."""
    gone = set(base[0]).difference(ours) | set(base[1]).difference(theirs)
    added = set(ours).difference(base[0]) | set(theirs).difference(base[1])
    kept = [item for item in dict.fromkeys(base[0]) if item not in gone]
    return (*kept, *sorted(added.difference(kept), key=_ENCODER.encode))


def _newest(ours_at: datetime | None, theirs_at: datetime | None) -> Take:
    for name, at in (("ours_at", ours_at), ("theirs_at", theirs_at)):
        if at is not None and at.tzinfo is None:
            raise InvalidInput(f"{name}: an instant with a zone is needed, such as one in UTC")
    if ours_at is None or theirs_at is None or ours_at == theirs_at:
        return Take.ASK
    return Take.OURS if ours_at > theirs_at else Take.THEIRS


def _differ(old: Values, new: Values) -> bool:
    return any(not _same(old.get(name, UNSET), new.get(name, UNSET)) for name in _names(old, new))


def _defaults(record: Model, policy: Policy) -> dict[str, Any]:
    """The fields at their defaults; those that have none are left out."""
    covered = policy.fields(type(record))
    return {
        field.name: field.default
        for field in msgspec.structs.fields(record)
        if field.name in covered and field.default is not msgspec.NODEFAULT
    }


def _changed(held: Mapping[str, Any], settled: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(name for name, value in settled.items() if not _same(held.get(name, UNSET), value))


def _names(*sides: Iterable[str]) -> list[str]:
    """The fields in the model's order, then the custom ones by name: the same for swapped sides."""
    names = dict.fromkeys(name for side in sides for name in side)
    return [
        *(name for name in names if "." not in name),
        *sorted(name for name in names if "." in name),
    ]


def _same(one: Any, other: Any) -> bool:
    """Equal values; among JSON values true is not 1, as it is in Python."""
    if one is UNSET or other is UNSET:
        return one is other
    if isinstance(one, bool | list | dict) or isinstance(other, bool | list | dict):
        return _ENCODER.encode(one) == _ENCODER.encode(other)
    return bool(one == other)

"""The checks on how a resource's records are named and written, when its page is imported."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from landbridge.spec._paths import check_path
from landbridge.spec.mapping import Mapped
from landbridge.spec.unique import Unique


def unclear_key(key: str, *, named: bool) -> Iterator[str]:
    """A key is at one path, or made of what is at several; by those nothing is asked for."""
    parts = re.findall(r"\{([^{}]*)\}", key)
    for path in parts or [key]:
        problem = check_path(path)
        if problem:
            yield f"key: {problem}"
    if parts and named:
        yield "key: made of several paths, it is no key by which a record is read or written"


def unknown_fields(
    codes: Mapping[str, str], unique: Unique | None, create: Any, maps: Mapped[Any] | None
) -> Iterator[str]:
    """What codes are listed by, what no two records have alike, and what a new one is at once (in
    the `Write` that creates it), are fields of the mapping."""
    rows = maps.rows if maps else {}
    for table, name in codes.items():
        if name not in rows:
            yield f"codes, {table}: the mapping has no field {name!r}"
    for name in (unique.field, *unique.among) if unique else ():
        if name not in rows:
            yield f"unique: the mapping has no field {name!r}"
    for name in create.makes if create else ():
        if name not in rows:
            yield f"create, makes: the mapping has no field {name!r}"


def unfilled(path: str, wanted: set[str], maps: Mapped[Any] | None) -> Iterator[str]:
    """A new record has no id yet: a hole in its address is filled by what its mapping writes."""
    told = maps.written if maps else ()
    for hole in sorted(wanted):
        if hole not in told:
            yield (
                f"create: {path!r} has a hole, but a new record has no {hole} yet: no row of the"
                " mapping writes it"
            )


def unclear_step(field: str, to: str, wanted: set[str], maps: Mapped[Any] | None) -> Iterator[str]:
    """A step is taken where our field is to be of a value that the provider has a word for."""
    rows = maps.rows if maps else {}
    if field not in rows:
        yield f"steps: no row of the mapping reads {field!r}"
    elif rows[field].word != "via" and to not in [str(each) for each in rows[field].shown.values()]:
        yield f"steps: no word of {field!r} leads to {to!r}"
    if wanted != {"id"}:
        yield f"steps: the address of the step to {to!r} needs the hole {{id}} and no other"


def holes(template: str) -> set[str]:
    """The names in braces of a path template."""
    return set(re.findall(r"\{([a-z_]+)\}", template))

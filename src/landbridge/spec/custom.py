"""What one tenant added at its provider, as data: custom fields and custom objects."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from decimal import Decimal
from functools import partial
from typing import Any

import msgspec

from landbridge.errors import RecordError, SpecError
from landbridge.spec import rows
from landbridge.spec._check import Path, Template, among, fact
from landbridge.spec._paths import check_path
from landbridge.spec._scope import Context, Fault, Scope, shape
from landbridge.spec.parts import picked
from landbridge.spec.rows import Access, Row

__all__ = [
    "CUSTOM_WORDS",
    "CustomField",
    "CustomObject",
]

_ACCESS = ("both", "read", "create")


@dataclass(frozen=True, kw_only=True)
class _Word:
    """A word for the shape of a value: its row at a path, and what its JSON value stands for."""

    row: Callable[[str], Row]
    ours: Any
    says: str


CUSTOM_WORDS: Mapping[str, _Word] = {
    "text": _Word(row=rows.text, ours=str, says="text"),
    "texts": _Word(row=rows.texts, ours=tuple[str, ...], says="a list of texts"),
    "integer": _Word(row=rows.integer, ours=int, says="a whole number"),
    "decimal": _Word(row=rows.decimal, ours=Decimal, says='a number as text, such as "1.50"'),
    "flag": _Word(row=rows.flag, ours=bool, says="true or false"),
    "date": _Word(row=rows.date, ours=date, says="a date such as 2026-11-22"),
    "instant": _Word(row=rows.instant, ours=datetime, says="an instant with its offset from UTC"),
    "unix": _Word(
        row=partial(rows.instant, unix=True),
        ours=datetime,
        says="an instant with its offset from UTC",
    ),
    "json": _Word(
        row=lambda path: rows.read_only(rows.scalar("json", path, (), lambda found: found)),
        ours=Any,
        says="any JSON value",
    ),
}
"""What a custom field may hold. `unix` is an instant that the provider counts in seconds; `json` is
taken as it comes, and only read."""


@fact
class CustomField:
    """One field that a tenant added to a resource. `name` is its name in `extra`."""

    name: str
    path: Path
    """Where it is in the record; with `where`, the list in which its item is."""
    word: str = "text"
    """Its shape, one of `CUSTOM_WORDS`."""
    access: str = "both"
    """both, read (never written) or create (written only when the record is made)."""
    words: Mapping[str, str] = field(default_factory=dict)
    """The provider's words, each with ours; any other is a RecordError. Empty: as they come."""
    where: Mapping[str, Any] = field(default_factory=dict)
    """What the item of a list says that holds the value, such as `{"id": 360001}`; read only."""
    value: Path = ""
    """Path of the value within that item."""

    def __post_init__(self) -> None:
        """Refuses words that there are not, and facts that do not go together."""
        label = f"CustomField {self.name!r}"
        if not self.name.strip() or not self.name.isprintable():
            raise SpecError(f"{label}, name: give it one, such as tier")
        if check_path(self.path):
            raise SpecError(f"{label}, path: {check_path(self.path)}")
        among(self.word, [*CUSTOM_WORDS], f"{label}, word")
        among(self.access, _ACCESS, f"{label}, access")
        if self.words and self.word != "text":
            raise SpecError(f"{label}, words: they go with the word text, not with {self.word}")
        if bool(self.where) != bool(self.value):
            raise SpecError(f"{label}: `where` finds an item and `value` is in it; give both")
        if (self.where or self.word == "json") and self.access != "read":
            what = "an item of a list" if self.where else "any JSON"
            raise SpecError(f'{label}, access: {what} is only read; set access to "read"')

    @property
    def row(self) -> Row:
        """Its row of the mapping."""
        path = self.value if self.where else self.path
        row = rows.one_of(path, self.words) if self.words else CUSTOM_WORDS[self.word].row(path)
        if self.where:
            row = picked(self.path, self.where, row)
        return replace(row, access=Access(self.access))

    def read(self, record: Any) -> Any:
        """What `extra` would say of a record, None if nothing; RecordError if it cannot be read."""
        try:
            return self.as_json(self.row.read(record, Scope(record, Context())))
        except Fault as fault:
            raise RecordError(fault.in_field(self.name, self.path).sentence()) from None
        except AttributeError:
            raise RecordError(f"no object on the way to {self.path}") from None

    def as_json(self, found: Any) -> Any:
        """What a row read, as it stands in `extra`."""
        told = msgspec.to_builtins(found)
        return list(told) if isinstance(told, tuple) else told

    def from_json(self, given: Any) -> Any:
        """What `extra` says, as a row writes it."""
        word = CUSTOM_WORDS[self.word]
        try:
            value = msgspec.convert(given, word.ours)
        except msgspec.ValidationError:
            raise Fault(f"expected {word.says} for {{path}}, found {shape(given)}") from None
        if isinstance(value, datetime) and value.tzinfo is None:
            raise Fault(f"expected {word.says} for {{path}}, found none")
        return list(value) if isinstance(value, tuple) else value


@fact
class CustomObject:
    """A resource that a tenant added. `name` is its name here and in commands."""

    name: str
    path: Template
    """Where it is listed."""
    like: str
    """The resource of the page that is listed, paged, read and written as this one is."""
    key: Path = ""
    """Path to the key of a record; empty: as in `like`."""
    records: Path = ""
    """Path to the list in an answer; empty: as in `like`."""
    free: Path = ""
    """Path of an object in a record whose keys are all custom fields, such as `properties`."""
    topics: Sequence[str] = ()
    """Topics of webhooks about it, as in `Resource.topics`; their key is where the page says that a
    webhook has it."""
    deletes: Sequence[str] = ()
    """Topics that mean one was deleted."""

    def __post_init__(self) -> None:
        """Refuses an object without a place."""
        if not self.name.strip() or not self.name.isprintable():
            raise SpecError(f"CustomObject {self.name!r}, name: give it one, such as car")
        if not self.path or "{" in self.path:
            raise SpecError(f"CustomObject {self.name!r}, path: give the list's, such as /v1/cars")

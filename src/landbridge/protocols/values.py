"""What conversations with providers give and take, as plain values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from landbridge.formats import parse_json


class Fetched(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One record as the provider has it."""

    key: str
    raw: bytes
    """The record as it was sent."""
    version: str | None = None
    """What changes with each edit, where the provider says so."""
    deleted: bool = False
    """A record that only says that it was deleted."""
    scope: str = ""
    """The part of the resource that it is in (a calendar's href)."""
    stamp: int | None = None
    """When it changed (unix seconds), where an event or the list that we follow says so."""
    parsed: Any = msgspec.UNSET
    """`value`, where it is known already, or is not what `raw` says as JSON."""

    @property
    def value(self) -> Any:
        """The record parsed, for the mapping: when it is first asked for, as most are as they were
        and known by their bytes. `RecordError`: `raw` is not JSON."""
        if self.parsed is msgspec.UNSET:
            msgspec.structs.force_setattr(self, "parsed", parse_json(self.raw))
        return self.parsed


@dataclass(frozen=True, kw_only=True, slots=True)
class Unreadable:
    """Something in a listing that is no record; it is kept with the reason."""

    key: str | None
    raw: bytes
    reason: str
    field: str | None
    """The provider's path at fault."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """One step of a pull: what came, and the cursor that continues right after it."""

    records: tuple[Fetched, ...]
    cursor: dict[str, Any]
    """JSON, below 64 KB."""
    gone: tuple[str, ...] = ()
    """Keys that the provider says are deleted."""
    listing: str | None = None
    """Set while a full listing goes on: the id of that listing."""
    listed_all: bool = False
    """This page ends the listing: what it did not meet (in `scope`) is missing at the provider."""
    unreadable: tuple[Unreadable, ...] = ()
    scope: str = ""
    """The part of the resource that the listing covers; empty: all of it."""
    left: int | None = None
    """About how many records are behind this page; None: the provider does not say."""
    members: Mapping[str, str | None] | None = None
    """Members of `scope` by key, with their versions, before any is fetched. The page is answered
    with the keys that are held in another version or not at all (None: all of them); those that are
    held in this version count as met by the listing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where a connection lives."""

    base: str
    """The API's address, without a slash at its end."""
    settings: dict[str, Any] = field(default_factory=dict)
    """What the connection keeps: what was typed in, and what `identify` found."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Written:
    """What a write left at the provider."""

    key: str
    raw: bytes | None
    """The record after the write, as sent; None: the provider does not show it, or it is gone."""
    version: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Account:
    """Whose account a credential opens."""

    id: str
    name: str
    live: bool | None
    """Whether it moves real money; None: the provider does not say."""
    settings: dict[str, Any] = field(default_factory=dict)
    """What the connection should keep, such as where its calendars were found."""

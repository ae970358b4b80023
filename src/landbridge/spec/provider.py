"""The values a provider page is made of, except mappings (see `rows` and `mapping`).

Paths into a document are dotted (`data.object.id`, `events[]` for a list). Path templates name
their holes in braces (`/v1/customers/{id}`). Everything is frozen, keyword-only and checked when
the page is imported: a fact that is missing, misspelt or of the wrong kind is a `SpecError`.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from datetime import timedelta
from enum import StrEnum
from typing import Any

from landbridge.errors import NotFound, SpecError, did_you_mean
from landbridge.spec._check import Day, Path, Template, among, fact
from landbridge.spec._paths import check_path, find, has_words
from landbridge.spec._writes import holes, unclear_key, unclear_step, unfilled, unknown_fields
from landbridge.spec.accounts import Accounts
from landbridge.spec.auth import Auth
from landbridge.spec.before import First, LookedUp, Then, unclear_creation, unready
from landbridge.spec.following import (
    Between,
    ChangedSince,
    EventFeed,
    Incremental,
    SinceParam,
    Sweep,
    SyncToken,
)
from landbridge.spec.kinds import led_nowhere
from landbridge.spec.mapping import Mapped
from landbridge.spec.marked import Marked
from landbridge.spec.paging import Across, AfterLast, NextCursor, OnePage, Paging
from landbridge.spec.quota import Quota
from landbridge.spec.refusals import Errors
from landbridge.spec.rounding import Rounding
from landbridge.spec.unique import Unique
from landbridge.spec.webhook import Webhook

__all__ = [
    "Continued",
    "Format",
    "Provider",
    "Resource",
    "Step",
    "Write",
    "can_pull",
    "holes",
    "writable",
]


class Format(StrEnum):
    """How a body is written."""

    JSON = "json"
    FORM = "form"
    ICALENDAR = "icalendar"
    DAV = "dav"


@fact
class Continued:
    """A list inside a record that may hold only its first items, and where the others are."""

    path: Path
    """Path to the items in the record."""
    more: Path
    """Path to a flag in the record: are there more?"""
    at: Template
    """Where the list is by itself; `{id}` is the record's key."""
    records: Path
    """Path to the items in that list."""
    page: AfterLast
    key: Path = "id"
    """Path to an item's id."""
    query: Mapping[str, str] = field(default_factory=dict)
    """Parameters of that list; `{id}` in a value is the record's key."""


@fact
class Write:
    """One writing call. `path` names its holes: `{id}` is the record's key, unless the body says
    it (`key_at`)."""

    path: Template
    method: str = "POST"
    needs: frozenset[str] = frozenset()
    envelope: Path = ""
    """Path to the list in which the record is sent; empty: it stands alone."""
    listed: bool = True
    """Whether what is at `envelope` is a list of records; else it is the record itself."""
    keyed: bool = True
    """Whether it takes the idempotency key, where the resource has one."""
    partial: bool = False
    """Whether a change takes a part of a record and puts objects and lists in the place of what is
    there: then the fields that differ are sent, each whole, with what no row owns."""
    query: Mapping[str, str] = field(default_factory=dict)
    """Parameters that every such call needs."""
    sends: Mapping[Path, str | int | bool] = field(default_factory=dict)
    """What the body says beside the record, by its path: how it is to be taken or, of a deletion
    where the record stays and is only marked, the mark."""
    bare: bool = False
    """Whether the call has no body at all where there is nothing to say."""
    lists: Mapping[Path, Path] = field(default_factory=dict)
    """Lists of which a new record has one item: the place of each in the record, with that at which
    the mapping writes the item."""
    looked_up: Sequence[LookedUp] = ()
    """What a new record needs and its mapping may leave open."""
    makes: Mapping[str, str] = field(default_factory=dict)
    """What a new record is at once, by our field: a document that says otherwise is refused."""
    first: First | None = None
    """Another record that has to be made before a new one."""
    then: Then | None = None
    """A part of a new record that is sent behind it."""
    patches: bool = False
    """Whether the changes go out as JSON Patch (RFC 6902), not as the record's fields."""
    link: Path = ""
    """Path to the record's address in an answer that does not show the record (`href`): its last
    part is the key."""
    key_at: Path = ""
    """Path in the body at which the record's key goes, where the address does not name it."""
    repeats: Sequence[Path] = ()
    """Paths of the record that a change has to say again, changed or not."""
    version_at: Path = ""
    """Path in the body at which the version goes (`Resource.version`) that the change was made to:
    the provider refuses it (`Errors.stale`) if the record has another one by then."""

    def __post_init__(self) -> None:
        """Refuses a method that does not write, and a path without a place."""
        among(self.method, ["POST", "PUT", "PATCH", "DELETE"], "Write, method")


@fact
class Step:
    """A change of one field that the provider makes by a call of its own: send, void, cancel.

    Whoever writes the record with `to` in our `field` has the call made, after what else there is
    to write. It is not made where the provider shows that value already.
    """

    field: str
    to: str
    write: Write
    """The call; `sends` is its body."""
    when: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """Other fields of ours, and the value that each has to have at the provider: else the call is
    not made."""


@fact
class Resource:
    """One remote collection: how it is listed, followed, read one by one, and written.

    `name` is the vendor's own word for one record (`invoice`, `VEVENT`).
    """

    name: str
    path: Template
    """Where it is listed; empty: where discovery leads (calendars)."""
    key: str
    """Path to its id; or several in braces, where only together they tell records apart."""
    maps: Mapped[Any] | None = None
    """The mapping to a unified model; None: kept raw only."""
    records: Path = ""
    """Path to the list in an answer; empty: the answer is the list."""
    query: Mapping[str, str] = field(default_factory=dict)
    """Parameters that every listing needs, so that nothing is left out of it."""
    only: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """The words, by their paths, of its records, where the provider keeps several kinds in one
    collection (`{"Type": ["ACCPAY"]}`): others are those of another resource."""
    page: Paging = OnePage()
    across: Across | None = None
    """What there is a list for each of; None: there is one list."""
    summary: bool = False
    """Whether the list shows less of a record than `one` does: then each is read by itself too."""
    since: Incremental | None = None
    between: Between | None = None
    """How a listing is narrowed to a range of time; None: the provider cannot."""
    one: Template = ""
    """Path template that reads a single record; empty: there is none."""
    one_query: Mapping[str, str] = field(default_factory=dict)
    """Parameters that reading a single record needs, so that nothing is left out of it."""
    version: Path = ""
    """Path to what changes with each edit (an ETag, a counter); empty: the content's hash."""
    unversioned: bool = False
    """Whether the provider takes a change whatever it was made to: then the record is read again
    just before, and what somebody else changed of the same fields meanwhile is a conflict."""
    subject: Path = ""
    """Path to the id of the person a record is about, for erasure."""
    envelope: Path = ""
    """Path to the single record in an answer that reads or writes it, or to a list that holds it;
    empty: it stands alone."""
    or_envelope: Path = ""
    """Where that is if it is not at `envelope`, for a provider whose word is unsure."""
    deleted: Path = ""
    """Path to a flag that marks a record as deleted."""
    deleted_words: Sequence[str] = ()
    """The words (or whole numbers, as text) at `deleted` that mean it; none: it is a flag that is
    true."""
    continued: Sequence[Continued] = ()
    """Lists inside a record that may be cut off; they are read to their end."""
    topics: Sequence[str] = ()
    """Webhook and event topics about it; `customer.*` matches one more word."""
    deletes: Sequence[str] = ()
    """Topics that mean it was deleted."""
    sweep: Sweep | None = None
    """How deletions are looked for where nothing tells of them; None: something does, or there are
    none."""
    within: str = ""
    """The resource whose records contain this one (a calendar for its events)."""
    format: Format = Format.JSON
    """How one record is written when it is stored and sent."""
    create: Write | None = None
    update: Write | None = None
    delete: Write | None = None
    steps: Sequence[Step] = ()
    """Changes that the provider makes by calls of their own."""
    idempotency: str = ""
    """Header that makes a repeated write harmless; empty: the provider has none."""
    idempotency_in: str = "header"
    """Where that is sent: as a `header`, as a parameter of the `query`, or (of a call by POST) as a
    field of the `body`."""
    marker: Path = ""
    """Path of the field that carries our intent's id, for reading back; empty: none."""
    marked: Marked | None = None
    """How a record is found by its marker, so that a creation whose answer was lost is not done
    twice where there is no `idempotency`."""
    needs: frozenset[str] = frozenset()
    """Scopes that reading it takes."""
    codes: Mapping[str, str] = field(default_factory=dict)
    """Code tables of which it lists the provider's codes, each with the field of our model that
    holds what lines name (`{"accounts": "code"}`)."""
    unique: Unique | None = None
    """The field that no two of its records may have alike."""
    blank: Mapping[str, Any] = field(default_factory=dict)
    """A new record before anything is written into it, valid by the vendor's spec: what a shadow
    answers a creation with. Its key shows how keys look. Empty: made from records that came."""

    def __repr__(self) -> str:
        return f"Resource({self.name!r})"

    @property
    def reading(self) -> str:
        """How a stored record becomes our model, in a few letters; others when it would differ."""
        mapped = self.maps.fingerprint if self.maps else "raw"
        return f"{mapped} {self.format} {self.subject}"

    def __post_init__(self) -> None:
        """Refuses what cannot be done with the other facts."""
        places = ["header", "query", "body"]
        among(self.idempotency_in, places, f"Resource {self.name!r}, idempotency_in")
        for problem in self._problems():
            raise SpecError(f"Resource {self.name!r}, {problem}")

    def _problems(self) -> Iterator[str]:
        yield from self._unclear_keys()
        if self.create:
            yield from unfilled(self.create.path, holes(self.create.path), self.maps)
        if (self.maps and not self.maps.written and self.create) or (
            self.update and not (self.maps and self.maps.written)
        ):
            yield "create and update: the mapping writes nothing; give it rows that write"
        yield from self._unclear_steps()
        if self.deleted_words and not self.deleted:
            yield "deleted_words: there is no `deleted` where they would stand"
        if self.blank and not isinstance(find(self.blank, self.key), str | int):
            yield f"blank: nothing at {self.key}; give a key such as the vendor's"
        if self.marked and not self.marker:
            yield "marked: there is no `marker` to find it by"
        if isinstance(self.since, EventFeed) and not (self.one and self.topics):
            yield "since: an event feed needs `one` to refetch, and `topics`"
        yield from self._unread_lists()
        yield from unknown_fields(self.codes, self.unique, self.create, self.maps)
        if self.sweep:
            yield from self._needless_sweep()
        yield from self._unclear_words()

    def has(self, record: Any) -> bool:
        """Whether a record of the collection is one of this resource's."""
        return has_words(record, self.only)

    def _unclear_steps(self) -> Iterator[str]:
        for step in self.steps:
            named = {"id"} if step.write.key_at else holes(step.write.path)
            for name, word in ((step.field, step.to), *step.when.items()):
                yield from unclear_step(name, word, named, self.maps)
        if self.steps and not self.one:
            yield "steps: what the provider shows is read by `one`, which is missing"

    def _unread_lists(self) -> Iterator[str]:
        by_token = isinstance(self.page, NextCursor)
        if by_token and isinstance(self.since, SinceParam) and self.since.also:
            yield "since: `also` does not go with NextCursor, which follows one list"
        if self.across and not by_token:
            yield "across: several lists are read by NextCursor alone"
        for path, words in self.only.items():
            problem = check_path(path) or ("" if words else f"{path} has no word")
            if problem:
                yield f"only: {problem}"

    def _unclear_keys(self) -> Iterator[str]:
        """How a record is named, where it is read, changed and known to be gone."""
        named = any((self.one, self.create, self.update, self.delete))
        yield from unclear_key(self.key, named=named)
        for name in ("one", "update", "delete"):
            value = getattr(self, name)
            path = value.path if isinstance(value, Write) else value
            in_body = isinstance(value, Write) and value.key_at
            if path and holes(path) != (set() if in_body else {"id"}):
                wanted = "no hole: key_at says it" if in_body else "the hole {id} and no other"
                yield f"{name}: {path!r} needs {wanted}"
            if isinstance(value, Write) and value.version_at and not self.version:
                yield f"{name}: version_at: there is no `version` to be sent"
        if self.summary and not (self.one and isinstance(self.page, NextCursor)):
            yield "summary: it needs `one`, and a list by tokens (NextCursor)"
        if self.create and (self.create.key_at or self.create.version_at):
            yield "create: a new record has no key and no version yet"
        yield from unclear_creation(self)
        if isinstance(self.since, ChangedSince) and not self.deleted:
            yield "since: say by `deleted` how a record that is gone is marked"

    def _needless_sweep(self) -> Iterator[str]:
        if not (self.one and self.path):
            yield "sweep: it needs `path` to list and `one` to ask for what is missing"
        if self.since is None:
            yield "sweep: without `since` all is listed each time, which sees deletions"
        elif isinstance(self.since, SyncToken | ChangedSince) or (
            self.deletes and isinstance(self.since, EventFeed)
        ):
            yield "sweep: deletions are told, by events or by tokens"

    def _unclear_words(self) -> Iterator[str]:
        for topic in (*self.topics, *self.deletes):
            if not _TOPIC.fullmatch(topic):
                yield f"topics: {topic!r} is no topic like invoice.paid or invoice.*"
        if self.maps:
            codes = [row.path for row in self.maps.rows.values()]
            for path in self.maps.outer_currencies:
                if path not in codes:
                    yield f"maps: no row reads the currency at {path}"


@fact
class Provider:
    """A page of facts about one service."""

    slug: str
    name: str
    docs: str
    checked: Day
    """The day (ISO) on which the page was last held against the vendor's documentation."""
    auth: Auth
    base: str
    """The API's address; `{url}` is the connection's own setting of that name, `{account}` the id
    of its remote account."""
    resources: Sequence[Resource]
    accounts: Accounts | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Format = Format.JSON
    """How requests are written."""
    quotas: Sequence[Quota] = ()
    webhook: Webhook | None = None
    errors: Errors = Errors()
    sandbox: Mapping[str, str] = field(default_factory=dict)
    """The settings (`base`, `token`, `authorize`, ...) that lead to the vendor's sandbox: every
    environment but `live` has them, unless a connection is given others."""
    parallel: int = 4
    """Calls at once that a connection bears."""
    currency_exponents: Mapping[str, int] = field(default_factory=dict)
    """Where the provider leaves ISO 4217's number of decimals."""
    idempotency_kept: timedelta | None = None
    """How long it remembers an idempotency key at least; None: nobody says. A creation that may
    have happened longer ago is found by its marker, or ends as `unknown`: it is not sent again."""
    rounding: Rounding | None = None
    """How it rounds what it reckons on documents; None: nobody knows."""
    notes: Sequence[str] = ()
    """What its users have to know beside the facts: shown with the page's documentation."""

    def __repr__(self) -> str:
        return f"Provider({self.slug!r})"

    def __post_init__(self) -> None:
        """Refuses an address that is none, equal names, and references that lead nowhere."""
        for problem in self._problems():
            raise SpecError(f"Provider {self.slug!r}, {problem}")

    def resource(self, name: str) -> Resource:
        """The resource with the vendor's name `name`; `NotFound` says which there are."""
        for resource in self.resources:
            if resource.name == name:
                return resource
        names = [resource.name for resource in self.resources]
        raise NotFound(
            f"{self.slug} has no resource {name!r}.{did_you_mean(name, names)}"
            f" There are: {', '.join(names)}."
        )

    def kin(self, resource: Resource) -> list[Resource]:
        """The resource, and the others whose records are read at the same address."""
        others = [each for each in self.resources if each.only and each.one == resource.one]
        return others if resource.only and resource.one else [resource]

    @property
    def code_tables(self) -> frozenset[str]:
        """The code tables that rows of its mappings go through."""
        return frozenset(name for one in self.resources if one.maps for name in one.maps.tables)

    def _problems(self) -> Iterator[str]:
        if not _SLUG.fullmatch(self.slug):
            yield "slug: lower-case letters, digits and underscores only"
        yield from self._unclear_addresses()
        yield from self._unclear_quotas()
        whose = self.accounts.field if self.accounts else ""
        if whose and whose not in [each.name for each in self.auth.fields]:
            yield f"accounts: {whose!r} is none of the fields of `auth`"
        names = [resource.name for resource in self.resources]
        yield from led_nowhere(self.webhook.kinds if self.webhook else (), names)
        for resource in self.resources:
            where = f"resource {resource.name!r}"
            if names.count(resource.name) > 1:
                yield f"{where}: two have this name"
            for scope in sorted(_needed(resource) - set(getattr(self.auth, "scopes", {}))):
                yield f"{where}, needs: {scope!r} is none of the scopes of `auth`"
            for problem in self._led_nowhere(resource, names):
                yield f"{where}{problem}"

    def _led_nowhere(self, resource: Resource, names: Sequence[str]) -> Iterator[str]:
        if resource.within and resource.within not in names:
            yield f", within: no {resource.within!r}"
        yield from unready(self, resource)
        for to in resource.maps.references if resource.maps else ():
            if to not in names:
                yield f": a ref leads to {to!r}.{did_you_mean(to, names)}"
        for table in resource.codes.keys() - self.code_tables:
            near = did_you_mean(table, self.code_tables)
            yield f", codes: no row looks anything up in {table!r}.{near}"

    def _unclear_addresses(self) -> Iterator[str]:
        for name, address in (("docs", self.docs), ("base", self.base)):
            if not address.startswith(("https://", "{url}")) or address.endswith("/"):
                yield f"{name}: {address!r} is no https address without a slash at its end"
        for name, address in self.sandbox.items():
            if not address.startswith("https://"):
                yield f"sandbox: {address!r} for {name} is no https address"
        told = self.accounts and (self.accounts.list is not None or self.accounts.token_id)
        if "{account}" in self.base and not (told or getattr(self.auth, "account_param", "")):
            yield "base: nothing names the {account} before the first call"

    def _unclear_quotas(self) -> Iterator[str]:
        seen = set()
        for quota in self.quotas:
            place = (quota.called, quota.scope, quota.environment)
            if place in seen:
                yield f"quotas: two of the same scope are called {quota.called!r}; name them"
            seen.add(place)


def _needed(resource: Resource) -> frozenset[str]:
    """The scopes that reading and writing a resource take."""
    writes = (*(step.write for step in resource.steps), resource.create, resource.update)
    writes = (*writes, resource.delete)
    return resource.needs.union(*(write.needs for write in writes if write))


def writable(resource: Resource, action: str) -> bool:
    """Whether records can be written so: `create`, `update` (also by steps alone), `delete`."""
    return getattr(resource, action) is not None or (action == "update" and bool(resource.steps))


def can_pull(resource: Resource) -> bool:
    """Whether the resource can be listed: it has a path, or is found by discovery."""
    return bool(resource.path) or resource.format is not Format.JSON


_SLUG = re.compile(r"[a-z][a-z0-9_]*")
_TOPIC = re.compile(r"[^.\s]+(\.[^.\s]+)*")

"""How changes of a resource are followed, and deletions found of which nothing tells."""

from collections.abc import Mapping, Sequence
from dataclasses import field
from datetime import timedelta

from landbridge.errors import SpecError
from landbridge.spec._check import Path, Template, among, fact
from landbridge.spec.paging import Paging

__all__ = [
    "Between",
    "ChangedSince",
    "CreatedSince",
    "EventFeed",
    "InRanges",
    "Incremental",
    "SinceHeader",
    "SinceParam",
    "Sweep",
    "SyncToken",
]


@fact
class EventFeed:
    """Changes are read from the provider's event list, newest first, paged by `page`.

    The first run lists everything and remembers the instant before it began; later runs read the
    events since then, less `overlap`, and refetch each object they name. Older than `reach`
    (the provider forgot them) means a full listing that is merged, never replaced.
    """

    path: Template
    records: Path
    key: Path
    stamp: Path
    """Path to the event's instant (unix seconds)."""
    since_param: str
    topic: Path
    object_key: Path
    """Path from the event to the id of its object."""
    page: Paging
    reach: timedelta
    overlap: timedelta = timedelta(minutes=5)
    types_param: str = ""
    """The query parameter that names the wanted topics, repeated; empty: filter here."""
    types_limit: int = 20
    """How many topics one question may name; with more of them, filter here."""


@fact
class CreatedSince:
    """Objects that never change after they were made: read what was made since, less `overlap`."""

    param: str
    stamp: Path
    """Path to the object's instant (unix seconds)."""
    overlap: timedelta = timedelta(hours=1)
    """How late an object may show; reading again costs only the listing."""


@fact
class Between:
    """A listing can be narrowed to objects that were made in a range of time (unix seconds)."""

    since: str
    """The query parameter of the range's first second."""
    until: str
    """The query parameter of the first second behind it."""


@fact
class SyncToken:
    """WebDAV sync-collection (RFC 6578): a token a collection; an expired one leads to a merge."""

    multiget: int = 50
    """How many members are fetched at once."""


@fact
class SinceHeader:
    """A header asks for what changed since an instant, less `overlap` (If-Modified-Since)."""

    header: str = "If-Modified-Since"
    overlap: timedelta = timedelta(minutes=1)
    """How late a change may show, and how coarse the provider's time is."""


@fact
class ChangedSince:
    """The provider lists what changed since an instant, deleted records too, in one answer.

    What is deleted is known by `Resource.deleted`. An answer with `most` records may lack others,
    and an instant older than `reach` is not answered: both lead to a full listing that is merged.
    """

    path: Template
    records: str
    """Path to the records in the answer; `[]` stands for each item of a list on the way."""
    param: str
    """The query parameter of the instant, in ISO 8601."""
    query: Mapping[str, str] = field(default_factory=dict)
    """Parameters that say whose changes are wanted."""
    most: int = 1000
    reach: timedelta
    overlap: timedelta = timedelta(minutes=1)
    """How late a change may show."""

    def __post_init__(self) -> None:
        """Refuses a reach that never lets it be used."""
        if self.reach <= self.overlap + timedelta(days=1):
            raise SpecError("ChangedSince, reach: it is not longer than a day and the overlap")
        if self.most < 1:
            raise SpecError(f"ChangedSince, most: an answer of {self.most} records holds nothing")


@fact
class SinceParam:
    """A parameter asks for what changed since an instant, less `overlap`.

    Where a list shows only some of the records (FreshBooks: the active ones), `also` are the
    parameters of the others, which are followed too: all of them once, then what changed.
    """

    param: str
    form: str = "iso"
    """How the instant is written: `iso` in UTC, `unix` seconds, or a `day` in UTC."""
    overlap: timedelta = timedelta(minutes=1)
    """How late a change may show, and how coarse the provider's time is."""
    also: Sequence[Mapping[str, str]] = ()
    reach: timedelta | None = None
    """How far back it may be asked. Then everything is asked for by it too, from there on, as the
    list shows less without it; None: it shows everything."""
    unsure: bool = False
    """Whether the provider may refuse the parameter here: then all is listed instead."""

    def __post_init__(self) -> None:
        """Refuses a form that no one writes, and days that may leave out a part of one."""
        among(self.form, ["iso", "unix", "day"], "SinceParam, form")
        if self.form == "day" and self.overlap < timedelta(days=1):
            raise SpecError("SinceParam, overlap: a day somewhere else is up to a day behind ours")


@fact
class InRanges:
    """A list has to be asked for a range of time, `span` long at most: they are read in turn.

    The first pull begins `reach` ago, later ones go on from where the last one ended, less
    `overlap`. What such a list leaves out is only too old for it, so nothing in it is ever missing.
    """

    since: str
    """The query parameter of a range's begin, in ISO 8601."""
    until: str
    """The query parameter of its end."""
    span: timedelta
    reach: timedelta
    overlap: timedelta
    """How late a record may show, or change."""
    too_many: Sequence[str] = ()
    """Codes (`Errors.code`) that mean that a range has more rows than it lists: it is halved."""

    def __post_init__(self) -> None:
        """Refuses times with which nothing is read."""
        if self.span < timedelta(hours=1) or self.overlap < timedelta():
            raise SpecError("InRanges, span and overlap: ranges of an hour at least, from now back")
        if self.reach <= self.overlap:
            raise SpecError("InRanges, reach: it is not longer than the overlap")


Incremental = (
    EventFeed | CreatedSince | SinceHeader | SinceParam | ChangedSince | InRanges | SyncToken
)


@fact
class Sweep:
    """Nothing tells of deletions: the list is read by turns, at most `calls` calls a day.

    What two turns did not meet is asked for by itself, a call each, before it is deleted. A turn
    takes as many calls as the list has pages, so a deletion is seen after three turns at the
    latest: 24,000 records on pages of 100 are one turn a day with 240 calls.
    """

    calls: int = 240

    def __post_init__(self) -> None:
        """Refuses a sweep that never moves."""
        if self.calls < 1:
            raise SpecError(f"Sweep, calls: {self.calls} calls a day find nothing")

"""Webhooks of a provider: what they hold, how they are set up and checked."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from datetime import timedelta

from landbridge.errors import SpecError
from landbridge.spec._check import Path, Template, among, fact
from landbridge.spec.following import EventFeed
from landbridge.spec.kinds import Means, shadowed
from landbridge.spec.paging import Paging
from landbridge.spec.signature import Signature

__all__ = [
    "Body",
    "CodeSentBack",
    "EchoBody",
    "EchoQuery",
    "EventList",
    "Handshake",
    "SignedPing",
    "Webhook",
    "listed_by",
]


@fact
class EchoQuery:
    """The address is called with `?param=...` and answers with that text (Graph, Dropbox, Meta).

    Nobody has signed this call; it is answered to whoever knows the address.
    """

    param: str
    method: str = "POST"
    """GET or POST."""
    when: Mapping[str, str] = field(default_factory=dict)
    """Other parameters that must have these values, else the call is no handshake."""
    token: str = ""
    """A parameter that must hold the last part of the intake address, where the vendor lets one
    set a text to be repeated (Meta's verify token); empty: the vendor has none."""

    def __post_init__(self) -> None:
        """Refuses a method that no vendor calls by."""
        among(self.method, ["GET", "POST"], "EchoQuery, method")


@fact
class EchoBody:
    """A body that holds a challenge is answered with it (Slack's `url_verification`)."""

    challenge: Path
    when: Mapping[str, str]
    """Top-level fields that must have these values, else the body is an event."""
    signed: bool = True
    """Whether this body is signed like any other; then only a right signature is answered."""

    def __post_init__(self) -> None:
        """Refuses a handshake that every body would be taken for."""
        if not self.when:
            raise SpecError("EchoBody, when: it is empty; name what tells a challenge from events")


@fact
class SignedPing:
    """Bodies with an empty list of events ask whether signatures are checked (Xero).

    A right one is answered with `status` and no text, a wrong one with the page's
    `refused_status` and no text. Needs `Webhook.events`.
    """

    status: int = 200


@fact
class CodeSentBack:
    """The vendor is told of each event with its address, posts a code there, and posts events once
    the code was sent back to it (FreshBooks).

    The code comes unsigned to the address of a connection; it counts when the vendor takes it, and
    is from then on a secret that signs. Addresses lie below `Accounts.base`.
    """

    path: Template
    """Where callbacks are listed and made; below it, by their ids, they are confirmed by PUT.
    `{account}` is the remote account's id."""
    records: Path
    """Path to the callbacks in the list."""
    query: Mapping[str, str] = field(default_factory=dict)
    """Parameters that list them all."""
    envelope: str
    """The name around one callback, when it is sent."""
    event: str = "event"
    """Its field for the topic."""
    address: str = "uri"
    """Its field for the address."""
    code: str = "verifier"
    """Its field for the code, and the posted one."""
    object_key: str
    """The posted field with the callback's id."""


Handshake = EchoQuery | EchoBody | SignedPing | CodeSentBack


@fact
class EventList:
    """The provider's own list of its events, newest first, against which webhooks are checked.

    An item is one event as a webhook's body has it: `Webhook`'s paths lead into it. The event's
    instant (`Webhook.stamp`) must be in unix seconds.
    """

    path: Template
    records: Path
    page: Paging
    since_param: str
    """The query parameter for the earliest instant, inclusive, in unix seconds."""
    keeps: timedelta
    """How long the provider lists an event."""
    lag: timedelta = timedelta(minutes=2)
    """A younger event may still be on its way to us, so it is not missed yet."""
    overlap: timedelta = timedelta(minutes=5)
    """How late an event may show in the list; so much is read again each time."""
    query: Mapping[str, str] = field(default_factory=dict)
    """Parameters that every call needs."""

    def __post_init__(self) -> None:
        """Refuses times with which nothing would be checked."""
        if self.lag < timedelta() or self.overlap < timedelta():
            raise SpecError("EventList, lag and overlap: a time below zero")
        if self.keeps <= self.lag + self.overlap:
            raise SpecError("EventList, keeps: it is not longer than lag and overlap")


@fact
class Body:
    """Another form that the bodies of a provider's webhooks may have, with paths of its own.

    `events` leads to the list of events; `[]` stands for each item of a list on the way. What the
    items around an event say (whose account it is) counts as said by the event.
    """

    events: str
    topic: str
    object_key: Path
    id: Path = ""
    account: Path = ""
    stamp: Path = ""


@fact
class Webhook:
    """What the provider posts to us. Paths lead into one event of the body."""

    signature: Signature
    form: bool = False
    """Whether a body is a form, one event of it; else it is JSON."""
    id: Path
    topic: str
    """Path to what happened, or several in braces: `{eventCategory}.{eventType}`."""
    object_key: Path
    other_keys: Sequence[Path] = ()
    """Where the id is in events of other shapes; the first place that holds one counts."""
    object: str = ""
    """Path to a whole copy of the object; empty: the webhook only names it. A word in braces is
    what the event has at that path: `data.object.{data.type}`."""
    events: Path = ""
    """Path to the list when a body holds many; empty: the body is one event, or a list of them."""
    others: Sequence[Body] = ()
    """Other forms of a body, such as one that is going out of use; the first with events counts."""
    account: Path = ""
    """Path to the remote account's id; empty: the address alone tells whose it is."""
    subject: Path = ""
    """Path to the id of the person an event is about, for erasure. A resource that names its own
    (`Resource.subject`) is looked up in the copy of the object first."""
    kinds: Sequence[Means] = ()
    """Which events are of which kind (`EVENT_KINDS`); the first that holds counts."""
    stamp: Path = ""
    """Path to the event's instant: unix seconds, or ISO 8601 text (in UTC unless it says else)."""
    refused_status: int = 400
    """What the vendor expects when a signature is wrong."""
    max_body: int = 1_000_000
    """Bytes; a larger body is refused with 413, as soon as that is clear."""
    handshake: Handshake | None = None
    """How the vendor makes sure of the address before it posts events there."""
    listing: EventList | None = None
    """Where the vendor lists the events that it sends; None: nowhere."""

    def __post_init__(self) -> None:
        """Refuses what cannot be done with the other facts."""
        for problem in self._problems():
            raise SpecError(f"Webhook, {problem}")

    def _problems(self) -> Iterator[str]:
        if not 400 <= self.refused_status <= 499:
            yield f"refused_status: {self.refused_status} is no refusal from 400 to 499"
        if self.max_body < 1:
            yield f"max_body: {self.max_body} lets nothing in"
        if self.form and self.events:
            yield "form: a form is one event; it has no list at `events`"
        if isinstance(self.handshake, SignedPing) and not self.events:
            yield "handshake: a SignedPing is told by an empty list, so it needs `events`"
        if self.listing and not (self.stamp and self.id):
            yield "listing: it needs `id` and `stamp`, by which events are told apart"
        for problem in shadowed(self.kinds):
            yield f"kinds: {problem}"


def listed_by(feed: EventFeed) -> EventList:
    """The list that an event feed reads, as what webhooks are compared with."""
    return EventList(
        path=feed.path,
        records=feed.records,
        page=feed.page,
        since_param=feed.since_param,
        keeps=feed.reach,
        overlap=feed.overlap,
    )

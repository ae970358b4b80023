"""Kinds of events: what a vendor's event says, in words that mean the same at every provider."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from types import MappingProxyType
from typing import Any

from landbridge.errors import SpecError, did_you_mean
from landbridge.spec._check import among, fact
from landbridge.spec._paths import check_path, find, gathered

__all__ = ["EVENT_KINDS", "Means", "kind_of", "told_beside", "topic_matches", "topics_of"]

EVENT_KINDS: Mapping[str, str] = MappingProxyType(
    {
        "invoice.paid": "An invoice is paid in full.",
        "invoice.payment_failed": "An attempt to collect an invoice failed.",
        "payment.succeeded": "The money of a payment is taken, not only reserved.",
        "payment.failed": "An attempt at a payment failed; the payer may try again.",
        "payment.refunded": "Money of a payment was given back, all of it or a part.",
        "subscription.created": "A subscription was made; it may still wait for its first payment.",
        "subscription.updated": "A subscription changed and goes on.",
        "subscription.canceled": "A subscription has ended.",
        "checkout.completed": "A hosted payment page is complete: paid, or nothing was to be paid.",
        "dispute.opened": "A payer, or the payer's bank, disputes a payment.",
    }
)
"""Every kind, and what holds when an event of it came. A vendor may tell of one thing more than
once, by events of different ids: what is to be done once is done once per record."""


@fact
class Means:
    """Which of the vendor's events are of one kind: those with such a topic, if `when` holds.

    One that names another record at `about` is told twice: as what it says of its own object, by
    the other meanings, and as this, about that record.
    """

    kind: str
    """One of `EVENT_KINDS`."""
    topics: Sequence[str]
    """The vendor's topics; a `*` is one word between dots."""
    when: Mapping[str, str | Sequence[str]] = field(default_factory=dict)
    """Paths into the event, and the word that has to be there, or one of several. A flag is the
    word `true` or `false`; an empty word: nothing is there. A `[]` stands for each item of a list:
    there has to be one, and each has to have such a word."""
    about: str = ""
    """Path to the id of the other record that this is about; without an id there it is not meant.
    Empty: it is about the event's own object."""
    of: str = ""
    """The resource of that other record, which is read again."""
    by: str = ""
    """Where `about` leads to no id of it: the field of ours that has what is there. It is told of
    records that are held, and of nothing else; all of them are looked through."""

    def __post_init__(self) -> None:
        """Refuses a kind that is none, and what no event can be."""
        among(self.kind, list(EVENT_KINDS), "Means, kind")
        if not self.topics:
            raise SpecError(f"Means {self.kind}, topics: it is empty, so no event is meant")
        if self.by and not self.about:
            raise SpecError(f"Means {self.kind}, by: there is no path in `about`")
        if bool(self.about) != bool(self.of):
            raise SpecError(
                f"Means {self.kind}, about: a path needs its resource in `of`, and back"
            )
        for path, words in [*self.when.items(), *([(self.about, ".")] if self.about else [])]:
            problem = check_path(path.replace("[].", "."))
            if problem:
                raise SpecError(f"Means {self.kind}, when: {problem}")
            if not isinstance(words, str) and not words:
                raise SpecError(f"Means {self.kind}, when: no word for {path}, so it never holds")

    def holds(self, topic: str, event: Any) -> bool:
        """Whether an event with this topic is meant."""
        return any(topic_matches(pattern, topic) for pattern in self.topics) and all(
            _said(event, path, [words] if isinstance(words, str) else words)
            for path, words in self.when.items()
        )


def kind_of(meanings: Sequence[Means], topic: str, event: Any) -> str:
    """The kind of an event: that of the first of the meanings that holds; empty: none does."""
    own = (means for means in meanings if not means.about)
    return next((means.kind for means in own if means.holds(topic, event)), "")


def told_beside(meanings: Sequence[Means], topic: str, event: Any) -> Iterator[tuple[Means, str]]:
    """What an event says of other records than its own object, each with the record's id."""
    for means in meanings:
        key = find(event, means.about) if means.about else None
        if isinstance(key, str) and key and means.holds(topic, event):
            yield means, key


def topic_matches(pattern: str, topic: str) -> bool:
    """Whether a topic is meant by a pattern: a `*` stands for exactly one word between dots."""
    wanted, words = pattern.split("."), topic.split(".")
    return len(wanted) == len(words) and all(
        one in ("*", word) for one, word in zip(wanted, words, strict=True)
    )


def topics_of(about: str, words: str) -> tuple[str, ...]:
    """The topics that begin with `about`: `topics_of("price", "created updated")`."""
    return tuple(f"{about}.{word}" for word in words.split())


def shadowed(meanings: Sequence[Means]) -> Iterator[str]:
    """Why a meaning never comes to its turn: one before it takes its topic without a condition."""
    taken: dict[str, str] = {}
    for means in meanings:
        for topic in () if means.about else means.topics:
            if topic in taken:
                yield f"{means.kind} is never told by {topic}: {taken[topic]} takes it before"
            elif not means.when:
                taken[topic] = means.kind


def led_nowhere(meanings: Sequence[Means], names: Sequence[str]) -> Iterator[str]:
    """Why a meaning is about records that the page does not have."""
    for means in meanings:
        if means.of and means.of not in names:
            yield f"{means.kind} is about {means.of!r}.{did_you_mean(means.of, names)}"


def _said(event: Any, path: str, words: Sequence[str]) -> bool:
    if "[]" not in path:
        return _word(find(event, path)) in words
    found = gathered(event, path)
    return bool(found) and all(word in words for word in found)


def _word(found: Any) -> str:
    """What is in an event as a word of the page."""
    if isinstance(found, bool):
        return "true" if found else "false"
    return "" if found is None else str(found)

"""Kinds of events: what a vendor's event says, in words that mean the same at every provider."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from types import MappingProxyType
from typing import Any

from landbridge.errors import SpecError
from landbridge.spec._check import among, fact
from landbridge.spec._paths import check_path, find

__all__ = ["EVENT_KINDS", "Means", "kind_of", "topic_matches", "topics_of"]

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
    """Which of the vendor's events are of one kind: those with such a topic, if `when` holds."""

    kind: str
    """One of `EVENT_KINDS`."""
    topics: Sequence[str]
    """The vendor's topics; a `*` is one word between dots."""
    when: Mapping[str, str | Sequence[str]] = field(default_factory=dict)
    """Paths into the event, and the word that has to be there, or one of several. A flag is the
    word `true` or `false`; an empty word: nothing is there."""

    def __post_init__(self) -> None:
        """Refuses a kind that is none, and what no event can be."""
        among(self.kind, list(EVENT_KINDS), "Means, kind")
        if not self.topics:
            raise SpecError(f"Means {self.kind}, topics: it is empty, so no event is meant")
        for path, words in self.when.items():
            problem = check_path(path)
            if problem:
                raise SpecError(f"Means {self.kind}, when: {problem}")
            if not isinstance(words, str) and not words:
                raise SpecError(f"Means {self.kind}, when: no word for {path}, so it never holds")

    def holds(self, topic: str, event: Any) -> bool:
        """Whether an event with this topic is meant."""
        return any(topic_matches(pattern, topic) for pattern in self.topics) and all(
            _word(find(event, path)) in ([words] if isinstance(words, str) else words)
            for path, words in self.when.items()
        )


def kind_of(meanings: Sequence[Means], topic: str, event: Any) -> str:
    """The kind of an event: that of the first of the meanings that holds; empty: none does."""
    return next((means.kind for means in meanings if means.holds(topic, event)), "")


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
        for topic in means.topics:
            if topic in taken:
                yield f"{means.kind} is never told by {topic}: {taken[topic]} takes it before"
            elif not means.when:
                taken[topic] = means.kind


def _word(found: Any) -> str:
    """What is in an event as a word of the page."""
    if isinstance(found, bool):
        return "true" if found else "false"
    return "" if found is None else str(found)

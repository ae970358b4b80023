"""What a settled batch of deliveries adds to the measures."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from landbridge.measures import ATTEMPT_SECONDS, ATTEMPTS, LEASES_LOST, Measures
from landbridge.store.parcels import Try

_CLASSES = ("none", "1xx", "2xx", "3xx", "4xx", "5xx")


def tally(measures: Measures, tries: Sequence[Try], lost: Collection[str]) -> None:
    """Counts the tries and how long they took; those that were lost count as lost alone."""
    for each in tries:
        parcel = each.parcel
        if parcel.id in lost:
            measures.count(LEASES_LOST, parcel.lane)
            continue
        outcome = each.state or "snoozed"
        measures.count(ATTEMPTS, parcel.environment, parcel.lane, outcome, _class(each.status))
        if each.took:
            measures.observe(ATTEMPT_SECONDS, each.took, outcome)


def _class(status: int | None) -> str:
    return _CLASSES[status // 100] if status is not None and 100 <= status < 600 else "none"

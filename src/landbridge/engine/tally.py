"""What a settled batch of deliveries adds to the measures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

from landbridge.measures import ATTEMPT_SECONDS, ATTEMPTS, LEASES_LOST, Measures
from landbridge.store.parcels import Try

_CLASSES = ("none", "1xx", "2xx", "3xx", "4xx", "5xx")


def tally(measures: Measures, tries: Sequence[Try], lost: Collection[str]) -> None:
    """Counts the tries and how long they took; those that were lost count as lost alone."""
    alike: Counter[tuple[str, str, str, int | None]] = Counter()
    for each in tries:
        parcel = each.parcel
        if parcel.id in lost:
            measures.count(LEASES_LOST, parcel.lane)
            continue
        outcome = each.state or "snoozed"
        alike[parcel.environment, parcel.lane, outcome, each.status] += 1
        if each.took:
            measures.observe(ATTEMPT_SECONDS, each.took, outcome)
    for (environment, lane, ended, status), number in alike.items():
        measures.count(ATTEMPTS, environment, lane, ended, _class(status), n=number)


def _class(status: int | None) -> str:
    return _CLASSES[status // 100] if status is not None and 100 <= status < 600 else "none"

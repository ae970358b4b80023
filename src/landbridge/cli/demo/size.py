"""How much a demonstration does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace


@dataclass(frozen=True, kw_only=True)
class Size:
    """`stripe` are the simulator's options; the rest are counts, but for the last two."""

    stripe: Mapping[str, int]
    events: int
    """Calendar events at the start."""
    changes: int
    """Changes at the payments side, and a third as many of each kind at the calendar."""
    emitted: int
    """Committed events; a fourth as many more are rolled back."""
    kills_worker: bool = True
    """Whether the worker is killed; its work waits for its lease, 15 s."""
    fails_first: bool = True
    """Whether the receiver fails some first tries; the second come after 5 s."""


FULL = Size(
    stripe={
        "customers": 150,
        "products": 20,
        "subscriptions": 60,
        "invoices": 300,
        "refunds": 30,
        "payment_intents": 40,
    },
    events=2_000,
    changes=60,
    emitted=1_000,
)

SMALL = Size(
    stripe={
        "customers": 12,
        "products": 3,
        "subscriptions": 4,
        "invoices": 20,
        "refunds": 3,
        "payment_intents": 3,
    },
    events=60,
    changes=18,
    emitted=100,
)

LEAST = replace(SMALL, kills_worker=False, fails_first=False)

SIZES: Mapping[str, Size] = {"full": FULL, "small": SMALL, "least": LEAST}

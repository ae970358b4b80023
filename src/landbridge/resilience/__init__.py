"""Pure rules about failing calls: what a response means, how long to wait."""

from landbridge.resilience.backoff import delay, retry_after
from landbridge.resilience.breaker import Breaker, Position, Rule
from landbridge.resilience.budget import Budget
from landbridge.resilience.classify import READS, classify, expect
from landbridge.resilience.outcome import (
    Broken,
    Gone,
    Ok,
    Outcome,
    Refresh,
    Refusal,
    Reply,
    Retry,
    Stale,
    Throttle,
    Unknown,
)

__all__ = [
    "READS",
    "Breaker",
    "Broken",
    "Budget",
    "Gone",
    "Ok",
    "Outcome",
    "Position",
    "Refresh",
    "Refusal",
    "Reply",
    "Retry",
    "Rule",
    "Stale",
    "Throttle",
    "Unknown",
    "classify",
    "delay",
    "expect",
    "retry_after",
]

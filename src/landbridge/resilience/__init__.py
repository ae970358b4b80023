"""Pure rules about failing calls: what a response means, how long to wait."""

from landbridge.resilience.backoff import delay, retry_after
from landbridge.resilience.classify import READS, classify, expect
from landbridge.resilience.outcome import (
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
    "Gone",
    "Ok",
    "Outcome",
    "Refresh",
    "Refusal",
    "Reply",
    "Retry",
    "Stale",
    "Throttle",
    "Unknown",
    "classify",
    "delay",
    "expect",
    "retry_after",
]

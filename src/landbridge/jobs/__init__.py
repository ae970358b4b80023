"""What becomes due and who does it: kinds of jobs, outcomes as values, workers, the wake-up."""

from landbridge.jobs.outcome import Cancel, Done, Ended, Outcome, Retry, Snooze, full_jitter
from landbridge.jobs.settling import settle_each
from landbridge.jobs.wake import listen
from landbridge.jobs.worker import Kind, Lease, Worker, new_owner

__all__ = [
    "Cancel",
    "Done",
    "Ended",
    "Kind",
    "Lease",
    "Outcome",
    "Retry",
    "Snooze",
    "Worker",
    "full_jitter",
    "listen",
    "new_owner",
    "settle_each",
]

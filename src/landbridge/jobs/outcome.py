"""How a job ended, as a value, and what that means for its row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from landbridge.errors import (
    CircuitOpen,
    DatabaseUnavailable,
    LandbridgeError,
    ProviderError,
    Throttled,
    UnmappedCode,
)
from landbridge.store.due import Claimed

_LONGEST_ERROR = 500
_AWAY = timedelta(seconds=1)
_HELD = timedelta(hours=1)


@dataclass(frozen=True, kw_only=True)
class Done:
    """It is done. The row goes; a repeating one waits for its next time, or for `after`."""

    after: timedelta | None = None


@dataclass(frozen=True, kw_only=True)
class Retry:
    """It failed and is tried again: `at`, else `after`, else when its kind's backoff says.

    In `lane`, else in its kind's lane for later attempts, else in the same.
    """

    error: str
    at: datetime | None = None
    after: timedelta | None = None
    lane: str | None = None


@dataclass(frozen=True, kw_only=True)
class Snooze:
    """It could not be tried yet: again `at`, else `after`. No attempt is spent."""

    at: datetime | None = None
    after: timedelta = timedelta()
    error: str | None = None


@dataclass(frozen=True, kw_only=True)
class Cancel:
    """It makes no sense any more. The row goes, also a repeating one; the reason is logged."""

    reason: str


Outcome = Done | Retry | Snooze | Cancel


@dataclass(frozen=True, kw_only=True)
class Ended:
    """A claim and how it ended."""

    claim: Claimed
    outcome: Outcome


def full_jitter(
    attempt: int,
    chance: Callable[[], float],
    *,
    base: timedelta = timedelta(seconds=2),
    cap: timedelta = timedelta(minutes=15),
) -> timedelta:
    """A random wait between nothing and `base` doubled per attempt (0 is the first), at most `cap`.

    `chance` gives numbers from 0 to 1. Everyone who failed together comes back apart: "full
    jitter" of the AWS Architecture Blog, "Exponential Backoff And Jitter" (2015).
    """
    doubled: timedelta = base * 2 ** min(attempt, 30)
    return min(doubled, cap) * chance()


def of_exception(error: BaseException) -> Retry | Snooze:
    """What an exception means: try again, when the provider wants it.

    No attempt is spent while the database is away, nor on a call that was not made: the breaker is
    open, or a quota leaves no room. Such a job waits for `.retry_at`. What waits for a line of a
    code table is woken by it.

    Our own errors' messages hold no secret and are kept; of any other only the type's name is,
    since nobody knows what its message repeats.
    """
    if isinstance(error, DatabaseUnavailable):
        return Snooze(after=_AWAY, error=sentence(str(error)))
    if isinstance(error, UnmappedCode):
        return Snooze(after=_HELD, error=sentence(str(error)))
    if isinstance(error, CircuitOpen | Throttled) and error.status is None and error.retry_at:
        return Snooze(at=error.retry_at, error=sentence(str(error)))
    if isinstance(error, ProviderError):
        return Retry(error=sentence(str(error)), at=error.retry_at)
    if isinstance(error, LandbridgeError):
        return Retry(error=sentence(str(error)))
    return Retry(error=type(error).__name__)


def sentence(text: str) -> str:
    """Text as Postgres and a table's cell can take it: one line, no NUL, at most 500 letters."""
    line = " ".join(text.replace("\0", "").split())
    return line if len(line) <= _LONGEST_ERROR else f"{line[: _LONGEST_ERROR - 3]}..."


def where(error: BaseException) -> str:
    """The place in the code that raised it, `package.module:line`; no values, so no secrets."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return ""
    return f"{trace.tb_frame.f_globals.get('__name__', '?')}:{trace.tb_lineno}"

"""How a simulator behaves badly from its start on, whoever calls it: the option of all of them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import isfinite

from landbridge.errors import SettingsError
from landbridge.testing.faults import Fault

_QUOTA = re.compile(r"([1-9]\d{0,6})/(s|m|h)")
_UNITS = {"s": 1, "m": 60, "h": 3600}


@dataclass(frozen=True, kw_only=True)
class Conduct:
    """What a simulator does to its callers; as it is made here it does nothing to them.

        Settings(conduct=Conduct(quota="10/s", late=5, duplicate=0.1, token_life=60))

    `SettingsError` names the field that makes no sense.
    """

    faults: Sequence[Fault] = ()
    """Orders to fail, the first one that fits a request first."""
    quota: str = ""
    """How many calls of its API are served, such as `10/s`, `600/m` or `1000/h`; one more is a 429
    with the seconds until the next ones. Empty: only what the vendor's own limits are."""
    late: float = 0.0
    """Seconds by which each webhook is late."""
    duplicate: float = 0.0
    """The share of webhooks that are sent twice: 0 none, 1 all."""
    token_life: float | None = None
    """Seconds for which an access token is good; None: as long as at the vendor."""
    rate: Rate | None = field(init=False, default=None)
    """The quota, read."""

    def __post_init__(self) -> None:
        """Refuses what makes no sense, and reads the quota."""
        if not (isfinite(self.late) and self.late >= 0):
            raise SettingsError(
                f"late: {self.late} is no number of seconds, such as 5; 0 is on time"
            )
        if not 0 <= self.duplicate <= 1:
            raise SettingsError(
                f"duplicate: {self.duplicate} is no share; 0.1 sends every tenth twice, 1 all"
            )
        if self.token_life is not None and not self.token_life >= 1:
            raise SettingsError(
                f"token_life: {self.token_life} is no number of seconds from 1 on, such as 60"
            )
        if self.quota:
            found = _QUOTA.fullmatch(self.quota)
            if found is None:
                raise SettingsError(
                    f"quota: {self.quota!r} is not calls for a time, such as 10/s, 600/m or 1000/h"
                )
            rate = Rate(calls=int(found[1]), seconds=_UNITS[found[2]])
            object.__setattr__(self, "rate", rate)

    def lives(self, theirs: float) -> int:
        """For how many whole seconds an access token is good, where the vendor's is `theirs`."""
        return int(theirs if self.token_life is None else self.token_life)


@dataclass(frozen=True, kw_only=True)
class Rate:
    """So many calls in each window of so many seconds."""

    calls: int
    seconds: int


@dataclass(kw_only=True)
class Meter:
    """Counts calls in the windows of a rate."""

    rate: Rate
    _window: int = -1
    _served: int = 0

    def over(self, now: float) -> Fault | None:
        """Counts a call in; the refusal of one too many."""
        window = int(now // self.rate.seconds)
        if window != self._window:
            self._window, self._served = window, 0
        if self._served < self.rate.calls:
            self._served += 1
            return None
        wait = int(self.rate.seconds - now % self.rate.seconds) + 1
        return Fault(kind="status", status=429, headers={"retry-after": str(wait)})

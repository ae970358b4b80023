"""A budget of retries: a provider that is down is not asked many times over by everyone."""

from __future__ import annotations


class Budget:
    """Retries that calls earn: `share` of one for each call, `reserve` at first and at most.

    Over time no more than `share` of all calls are retried, however long the trouble lasts; a few
    calls after a quiet time always may be.
    """

    __slots__ = ("_left", "_reserve", "_share")

    def __init__(self, *, share: float = 0.2, reserve: float = 10.0):
        self._share = share
        self._reserve = reserve
        self._left = reserve

    def __repr__(self) -> str:
        return f"Budget({self._left:.1f} left)"

    def called(self) -> None:
        """A call is begun."""
        self._left = min(self._reserve, self._left + self._share)

    def take(self) -> bool:
        """Whether one more retry may be made; it is counted then."""
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True

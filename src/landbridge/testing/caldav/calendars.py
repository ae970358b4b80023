"""Calendars, their objects, and what changed since a sync token."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from landbridge.testing.caldav.dialect import Dialect
from landbridge.testing.caldav.ical import Stored, stored
from landbridge.testing.stage import SimClock


@dataclass(frozen=True, kw_only=True)
class Object:
    """A calendar object. `text` is what the server serves; it may be unreadable on purpose."""

    name: str
    text: str
    uid: str | None
    kind: str
    etag: str
    changed_at: float


@dataclass(frozen=True, kw_only=True)
class _Step:
    number: int
    name: str
    was_there: bool


@dataclass
class Calendar:
    """One collection. Every change is a numbered step; a token stands for a number."""

    path: str
    dialect: Dialect
    clock: SimClock
    token_age: float
    properties: dict[str, str] = field(default_factory=dict)
    """Dead and settable properties by Clark name."""
    objects: dict[str, Object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._steps: list[_Step] = []
        self._tokens: dict[str, tuple[int, float]] = {}
        self.changed_at = self.clock.now()

    def put(self, name: str, text: str) -> Object:
        """Stores what a client sent, in the server's own words; `BadCalendar` if it cannot."""
        return self._keep(name, stored(text, first=self.dialect.first))

    def spoil(self, name: str, text: str) -> Object:
        """Stores a text as it is, readable or not."""
        before = self.objects.get(name)
        uid, kind = (before.uid, before.kind) if before is not None else (name, "VEVENT")
        return self._keep(name, Stored(text=text, uid=uid, kind=kind))

    def _keep(self, name: str, kept: Stored) -> Object:
        was_there = name in self.objects
        self.objects[name] = Object(
            name=name,
            text=kept.text,
            uid=kept.uid,
            kind=kept.kind,
            etag=f'"{self._digest(kept.text)}"',
            changed_at=self.clock.now(),
        )
        self._step(name, was_there=was_there)
        return self.objects[name]

    def delete(self, name: str) -> Object:
        """Removes an object."""
        removed = self.objects.pop(name)
        self._step(name, was_there=True)
        return removed

    def _step(self, name: str, *, was_there: bool) -> None:
        self._steps.append(_Step(number=len(self._steps) + 1, name=name, was_there=was_there))
        self.changed_at = self.clock.now()

    def deleted(self) -> list[str]:
        """Names that once were and are no more."""
        return [name for name in self._touched(0) if name not in self.objects]

    def holder(self, uid: str | None) -> str | None:
        """The name of the object that has this UID."""
        return next((each.name for each in self.objects.values() if each.uid == uid), None)

    def token(self) -> str:
        """The token of the present state; the same state has the same token."""
        number = len(self._steps)
        token = self.dialect.sync_prefix + self._digest(f"{self.path} {number}")
        self._tokens[token] = (number, self.clock.now())
        return token

    def ctag(self) -> str:
        """What CS:getctag says; changes with any change."""
        tag = self._digest(f"ctag {self.path} {len(self._steps)}")
        return f'"{tag}"' if self.dialect.quoted_ctag else tag

    def expire_tokens(self) -> int:
        """Forgets every token that was given out; how many there were."""
        count = len(self._tokens)
        self._tokens = {}
        return count

    def since(self, token: str) -> tuple[list[Object], list[str]] | None:
        """What changed and what was removed since a token; None for one that is not valid.

        An empty token asks for everything. A token that is used stays valid for its whole age.
        """
        start = 0
        if token:
            known = self._tokens.get(token)
            if known is None or known[1] < self.clock.now() - self.token_age:
                return None
            start = known[0]
            self._tokens[token] = (start, self.clock.now())
        touched = self._touched(start)
        changed = [self.objects[name] for name in touched if name in self.objects]
        removed = [
            name
            for name, was_there in touched.items()
            if name not in self.objects and (was_there or self.dialect.tells_ghosts)
        ]
        if not token:
            changed = list(self.objects.values())
        return changed, removed

    def _touched(self, start: int) -> dict[str, bool]:
        """Names changed after a step, and whether each was there then."""
        touched: dict[str, bool] = {}
        for step in self._steps[start:]:
            touched.setdefault(step.name, step.was_there)
        return touched

    def _digest(self, text: str) -> str:
        digest = hashlib.sha256(text.encode()).hexdigest()
        return digest if self.dialect.default_namespace else digest[:40]

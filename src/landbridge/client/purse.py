"""What a process holds of one quota: leased calls, places, and what it knows of the rest."""

from __future__ import annotations

from collections.abc import Sequence

from landbridge.resilience.quota import Rule
from landbridge.store.quotas import Ask, Chunk, Crowd, Key, Places

LANES = 4
_AHEAD = 1024
"""Calls at most that a chunk holds beyond those that wait."""
_LINGER = 0.1
"""Seconds for which a place that nobody uses is kept for the next call."""
_ANEW = 0.25
"""Seconds after which a process that uses places asks again, so that others get their share."""


class Purse:
    """One quota in one process. Instants are of the monotonic clock, in seconds."""

    __slots__ = (
        "again",
        "asked_at",
        "asked_for",
        "block",
        "blocked_until",
        "changed_at",
        "ends_at",
        "free",
        "held",
        "key",
        "known",
        "largest",
        "left",
        "left_tick",
        "made",
        "opens_at",
        "over",
        "over_tick",
        "rule",
        "tick",
        "tokens",
        "using",
        "waiting",
    )

    def __init__(self, key: Key, rule: Rule):
        self.key = key
        self.rule = rule
        self.known = False
        """Whether its row is there."""
        self.waiting = [0] * LANES
        self.largest = 1
        """The most that one call has cost."""
        self.opens_at = [0.0] * LANES
        self.blocked_until = 0.0
        self.block = 0.0
        """Until when others are to be told to wait."""
        self.again = 0
        # Calls per period
        self.tokens = [0] * LANES
        self.made = [0] * LANES
        """Calls since the last chunk, by lane."""
        self.tick = 0
        self.ends_at = 0.0
        self.over = 0
        """Calls of a chunk that has ended, to be given back."""
        self.over_tick = 0
        self.free = rule.quota.limit
        self.left: int | None = None
        self.left_tick = 0
        # Calls at once
        self.held = 0
        self.using = 0
        self.asked_at = 0.0
        self.asked_for = LANES
        """The most urgent lane that waited when places were asked for."""
        self.changed_at = 0.0

    def ready(self, lane: int, cost: int, now: float) -> bool:
        """Whether a call of that lane may begin at once."""
        if now < self.blocked_until:
            return False
        if self.rule.at_once:
            return self.using < min(self.held, self.rule.rooms[lane])
        if now >= self.ends_at:
            return False
        needs, tokens = min(cost, self.rule.rooms[lane]), self.tokens
        return tokens[lane] >= needs or sum(tokens[lane:]) >= needs

    def ahead(self, lane: int) -> bool:
        """Whether calls wait that go before a call of that lane, or beside it."""
        return any(self.waiting[: lane + 1])

    def take(self, lane: int, cost: int, now: float) -> None:
        """A call begins, on what was leased for lanes further back before that of its own."""
        if self.rule.at_once:
            self.using += 1
            self.changed_at = now
            return
        self.made[lane] += cost
        left, tokens = min(cost, self.rule.rooms[lane]), self.tokens
        for place in range(LANES - 1, lane - 1, -1):
            if tokens[place] >= left:
                tokens[place] -= left
                return
            left -= tokens[place]
            tokens[place] = 0

    def end(self, now: float) -> None:
        """A call's turn is over."""
        if self.rule.at_once:
            self.using = max(0, self.using - 1)
            self.changed_at = now

    def untake(self, lane: int, cost: int, now: float) -> None:
        """The call that was let through is not made."""
        self.end(now)
        if not self.rule.at_once and now < self.ends_at:
            self.tokens[lane] += min(cost, self.rule.rooms[lane])

    def refused(self, wait: float, now: float) -> None:
        """The provider wants no calls for so long."""
        if now + wait > self.blocked_until:
            self.blocked_until = self.block = now + wait

    def learned(self, left: int) -> None:
        """The provider said what is left; only less than we thought is worth a word."""
        if left < self.free and (self.left is None or left < self.left):
            self.left, self.left_tick = left, self.tick

    def close(self) -> None:
        """Nothing is called any more: what is held goes back with the next word."""
        self.ends_at = self.changed_at = 0.0
        self.using = 0
        self.waiting = [0] * LANES

    # Speaking with the database

    def next_at(self, now: float) -> float:
        """When it has something to say to the database, or to ask."""
        if self.block > now:
            return now
        at = min(
            (self.opening(lane) for lane in range(LANES) if self._short(lane, now)),
            default=float("inf"),
        )
        if not self.rule.at_once:
            says = any(self.tokens) or self.over or self.left is not None
            return min(at, self.ends_at) if says else at
        if self.using:
            return min(at, self.asked_at + _ANEW)
        return min(at, self.changed_at + _LINGER) if self.held else at

    def _short(self, lane: int, now: float) -> bool:
        """Whether calls wait for it; those that wait for another quota alone do not."""
        return bool(self.waiting[lane]) and not self.ready(lane, self.largest, now)

    @property
    def idle(self) -> bool:
        """Whether it holds nothing, waits for nothing and has nothing to tell."""
        return not (
            self.held
            or self.using
            or self.over
            or self.block
            or self.left is not None
            or any(self.tokens)
            or any(self.waiting)
        )

    def ask(self, now: float) -> Ask:
        """What it wants of a quota per period; unspent calls of a chunk that ended go back."""
        if now >= self.ends_at and any(self.tokens):
            self.over, self.over_tick = sum(self.tokens), self.tick
            self.tokens = [0] * LANES
        wanted = [0] * LANES
        for lane in range(LANES):
            if self._short(lane, now):
                some = self.waiting[lane] + min(2 * self.made[lane], _AHEAD)
                wanted[lane] = max(some - self.tokens[lane], 1)
        self.made = [0] * LANES
        environment, place, name = self.key
        ask = Ask(
            environment=environment,
            place=place,
            name=name,
            limit=self.rule.quota.limit,
            step=self.rule.step,
            span=self.rule.span,
            pace=self.rule.pace,
            rooms=self.rule.rooms,
            wanted=(wanted[0], wanted[1], wanted[2], wanted[3]),
            back=self.over,
            back_tick=self.over_tick,
            left=self.left,
            left_tick=self.left_tick,
            blocked=max(0.0, self.block - now),
        )
        self.over, self.left, self.block = 0, None, 0.0
        return ask

    def leased(self, ask: Ask, chunk: Chunk, asked_at: float, longest: float) -> None:
        """Takes a chunk that was asked for at that instant; it lasts `longest` seconds at most."""
        if chunk.tick != self.tick and any(self.tokens):
            self.over, self.over_tick = sum(self.tokens), self.tick
            self.tokens = [0] * LANES
        self.tick = chunk.tick
        self.ends_at = asked_at + min(chunk.ends, longest)
        self.free = self.rule.quota.limit - sum(chunk.used)
        self.blocked_until = max(self.blocked_until, asked_at + chunk.blocked)
        for lane in range(LANES):
            self.tokens[lane] += chunk.given[lane]
            if ask.wanted[lane] and not chunk.given[lane]:
                wait = self.rule.opens_in(chunk.used, lane, chunk.ends)
                # Others took it, or it is taken in parts: a moment, and it is asked for again.
                self.opens_at[lane] = asked_at + max(chunk.blocked, wait, 0.005)

    def crowd(self, now: float) -> Crowd:
        """What it wants of a limit of calls at once."""
        self.asked_for = min((lane for lane in range(LANES) if self.waiting[lane]), default=LANES)
        spare = self.held - self.using if now < self.changed_at + _LINGER else 0
        need = self.using
        for lane in reversed(range(LANES)):
            need = max(need, min(need + self.waiting[lane], self.rule.rooms[lane]))
        # Until the answer is there, no more calls begin than those that are told of.
        self.held = self.using
        environment, place, name = self.key
        crowd = Crowd(
            environment=environment,
            place=place,
            name=name,
            limit=self.rule.quota.limit,
            most=self.rule.rooms[self.asked_for % LANES],
            need=max(need, self.using + spare),
            using=self.using,
            blocked=max(0.0, self.block - now),
        )
        self.block = 0.0
        return crowd

    def placed(self, places: Places, asked_at: float, pause: float) -> None:
        """Takes the places that it has from now on, be they fewer than it uses: then no call begins
        until some have ended. Who waits in vain asks again after `pause`; a call of a lane before
        theirs does not wait for that."""
        self.held = places.given
        self.asked_at = asked_at
        self.blocked_until = max(self.blocked_until, asked_at + places.blocked)
        lane = self.asked_for
        if lane < LANES and places.given >= self.rule.rooms[lane]:
            pause = _ANEW  # it has all that it may have
        again = asked_at + max(places.blocked, pause)
        self.opens_at[lane:] = [again] * (LANES - lane)

    def opening(self, lane: int) -> float:
        """When a call of that lane may find room, as far as is known."""
        return max(self.opens_at[lane], self.blocked_until)


def narrowest(purses: Sequence[Purse], lane: int, cost: int, now: float) -> Purse:
    """The one that a call of that lane waits for the longest."""
    short = [each for each in purses if not each.ready(lane, cost, now)] or list(purses)
    return max(short, key=lambda each: each.opening(lane))

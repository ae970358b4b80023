"""What seeding works on: the account, its own randomness, and what happened when."""

from __future__ import annotations

from dataclasses import dataclass, field

from landbridge.testing.stripe.world import EVENT_DAYS, KINDS, Obj, World

DAY = 86_400
CURRENCIES = ("usd", "eur", "gbp", "jpy", "kwd", "chf")


@dataclass
class Ground:
    """An account being filled. `happened` becomes the events of the last 30 days."""

    world: World
    rates: list[Obj] = field(default_factory=list)
    prices: dict[tuple[str, str], list[Obj]] = field(default_factory=dict)
    """By kind of price and currency."""
    customers: list[str] = field(default_factory=list)
    by_customer: dict[str, list[Obj]] = field(default_factory=dict)
    """The subscriptions of those who have any."""
    happened: list[tuple[int, str, Obj]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.random = self.world.random
        self.now = self.world.now()

    def add(self, name: str, obj: Obj, event: str | None = None) -> Obj:
        """Takes a new object; its event follows in `events`."""
        self.world.collections[name].add(obj)
        created = obj["created" if "created" in obj else "date"]
        self.happened.append((created, event or f"{KINDS[name].object}.created", obj))
        return obj

    def moments(self, count: int, days: int) -> list[int]:
        """Times in the last `days`, oldest first; some of them equal."""
        start = self.now - days * DAY
        return sorted(
            start + self.random.randrange(days * DAY - 7200) // 60 * 60 for _ in range(count)
        )

    def some_customer(self) -> Obj:
        """Any customer that there is."""
        return self.world.collections["customers"].items[self.random.choice(self.customers)]

    def events(self) -> None:
        """Makes the events of what happened, in its order."""
        oldest = self.now - EVENT_DAYS * DAY
        recent = [each for each in self.happened if each[0] >= oldest]
        for at, type_, obj in sorted(recent, key=lambda each: each[0]):
            self.world.event(type_, obj, at=at)

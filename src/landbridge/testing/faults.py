"""Faults that a simulator commits on demand, each for some requests to some paths.

    POST /_sim/faults {"kind": "status", "status": 429, "path": "/v1/invoices*", "times": 3}

| kind | what the caller sees |
|---|---|
| `status` | `status` (default 500) with `headers`; nothing is done, or with `after` all of it is |
| `drop` | the connection closes without an answer; with `after`, after the commit |
| `delay` | the right answer, `seconds` late (with `after`: done at once, told late) |
| `truncate` | 200 and the first half of the right body |
| `empty` | 200 and a list without its records, `has_more` false |
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Any, Literal

import msgspec

from landbridge.testing.asgi import Answer, BadCall, Drop
from landbridge.wire import Response


class Fault(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One order to fail. `path` is a glob over the decoded path, `method` a name or `*`.

    The first `skip` matching requests pass; of those behind them each `every`-th fails, until
    `times` did (None: until cleared). Where `every` is told, `times` is None if it is not.
    """

    kind: Literal["status", "drop", "delay", "truncate", "empty"]
    path: str = "*"
    method: str = "*"
    times: int | None = 1
    skip: int = 0
    every: int = 1
    after: bool = False
    status: int = 500
    headers: dict[str, str] = {}
    seconds: float = 1.0

    def __post_init__(self) -> None:
        """ValueError names the number that makes no sense."""
        for name, least in (("times", 1), ("skip", 0), ("every", 1), ("seconds", 0)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise ValueError(f"{name} is {value}; it is {least} or more")
        if not 200 <= self.status <= 599:
            raise ValueError(f"status is {self.status}; it is 200 to 599, such as 429 or 503")


def fault_of(asked: Mapping[str, Any]) -> Fault:
    """The fault of these fields; `msgspec.ValidationError` names the one that is wrong."""
    often = {"times": None} if "every" in asked else {}
    return msgspec.convert({**often, **asked}, Fault)


@dataclass
class _Order:
    id: str
    fault: Fault
    seen: int = 0
    done: int = 0

    def spent(self) -> bool:
        return self.fault.times is not None and self.done >= self.fault.times


@dataclass
class FaultPlan:
    """The standing orders, oldest first; the first one that matches a request is carried out."""

    _orders: list[_Order] = field(default_factory=list)
    _made: int = 0

    def add(self, asked: dict[str, Any]) -> str:
        """The id of the new order; `BadCall` names the field that is wrong."""
        try:
            fault = fault_of(asked)
        except msgspec.ValidationError as error:
            raise BadCall(f"fault: {error}") from None
        return self.order(fault)

    def order(self, fault: Fault) -> str:
        """The id of an order for this fault."""
        self._made += 1
        order = _Order(id=f"fault_{self._made}", fault=fault)
        self._orders.append(order)
        return order.id

    def clear(self, order_id: str | None = None) -> int:
        """How many orders were taken back: the named one, or all."""
        kept = [each for each in self._orders if order_id not in {None, each.id}]
        cleared = len(self._orders) - len(kept)
        self._orders = kept
        return cleared

    def take(self, method: str, path: str) -> Fault | None:
        """The fault to commit for this request, counted; None for a request to answer well."""
        for order in self._orders:
            fault = order.fault
            if order.spent() or fault.method not in {"*", method}:
                continue
            if not fnmatchcase(path, fault.path):
                continue
            order.seen += 1
            behind = order.seen - fault.skip
            if behind > 0 and behind % fault.every == 0:
                order.done += 1
                return fault
        return None

    def listed(self) -> list[dict[str, Any]]:
        """Every order with its counts, spent ones included."""
        return [
            {"id": each.id, "seen": each.seen, "done": each.done} | msgspec.to_builtins(each.fault)
            for each in self._orders
        ]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What the caller gets, and the response that stands on the server (None: nothing happened)."""

    answer: Answer
    kept: Response | None


@dataclass(frozen=True, kw_only=True)
class Spoiler:
    """Commits faults in one simulator's manner: its error response, its empty list."""

    failure: Callable[[Fault], Response]
    emptied: Callable[[Response], Response]

    async def carried_out(self, fault: Fault | None, work: Callable[[], Response]) -> Outcome:
        """Does the work, with the fault before, after or instead of it.

        An ordered 500 after the commit is what stands: the server believes in it too.
        """
        if fault is None:
            real = work()
            return Outcome(answer=real, kept=real)
        if fault.kind == "delay" and not fault.after:
            await asyncio.sleep(fault.seconds)
        if fault.kind in {"status", "drop"} and not fault.after:
            instead = Drop() if fault.kind == "drop" else self.failure(fault)
            return Outcome(answer=instead, kept=None)
        real = work()
        if fault.kind == "delay" and fault.after:
            await asyncio.sleep(fault.seconds)
        if fault.kind == "status":
            failed = self.failure(fault)
            return Outcome(answer=failed, kept=failed if fault.status == 500 else real)
        return Outcome(answer=self._spoiled(fault, real), kept=real)

    def _spoiled(self, fault: Fault, real: Response) -> Answer:
        if fault.kind == "drop":
            return Drop()
        if fault.kind == "truncate":
            return replace(real, body=real.body[: len(real.body) // 2])
        return self.emptied(real) if fault.kind == "empty" else real

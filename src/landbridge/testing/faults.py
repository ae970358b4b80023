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

from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Literal

import msgspec

from landbridge.testing.asgi import BadCall


class Fault(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One order to fail. `path` is a glob over the decoded path, `method` a name or `*`.

    The first `skip` matching requests pass, the next `times` fail (None: until cleared).
    """

    kind: Literal["status", "drop", "delay", "truncate", "empty"]
    path: str = "*"
    method: str = "*"
    times: int | None = 1
    skip: int = 0
    after: bool = False
    status: int = 500
    headers: dict[str, str] = {}
    seconds: float = 1.0


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
            fault = msgspec.convert(asked, Fault)
        except msgspec.ValidationError as error:
            raise BadCall(f"fault: {error}") from None
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
            if order.seen > fault.skip:
                order.done += 1
                return fault
        return None

    def listed(self) -> list[dict[str, Any]]:
        """Every order with its counts, spent ones included."""
        return [
            {"id": each.id, "seen": each.seen, "done": each.done} | msgspec.to_builtins(each.fault)
            for each in self._orders
        ]

"""What every simulator has besides its trade: a clock, a journal, faults and `/_sim/`.

The control plane needs no credentials: simulators listen on loopback only.

| call | does |
|---|---|
| `GET /_sim` | lists every control call of this simulator |
| `GET /_sim/journal?after=SEQ&method=M&path=GLOB` | what was asked after that entry, in order |
| `GET /_sim/faults`, `POST /_sim/faults`, `DELETE /_sim/faults[?id=..]` | see `faults` |
| `GET /_sim/clock`, `POST /_sim/clock {"advance": SECONDS}` | the simulator's own time |
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from email.utils import formatdate
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from landbridge.testing.asgi import Answer, BadCall, Call, Router, as_json
from landbridge.testing.conduct import Conduct, Meter
from landbridge.testing.faults import Fault, FaultPlan
from landbridge.testing.journal import Journal
from landbridge.wire import Response


class SimClock:
    """Unix seconds from a base that can be moved ahead (never back: ids and lists are ordered)."""

    def __init__(self, base: Callable[[], float] = time.time):
        self._base = base
        self._ahead = 0.0

    def now(self) -> float:
        """The simulator's present, in unix seconds."""
        return self._base() + self._ahead

    def advance(self, seconds: float) -> None:
        """Moves the simulator's present ahead."""
        if seconds < 0:
            raise BadCall(f"advance: {seconds} is negative; this clock only runs ahead")
        self._ahead += seconds


def starting_at(unix: float) -> Callable[[], float]:
    """A base that begins at `unix` now and runs at the real pace."""
    offset = unix - time.time()
    return lambda: time.time() + offset


class Stage:
    """The clock, journal, fault plan and control routes of one simulator."""

    def __init__(
        self,
        *,
        journal: Path | None = None,
        base: Callable[[], float] | None = None,
        conduct: Conduct | None = None,
    ):
        self.clock = SimClock(base or time.time)
        self.journal = Journal(journal)
        self.conduct = conduct or Conduct()
        self.faults = FaultPlan()
        for fault in self.conduct.faults:
            self.faults.order(fault)
        self._meter = Meter(rate=self.conduct.rate) if self.conduct.rate else None
        self.control = Router()
        for method, path, route in (
            ("GET", "/_sim", self._index),
            ("GET", "/_sim/journal", self._journal),
            ("GET", "/_sim/faults", self._faults),
            ("POST", "/_sim/faults", self._add_fault),
            ("DELETE", "/_sim/faults", self._clear_faults),
            ("GET", "/_sim/clock", self._clock),
            ("POST", "/_sim/clock", self._advance),
        ):
            self.control.add(method, path, route)

    def fault(self, method: str, path: str) -> Fault | None:
        """The fault to commit for a request, counted: one that was ordered, else one call too many
        for the quota; None for a request to answer well."""
        ordered = self.faults.take(method, path)
        if ordered is None and self._meter is not None:
            return self._meter.over(self.clock.now())
        return ordered

    async def controlled(self, call: Call) -> Answer | None:
        """The control plane's answer; None for a call that is none of its business."""
        if call.path != "/_sim" and not call.path.startswith("/_sim/"):
            return None
        found = self.control.find(call.method, call.path.rstrip("/"))
        if found is None:
            error = f"no control call {call.method} {call.path}; GET /_sim lists them"
            return as_json({"error": error}, 404)
        route, _, place = found
        try:
            answer = route(
                Call(
                    method=call.method,
                    path=call.path,
                    query=call.query,
                    headers=call.headers,
                    body=call.body,
                    place=place,
                )
            )
            return answer if isinstance(answer, Answer) else await answer
        except BadCall as error:
            return as_json({"error": str(error)}, 400)

    def note(self, call: Call, answer: Answer, fault: Fault | None, /, **more: Any) -> None:
        """Writes a request, what it was answered, and more into the journal."""
        said: dict[str, Any] = {"query": call.query, **more}
        self.journal.write(
            kind="request",
            at=self.clock.now(),
            method=call.method,
            path=call.path,
            **said,
            status=answer.status if isinstance(answer, Response) else None,
            fault=None if fault is None else fault.kind,
        )

    def dated(self, answer: Response, more: Mapping[str, str]) -> Response:
        """An answer with the date by this clock, and more headers."""
        head = {"Date": formatdate(self.clock.now(), usegmt=True), **more}
        return replace(answer, headers=answer.headers.having(head))

    def _index(self, _: Call) -> Answer:
        """Every control call with what it does."""
        return as_json(self.control.index())

    def _journal(self, call: Call) -> Answer:
        """The requests seen, in order."""
        args = call.args()
        after = whole(args, "after", 0)
        entries = [
            each
            for each in self.journal.entries[after:]
            if args.get("method", each.get("method")) == each.get("method")
            and fnmatchcase(str(each.get("path")), args.get("path", "*"))
        ]
        return as_json({"entries": entries, "last": len(self.journal.entries)})

    def _faults(self, _: Call) -> Answer:
        """The standing faults with how often each was seen and done."""
        return as_json({"faults": self.faults.listed()})

    def _add_fault(self, call: Call) -> Answer:
        """Orders a fault."""
        return as_json({"id": self.faults.add(call.json())})

    def _clear_faults(self, call: Call) -> Answer:
        """Takes back the fault named by `id`, or all."""
        return as_json({"cleared": self.faults.clear(call.args().get("id"))})

    def _clock(self, _: Call) -> Answer:
        """The simulator's time."""
        return as_json({"now": self.clock.now()})

    def _advance(self, call: Call) -> Answer:
        """Moves the simulator's time ahead by `advance` seconds."""
        self.clock.advance(number(call.json(), "advance", 0.0))
        return as_json({"now": self.clock.now()})


def whole(asked: dict[str, Any] | dict[str, str], name: str, default: int) -> int:
    """A whole number that was asked for; `BadCall` names the field otherwise."""
    try:
        return int(asked.get(name, default))
    except (TypeError, ValueError):
        raise BadCall(f"{name}: {asked[name]!r} is not a whole number") from None


def number(asked: dict[str, Any], name: str, default: float) -> float:
    """A number that was asked for; `BadCall` names the field otherwise."""
    try:
        return float(asked.get(name, default))
    except (TypeError, ValueError):
        raise BadCall(f"{name}: {asked[name]!r} is not a number") from None


def among(name: str, word: str, known: Iterable[str]) -> str:
    """A word that was asked for, out of the known ones; `BadCall` names the field otherwise."""
    known = tuple(known)
    if word not in known:
        raise BadCall(f"{name}: {word!r} is none of {', '.join(known)}")
    return word

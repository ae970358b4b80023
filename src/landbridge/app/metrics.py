"""The numbers of a process, where they come from and who gets them.

What is counted while we work lies in `Measures`. What only the database knows is read when somebody
looks, by `Gauges`. Both go to OpenTelemetry if the application has configured its SDK, and to
whoever asks `/metrics`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AsyncExitStack
from datetime import timedelta
from functools import partial

from opentelemetry import metrics
from opentelemetry.metrics import CallbackOptions, Observation

from landbridge import measures as contract
from landbridge.errors import LandbridgeError
from landbridge.measures import CONTRACT, Labels, Measure, Measures
from landbridge.store import due, levels, upkeep
from landbridge.store.database import Database

KEPT = timedelta(seconds=5)
"""For how long the database's numbers are given out before they are read again."""

STRAYS_KEPT = timedelta(minutes=1)

_PATIENCE = 5.0
_EXPORT_EVERY = 15.0
_API = "opentelemetry.metrics"
_UNITS = {"seconds": "s", "rows": "{row}"}

Values = Mapping[Labels, float]


class Gauges:
    """What is read from the database for `Measures`, at most once in `KEPT` however many look."""

    def __init__(
        self,
        db: Database,
        measures: Measures,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ):
        self._db = db
        self._monotonic = monotonic
        self._reading = asyncio.Lock()
        self._values: dict[Measure, Values] = {}
        self._strays: dict[str, int] = {}
        self._read_at = self._strays_at = float("-inf")
        self._answered_at = monotonic()
        read = [each for each in CONTRACT if each.scope == "database"]
        self._undo = [
            measures.gauge(each, partial(self._values_of, each))
            for each in (*read, contract.DATABASE_AWAY)
        ]

    async def refresh(self) -> None:
        """Returns once the numbers are fresh, or the database was found to be away."""
        async with self._reading:
            if self._monotonic() - self._read_at < KEPT.total_seconds():
                return
            try:
                async with asyncio.timeout(_PATIENCE):
                    values = await self._read()
            except (LandbridgeError, TimeoutError):
                away = self._monotonic() - self._answered_at
                self._values = {contract.DATABASE_AWAY: {(): away}}
            else:
                self._answered_at = self._monotonic()
                self._values = values
            self._read_at = self._monotonic()

    async def stay_fresh(self) -> None:
        """Refreshes every few seconds until it is cancelled, for exporters that do not wait."""
        while True:
            await self.refresh()
            await asyncio.sleep(_EXPORT_EVERY)

    def close(self) -> None:
        """Shows nothing from now on."""
        for undo in self._undo:
            undo()

    async def _read(self) -> dict[Measure, Values]:
        depth = await due.depth(self._db)
        found = await levels.read(self._db)
        if self._monotonic() - self._strays_at >= STRAYS_KEPT.total_seconds():
            self._strays = await upkeep.strays(self._db)
            self._strays_at = self._monotonic()
        return {
            contract.DATABASE_AWAY: {(): 0},
            contract.DUE_ROWS: {(name,): lane.count for name, lane in depth.items()},
            contract.DUE_OLDEST: {
                (name,): max(0.0, (found.at - lane.oldest).total_seconds()) if lane.oldest else 0.0
                for name, lane in depth.items()
            },
            contract.OUTBOX_ROWS: {(): found.outbox},
            contract.LINE_ROWS: {(): found.lines},
            contract.BREAKERS_OPEN: _labelled(found.breakers),
            contract.ENDPOINTS_DISABLED: _labelled(found.disabled),
            contract.PARKED: _labelled(found.parked),
            contract.PARTITION_STRAYS: _labelled(self._strays),
        }

    def _values_of(self, measure: Measure) -> Values:
        return self._values.get(measure, {})


async def open_gauges(stack: AsyncExitStack, db: Database, measures: Measures) -> Gauges:
    """The gauges of an open database; `stack` ends them, and what is exported."""
    gauges = Gauges(db, measures)
    stack.callback(gauges.close)
    if (stop := export(measures)) is not None:
        stack.callback(stop)
        keeping = asyncio.create_task(gauges.stay_fresh())
        stack.push_async_callback(_ended, keeping)
    return gauges


def export(
    measures: Measures, provider: metrics.MeterProvider | None = None
) -> Callable[[], None] | None:
    """Makes an OpenTelemetry instrument of each measure; gives what ends that.

    `provider` is by default the application's global one. None, and nothing done, if that is not
    an SDK's: configure it before the bridge is opened.
    """
    provider = provider or metrics.get_meter_provider()
    if type(provider).__module__.startswith(_API):
        return None
    meter = provider.get_meter("landbridge")
    ended = asyncio.Event()
    timers: dict[Measure, metrics.Histogram] = {}
    for each in CONTRACT:
        name, unit = each.name.removesuffix("_total"), _UNITS.get(each.unit, "1")
        if each.kind == "histogram":
            timers[each] = meter.create_histogram(
                name, unit, each.help, explicit_bucket_boundaries_advisory=each.buckets
            )
        elif each.kind == "counter":
            shown = partial(_shown, measures.counts, each, ended)
            meter.create_observable_counter(name, [shown], unit, each.help)
        else:
            shown = partial(_shown, measures.gauges, each, ended)
            meter.create_observable_gauge(name, [shown], unit, each.help)

    def record(measure: Measure, value: float, labels: Labels) -> None:
        timers[measure].record(value, dict(zip(measure.labels, labels, strict=True)))

    measures.forward(record)

    def stop() -> None:
        ended.set()
        measures.forward(None)

    return stop


def _shown(
    read: Callable[[Measure], Values],
    measure: Measure,
    ended: asyncio.Event,
    _options: CallbackOptions,
) -> Iterator[Observation]:
    if ended.is_set():
        return
    for labels, value in read(measure).items():
        yield Observation(value, dict(zip(measure.labels, labels, strict=True)))


def _labelled(counts: Mapping[str, int]) -> Values:
    return {(name,): count for name, count in counts.items()}


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

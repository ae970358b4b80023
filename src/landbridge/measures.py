"""What is counted and timed while we work: a contract of names, and the numbers of one process.

`CONTRACT` is the whole list, with type, unit, labels and help of each measure; docs/reference and
the checked dashboard are made from it. A part that counts is handed a `Measures` and says

    measures.count(ATTEMPTS, "live", "deliver", "delivered", "2xx")
    measures.observe(ATTEMPT_SECONDS, took, "delivered")

with the labels in the contract's order. Labels take few values: never an id of a tenant, endpoint
or connection, never an address. Nothing here knows Prometheus or OpenTelemetry; they read.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeVar, get_args

T = TypeVar("T")
Labels = tuple[str, ...]

MOST_SERIES = 500
"""Combinations of labels that one measure keeps; what comes after them is counted as `other`."""

OTHER = "other"


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Measure:
    """One line of the contract. `buckets` are upper bounds, for histograms alone.

    A gauge's `scope` says whether it is about this process or read from the database, where every
    process sees the same.
    """

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    unit: str = ""
    labels: Labels = ()
    buckets: tuple[float, ...] = ()
    scope: Literal["process", "database"] = "process"


_FAST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0)
_HTTP = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0)
_LATENCY = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 3600.0)
_AGES = (1.0, 5.0, 15.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0, 86_400.0)
_ROWS = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0)

# Webhooks in

Refusal = Literal[
    "forged",
    "too old",
    "no secret set",
    "unknown address",
    "too large",
    "large headers",
    "too slow",
    "compressed",
    "bad handshake",
]
"""Why a webhook is answered with 4xx, as counts and `landbridge inbox refused` say it."""

WEBHOOKS_ACCEPTED = Measure(
    name="landbridge_webhooks_accepted_total",
    kind="counter",
    labels=("environment", "provider"),
    help="Webhooks that were verified and committed, and only then answered with 2xx.",
)
WEBHOOKS_REFUSED = Measure(
    name="landbridge_webhooks_refused_total",
    kind="counter",
    labels=("environment", "provider", "reason"),
    help="Webhooks that were answered with 4xx, by reason: " + ", ".join(get_args(Refusal)) + "."
    " At an address that no app of ours has, environment and provider are `none`.",
)
WEBHOOKS_UNAVAILABLE = Measure(
    name="landbridge_webhooks_unavailable_total",
    kind="counter",
    help="Webhooks answered with 503 and Retry-After: the database or the vault was away, the"
    " provider's page was not given to this process, or too much waited. Providers send them"
    " again.",
)
INTAKE_SECONDS = Measure(
    name="landbridge_intake_seconds",
    kind="histogram",
    unit="seconds",
    labels=("provider",),
    buckets=_FAST,
    help="From the end of a webhook's body to its commit, the signature included, for accepted"
    " ones.",
)
INTAKE_FLUSH_ROWS = Measure(
    name="landbridge_intake_flush_rows",
    kind="histogram",
    unit="rows",
    buckets=_ROWS,
    help="Webhooks that shared one commit.",
)
RECONCILE_REPAIRED = Measure(
    name="landbridge_reconcile_repaired_total",
    kind="counter",
    labels=("environment", "provider"),
    help="Events in the provider's own list whose webhook had not come; they were taken in then."
    " Any is worth an alarm.",
)
RECONCILE_UNANNOUNCED = Measure(
    name="landbridge_reconcile_unannounced_total",
    kind="counter",
    labels=("environment", "provider"),
    help="Changes that a comparison found and no webhook had announced, where the provider keeps"
    " no list of events. Any is worth an alarm.",
)

# Connections

TOKEN_REFRESHES = Measure(
    name="landbridge_token_refreshes_total",
    kind="counter",
    labels=("environment", "provider", "outcome"),
    help="Refreshes of grants: `stored`; `late`, stored after the grant was thought dead;"
    " `superseded`, there were newer tokens; `unanswered` and `error`, tried again later;"
    " `refused`, `ambiguous` and `expired`, the tenant has to connect again. `ambiguous` is"
    " worth an alarm.",
)
TOKEN_SECONDS = Measure(
    name="landbridge_token_seconds",
    kind="histogram",
    unit="seconds",
    labels=("provider",),
    buckets=_HTTP,
    help="From the post of a refresh to the provider's tokens.",
)

# Pulls

PULL_AGE_SECONDS = Measure(
    name="landbridge_pull_age_seconds",
    kind="histogram",
    unit="seconds",
    labels=("environment", "provider", "resource"),
    buckets=_AGES,
    help="How old a connection's resource had become when a pull of it ended: the time since the"
    " pull before ended.",
)
CHANGE_AGE_SECONDS = Measure(
    name="landbridge_change_age_seconds",
    kind="histogram",
    unit="seconds",
    labels=("environment", "provider", "resource", "by"),
    buckets=_AGES,
    help="From a change at the provider, by its own clock, to its record in our table, by"
    " `webhook` or by `pull`. Changes that a full listing finds are not in it.",
)

# Events and deliveries

EMITS = Measure(
    name="landbridge_emits_total",
    kind="counter",
    labels=("environment",),
    help="Events that emit has checked and written; the caller may still roll back.",
)
EVENTS_MOVED = Measure(
    name="landbridge_events_moved_total",
    kind="counter",
    help="Committed events that the dispatcher numbered and stored.",
)
DELIVERIES = Measure(
    name="landbridge_deliveries_total",
    kind="counter",
    labels=("kind",),
    help="Deliveries that events became by fan-out: `due` at once, or in a `line` behind an"
    " earlier one of their ordering key.",
)
MOVE_SECONDS = Measure(
    name="landbridge_move_seconds",
    kind="histogram",
    unit="seconds",
    buckets=_FAST,
    help="One move of the dispatcher that found something.",
)
ATTEMPTS = Measure(
    name="landbridge_attempts_total",
    kind="counter",
    labels=("environment", "lane", "outcome", "status"),
    help="Tries of deliveries: `delivered`, `failing` (tried again later), `abandoned` or"
    " `snoozed` (given back without a post). status: 2xx to 5xx, or `none` without an answer.",
)
ATTEMPT_SECONDS = Measure(
    name="landbridge_attempt_seconds",
    kind="histogram",
    unit="seconds",
    labels=("outcome",),
    buckets=_HTTP,
    help="From the post to the end of the receiver's answer.",
)
DELIVERY_SECONDS = Measure(
    name="landbridge_delivery_seconds",
    kind="histogram",
    unit="seconds",
    labels=("environment",),
    buckets=_LATENCY,
    help="From emit to the receiver's 2xx, for deliveries whose first attempt succeeded. The time"
    " until the caller commits is in it.",
)

# Work

JOBS = Measure(
    name="landbridge_jobs_total",
    kind="counter",
    labels=("kind", "outcome"),
    help="Jobs that ended: `done`, `retry`, `snooze` or `cancel`. Deliveries are attempts.",
)
LEASES_LOST = Measure(
    name="landbridge_leases_lost_total",
    kind="counter",
    labels=("lane",),
    help="Work that another worker took over, because this one was stopped or cut off for longer"
    " than the lease.",
)
IN_FLIGHT = Measure(
    name="landbridge_in_flight",
    kind="gauge",
    labels=("lane",),
    help="Jobs and deliveries that this process has claimed and not settled.",
)
HTTP_CONNECTIONS = Measure(
    name="landbridge_http_connections",
    kind="gauge",
    help="Connections to receivers that this process holds open, idle ones included.",
)
DATABASE_AWAY = Measure(
    name="landbridge_database_away_seconds",
    kind="gauge",
    unit="seconds",
    help="For how long the database has not answered when it was asked for these numbers; 0 while"
    " it does. The database's own gauges are missing meanwhile.",
)

# Quotas of providers

QUOTA_WAIT_SECONDS = Measure(
    name="landbridge_quota_wait_seconds",
    kind="histogram",
    unit="seconds",
    labels=("lane",),
    buckets=_FAST,
    help="How long calls waited for their turn under a provider's quotas; those that found one"
    " leased are not in it.",
)
QUOTA_LEASES = Measure(
    name="landbridge_quota_leases_total",
    kind="counter",
    help="Statements by which this process leased chunks of quotas, or gave them back.",
)
QUOTA_REFUSED = Measure(
    name="landbridge_quota_refused_total",
    kind="counter",
    labels=("provider", "lane"),
    help="Calls that were not made because there was no room within their lane's patience; they"
    " are tried again later.",
)
QUOTA_THROTTLED = Measure(
    name="landbridge_quota_throttled_total",
    kind="counter",
    labels=("provider",),
    help="Answers that said that a quota was exceeded.",
)

# Read from the database when somebody looks

DUE_ROWS = Measure(
    name="landbridge_due_rows",
    kind="gauge",
    unit="rows",
    labels=("lane",),
    scope="database",
    help="Work whose time has come and that nobody holds; up to 10,000 of each 64th of tenants.",
)
DUE_OLDEST = Measure(
    name="landbridge_due_oldest_seconds",
    kind="gauge",
    unit="seconds",
    labels=("lane",),
    scope="database",
    help="How long the oldest of it has waited; 0 when nothing does.",
)
OUTBOX_ROWS = Measure(
    name="landbridge_outbox_rows",
    kind="gauge",
    unit="rows",
    scope="database",
    help="Committed events that are not moved on yet; counted up to 10,000.",
)
LINE_ROWS = Measure(
    name="landbridge_line_rows",
    kind="gauge",
    unit="rows",
    scope="database",
    help="Deliveries of ordered endpoints in line behind an earlier one; counted up to 10,000.",
)
BREAKERS_OPEN = Measure(
    name="landbridge_breakers_open",
    kind="gauge",
    labels=("environment",),
    scope="database",
    help="Endpoints that are not tried at present, since they failed too often; up to 10,000.",
)
ENDPOINTS_DISABLED = Measure(
    name="landbridge_endpoints_disabled",
    kind="gauge",
    labels=("environment",),
    scope="database",
    help="Endpoints that are disabled, by constant failure, a 410 or by hand; up to 10,000.",
)
PARKED = Measure(
    name="landbridge_parked_rows",
    kind="gauge",
    unit="rows",
    labels=("kind",),
    scope="database",
    help="What stopped and waits for somebody: records, webhooks, changes; up to 10,000.",
)
PARTITION_STRAYS = Measure(
    name="landbridge_partition_strays",
    kind="gauge",
    unit="rows",
    labels=("table",),
    scope="database",
    help="Rows in a default partition, because no worker made that day's; upkeep moves them."
    " Any is worth an alarm.",
)

CONTRACT: tuple[Measure, ...] = tuple(
    each for each in list(globals().values()) if isinstance(each, Measure)
)
"""Every measure, in the order of this page."""


class Histogram:
    """What was observed under one combination of labels: a count per bucket, the last one for all
    above, and the sum."""

    __slots__ = ("counts", "total")

    def __init__(self, buckets: int):
        self.counts = [0] * (buckets + 1)
        self.total = 0.0


Read = Callable[[], Mapping[Labels, float]]
Forward = Callable[[Measure, float, Labels], None]


class Measures:
    """The numbers of one process. Methods are called from its event loop; reading them from
    another thread is safe. A name outside the contract, or labels that do not fit, are a TypeError
    at the first use.
    """

    __slots__ = ("_counts", "_forward", "_histograms", "_reads")

    def __init__(self) -> None:
        self._counts: dict[Measure, dict[Labels, float]] = {
            each: {} if each.labels else {(): 0} for each in CONTRACT if each.kind == "counter"
        }
        self._histograms: dict[Measure, dict[Labels, Histogram]] = {
            each: {} for each in CONTRACT if each.kind == "histogram"
        }
        self._reads: dict[Measure, list[Read]] = {}
        self._forward: Forward | None = None

    def __repr__(self) -> str:
        return f"Measures({sum(len(each) for each in self._counts.values())} counts)"

    def count(self, measure: Measure, *labels: str, n: float = 1) -> None:
        """Adds `n` to a counter."""
        try:
            self._counts[measure][labels] += n
        except KeyError:
            cells = _cells(self._counts, measure)
            kept = _kept(cells, measure, labels)
            cells[kept] = cells.get(kept, 0) + n

    def observe(self, measure: Measure, value: float, *labels: str) -> None:
        """Files a value into a histogram; a negative one, as clocks give it at times, as 0."""
        try:
            into = self._histograms[measure][labels]
        except KeyError:
            into = self._histogram(measure, labels)
        value = max(value, 0.0)
        into.counts[bisect_left(measure.buckets, value)] += 1
        into.total += value
        if self._forward is not None:
            self._forward(measure, value, labels)

    def observe_many(self, measure: Measure, values: Iterable[float], *labels: str) -> None:
        """Files each of the values."""
        for value in values:
            self.observe(measure, value, *labels)

    def gauge(self, measure: Measure, read: Read) -> Callable[[], None]:
        """Lets `read` be asked for a gauge whenever somebody looks; gives what ends that.

        Where several are asked for one gauge, their values are added up.
        """
        if measure.kind != "gauge" or measure not in CONTRACT:
            raise TypeError(f"{measure.name} is no gauge of the contract")
        reads = self._reads.setdefault(measure, [])
        reads.append(read)
        return lambda: reads.remove(read) if read in reads else None

    def forward(self, to: Forward | None) -> None:
        """Hands every observed value to `to` as well, for exporters with buckets of their own."""
        self._forward = to

    # Reading

    def counts(self, measure: Measure) -> dict[Labels, float]:
        """A counter's values so far, by their labels."""
        return self._counts[measure].copy()

    def histograms(self, measure: Measure) -> dict[Labels, tuple[list[int], float]]:
        """A histogram's counts per bucket (not added up) and sums, by their labels."""
        found = self._histograms[measure].copy()
        return {labels: (each.counts.copy(), each.total) for labels, each in found.items()}

    def gauges(self, measure: Measure) -> dict[Labels, float]:
        """A gauge's values now, by their labels; none while nobody knows."""
        found: dict[Labels, float] = {}
        for read in tuple(self._reads.get(measure, ())):
            for labels, value in read().items():
                kept = labels if labels in found else _kept(found, measure, labels)
                found[kept] = found.get(kept, 0.0) + value
        return found

    def _histogram(self, measure: Measure, labels: Labels) -> Histogram:
        cells = _cells(self._histograms, measure)
        kept = _kept(cells, measure, labels)
        return cells.setdefault(kept, Histogram(len(measure.buckets)))


def _cells(of: dict[Measure, dict[Labels, T]], measure: Measure) -> dict[Labels, T]:
    if measure not in of:
        raise TypeError(f"{measure.name} is a {measure.kind}, or not of the contract")
    return of[measure]


def _kept(cells: Mapping[Labels, object], measure: Measure, labels: Labels) -> Labels:
    """The labels under which a new combination is kept."""
    if len(labels) != len(measure.labels):
        raise TypeError(f"{measure.name} takes the labels {measure.labels}, not {len(labels)}")
    return labels if len(cells) < MOST_SERIES else (OTHER,) * len(labels)

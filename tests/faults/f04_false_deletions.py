"""F04: records that a provider stops showing for a while, and records that are gone without a word.

Pages that answer 200 and nothing, a scope that was withdrawn, a filter that was changed, failures
that were swallowed; deletions of which nothing tells, merged and restored records.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from landbridge.engine.replay import discard, replay
from landbridge.store import parked
from landbridge.wire import Request
from tests.faults.paged import BASE, PAGED, SIZE, SWEPT_CALLS, Source, swept
from tests.faults.paged_stage import Stage, stage
from tests.rows import RowResult, Trial, row

_PAGES = 9


class Diff:
    """The control: a full listing, and what it lacks is deleted."""

    def __init__(self, source: Source):
        self._source = source
        self.held: set[str] = set()
        self.false = 0

    def turn(self) -> None:
        """One listing; what it meets is held, and nothing else."""
        after, met = "", set[str]()
        while True:
            query = (("limit", str(SIZE)), *((("after", after),) if after else ()))
            asked = Request(method="GET", url=f"{BASE}/listed", query=query)
            answer = msgspec.json.decode(self._source.answer(asked).body)
            met |= {each["id"] for each in answer.get("rows", [])}
            if not answer.get("more"):
                break
            after = answer["rows"][-1]["id"]
        self.false += len((self.held - met) & self._source.rows.keys())
        self.held = met


@dataclass(kw_only=True)
class Faulty:
    """The stage and the control beside it."""

    stage: Stage
    control: Diff

    @property
    def source(self) -> Source:
        return self.stage.source

    async def questions(self) -> list[parked.Parked]:
        """The listings that wait for a person's word."""
        return await parked.every(self.stage.db, environment="test", what="listing")


@row(
    "F04",
    title="false mass deletion, missed deletion: empty pages, scopes, filters, merges, restores",
    goal="0 false tombstones, 0 deletions missed; too many missing stops, is shown, and can be"
    " confirmed or dismissed; diffing full listings deletes what is there",
)
async def false_deletions(trial: Trial) -> RowResult:
    """One fault after the other against the same records, each followed by a comparison."""
    seeds = trial.size.pick(small=1, medium=10)
    found: Counter[str] = Counter()
    for number in range(seeds):
        rows = _PAGES * SIZE - 7
        async with stage(trial.seed + number, PAGED, "listed", rows=rows) as made:
            here = Faulty(stage=made, control=Diff(made.source))
            for name, fault in FAULTS.items():
                await fault(here)
                await made.check(name)
            found.update({**made.found, "control false": here.control.false})
        trial.step(number + 1, seeds)
    false = sum(count for name, count in found.items() if name.endswith(": false"))
    missed = sum(count for name, count in found.items() if name.endswith(": missed"))
    asked, unasked = found["asked"], found["not asked"]
    return RowResult(
        value=f"{len(FAULTS) * seeds} faults: {false} false tombstones, {missed} deletions missed,"
        f" {asked} times asked; control: {found['control false']} deleted that are there",
        holds=not false and not missed and not unasked and found["control false"] > 0,
        detail=dict(found),
    )


async def _first_load_ends_early(here: Faulty) -> None:
    """From page 7 on nothing is shown, while everything is read for the first time."""
    here.source.swallows = _from_page(here.source, 7)
    await here.stage.pull()
    here.source.swallows = lambda _request: False
    here.control.turn()
    await here.stage.pull()


async def _listing_ends_early(here: Faulty) -> None:
    """The same, when everything is here already."""
    await here.stage.begin_anew()
    here.source.swallows = _from_page(here.source, 7)
    await here.stage.pull()
    here.source.swallows = _from_page(here.source, 7)
    here.control.turn()
    here.source.swallows = lambda _request: False
    await here.stage.pull()
    here.control.turn()


async def _failures_are_swallowed(here: Faulty) -> None:
    """Every question is answered with 200 and nothing, twice; a person does not believe it."""
    here.source.swallows = lambda _request: True
    for _ in range(2):
        await here.stage.begin_anew()
        await here.stage.pull()
    here.control.turn()
    here.source.swallows = lambda _request: False
    await _dismissed(here)


async def _scope_is_reduced(here: Faulty) -> None:
    """Most records are shown nowhere, as if there were none of them."""
    here.control.turn()
    some = {key for key in here.source.rows if here.source.rng.random() < 0.4}
    here.source.hides = lambda each: each["id"] in some
    await here.stage.begin_anew()
    await here.stage.pull()
    here.control.turn()
    await _dismissed(here)
    here.source.hides = lambda _each: False


async def _filter_is_changed(here: Faulty) -> None:
    """The list shows fewer records, which can still be read one by one."""
    some = {key for key in here.source.rows if here.source.rng.random() < 0.2}
    here.source.unlisted = lambda each: each["id"] in some
    await here.stage.begin_anew()
    await here.stage.pull()
    here.source.unlisted = lambda _each: False


async def _few_are_deleted(here: Faulty) -> None:
    """Hard deletions without an event: found by the next listing, one call for each."""
    for key in here.source.rng.sample(sorted(here.source.rows), 3):
        here.source.remove(key, told=False)
    await here.stage.begin_anew()
    await here.stage.pull()


async def _many_are_deleted(here: Faulty) -> None:
    """So many that a person is asked, who says that it is so."""
    rows = sorted(here.source.rows)
    for key in here.source.rng.sample(rows, len(rows) // 3):
        here.source.remove(key, told=False)
    await here.stage.begin_anew()
    await here.stage.pull()
    questions = await here.questions()
    here.stage.found["asked" if len(questions) == 1 else "not asked"] += 1
    for each in questions:
        await replay(here.stage.db, here.stage.puller, [], each)
    await here.stage.look_up()


async def _two_are_merged(here: Faulty) -> None:
    """One record is shown in the place of another."""
    gone, stays = here.source.rng.sample(sorted(here.source.rows), 2)
    here.source.merged[gone] = stays
    here.source.remove(gone, told=False)
    await here.stage.begin_anew()
    await here.stage.pull()


async def _one_is_restored(here: Faulty) -> None:
    """A record is deleted, and comes back as it was: both are told as changes."""
    key = here.source.rng.choice(sorted(here.source.rows))
    kept = here.source.rows[key]
    here.source.remove(key, told=False)
    await here.stage.begin_anew()
    await here.stage.pull()
    here.stage.found["restored: false"] += key in await here.stage.held()
    here.source.rows[key] = kept
    await here.stage.begin_anew()
    await here.stage.pull()
    async with here.stage.db.transaction() as tx:
        told = await tx.execute(
            "SELECT before IS NULL, after IS NULL FROM landbridge.change WHERE key = $1"
            " ORDER BY id",
            key,
        )
    come, go = (True, False), (False, True)
    here.stage.found["restored: missed"] += [tuple(each) for each in told] != [come, go, come]


async def _found_by_sweep(here: Faulty) -> None:
    """Of the deletions in a list that is followed nothing tells: they are found within three turns
    of the sweep, while records are written and others come back, and within its calls."""
    stage, source = _swept(here), here.source
    await stage.pull()
    gone = source.rng.sample(sorted(source.rows), 3)
    kept = source.rows[gone[0]]
    for key in gone:
        source.remove(key, told=False)
    turns, steps = 0, 0
    turned_at = None
    while turns < 3 and steps < 2 * _PAGES:
        source.write()
        source.pass_by(3600)
        await stage.pull()
        before, looked = source.calls, stage.found["looked up"]
        done = await stage.sweep()
        made = source.calls - before - (stage.found["looked up"] - looked)
        here.stage.found["calls beyond the budget: false"] += made > SWEPT_CALLS + 1
        turns, steps = turns + (done.turned_at != turned_at), steps + 1
        turned_at = done.turned_at
    here.stage.found["not swept: missed"] += turns < 3
    await stage.check("swept")
    source.removed.discard(gone[0])
    source.rows[gone[0]] = {**kept, "at": int(source.time)}
    source.pass_by(3600)
    await stage.pull()
    here.stage.found["restored: missed"] += gone[0] not in await stage.held()
    await here.stage.begin_anew()
    await here.stage.pull()


async def _scope_is_reduced_under_a_sweep(here: Faulty) -> None:
    """The sweep finds most records gone, each of them, and asks."""
    stage = _swept(here)
    await stage.pull()
    some = {key for key in here.source.rows if here.source.rng.random() < 0.4}
    here.source.hides = lambda each: each["id"] in some
    until = here.source.calls + 4 * _PAGES
    ends = {(await stage.sweep()).turned_at}
    while len(ends) < 3 and here.source.calls < until:
        ends.add((await stage.sweep()).turned_at)
    here.stage.found["not swept: missed"] += len(ends) < 3
    here.source.hides = lambda _each: False
    await stage.check("swept with a reduced scope")
    await _dismissed(here)


def _swept(here: Faulty) -> Stage:
    return replace(here.stage, resource=swept)


async def _dismissed(here: Faulty) -> None:
    """One question waits, however often the listing was made; it is answered with no."""
    questions = await here.questions()
    here.stage.found["asked" if len(questions) == 1 else "not asked"] += 1
    for each in questions:
        await discard(here.stage.db, each)
    await here.stage.look_up()


def _from_page(source: Source, number: int) -> Callable[[Request], bool]:
    first = source.calls + number
    return lambda request: source.calls >= first and request.url.endswith("/listed")


FAULTS: dict[str, Callable[[Faulty], Awaitable[Any]]] = {
    "page 7 of a first load is empty": _first_load_ends_early,
    "page 7 of a listing is empty": _listing_ends_early,
    "failures swallowed": _failures_are_swallowed,
    "scope reduced": _scope_is_reduced,
    "filter changed": _filter_is_changed,
    "few deleted": _few_are_deleted,
    "many deleted": _many_are_deleted,
    "merged": _two_are_merged,
    "restored": _one_is_restored,
    "deletions that only a sweep sees": _found_by_sweep,
    "scope reduced under a sweep": _scope_is_reduced_under_a_sweep,
}

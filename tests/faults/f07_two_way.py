"""F07: a table and a provider's records, edited on both sides in every order, with what goes wrong
in between: no edit is lost, each true conflict keeps both values, and then nothing more is written.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from landbridge.client import Client
from landbridge.client.guard import Guard
from landbridge.clock import SystemClock
from landbridge.engine.agreed import dumped
from landbridge.engine.linker import Linker
from landbridge.engine.linking import Meeting, decide
from landbridge.errors import LandbridgeError
from landbridge.merge import Merged, Policy, Take, values_of
from landbridge.store.database import Database, Tx
from landbridge.store.due import LeaseLost
from landbridge.vault import LocalKey, Vault, new_key
from tests.engine.linkstage import Hall, Office, hall, office
from tests.rows import RowResult, Trial, row
from tests.store.databases import fresh_database, migrated_template, shared_server

_BATCH = 100
"""Schedules that run beside each other, a pair each."""
_ROUNDS = 3
_POLICY = Policy(by_field={"description": Take.OURS, "email": Take.THEIRS})
_THEIR_WORD = {"description": "note"}
FIELDS = ("name", "email", "phone", "description")


@dataclass
class Script:
    """One pair, what it held before this round, and what either side edits in it."""

    local: str
    key: str
    before: dict[str, str | None] = field(default_factory=dict)
    ours: dict[str, str] = field(default_factory=dict)
    theirs: dict[str, str] = field(default_factory=dict)


_LATER: dict[str, str] = {}
"""By local id, for the control: which side edited the record last."""


class LastWins(Meeting):
    """Last write wins: the side that was edited later counts, with all of its fields."""

    def decide(self, link: Any, pair: Any, *sides: Any, **_: Any) -> Merged[Any]:
        """The whole record of the later side, for both."""
        take = Take(_LATER.get(pair.local or "", "theirs"))
        ours, theirs, at = sides
        if pair.ours is None or ours is None or theirs is None:
            return decide(link, pair, ours, theirs, at)
        return decide(link, _forgotten(pair, take, ours, theirs, link), ours, theirs, at)


def _forgotten(pair: Any, take: Take, ours: Any, theirs: Any, link: Any) -> Any:
    """The pair as if the later side had changed everything and the other one nothing."""
    if take is Take.OURS:
        return replace(pair, theirs=dumped(values_of(theirs, link.policy)), ours={})
    return replace(pair, ours=dumped(values_of(ours.record, link.policy)), theirs={})


class LastWinsLinker(Linker):
    """Links whose pairs know no baseline."""

    meeting = LastWins


@row(
    "F07",
    title="a table and a provider's records edited on both sides; delays, duplicates, lost answers,"
    " lost leases, values in a form of the provider's own",
    goal="each pair agrees within 2 rounds, then 0 writes; 0 edits lost, 0 conflicts without both"
    " values, 0 against the policy; last write wins loses edits",
    limit=7200,
)
async def two_way(trial: Trial) -> RowResult:
    """Schedules of edits on both sides run on real tables against a real server. Between edits
    workers take some turns or none; what they do is cut off before and after the provider did it,
    their leases are lost, changes are told twice. At the end of each round both sides are compared
    with the scripts. The control is without faults, and takes the whole record of the later side:
    where one side alone edits it loses nothing."""
    schedules = trial.size.pick(small=40, medium=10_000)
    found: Counter[str] = Counter()
    async with _ground() as (db_url, client_of):
        done = 0
        while done < schedules:
            size = min(_BATCH, schedules - done)
            async with _stage(db_url, client_of) as (here, there):
                found += await _batch(here, there, size, Random(trial.seed + done))
            done += size
            trial.step(done, schedules)
        control, alone = [
            await _last_wins(db_url, client_of, sides, Random(trial.seed))
            for sides in ("both", "one")
        ]
    wrong = sum(found[name] for name in ("lost", "bare", "apart", "policy", "late", "restless"))
    return RowResult(
        value=f"{found['schedules']} schedules, {found['edits']} edits, {found['faults']} faults:"
        f" {found['lost']} lost, {found['conflicts']} conflicts, {found['bare']} without both"
        f" values, {found['apart']} apart, {found['policy']} against the policy,"
        f" {found['restless']} writes after round 2; control: {control['lost']} of"
        f" {control['edits']} edits lost, {alone['lost']} where one side edits",
        holds=not wrong and found["conflicts"] > 0 and control["lost"] > 0 and alone["lost"] == 0,
        detail={
            "tried": found["edits"],
            "lost": found["lost"],
            "duplicated": found["restless"],
            "found": dict(found),
            "control": dict(control),
            "alone": dict(alone),
        },
    )


async def _batch(here: Office, there: Hall, size: int, chance: Random) -> Counter[str]:
    """Runs a schedule for each of so many pairs, and judges them."""
    found: Counter[str] = Counter(schedules=size)
    scripts = await _pairs(here, there, size)
    faults = _Faults(here, there, chance)
    for number in range(_ROUNDS):
        rows = await here.rows()
        for script in scripts:
            script.before = {name: rows[script.local].get(name) for name in FIELDS}
        together = number % 2 == 0  # no worker takes a turn between the edits
        for script in chance.sample(scripts, len(scripts)):
            found["edits"] += await _edit(here, there, script, chance, number)
            if not together and chance.random() < 0.05:
                await faults.turn()
        await faults.busy()
        found["restless"] += await _settled(here, there)
        await _judge(here, there, scripts, found, strict=together)
        await _decide_all(here, chance)
    found["faults"] = faults.counted
    return found


async def _pairs(here: Office, there: Hall, size: int) -> list[Script]:
    for number in range(size):
        there.put(f"a{number}", name=f"Name {number}", email=f"e{number}@acme.example")
    await here.pull()
    await here.rest()
    return [
        Script(local=pair.local or "", key=pair.key or "")
        for pair in await here.links.pairs(most=size)
    ]


async def _edit(here: Office, there: Hall, script: Script, chance: Random, number: int) -> int:
    """Edits of some fields on either side, in either order; how many."""
    ours = {name: f" {name} {number} Ours" for name in FIELDS if chance.random() < 0.3}
    theirs = {name: f"{name} {number} Theirs" for name in FIELDS if chance.random() < 0.3}
    script.ours, script.theirs = ours, theirs
    for side in chance.sample(("ours", "theirs"), 2):
        if side == "ours" and ours:
            await here.update(script.local, **ours)
        if side == "theirs" and theirs:
            there.put(script.key, **{_THEIR_WORD.get(n, n): v for n, v in theirs.items()})
    return len(ours) + len(theirs)


class _Faults:
    """What goes wrong while workers take their turns."""

    def __init__(self, here: Office, there: Hall, chance: Random):
        self._here = here
        self._there = there
        self._chance = chance
        self.counted = 0
        here.hold = self._hold

    async def _hold(self, _tx: Tx) -> None:
        if self._busy and self._chance.random() < 0.05:
            self.counted += 1
            raise LeaseLost("another worker has it")

    _busy = False

    async def turn(self) -> None:
        """A turn of the workers, perhaps after a pull, in which some writes lose their answers."""
        self._busy = True
        if self._chance.random() < 0.5:
            with suppress(LandbridgeError):
                await self._here.pull()
        drops = [self._chance.choice(["", "", "before", "after"]) for _ in range(6)]
        self._there.drops = drops
        self.counted += sum(map(bool, drops))
        if self._chance.random() < 0.3:  # changes are told once more
            await self._here.sql(
                "INSERT INTO landbridge.local_change (environment, tenant, name, local)"
                " SELECT 'test', tenant, 'customers', id::text FROM public.customers"
            )
        await self._here.turn()
        self._busy = False

    async def busy(self) -> None:
        """Some turns, until which nobody looks."""
        for _ in range(self._chance.randrange(1, 4)):
            await self.turn()
        self._there.drops = []


async def _settled(here: Office, there: Hall) -> int:
    """Two rounds without faults, then how much is still written in a third."""
    for _ in range(2):
        await here.pull()
        await here.rest()
    before = there.writes, await _versions(here)
    await here.pull()
    await here.rest()
    after = there.writes, await _versions(here)
    return after[0] - before[0] + (before[1] != after[1])


async def _versions(here: Office) -> list[Any]:
    return await here.sql("SELECT id, xmin::text FROM public.customers ORDER BY id")


async def _judge(
    here: Office, there: Hall, scripts: list[Script], found: Counter[str], *, strict: bool
) -> None:
    """Compares both sides with what was edited."""
    rows = await here.rows()
    open_now = {(each.local, each.field): each for each in await here.conflicts.list(most=100_000)}
    for script in scripts:
        ours, theirs = rows[script.local], there.members[script.key]
        for name in FIELDS:
            here_now = ours.get(name)
            there_now = theirs.get(_THEIR_WORD.get(name, name))
            mine, yours = script.ours.get(name), script.theirs.get(name)
            conflict = open_now.get((script.local, name))
            if conflict is not None:
                found["conflicts"] += 1
                both = _same(here_now, mine) and _same(there_now, yours)
                found["bare"] += not (both and _same(conflict.ours, mine))
                continue
            found["apart"] += not _same(here_now, there_now)
            edits = [edit for edit in (mine, yours) if edit is not None]
            if not edits:
                found["lost"] += not _same(here_now, script.before[name])
            elif len(edits) == 1 or not strict:
                found["lost"] += not any(_same(here_now, edit) for edit in edits)
            else:  # neither knew of the other's
                winner = {Take.OURS: mine, Take.THEIRS: yours}.get(_POLICY.of(name))
                found["policy" if winner else "lost"] += not _same(here_now, winner)


async def _decide_all(here: Office, chance: Random) -> None:
    """Takes a side for every conflict, so that the next round begins in agreement."""
    for each in await here.conflicts.list(most=100_000):
        await each.resolve(take=chance.choice(("ours", "theirs")))
    await here.rest()
    assert await here.conflicts.list() == []


def _same(one: str | None, other: str | None) -> bool:
    """Whether they are one value, in whatever form."""
    return (one or "").strip().lower() == (other or "").strip().lower()


async def _last_wins(database: Any, client_of: Any, sides: str, chance: Random) -> Counter[str]:
    async with _stage(database, client_of, linker=LastWinsLinker) as (here, there):
        return await _plain(here, there, sides, chance)


async def _plain(here: Office, there: Hall, sides: str, chance: Random) -> Counter[str]:
    """Edits of different fields without any fault, for the control."""
    found: Counter[str] = Counter()
    scripts = await _pairs(here, there, 30)
    for number in range(2):
        for script in scripts:
            chosen = ("ours", "theirs") if sides == "both" else (chance.choice(("ours", "theirs")),)
            for side in chance.sample(chosen, len(chosen)):
                found["edits"] += 1
                if side == "ours":
                    script.ours["name"] = f"name {number} Ours"
                    await here.update(script.local, name=script.ours["name"])
                else:
                    script.theirs["phone"] = f"phone {number} Theirs"
                    there.put(script.key, phone=script.theirs["phone"])
                _LATER[script.local] = side
        await here.pull()
        await here.rest()
        rows = await here.rows()
        for script in scripts:
            held = rows[script.local]
            for name, edit in (*script.ours.items(), *script.theirs.items()):
                found["lost"] += not _same(held.get(name), edit)
    return found


@asynccontextmanager
async def _ground() -> AsyncIterator[tuple[Any, Any]]:
    """A server, and how to make a client on one of its databases."""
    async with AsyncExitStack() as stack:
        server = stack.enter_context(shared_server(secrets.token_hex(4)))

        def database() -> Any:
            return fresh_database(server.dsn, migrated_template(server.dsn))

        async def client_of(inner: AsyncExitStack, db: Database, vault: Vault) -> Client:
            made = Client(
                db,
                vault,
                Guard(allow=["127.0.0.0/8"]),
                clock=SystemClock(),
                sleep=_at_once,
                timeout=5,
            )
            inner.push_async_callback(made.close)
            return made

        yield database, client_of


@asynccontextmanager
async def _stage(
    database: Any, client_of: Any, *, linker: type[Linker] = Linker
) -> AsyncIterator[tuple[Office, Hall]]:
    async with AsyncExitStack() as stack:
        db = await Database.open(stack.enter_context(database()))
        stack.push_async_callback(db.close)
        vault = Vault(db, LocalKey.from_text(new_key()))
        there = await stack.enter_async_context(hall())
        there.tidies = True
        client = await client_of(stack, db, vault)
        here = await stack.enter_async_context(
            office(db, client, vault, there, policy=_POLICY, linker=linker)
        )
        yield here, there


async def _at_once(_seconds: float) -> None: ...

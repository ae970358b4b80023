"""Seals every secret again by the newest keys, while everything else goes on.

A rotation gives each tenant a new data key, wraps all data keys anew and seals all secrets again. A
move does so for what other keys sealed. Both are drills: how far they came is kept, and a second
call goes on after a crash. Nothing is locked: a value that somebody changed meanwhile is theirs.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import msgspec

from landbridge.errors import WrongKey
from landbridge.store import drills, sealed
from landbridge.store.database import Database
from landbridge.store.drills import Drill
from landbridge.store.sealed import TABLES, Mark, Sealed
from landbridge.vault import Kind, Vault

_AT_ONCE = 8
_SWEEPS = 3
_EVER = datetime(1970, 1, 1, tzinfo=UTC)

Progress = Callable[[int], object]
"""Told how many secrets were looked at so far."""


@dataclass(frozen=True, kw_only=True)
class Rekeyed:
    """What a rotation or a move came to in one environment. `resumed`: it went on with one that
    was left half done."""

    environment: str
    resumed: bool
    sealed: int
    """Secrets and data keys that were sealed again."""
    kept: int
    """Those that needed nothing."""
    changed: int
    """Those that somebody else changed meanwhile."""
    unreadable: Sequence[str]
    """Where those are that no key at hand opens; they are as they were."""
    left: int
    """Those still sealed by other keys. Processes hold data keys for five minutes and seal by them:
    a move after that finds what they sealed."""


@dataclass(frozen=True, kw_only=True)
class Held:
    """How many secrets or data keys of an environment a key holds; `newest`: it seals now."""

    environment: str
    what: str
    key: str
    count: int
    newest: bool


async def rekey(
    db: Database,
    vault: Vault,
    *,
    environment: str,
    everything: bool,
    batch: int = 200,
    progress: Progress = lambda _done: None,
) -> Rekeyed:
    """Rotates (`everything`) or moves what is sealed in an environment; goes on with one that was
    left half done.

    Raises Sealed while a key provider is away: call it again.
    """
    newest = await vault.newest_key()
    args = {"to": "" if everything else newest}
    drill, resumed = await drills.begin(db, environment=environment, kind="rotate", args=args)
    work = _Work(db=db, vault=vault, drill=drill, newest=newest, batch=batch, progress=progress)
    await work.data_keys(everything=everything)
    await work.secrets(everything=everything)
    left = 0
    for _ in range(_SWEEPS):
        left = await work.sweep()
        if not left:
            break
    await drills.end(db, drill, counts=work.counts)
    return Rekeyed(
        environment=environment,
        resumed=resumed,
        sealed=work.counts["sealed"],
        kept=work.counts["kept"],
        changed=work.counts["changed"],
        unreadable=sorted(work.unreadable),
        left=left,
    )


async def status(db: Database, vault: Vault, *, environment: str) -> list[Held]:
    """Which keys hold how much of an environment. It reads heads alone and opens nothing."""
    newest = await vault.newest_key()
    counted: Counter[tuple[str, str, bool]] = Counter()
    for table in TABLES:
        async for values, _ in _pages(db, table, environment, Mark(), 1000):
            versions = await _versions(db, environment, values)
            for value in values:
                today = _today(vault, value, newest, versions)
                made_by = vault.made_by(value.envelope)
                if value.kind != Kind.CREDENTIAL:  # a version is each tenant's own
                    made_by = f"{'the newest' if today else 'an older'} data key"
                counted[value.kind, made_by, today] += 1
    for key in await sealed.data_keys(db, environment=environment, since=_EVER):
        made_by = vault.wrapped_by(key.wrapped)
        counted["data key", made_by, made_by == newest] += 1
    return [
        Held(environment=environment, what=what, key=key, count=count, newest=today)
        for (what, key, today), count in sorted(counted.items())
    ]


@dataclass(kw_only=True)
class _Work:
    db: Database
    vault: Vault
    drill: Drill
    newest: str
    batch: int
    progress: Progress
    counts: Counter[str] = field(init=False)
    unreadable: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.counts = Counter(self.drill.counts)

    async def data_keys(self, *, everything: bool) -> None:
        """Gives tenants new data keys, in a rotation, and wraps all data keys by the newest key."""
        environment, since = self.drill.environment, self.drill.created_at
        if everything:
            for key in await sealed.data_keys(self.db, environment=environment, since=since):
                if key.newest and not key.fresh:
                    await self.vault.add_data_key(environment, key.tenant, key.version + 1)
        for key in await sealed.data_keys(self.db, environment=environment, since=since):
            if key.fresh or (self.vault.wrapped_by(key.wrapped) == self.newest and not everything):
                continue
            try:
                fresh = await self.vault.wrap_again(
                    key.wrapped, environment=environment, tenant=key.tenant, version=key.version
                )
            except WrongKey:
                self.unreadable.add(f"data key {key.version} of tenant {key.tenant!r}")
                continue
            done = await sealed.wrap(self.db, key, fresh=fresh, wrapped_by=self.vault.provider)
            self.counts["sealed" if done else "changed"] += 1

    async def secrets(self, *, everything: bool) -> None:
        """Seals secrets again from where the drill stopped."""
        at = _Place.parse(self.drill.cursor)
        for number, table in enumerate(TABLES):
            if number < at.table:
                continue
            start = at.mark if number == at.table else Mark()
            pages = _pages(self.db, table, self.drill.environment, start, self.batch)
            async for values, mark in pages:
                await self._seal(values, everything=everything)
                place = _Place(table=number, mark=mark) if mark else _Place(table=number + 1)
                await drills.note(self.db, self.drill, cursor=place.text, counts=self.counts)
                self.progress(self.counts["seen"])

    async def sweep(self) -> int:
        """Seals again what others sealed by former keys meanwhile; how many are left then."""
        left = 0
        for table in TABLES:
            pages = _pages(self.db, table, self.drill.environment, Mark(), 1000)
            async for values, _ in pages:
                versions = await _versions(self.db, self.drill.environment, values)
                old = [
                    value
                    for value in values
                    if not _today(self.vault, value, self.newest, versions)
                ]
                raced = self.counts["changed"]
                await self._seal(old, everything=False)
                left += self.counts["changed"] - raced
        return left + len(self.unreadable)

    async def _seal(self, values: Sequence[Sealed], *, everything: bool) -> None:
        versions = await _versions(self.db, self.drill.environment, values)
        for start in range(0, len(values), _AT_ONCE):
            await asyncio.gather(
                *(
                    self._one(value, versions, everything=everything)
                    for value in values[start : start + _AT_ONCE]
                )
            )

    async def _one(self, value: Sealed, versions: dict[str, int], *, everything: bool) -> None:
        self.counts["seen"] += 1
        forced = everything and value.kind == Kind.CREDENTIAL
        if not forced and _today(self.vault, value, self.newest, versions):
            self.counts["kept"] += 1
            return
        try:
            fresh = await self.vault.seal_again(
                Kind(value.kind),
                environment=value.environment,
                tenant=value.tenant,
                place=value.place,
                envelope=value.envelope,
            )
        except WrongKey:
            self.unreadable.add(value.place)
            return
        done = await sealed.swap(self.db, value, fresh)
        self.counts["sealed" if done else "changed"] += 1


@dataclass(frozen=True, kw_only=True)
class _Place:
    """Where a drill stopped: behind a row of a table."""

    table: int = 0
    mark: Mark = field(default_factory=Mark)

    @property
    def text(self) -> str:
        return msgspec.json.encode([self.table, self.mark.tenant, self.mark.id]).decode()

    @classmethod
    def parse(cls, text: str) -> _Place:
        if not text:
            return cls()
        table, tenant, row = msgspec.json.decode(text, type=tuple[int, str, str])
        return cls(table=table, mark=Mark(tenant=tenant, id=row))


async def _pages(
    db: Database, table: str, environment: str, start: Mark, most: int
) -> AsyncIterator[tuple[list[Sealed], Mark | None]]:
    mark: Mark | None = start
    while mark is not None:
        values, mark = await sealed.after(db, table, environment=environment, mark=mark, most=most)
        yield values, mark


async def _versions(db: Database, environment: str, values: Sequence[Sealed]) -> dict[str, int]:
    tenants = {value.tenant for value in values}
    return await sealed.versions(db, environment=environment, tenants=tenants) if tenants else {}


def _today(vault: Vault, value: Sealed, newest: str, versions: dict[str, int]) -> bool:
    version = versions.get(value.tenant, 1)
    return vault.is_of_today(value.envelope, newest=newest, version=version)

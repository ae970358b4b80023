"""What the application asks of its links: how they stand, what to decide, what would happen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

from landbridge import ids
from landbridge.engine.agreed import local_job, meet_job
from landbridge.engine.link import Link
from landbridge.engine.linking import candidates, decide, live
from landbridge.engine.pull import stream_of
from landbridge.errors import InvalidInput, NotFound, RecordError, SettingsError, did_you_mean
from landbridge.spec import Provider
from landbridge.store import conflicts, connections, due, links, records
from landbridge.store.conflicts import OpenConflict
from landbridge.store.connections import Connection
from landbridge.store.database import Database, Tx
from landbridge.store.links import Linking, Pair
from landbridge.store.sql import Sql

Progress = Callable[[int], object]
_PAGE = 500


@dataclass(frozen=True, kw_only=True)
class Disputed(OpenConflict):
    """A conflict, and how to end it."""

    conflicts: Conflicts = field(repr=False, compare=False)

    async def resolve(self, take: Literal["ours", "theirs"]) -> None:
        """Takes the value of one side; the other side is written by a worker."""
        await self.conflicts.resolve(self.id, take)


class Conflicts:
    """Fields that both sides of a pair changed and the policy does not decide."""

    def __init__(self, db: Database, *, environment: str):
        self._db = db
        self._environment = environment

    async def list(
        self,
        *,
        link: str | None = None,
        tenant: str | None = None,
        after: str = "",
        most: int = 100,
    ) -> list[Disputed]:
        """Open conflicts, oldest first."""
        found = await conflicts.every(
            self._db,
            environment=self._environment,
            tenant=tenant,
            name=link,
            after=after,
            most=most,
        )
        return [self._disputed(each) for each in found]

    async def get(self, id: str) -> Disputed:
        """The conflict with this id, also one that is over; NotFound if there is none."""
        found = await conflicts.one(self._db, environment=self._environment, id=id)
        if found is None:
            raise NotFound(f"{id!r} is no conflict; see them with: landbridge conflicts list")
        return self._disputed(found)

    async def resolve(self, id: str, take: Literal["ours", "theirs"]) -> None:
        """Takes the value of one side. If either has changed since, the conflict stays open.

        InvalidInput: a side that is neither, or a conflict that is over.
        """
        if take not in ("ours", "theirs"):
            raise InvalidInput(f"take: ours or theirs, not {take!r}")
        found = await self.get(id)
        if found.resolved_at is not None:
            raise InvalidInput(f"take: {id} is over since {found.resolved_at:%Y-%m-%d %H:%M} UTC")
        async with self._db.transaction() as tx:
            await conflicts.take(tx, found, take)
            pair = await links.by_id(
                tx, environment=found.environment, tenant=found.tenant, id=found.link
            )
            if pair is not None:
                await due.put(tx, [meet_job(pair)])
        await self._db.notify()

    def _disputed(self, found: OpenConflict) -> Disputed:
        values = {each.name: getattr(found, each.name) for each in fields(found)}
        return Disputed(**values, conflicts=self)


@dataclass(frozen=True, kw_only=True)
class Planned:
    """What a link would do with one row or record: `match`, `make here`, `make there`, `review`, or
    `unreadable`; `here` and `there` are the fields it would write, `conflicts` those it would ask
    about."""

    tenant: str
    connection: str
    what: str
    local: str | None = None
    key: str | None = None
    here: tuple[str, ...] = ()
    there: tuple[str, ...] = ()
    conflicts: tuple[str, ...] = ()
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a link would do at first: how many of each, and the first ones of them.

    `connections` are those it was looked at for, `unpulled` those of them whose records were not
    pulled to their end yet: more may come.
    """

    counts: Mapping[str, int]
    lines: Sequence[Planned]
    connections: tuple[str, ...] = ()
    unpulled: tuple[str, ...] = ()


class Links:
    """The links of a bridge: how they stand, their pairs, and what they would do."""

    def __init__(
        self,
        db: Database,
        declared: Mapping[str, Link[Any]],
        *,
        provider: Callable[[str], Provider],
        environment: str,
    ):
        self._db = db
        self._declared = declared
        self._provider = provider
        self._environment = environment

    async def state(self, *, tenant: str | None = None) -> list[Linking]:
        """How far each link is with each connection."""
        return await links.linkings(self._db, environment=self._environment, tenant=tenant)

    async def pairs(
        self,
        *,
        link: str | None = None,
        tenant: str | None = None,
        stuck: bool = False,
        after: str = "",
        most: int = 100,
    ) -> list[Pair]:
        """Pairs, oldest first. `stuck`: those that somebody has to look at, with the reason."""
        return await links.every(
            self._db,
            environment=self._environment,
            tenant=tenant,
            name=link,
            stuck=stuck,
            after=after,
            most=most,
        )

    async def match(self, id: str, *, local: str | None) -> None:
        """Says which of our rows a pair in review is, or one whose row your table refused; None: a
        new one is made.

        Other rows that it could have been are then looked at for themselves. InvalidInput if the
        row belongs to another record, or the pair is in no review.
        """
        pair = await self._pair(id)
        if pair.state != "review" and pair.local is not None:
            raise InvalidInput(f"id: {id} is in no review; it is {pair.local} and {pair.key}")
        async with self._db.transaction() as tx:
            await links.lock(tx, environment=pair.environment, tenant=pair.tenant, name=pair.name)
            named = {
                "environment": pair.environment,
                "tenant": pair.tenant,
                "name": pair.name,
                "connection": pair.connection,
            }
            if local is not None:
                for other in await links.by_local(tx, **named, rows=[local]):
                    if other.id != pair.id:
                        raise InvalidInput(f"local: {local} belongs to {other.key} already")
            decided = replace(
                pair, state="linked", local=local or pair.local, candidates=(), reason=""
            )
            await links.save(tx, decided)
            others = [each for each in pair.candidates if each != local]
            await due.put(
                tx,
                [
                    meet_job(decided),
                    *(local_job(pair.name, pair.environment, pair.tenant, each) for each in others),
                ],
            )
        await self._db.notify()

    async def retry(self, id: str) -> None:
        """Sends again what the provider refused, as it is."""
        pair = await self._pair(id)
        async with self._db.transaction() as tx:
            await links.save(tx, replace(pair, refused=None, tries=0))
            await due.put(tx, [meet_job(pair)])
        await self._db.notify()

    async def install(self) -> list[str]:
        """Makes the triggers that note changes of linked tables; gives their statements. Needs a
        database role that owns the tables; `statements` are for one who does."""
        made = self.statements()
        async with self._db.transaction() as tx:
            for number, statement in enumerate(made):
                await tx.run(Sql(f"links.install.{number}", statement))
        return made

    def statements(self) -> list[str]:
        """The statements that make those triggers."""
        return [
            link.table.trigger_sql(self._db.schema, link.name, self._environment)
            for link in self._declared.values()
            if link.table is not None
        ]

    async def plan(
        self,
        name: str,
        *,
        tenant: str | None = None,
        most: int = 100,
        progress: Progress = lambda _done: None,
    ) -> Plan:
        """What this link would do with what is on both sides now and is in no pair; it writes
        nothing. The remote records are those that were pulled so far."""
        link = self._link(name)
        found = await connections.every(self._db, environment=self._environment, tenant=tenant)
        counts: Counter[str] = Counter()
        lines: list[Planned] = []
        those: list[str] = []
        unpulled: list[str] = []
        for connection in found:
            if connection.provider != link.provider or connection.state == "revoked":
                continue
            those.append(connection.id)
            if not await links.loaded(
                self._db,
                environment=connection.environment,
                tenant=connection.tenant,
                connection=connection.id,
                resource=link.resource,
            ):
                unpulled.append(connection.id)
            async for each in self._planned(link, connection):
                counts[each.what] += 1
                counts["write here"] += bool(each.here) and each.what == "match"
                counts["write there"] += bool(each.there) and each.what == "match"
                counts["conflicts"] += len(each.conflicts)
                if len(lines) < most:
                    lines.append(each)
                progress(counts.total())
        return Plan(
            counts={name: n for name, n in counts.items() if n},
            lines=lines,
            connections=tuple(those),
            unpulled=tuple(unpulled),
        )

    async def _planned(self, link: Link[Any], connection: Connection) -> Any:
        at = Linking(
            environment=connection.environment,
            tenant=connection.tenant,
            name=link.name,
            connection=connection.id,
            state="loading",
            place="",
            reason="",
        )
        taken: set[str] = set()
        after = ""
        while True:
            async with self._db.transaction() as tx:
                keys = await links.unmet(
                    tx,
                    at,
                    resource=link.resource,
                    kind=link.model.kind,
                    after=after,
                    most=_PAGE,
                )
                met = [await self._of_key(tx, link, connection, key, taken) for key in keys]
            for each in met:
                yield each
            if not keys:
                break
            after = keys[-1]
        place = ""
        while True:
            async with self._db.transaction() as tx:
                found = await link.side.scan(tx, connection.tenant, place, _PAGE)
                known = await links.by_local(
                    tx,
                    environment=connection.environment,
                    tenant=connection.tenant,
                    name=link.name,
                    connection=connection.id,
                    rows=found,
                )
            if not found:
                break
            place = found[-1]
            paired = {pair.local for pair in known} | taken
            for local in found:
                if local not in paired:
                    yield Planned(
                        tenant=connection.tenant,
                        connection=connection.id,
                        what="make there",
                        local=local,
                    )

    async def _of_key(
        self, tx: Tx, link: Link[Any], connection: Connection, key: str, taken: set[str]
    ) -> Planned:
        about = Planned(
            tenant=connection.tenant, connection=connection.id, what="unreadable", key=key
        )
        stored = await records.one(tx, stream_of(connection, link.resource), key)
        if stored is None:
            return about
        found = await candidates(tx, link, connection.tenant, stored)
        if len(found) > 1 or (found and found[0] in taken):
            taken.update(found)
            return replace(about, what="review", reason=f"could be {', '.join(found)}")
        if not found:
            return replace(about, what="make here")
        taken.add(found[0])
        pair = Pair(
            environment=connection.environment,
            tenant=connection.tenant,
            id=ids.new("lnk"),
            name=link.name,
            connection=connection.id,
            resource=link.resource,
        )
        try:
            ours = await link.side.read(tx, connection.tenant, found[0])
        except RecordError as error:
            return replace(about, local=found[0], reason=str(error))
        merged = decide(link, pair, ours, live(link.model, stored), stored.changed_at)
        return replace(
            about,
            what="match",
            local=found[0],
            here=merged.ours_changed,
            there=merged.theirs_changed,
            conflicts=tuple(each.field for each in merged.conflicts),
        )

    def _link(self, name: str) -> Link[Any]:
        if name not in self._declared:
            raise SettingsError(
                f"link: this application declares no link {name!r}."
                f"{did_you_mean(name, list(self._declared))}"
                " Give the application that does with --app MODULE:NAME"
            )
        return self._declared[name]

    async def _pair(self, id: str) -> Pair:
        found = await links.any_by_id(self._db, environment=self._environment, id=id)
        if found is None:
            raise NotFound(f"{id!r} is no pair of a link; see them with: landbridge links pairs")
        return found

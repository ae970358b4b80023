"""Keeps links going: takes note of changes on both sides, begins with new connections, and runs
the meetings of pairs."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

import structlog

from landbridge.engine.agreed import local_job, remote_job
from landbridge.engine.consume import Change, Handler
from landbridge.engine.link import Link
from landbridge.engine.linking import SOON, Meeting, Met
from landbridge.engine.overlay import page_of
from landbridge.engine.pull import Hold, stream_of
from landbridge.errors import LandbridgeError, SettingsError
from landbridge.jobs.outcome import where
from landbridge.models import Model
from landbridge.spec import Provider
from landbridge.store import connections, due, links, local_changes
from landbridge.store.connections import Connection
from landbridge.store.database import Database, Tx
from landbridge.store.due import Claimed
from landbridge.store.links import Linking
from landbridge.store.syncs import Stream
from landbridge.store.user_table import refusal

BATCH = 200
_LOOK = timedelta(seconds=5)
_PATIENCE = 3
"""How often a pair is tried whose failure may pass, before it is noted there; it is tried on."""


@dataclass(frozen=True, kw_only=True)
class Stepped:
    """What came of a job: when to look again (None: it is done), or why there is nothing to do."""

    later: timedelta | None = None
    gone: str = ""


class Linker:
    """The links of one process."""

    meeting = Meeting
    """How two sides of a pair meet."""

    def __init__(
        self,
        db: Database,
        links: Mapping[str, Link[Any]],
        *,
        provider: Callable[[str], Provider],
        environment: str,
        monotonic: Callable[[], float] = time.monotonic,
    ):
        self._monotonic = monotonic
        self._begins = 0.0
        self._db = db
        self.links = links
        self._provider = provider
        self._environment = environment
        self._warned: set[str] = set()
        self._log = structlog.get_logger("landbridge.link")

    @property
    def schema(self) -> str:
        """The schema that promises are written to."""
        return self._db.schema

    def handlers(self) -> list[Handler]:
        """What follows the feed of changes for each link."""
        return [
            Handler(name=f"link:{link.name}", model=link.model, run=partial(self._changed, link))
            for link in self.links.values()
        ]

    async def _changed(self, link: Link[Any], change: Change[Model], tx: Tx) -> None:
        if change.resource != link.resource:
            return
        begun = await links.linking(
            tx,
            environment=change.environment,
            tenant=change.tenant,
            name=link.name,
            connection=change.connection,
        )
        if begun is not None:
            stream = Stream(
                environment=change.environment,
                tenant=change.tenant,
                connection=change.connection,
                resource=change.resource,
            )
            await due.put(tx, [remote_job(link.name, stream, change.key)])

    async def step(self) -> bool:
        """Sees to new connections and to rows that changed; whether there was anything."""
        moved, now = False, self._monotonic()
        begins = now >= self._begins
        if begins:
            self._begins = now + _LOOK.total_seconds()
        for link in self.links.values():
            try:
                if begins:
                    moved = await self._begin(link) or moved
                moved = await self._take(link) or moved
            except LandbridgeError as error:
                self._log.warning("link.waits", link=link.name, reason=str(error))
        return moved

    async def _begin(self, link: Link[Any]) -> bool:
        async with self._db.transaction() as tx:
            begun = await links.begin(
                tx, environment=self._environment, name=link.name, provider=link.provider
            )
            await due.put(
                tx,
                [self._start_job(link, tenant, connection) for tenant, connection in begun],
            )
            if link.table is not None and link.name not in self._warned:
                self._warned.add(link.name)
                if not await link.table.noted(tx, link.name, self._environment):
                    self._log.error(
                        "link.blind",
                        link=link.name,
                        table=link.table.name,
                        remedy="landbridge links install",
                    )
        return bool(begun)

    async def _take(self, link: Link[Any]) -> bool:
        async with self._db.transaction() as tx:
            taken = await local_changes.take(
                tx, environment=self._environment, name=link.name, most=BATCH
            )
            jobs = [
                local_job(link.name, self._environment, tenant, local) for tenant, local in taken
            ]
            await due.put(tx, jobs)
        return bool(taken)

    def _start_job(self, link: Link[Any], tenant: str, connection: str) -> due.Job:
        return due.Job(
            environment=self._environment,
            tenant=tenant,
            lane="consume",
            kind="link_start",
            target=connection,
            key=f"{link.name}/{connection}",
            args={"link": link.name},
        )

    # Jobs

    async def run(self, claim: Claimed, hold: Hold) -> Stepped:
        """Looks at what a job names: a pair, a remote record, or a row of ours."""
        link = self.links.get(claim.args["link"])
        if link is None:
            return self._unknown(claim)
        later: timedelta | None = None
        for connection in await self._connections(claim, link):
            met = await self._met(claim, link, connection, hold)
            later = later if met.later is None else met.later
        return Stepped(later=later)

    async def _met(
        self, claim: Claimed, link: Link[Any], connection: Connection, hold: Hold
    ) -> Met:
        """Lets a pair meet. What our side refuses is noted at the pair, and the others go on."""
        try:
            async with self._db.transaction() as tx:
                await hold(tx)
                return await self._meet(tx, claim, link, connection)
        except SettingsError as error:
            await self._waits(link, connection, str(error))
            raise
        except LandbridgeError:
            raise
        except Exception as error:
            reason = refusal(error)
            if reason is None and claim.attempt < _PATIENCE:
                raise
            async with self._db.transaction() as tx:
                await hold(tx)
                meeting = self._meeting(link, connection, loading=False)
                what = {name: claim.args.get(name) for name in ("pair", "key", "local")}
                await meeting.stopped(
                    tx,
                    reason or f"your side failed: {type(error).__name__} at {where(error)}",
                    **what,
                )
            if reason is None:
                raise
            return Met()

    async def _waits(self, link: Link[Any], connection: Connection, reason: str) -> None:
        """Notes why a link does not go on with a connection."""
        async with self._db.transaction() as tx:
            at = await self._at(tx, link, connection)
            if at is not None and at.reason != reason:
                await links.move(tx, at, state=at.state, place=at.place, reason=reason)

    def _unknown(self, claim: Claimed) -> Stepped:
        """Leaves a job to processes whose application declares its link."""
        name = claim.args["link"]
        if name not in self._warned:
            self._warned.add(name)
            self._log.warning("link.unknown", link=name, remedy="landbridge worker --app ...")
        return Stepped(later=_LOOK)

    async def _meet(self, tx: Tx, claim: Claimed, link: Link[Any], connection: Connection) -> Met:
        at = await self._at(tx, link, connection)
        meeting = self._meeting(link, connection, loading=at is None or at.state == "loading")
        if pair := claim.args.get("pair"):
            met = await meeting.of_pair(tx, pair)
        elif key := claim.args.get("key"):
            met = await meeting.of_key(tx, key)
        else:
            met = await meeting.of_local(tx, claim.args["local"])
        if at is not None and at.state == "live" and at.reason:
            await links.move(tx, at, state="live")
        return met

    def _meeting(self, link: Link[Any], connection: Connection, *, loading: bool) -> Meeting:
        page = page_of(self._provider, connection)
        return self.meeting(link, connection, page, schema=self.schema, loading=loading)

    async def _at(self, tx: Tx, link: Link[Any], connection: Connection) -> Linking | None:
        return await links.linking(
            tx,
            environment=connection.environment,
            tenant=connection.tenant,
            name=link.name,
            connection=connection.id,
        )

    async def _connections(self, claim: Claimed, link: Link[Any]) -> list[Connection]:
        if claim.target:
            found = await connections.one(
                self._db, environment=claim.environment, tenant=claim.tenant, id=claim.target
            )
            return [found] if found is not None and found.state != "revoked" else []
        of_tenant = await connections.every(
            self._db, environment=claim.environment, tenant=claim.tenant
        )
        return [
            each for each in of_tenant if each.provider == link.provider and each.state != "revoked"
        ]

    async def start(self, claim: Claimed, hold: Hold) -> Stepped:
        """Begins with a connection: its remote records first, then our rows that have none."""
        link = self.links.get(claim.args["link"])
        if link is None:
            return self._unknown(claim)
        for connection in await self._connections(claim, link):
            try:
                async with self._db.transaction() as tx:
                    await hold(tx)
                    at = await self._at(tx, link, connection)
                    if at is None or at.state == "live":
                        return Stepped()
                    if at.state == "loading":
                        return Stepped(later=await self._load(tx, link, connection, at))
                    return Stepped(later=await self._scan(tx, link, at))
            except SettingsError as error:
                await self._waits(link, connection, str(error))
                raise
        return Stepped(gone="the connection is gone")

    async def _load(
        self, tx: Tx, link: Link[Any], connection: Connection, at: Linking
    ) -> timedelta:
        stream = stream_of(connection, link.resource)
        if not await links.loaded(
            tx,
            environment=stream.environment,
            tenant=stream.tenant,
            connection=stream.connection,
            resource=stream.resource,
        ):
            await links.move(tx, at, state="loading", reason="its records are being pulled")
            return _LOOK
        kind = link.model.kind
        keys = await links.unmet(tx, at, resource=link.resource, kind=kind, after="", most=BATCH)
        if not keys:
            await links.move(tx, at, state="scanning")
            return timedelta()
        await due.put(tx, [remote_job(link.name, stream, key) for key in keys])
        await links.move(tx, at, state="loading", reason="its records are being matched")
        return SOON / 4

    async def _scan(self, tx: Tx, link: Link[Any], at: Linking) -> timedelta | None:
        found = await link.side.scan(tx, at.tenant, at.place, BATCH)
        if not found:
            await links.move(tx, at, state="live")
            return None
        jobs = [local_job(link.name, at.environment, at.tenant, local) for local in found]
        await due.put(tx, jobs)
        await links.move(tx, at, state="scanning", place=found[-1])
        return timedelta()

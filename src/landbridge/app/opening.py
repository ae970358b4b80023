"""Opens what a bridge consists of, in order, and closes it in the other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass

from landbridge.app.key_providers import home_of, key_of
from landbridge.app.metrics import Gauges, open_gauges
from landbridge.app.settings import Settings
from landbridge.client import Client
from landbridge.client.breakers import Breakers
from landbridge.client.call_log import CallLog
from landbridge.client.governor import QuotaGovernor
from landbridge.client.guard import Guard
from landbridge.client.lean import LeanSender
from landbridge.client.post import Posts
from landbridge.client.sender import Sender
from landbridge.clock import Clock
from landbridge.engine.backfill import Backfilling
from landbridge.engine.callbacks import Callbacks
from landbridge.engine.certificates import Certificates
from landbridge.engine.codes import NO_TABLES, Tables
from landbridge.engine.consent import Consents
from landbridge.engine.deliver import Deliveries
from landbridge.engine.dual import Dual
from landbridge.engine.endpoints import Endpoints
from landbridge.engine.outbox import Outbox
from landbridge.engine.pull import Puller
from landbridge.engine.push import Pusher
from landbridge.engine.receive import Intake
from landbridge.engine.reconcile import Reconciler
from landbridge.engine.refresh import Refresher
from landbridge.engine.remap import Remapping
from landbridge.engine.shadow import ShadowRecorder
from landbridge.engine.shadows import Shadows
from landbridge.engine.sweep import Sweeper
from landbridge.errors import NotFound
from landbridge.jobs import new_owner
from landbridge.measures import HTTP_CONNECTIONS, Measures
from landbridge.spec import Provider
from landbridge.store import apps, migrate
from landbridge.store.bell import Bell
from landbridge.store.connections import Connection
from landbridge.store.database import DISPATCH, Database
from landbridge.store.embedded import Embedded
from landbridge.vault import Vault

_SMALL, _PLANNED = 7, 3
_FRONT = 2
"""Connections at most that only webhooks and health use."""


@dataclass(frozen=True, kw_only=True)
class Parts:
    """Everything that is open while a bridge is."""

    settings: Settings
    clock: Clock
    db: Database
    hot: Database
    """The same database, for the statements of dispatching and delivering."""
    front: Database
    """The same database, for webhooks and health: work that holds every other connection does not
    stop them."""
    vault: Vault
    guard: Guard
    client: Client
    refresher: Refresher
    consents: Consents
    puller: Puller
    remapping: Remapping
    backfilling: Backfilling
    sweeper: Sweeper
    pusher: Pusher
    callbacks: Callbacks
    deliveries: Deliveries
    intake: Intake
    reconciler: Reconciler
    endpoints: Endpoints
    shadows: Shadows
    bell: Bell
    outbox_bell: Bell
    outbox: Outbox
    provider: Callable[[str], Provider]
    embedded: bool
    measures: Measures
    gauges: Gauges

    async def intake_url(self, connection: Connection) -> str:
        """The public address for the webhooks of a connection."""
        app = await apps.by_id(self.db, environment=connection.environment, id=connection.app)
        if app is None:
            raise NotFound(f"the app {connection.app} of this connection is gone")
        public = self.settings.public_url.rstrip("/")
        return f"{public}/in/{app.token}/{connection.token}"


async def open_parts(
    stack: AsyncExitStack,
    settings: Settings,
    *,
    clock: Clock,
    measures: Measures,
    provider: Callable[[str], Provider],
    base: Callable[[Provider, Connection], str],
    serves: bool,
    candidates: Mapping[str, Provider],
    codes: Tables = NO_TABLES,
) -> Parts:
    """Opens database, vault and client; `stack` closes them. `serves`: webhooks come in here;
    `candidates`: pages that shadows may compare with the current ones; `codes`: our own ones.

    Without a database address the embedded server is started (or joined) and migrated; any other
    database is never migrated by starting.
    """
    embedded = not settings.database_url
    url = settings.database_url or await start_embedded(stack, settings)
    # One is for LISTEN. Few processes have so small a pool that nothing is left for hot ones.
    planned = 0 if settings.pgbouncer or settings.pool < _SMALL else _PLANNED
    left = settings.pool - 1 - planned
    kept = min(_FRONT, left // 3) if serves else 0
    db = await open_database(settings, url, budget=left - kept)
    stack.push_async_callback(db.close)
    hot = front = db
    if planned:
        hot = await open_database(settings, url, budget=planned, planned=True)
        stack.push_async_callback(hot.close)
    if kept:
        front = await open_database(settings, url, budget=kept)
        stack.push_async_callback(front.close)
    bell = Bell(db)
    stack.push_async_callback(bell.close)
    outbox_bell = Bell(db, DISPATCH)
    stack.push_async_callback(outbox_bell.close)
    keys = key_of(settings)
    stack.push_async_callback(keys.close)
    vault = Vault(db, keys)
    stack.callback(vault.forget)
    guard = Guard(allow=settings.networks)
    recorder = ShadowRecorder(db, base=base, clock=clock)
    client = Client(
        db,
        vault,
        guard,
        clock=clock,
        recorder=recorder,
        breakers=Breakers(db),
        calls=CallLog(db),
    )
    recorder.read_with(client)
    stack.push_async_callback(client.close)
    refresher = Refresher(db, vault, client, provider=provider, clock=clock, measures=measures)
    stack.push_async_callback(refresher.close)
    client.tokens = refresher
    client.governor = QuotaGovernor(db, clock=clock, holder=new_owner(), measures=measures)
    stack.push_async_callback(client.governor.close)
    outward = Guard(allow=settings.networks, proxied=True) if settings.proxy else guard
    sender = await open_sender(stack, settings, outward, measures)
    kept_open = Vault(front, keys)
    stack.callback(kept_open.forget)
    intake = Intake(
        front,
        kept_open,
        provider=provider,
        clock=clock,
        measures=measures,
        public_url=settings.public_url,
        certificates=Certificates(client, clock=clock),
    )
    stack.push_async_callback(intake.settle)
    dual = Dual(db, provider=provider, candidates=candidates)
    puller = Puller(
        db, client, provider=provider, base=base, clock=clock, seen=dual.seen, measures=measures
    )
    return Parts(
        settings=settings,
        clock=clock,
        db=db,
        hot=hot,
        front=front,
        vault=vault,
        guard=guard,
        client=client,
        refresher=refresher,
        consents=Consents(db, vault, client, provider=provider, public_url=settings.public_url),
        puller=puller,
        remapping=Remapping(db, provider=provider),
        backfilling=Backfilling(db, client, provider=provider, base=base, clock=clock),
        sweeper=Sweeper(db, client, provider=provider, base=base, clock=clock),
        pusher=Pusher(db, client, provider=provider, base=base, codes=codes),
        callbacks=Callbacks(db, vault, client, provider=provider),
        deliveries=Deliveries(hot, vault, sender, measures=measures),
        intake=intake,
        reconciler=Reconciler(
            db, client, provider=provider, base=base, clock=clock, measures=measures
        ),
        endpoints=Endpoints(db, vault, outward, sender=sender),
        shadows=Shadows(
            db, client, puller, dual, provider=provider, environment=settings.environment
        ),
        bell=bell,
        outbox_bell=outbox_bell,
        outbox=Outbox(db, outbox_bell),
        provider=provider,
        embedded=embedded,
        measures=measures,
        gauges=await open_gauges(stack, db, measures),
    )


async def open_database(
    settings: Settings, url: str, *, budget: int, planned: bool = False
) -> Database:
    """A pool of at most `budget` connections, by the settings."""
    return await Database.open(
        url,
        schema=settings.schema_name,
        direct_url=settings.direct_url,
        budget=budget,
        pgbouncer=settings.pgbouncer,
        offset=settings.clock_offset,
        planned=planned,
    )


async def open_sender(
    stack: AsyncExitStack, settings: Settings, guard: Guard, measures: Measures
) -> Posts:
    """What posts deliveries, by the settings."""
    sender: LeanSender | Sender
    if settings.sender == "lean":
        sender = await stack.enter_async_context(LeanSender(guard, proxy=settings.proxy))
    else:
        sender = await stack.enter_async_context(Sender(guard, proxy=settings.proxy))
    stack.callback(measures.gauge(HTTP_CONNECTIONS, lambda: {(): sender.open}))
    return sender


async def start_embedded(stack: AsyncExitStack, settings: Settings) -> str:
    """The address of the embedded server, started or joined, and migrated."""
    attached = await asyncio.to_thread(Embedded.at(home_of(settings) / "postgres").attach)
    stack.callback(attached.close)
    await migrate.upgrade(attached.dsn, settings.schema_name)
    return attached.dsn

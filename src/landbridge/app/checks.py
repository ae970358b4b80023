"""Looks an installation over, one check after the other, and says how to mend what is wrong."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import urlsplit

from landbridge.app.key_providers import key_of
from landbridge.app.opening import start_embedded
from landbridge.app.settings import Settings
from landbridge.client import Client
from landbridge.client.exchange import NO_ANSWER
from landbridge.client.guard import Guard
from landbridge.clock import Clock
from landbridge.engine.connect import base_of
from landbridge.engine.receive import app_secrets, connection_secrets
from landbridge.engine.token_seals import open_access, open_credential
from landbridge.errors import Forbidden, LandbridgeError
from landbridge.spec import Provider
from landbridge.store import apps, condition, connections, due, grants, links, migrate, upkeep
from landbridge.store.connections import Connection
from landbridge.store.database import Database
from landbridge.vault import Vault
from landbridge.wire import Request

OK, WARNING, FAILED = "ok", "warning", "failed"

_EVERYWHERE = ("0.0.0.0/0", "::/0")
_SAMPLES = 20
_SKEW_WARNS, _SKEW_FAILS = 5.0, 60.0
_DAYS_WARN = 7
_LATE = timedelta(minutes=5)


@dataclass(frozen=True, kw_only=True)
class Check:
    """One thing that was looked at. `state` is ok, warning or failed; `said` ends in the remedy."""

    name: str
    state: str
    said: str


async def examine(
    settings: Settings, *, provider: Callable[[str], Provider], clock: Clock, offline: bool
) -> AsyncIterator[Check]:
    """Each check as it is done. What needs a part that is broken is left out.

    `offline` leaves out everything that calls an address other than the database's.
    """
    async with AsyncExitStack() as stack:
        try:
            db, said = await _open(stack, settings)
        except LandbridgeError as error:
            yield Check(name="database", state=FAILED, said=str(error))
            yield (await _key_alone(settings))
            return
        yield await _database(db, said)
        migrated = await _migrations(settings, db)
        yield migrated
        yield await _clock(db, clock)
        if migrated.state == FAILED:
            yield await _key_alone(settings)
            return
        vault_check, vault = await _key(stack, db, settings)
        yield vault_check
        yield await _partitions(db)
        yield await _work(db)
        if (linked := await _links(db, settings.environment)) is not None:
            yield linked
        if offline:
            return
        yield await _address(db, settings, clock)
        if vault is not None:
            async for check in _providers(db, vault, settings, provider, clock):
                yield check


async def _open(stack: AsyncExitStack, settings: Settings) -> tuple[Database, str]:
    db = await Database.open(
        settings.database_url or await start_embedded(stack, settings),
        schema=settings.schema_name,
        direct_url=settings.direct_url,
        budget=2,
        pgbouncer=settings.pgbouncer,
        offset=settings.clock_offset,
    )
    stack.push_async_callback(db.close)
    if settings.database_url:
        host = urlsplit(settings.database_url).hostname or "a local socket"
        return db, f"LANDBRIDGE_DATABASE_URL, {host}"
    return db, f"the embedded server in {settings.home.expanduser().absolute()}"


async def _database(db: Database, where: str) -> Check:
    found = await condition.server(db)
    told = f"{where}, database {found.database} as {found.role}, PostgreSQL {found.full_version}"
    if found.version < condition.OLDEST_VERSION:
        return Check(
            name="database",
            state=FAILED,
            said=f"{told}: {condition.OLDEST_VERSION} or newer is needed; upgrade the server",
        )
    try:
        listener = await db.listener()
    except LandbridgeError as error:
        return Check(
            name="database",
            state=FAILED,
            said=f"{told}; but LISTEN cannot connect ({error}); set LANDBRIDGE_DIRECT_URL",
        )
    await listener.close()
    return Check(name="database", state=OK, said=told)


async def _migrations(settings: Settings, db: Database) -> Check:
    url = settings.direct_url or settings.database_url
    try:
        todo = await migrate.pending(url, db.schema) if url else []
    except LandbridgeError as error:
        return Check(name="migrations", state=FAILED, said=str(error))
    if todo:
        said = f"{len(todo)} are missing in the schema {db.schema}; run: landbridge db upgrade"
        return Check(name="migrations", state=FAILED, said=said)
    return Check(name="migrations", state=OK, said=f"the schema {db.schema} is at {migrate.head()}")


async def _clock(db: Database, clock: Clock) -> Check:
    before = clock.now()
    found = await condition.server(db)
    after = clock.now()
    skew = (found.clock - (before + (after - before) / 2)).total_seconds()
    said = f"this machine and the database differ by {abs(skew):.1f} s"
    if abs(skew) > _SKEW_WARNS:
        state = FAILED if abs(skew) > _SKEW_FAILS else WARNING
        said += "; signatures are judged by this machine's clock: set both by NTP"
        return Check(name="clock", state=state, said=said)
    if found.offset:
        said += f"; LANDBRIDGE_CLOCK_OFFSET moves the database's by {found.offset}: for tests only"
        return Check(name="clock", state=WARNING, said=said)
    return Check(name="clock", state=OK, said=said)


async def _key_alone(settings: Settings) -> Check:
    try:
        await key_of(settings).close()
    except LandbridgeError as error:
        return Check(name="key", state=FAILED, said=str(error))
    return Check(name="key", state=OK, said="there is one; nothing sealed could be tried with it")


async def _key(
    stack: AsyncExitStack, db: Database, settings: Settings
) -> tuple[Check, Vault | None]:
    try:
        keys = key_of(settings)
        stack.push_async_callback(keys.close)
        vault = Vault(db, keys)
        await vault.newest_key()
        opened = await _open_samples(db, vault, settings.environment)
    except LandbridgeError as error:
        return Check(name="key", state=FAILED, said=str(error)), None
    said = f"it opens {opened} of {opened} sealed secrets that were tried"
    if not opened:
        said = f"there is one; nothing is sealed so far in the environment {settings.environment}"
    return Check(name="key", state=OK, said=said), vault


async def _open_samples(db: Database, vault: Vault, environment: str) -> int:
    opened = 0
    for app in (await apps.every(db, environment=environment))[:_SAMPLES]:
        opened += bool(await app_secrets(vault, app))
    for tenant, wanted in await condition.sealed(db, environment=environment, most=_SAMPLES):
        connection = await connections.one(db, environment=environment, tenant=tenant, id=wanted)
        if connection is None:
            continue
        opened += bool(await connection_secrets(vault, connection))
        grant = await grants.one(
            db, environment=environment, tenant=tenant, id=connection.access_grant
        )
        if grant is not None:
            await open_credential(vault, grant)
            if grant.access is not None:
                await open_access(vault, grant)
            opened += 1
    return opened


async def _partitions(db: Database) -> Check:
    today = (await condition.server(db)).clock.date()
    days = await condition.last_days(db)
    ahead = min((last - today).days if last else -1 for last in days.values())
    strays = await upkeep.strays(db)
    mend = "keep a `landbridge worker` running, it makes them every hour"
    if strays:
        told = ", ".join(f"{count} in {table}" for table, count in strays.items())
        said = f"rows fell into default partitions ({told}); {mend} and moves them"
        return Check(name="partitions", state=WARNING, said=said)
    if ahead < 1:
        return Check(name="partitions", state=FAILED, said=f"tomorrow's are missing; {mend}")
    if ahead < _DAYS_WARN:
        return Check(name="partitions", state=WARNING, said=f"made for {ahead} days ahead; {mend}")
    return Check(name="partitions", state=OK, said=f"made for {ahead} days ahead")


async def _work(db: Database) -> Check:
    now = (await condition.server(db)).clock
    waiting = [lane for lane in (await due.depth(db)).values() if lane.count]
    told = ", ".join(f"{lane.count} in {lane.lane}" for lane in waiting) or "nothing is due"
    late = [lane.lane for lane in waiting if lane.oldest and now - lane.oldest > _LATE]
    if late:
        minutes = int(_LATE.total_seconds() // 60)
        said = (
            f"{told}; in {', '.join(late)} for more than {minutes} minutes: start more of"
            " `landbridge worker`, or read why the ones that run fail"
        )
        return Check(name="work", state=WARNING, said=said)
    return Check(name="work", state=OK, said=told)


async def _links(db: Database, environment: str) -> Check | None:
    """None where no link has begun."""
    found = await links.unsettled(db, environment=environment)
    if not found.begun:
        return None
    told = [
        f"{count} {what}"
        for count, what in (
            (found.held_up, "held up by their table: landbridge links list"),
            (found.stuck, "pairs do not go on: landbridge links pairs --stuck"),
            (found.conflicts, "conflicts are open: landbridge conflicts list"),
        )
        if count
    ]
    return Check(
        name="links",
        state=WARNING if told else OK,
        said="; ".join(told) or "both sides agree, or are about to",
    )


async def _address(db: Database, settings: Settings, clock: Clock) -> Check:
    url = settings.public_url.rstrip("/")
    unset = "public_url" not in settings.model_fields_set
    keys = key_of(settings)
    own = Client(db, Vault(db, keys), Guard(_EVERYWHERE), clock=clock, timeout=5.0)
    mend = "start `landbridge serve` there, or correct LANDBRIDGE_PUBLIC_URL"
    try:
        answer = await own.exchange(Request(method="GET", url=f"{url}/health"))
    except (LandbridgeError, *NO_ANSWER) as error:
        reason = str(error) if isinstance(error, LandbridgeError) else type(error).__name__
        said = f"nothing answers at {url} ({reason}); {mend}"
        return Check(name="public address", state=WARNING if unset else FAILED, said=said)
    finally:
        await own.close()
        await keys.close()
    if answer.status != 200:
        said = f"{url}/health answers {answer.status}; {mend}"
        return Check(name="public address", state=FAILED, said=said)
    try:
        await Guard().check(url)
    except Forbidden:
        said = (
            f"{url} answers, but only near this machine: providers on the internet do not reach it;"
            " set LANDBRIDGE_PUBLIC_URL"
        )
        return Check(name="public address", state=WARNING, said=said)
    return Check(name="public address", state=OK, said=f"{url} answers")


async def _providers(
    db: Database,
    vault: Vault,
    settings: Settings,
    provider: Callable[[str], Provider],
    clock: Clock,
) -> AsyncIterator[Check]:
    guard = Guard(settings.networks)
    client = Client(db, vault, guard, clock=clock, timeout=10.0)
    try:
        for base, page in (await _bases(db, settings.environment, provider)).items():
            yield await _reach(client, page, base)
    finally:
        await client.close()


async def _bases(
    db: Database, environment: str, provider: Callable[[str], Provider]
) -> dict[str, Provider]:
    """The addresses that active connections lead to, at most a handful of them."""
    found: dict[str, Provider] = {}
    active: list[Connection] = [
        connection
        for connection in await connections.every(db, environment=environment)
        if connection.state == "active"
    ]
    for connection in active:
        page = provider(connection.provider)
        found.setdefault(base_of(page, connection.settings, connection.account), page)
    return dict(list(found.items())[:_SAMPLES])


async def _reach(client: Client, page: Provider, base: str) -> Check:
    name = f"reach {page.slug}"
    try:
        answer = await client.exchange(Request(method="GET", url=base))
    except Forbidden as error:
        return Check(name=name, state=FAILED, said=str(error))
    except (LandbridgeError, *NO_ANSWER) as error:
        reason = str(error) if isinstance(error, LandbridgeError) else type(error).__name__
        said = f"{base} does not answer ({reason}); check this machine's network and DNS"
        return Check(name=name, state=FAILED, said=said)
    return Check(name=name, state=OK, said=f"{base} answers ({answer.status})")

"""Webhooks in: verified over their raw bytes, committed, and only then answered."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec

from landbridge import ids, signing
from landbridge.clock import Clock
from landbridge.engine.gather import GroupCommit
from landbridge.errors import (
    DatabaseUnavailable,
    InvalidInput,
    Sealed,
    SignatureError,
    TooOld,
)
from landbridge.spec import Provider
from landbridge.store import apps, arrivals, connections
from landbridge.store.apps import App
from landbridge.store.arrivals import Arrival
from landbridge.store.connections import Connection
from landbridge.store.database import Database
from landbridge.vault import Kind, Vault
from landbridge.wire import Headers

_NOT_KEPT = frozenset({"authorization", "cookie", "proxy-authorization"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What the sender of a webhook gets."""

    status: int
    body: str = ""
    retry_after: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class _Target:
    app: App
    connection: Connection | None
    provider: Provider


class Intake:
    """Accepts webhooks for `/in/{app_token}[/{connection_token}]`.

    A 2xx is given only after the raw body is committed. What fails its signature is counted, not
    stored. While the database is away the answer is 503 with Retry-After, so that the provider
    sends it again.
    """

    def __init__(
        self,
        db: Database,
        vault: Vault,
        *,
        provider: Callable[[str], Provider],
        clock: Clock,
        monotonic: Callable[[], float] = time.monotonic,
        keep_targets: float = 2.0,
    ):
        self._db = db
        self._vault = vault
        self._provider = provider
        self._clock = clock
        self._monotonic = monotonic
        self._keep_targets = keep_targets
        self._targets: dict[tuple[str, str], tuple[float, _Target | None]] = {}
        self._commit = GroupCommit[Arrival](self._store)
        self._refused: Counter[tuple[str, str, str]] = Counter()
        self._counting: asyncio.Task[None] | None = None

    async def accept(
        self, app_token: str, connection_token: str, headers: Headers, body: bytes
    ) -> Answer:
        """Verifies and commits one webhook."""
        try:
            target = await self._target(app_token, connection_token)
            if target is None or target.provider.webhook is None:
                return Answer(status=404, body="nothing is received at this address")
            webhook = target.provider.webhook
            if len(body) > webhook.max_body:
                self._count(target, "too large")
                return Answer(status=413, body=f"the body is larger than {webhook.max_body} bytes")
            secrets = await self._secrets(target)
            if not secrets:
                self._count(target, "no secret set")
                return Answer(status=webhook.refused_status, body="no webhook secret is set here")
            try:
                signing.verify(webhook.signature, secrets, headers, body, self._clock.now())
            except SignatureError as error:
                self._count(target, "too old" if isinstance(error, TooOld) else "forged")
                return Answer(status=webhook.refused_status, body=str(error))
            await self._commit.add(_arrival(target, headers, body))
        except (DatabaseUnavailable, Sealed):
            return Answer(status=503, body="not accepted, send it again", retry_after=5)
        return Answer(status=200)

    async def _store(self, group: list[Arrival]) -> None:
        await arrivals.store(self._db, group)

    async def _target(self, app_token: str, connection_token: str) -> _Target | None:
        place = (app_token, connection_token)
        kept = self._targets.get(place)
        if kept and kept[0] > self._monotonic():
            return kept[1]
        app = await apps.by_token(self._db, app_token)
        target = None
        if app is not None:
            connection = None
            if connection_token:
                connection = await connections.by_token(
                    self._db, app=app.id, token=connection_token
                )
            if connection is not None or not connection_token:
                target = _Target(
                    app=app, connection=connection, provider=self._provider(app.provider)
                )
        if len(self._targets) > 10_000:
            self._targets.clear()
        self._targets[place] = (self._monotonic() + self._keep_targets, target)
        return target

    async def _secrets(self, target: _Target) -> list[str]:
        if target.connection is not None and target.connection.secrets is not None:
            return await connection_secrets(self._vault, target.connection)
        return await app_secrets(self._vault, target.app)

    def _count(self, target: _Target, what: str) -> None:
        self._refused[target.app.environment, target.app.id, what] += 1
        if self._counting is None or self._counting.done():
            self._counting = asyncio.create_task(self._write_counts())

    async def _write_counts(self) -> None:
        while self._refused:
            counts, self._refused = dict(self._refused), Counter()
            try:
                await arrivals.tally(self._db, counts)
            except DatabaseUnavailable:
                self._refused.update(counts)
                await asyncio.sleep(1)

    async def settle(self) -> None:
        """Waits until the counts of what was refused are written."""
        if self._counting is not None:
            await self._counting


async def app_secrets(vault: Vault, app: App) -> list[str]:
    """The app's webhook secrets, opened; none when none was set."""
    if app.secrets is None:
        return []
    opened = await vault.open(
        Kind.SIGNING,
        environment=app.environment,
        tenant="",
        place=f"app/{app.id}/secrets",
        envelope=app.secrets,
    )
    return msgspec.json.decode(opened, type=list[str])


async def set_app_secrets(db: Database, vault: Vault, app: App, secrets: Sequence[str]) -> None:
    """Seals the secrets that this app's webhooks may be signed with; several during a roll."""
    sealed = await vault.seal(
        Kind.SIGNING,
        environment=app.environment,
        tenant="",
        place=f"app/{app.id}/secrets",
        secret=_encoded(secrets),
    )
    await apps.set_secrets(db, environment=app.environment, id=app.id, secrets=sealed)


async def connection_secrets(vault: Vault, connection: Connection) -> list[str]:
    """The connection's own webhook secrets, opened; none when none was set."""
    if connection.secrets is None:
        return []
    opened = await vault.open(
        Kind.SIGNING,
        environment=connection.environment,
        tenant=connection.tenant,
        place=f"connection/{connection.id}/secrets",
        envelope=connection.secrets,
    )
    return msgspec.json.decode(opened, type=list[str])


async def set_connection_secrets(
    db: Database, vault: Vault, connection: Connection, secrets: Sequence[str]
) -> None:
    """Seals the secrets of a connection that has a webhook endpoint of its own at the provider."""
    sealed = await vault.seal(
        Kind.SIGNING,
        environment=connection.environment,
        tenant=connection.tenant,
        place=f"connection/{connection.id}/secrets",
        secret=_encoded(secrets),
    )
    await connections.set_secrets(db, connection, sealed)


def _encoded(secrets: Sequence[str]) -> bytes:
    cleaned = [secret.strip() for secret in secrets]
    if not cleaned or not all(cleaned):
        raise InvalidInput("webhook secret: empty; the provider shows it once, when it is made")
    return msgspec.json.encode(cleaned)


def _arrival(target: _Target, headers: Headers, body: bytes) -> Arrival:
    kept = [pair for pair in headers.pairs() if pair[0].lower() not in _NOT_KEPT]
    return Arrival(
        environment=target.app.environment,
        id=ids.new("arr"),
        app=target.app.id,
        connection=target.connection.id if target.connection else None,
        headers=msgspec.json.encode(kept),
        body=body,
    )

"""Webhooks in: verified over their raw bytes, committed, and only then answered."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

import msgspec
import structlog

from landbridge import signing
from landbridge.clock import Clock
from landbridge.engine.certificates import Certificates
from landbridge.engine.gather import GroupCommit
from landbridge.engine.letterhead import stored_headers
from landbridge.engine.orders import confirm_job
from landbridge.engine.room import WRONG, Gate, Room
from landbridge.engine.targets import Nowhere, Target, Targets, well_formed
from landbridge.errors import InvalidInput, LandbridgeError, SignatureError, TooOld
from landbridge.measures import (
    INTAKE_FLUSH_ROWS,
    INTAKE_SECONDS,
    WEBHOOKS_ACCEPTED,
    WEBHOOKS_REFUSED,
    WEBHOOKS_UNAVAILABLE,
    Measures,
    Refusal,
)
from landbridge.signing import POSTED, Call, Certified
from landbridge.signing.handshake import asked_in_body, asked_in_query, is_ping, posted_code
from landbridge.spec import CodeSentBack, EchoBody, EchoQuery, Provider, SignedPing
from landbridge.store import apps, arrivals, connections, due, reconciliations
from landbridge.store.apps import App
from landbridge.store.arrivals import Arrival
from landbridge.store.connections import Connection
from landbridge.store.database import Database
from landbridge.vault import Kind, Vault
from landbridge.wire import Headers

_QUIET = 10.0
"""Seconds between two lines of the log about the same."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What the sender of a webhook gets. `close`: the rest of its body is not read."""

    status: int
    body: str = ""
    retry_after: int | None = None
    close: bool = False


ACCEPTED = Answer(status=200)
NOWHERE = Answer(status=404, body="nothing is received at this address", close=True)
NOT_NOW = Answer(status=503, body="not accepted, send it again", retry_after=5, close=True)


class Intake:
    """Accepts webhooks for `/in/{app_token}[/{connection_token}]`.

    A 2xx is given only after the raw body is committed, or to a handshake, which is not stored.
    What fails its signature is counted, not stored. While the database is away, above the limits
    of `room`, and whatever else fails on our side, the answer is 503 with Retry-After, so that the
    provider sends it again.
    """

    def __init__(
        self,
        db: Database,
        vault: Vault,
        *,
        provider: Callable[[str], Provider],
        clock: Clock,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        measures: Measures | None = None,
        room: Room | None = None,
        gate: Gate | None = None,
        keep_targets: float = 2.0,
        public_url: str = "",
        certificates: Certificates | None = None,
    ):
        self._db = db
        self._public_url = public_url.rstrip("/")
        self._certificates = certificates
        self._vault = vault
        self._clock = clock
        self._sleep = sleep
        self._monotonic = monotonic
        self._measures = measures or Measures()
        self.room = room or Room()
        self._gate = gate or Gate(monotonic=monotonic)
        self._targets = Targets(
            db,
            provider=provider,
            secrets=self._secrets,
            ask=self._gate.ask,
            keep=keep_targets,
            monotonic=monotonic,
        )
        self._commit = GroupCommit[Arrival](self._store)
        self._counts: Counter[tuple[str, str, str]] = Counter()
        self._counting: asyncio.Task[None] | None = None
        self._said: dict[str, float] = {}
        self._log = structlog.get_logger("landbridge.intake")

    async def accept(
        self, app_token: str, connection_token: str, headers: Headers, body: bytes
    ) -> Answer:
        """Verifies and commits one webhook that came whole, by POST to the address as it is."""
        target = await self.find(app_token, connection_token)
        if isinstance(target, Answer):
            return target
        if len(body) > target.webhook.max_body:
            return self.too_large(target)
        path = "/".join(filter(None, ("/in", app_token, connection_token)))
        return await self.take(target, headers, body, path=path)

    def known(self, app_token: str, connection_token: str) -> Target | None:
        """The target of an address that was used a moment ago; `find` for any other."""
        return self._targets.known(app_token, connection_token)

    async def find(self, app_token: str, connection_token: str) -> Target | Answer:
        """The target of an address, or the answer that ends it here: 404, 503."""
        target = self._targets.known(app_token, connection_token)
        if target is not None:
            return target
        if not well_formed(app_token, connection_token):
            return self._nowhere(None)
        try:
            found = await self._targets.at(app_token, connection_token)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is to be sent again
            return self._failed(error)
        return self._nowhere(found.app) if isinstance(found, Nowhere) else found

    def greet(self, target: Target, method: str, query: bytes, address: str) -> Answer | None:
        """The answer to a handshake by query; None when this call is no handshake.

        `address` is the last part of the path, as it was called.
        """
        handshake = target.webhook.handshake
        if not isinstance(handshake, EchoQuery):
            return None
        try:
            text = asked_in_query(handshake, method, query, address)
        except (InvalidInput, SignatureError) as error:
            self.count(target.app, "bad handshake")
            return Answer(status=target.webhook.refused_status, body=str(error), close=True)
        return None if text is None else replace(self._greeted(target, text), close=True)

    def too_large(self, target: Target) -> Answer:
        """The answer to a body above the page's limit, of which the rest is not read."""
        self.count(target.app, "too large")
        most = target.webhook.max_body
        return Answer(status=413, body=f"the body is larger than {most} bytes", close=True)

    async def take(
        self, target: Target, headers: Headers, body: bytes, *, path: str, method: str = "POST"
    ) -> Answer:
        """Verifies a body and commits it, or answers the handshake that it is.

        `path` is the intake address below the public URL as it was called, with its query: some
        vendors sign it.
        """
        began = self._monotonic()
        webhook = target.webhook
        handshake = webhook.handshake
        if handshake is not None:
            greeted = await self._before_signature(target, body)
            if greeted is not None:
                return greeted
        if not target.secrets:
            return self._refused(target, "no secret set", "no webhook secret is set here")
        try:
            call = await self._call(target, headers, path, method)
            signing.accept(target.scheme, target.secrets, headers, body, self._clock.now(), call)
        except SignatureError as error:
            why: Refusal = "too old" if isinstance(error, TooOld) else "forged"
            return self._refused(target, why, str(error))
        except Exception as error:  # noqa: BLE001 - such as the vendor's certificates being away
            return self._failed(error)
        if handshake is not None:
            greeted = self._after_signature(target, body)
            if greeted is not None:
                return greeted
        try:
            await self._commit.add(_arrival(target, headers, body))
        except Exception as error:  # noqa: BLE001 - it is not committed, so it is to be sent again
            return self._failed(error)
        slug = target.provider.slug
        self._measures.count(WEBHOOKS_ACCEPTED, target.app.environment, slug)
        self._measures.observe(INTAKE_SECONDS, self._monotonic() - began, slug)
        return ACCEPTED

    async def _call(self, target: Target, headers: Headers, path: str, method: str) -> Call:
        """What the scheme has to know beside headers and body; nothing for most."""
        scheme = target.scheme
        if scheme.needs_call:
            return Call(method=method, url=self._public_url + path)
        if isinstance(scheme, Certified) and self._certificates is not None:
            return Call(certificate=await self._certificates.of(scheme, headers))
        return POSTED

    def not_now(self) -> Answer:
        """The answer when nothing can be accepted at the moment."""
        self._measures.count(WEBHOOKS_UNAVAILABLE)
        return NOT_NOW

    def _failed(self, error: Exception) -> Answer:
        if not isinstance(error, WRONG):  # of those the gate tells
            # Foreign errors quote what failed, which may be a row.
            ours = isinstance(error, LandbridgeError)
            self._say("intake.failed", reason=str(error) if ours else type(error).__name__)
        return self.not_now()

    def _nowhere(self, app: App | None) -> Answer:
        self._say("intake.unknown_address", app=app.id if app else None)
        self.count(app, "unknown address")
        return NOWHERE

    def _say(self, event: str, **more: object) -> None:
        """Logs it, unless the same was logged a moment ago."""
        now = self._monotonic()
        if self._said.get(event, 0.0) <= now:
            self._said[event] = now + _QUIET
            self._log.warning(event, **more)

    async def _before_signature(self, target: Target, body: bytes) -> Answer | None:
        handshake = target.webhook.handshake
        if isinstance(handshake, EchoBody) and not handshake.signed:
            return self._challenged(target, handshake, body)
        if isinstance(handshake, CodeSentBack):
            return await self._posted(target, handshake, body)
        return None

    def _after_signature(self, target: Target, body: bytes) -> Answer | None:
        handshake = target.webhook.handshake
        if isinstance(handshake, EchoBody) and handshake.signed:
            return self._challenged(target, handshake, body)
        if isinstance(handshake, SignedPing) and is_ping(target.webhook, body):
            self._tally(target.app, "handshake")
            return Answer(status=handshake.status)
        return None

    def _challenged(self, target: Target, handshake: EchoBody, body: bytes) -> Answer | None:
        try:
            text = asked_in_body(handshake, body)
        except InvalidInput as error:
            self.count(target.app, "bad handshake")
            return Answer(status=target.webhook.refused_status, body=str(error))
        return None if text is None else self._greeted(target, text)

    async def _posted(self, target: Target, handshake: CodeSentBack, body: bytes) -> Answer | None:
        """Orders that a posted code is sent back; None when the body posts none."""
        try:
            told = posted_code(target.webhook, handshake, body)
            if told is not None and target.connection is None:
                raise InvalidInput(
                    "a code counts at the address of a connection: see landbridge connections show"
                )
        except InvalidInput as error:
            self.count(target.app, "bad handshake")
            return Answer(status=target.webhook.refused_status, body=str(error))
        if told is None or target.connection is None:
            return None
        try:
            await self._gate.ask(self._order(target.connection, *told))
        except Exception as error:  # noqa: BLE001 - it is not ordered, so it is to be sent again
            return self._failed(error)
        return self._greeted(target, "")

    async def _order(self, connection: Connection, key: str, code: str) -> None:
        sealed = await self._vault.seal(
            Kind.SIGNING,
            environment=connection.environment,
            tenant=connection.tenant,
            place=_place_of_code(connection, key),
            secret=code.encode(),
        )
        await due.put(self._db, [confirm_job(connection, key, code, sealed)])
        await self._db.notify()

    def _greeted(self, target: Target, text: str) -> Answer:
        self._tally(target.app, "handshake")
        return Answer(status=200, body=text)

    def _refused(self, target: Target, why: Refusal, words: str) -> Answer:
        self.count(target.app, why)
        silent = isinstance(target.webhook.handshake, SignedPing)
        return Answer(status=target.webhook.refused_status, body="" if silent else words)

    async def _store(self, group: list[Arrival]) -> None:
        await self._gate.ask(arrivals.store(self._db, group))
        self._measures.observe(INTAKE_FLUSH_ROWS, len(group))

    async def _secrets(self, app: App, connection: Connection | None) -> list[str]:
        if connection is not None and connection.secrets is not None:
            return await connection_secrets(self._vault, connection)
        return await app_secrets(self._vault, app)

    def count(self, app: App | None, what: Refusal) -> None:
        """Counts what was refused, by app, day and reason; without an app only as a measure."""
        if app is None:
            self._measures.count(WEBHOOKS_REFUSED, "none", "none", what)
            return
        self._measures.count(WEBHOOKS_REFUSED, app.environment, app.provider, what)
        self._tally(app, what)

    def _tally(self, app: App, what: str) -> None:
        self._counts[app.environment, app.id, what] += 1
        if self._counting is None or self._counting.done():
            self._counting = asyncio.create_task(self._write_counts())

    async def _write_counts(self) -> None:
        while self._counts:
            if not await self._write_once():
                await self._sleep(1)

    async def _write_once(self) -> bool:
        counts, self._counts = dict(self._counts), Counter()
        written = False
        try:
            await self._gate.ask(arrivals.tally(self._db, counts))
            written = True
        except Exception as error:  # noqa: BLE001 - it is tried again
            if not isinstance(error, WRONG):
                self._say("intake.not_counted", reason=type(error).__name__)
        finally:
            if not written:
                self._counts.update(counts)
        return written

    async def settle(self) -> None:
        """Writes the counts of what was refused; while the database is away they are logged."""
        if self._counting is not None and not self._gate.shut:
            await asyncio.wait({self._counting}, timeout=5)
        if self._counting is not None:
            self._counting.cancel()
            await asyncio.wait({self._counting})
        for (environment, app, what), number in self._counts.items():
            self._log.warning(
                "intake.uncounted", environment=environment, app=app, what=what, count=number
            )
        self._counts.clear()


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
    async with db.transaction() as tx:
        await apps.set_secrets(tx, environment=app.environment, id=app.id, secrets=sealed)
        await reconciliations.begin_app(tx, environment=app.environment, app=app.id)


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


async def open_code(vault: Vault, connection: Connection, key: str, sealed: bytes) -> str:
    """A code that was posted to a connection's address, opened."""
    opened = await vault.open(
        Kind.SIGNING,
        environment=connection.environment,
        tenant=connection.tenant,
        place=_place_of_code(connection, key),
        envelope=sealed,
    )
    return opened.decode()


def _place_of_code(connection: Connection, key: str) -> str:
    return f"connection/{connection.id}/callback/{key}"


_MOST_SECRETS = 100
"""Of a connection; of callbacks with a code each the oldest goes then."""


async def add_connection_secret(
    db: Database, vault: Vault, connection: Connection, secret: str
) -> None:
    """Seals one more secret that a connection's webhooks may be signed with."""
    async with db.transaction() as tx:
        now = await connections.locked(
            tx, environment=connection.environment, tenant=connection.tenant, id=connection.id
        )
        if now is None:
            return
        known = await connection_secrets(vault, now)
        kept = [*(one for one in known if one != secret), secret][-_MOST_SECRETS:]
        await connections.set_secrets(tx, now, await _sealed(vault, now, kept))
        await reconciliations.begin(tx, now)


async def set_connection_secrets(
    db: Database, vault: Vault, connection: Connection, secrets: Sequence[str]
) -> None:
    """Seals the secrets of a connection that has a webhook endpoint of its own at the provider."""
    sealed = await _sealed(vault, connection, secrets)
    async with db.transaction() as tx:
        await connections.set_secrets(tx, connection, sealed)
        await reconciliations.begin(tx, connection)


async def _sealed(vault: Vault, connection: Connection, secrets: Sequence[str]) -> bytes:
    return await vault.seal(
        Kind.SIGNING,
        environment=connection.environment,
        tenant=connection.tenant,
        place=f"connection/{connection.id}/secrets",
        secret=_encoded(secrets),
    )


def _encoded(secrets: Sequence[str]) -> bytes:
    cleaned = [secret.strip() for secret in secrets]
    if not cleaned or not all(cleaned):
        raise InvalidInput("webhook secret: empty; the provider shows it once, when it is made")
    return msgspec.json.encode(cleaned)


def _arrival(target: Target, headers: Headers, body: bytes) -> Arrival:
    return Arrival(
        environment=target.app.environment,
        app=target.app.id,
        connection=target.connection.id if target.connection else None,
        headers=stored_headers(headers, target.secrets, target.scheme.secret_headers),
        body=body,
    )

"""F10: a rotation under load, a dump without keys, swapped and damaged envelopes, nonces."""

from __future__ import annotations

import asyncio
import io
import os
import random
import secrets
import time
import traceback
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, redirect_stderr, redirect_stdout

from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from structlog.testing import capture_logs

from landbridge.client.guard import Guard
from landbridge.engine.rekey import rekey
from landbridge.errors import Forbidden, InvalidInput, LandbridgeError, Sealed, WrongKey
from landbridge.store import grants, sealed
from landbridge.store.database import Database
from landbridge.store.grants import access_place, secret_place
from landbridge.store.sealed import TABLES, Mark
from landbridge.vault import KeyRing, Kind, LocalKey, Vault, new_key
from landbridge.vault._envelope import NONCE, head_of
from tests.faults.f10_revocation import revoke_many
from tests.rows import RowResult, Trial, row
from tests.store.databases import fresh_database, migrated_template, shared_server

_RATE = 500
_CANARY = "canary-7f3a"
_INWARD = (
    "http://169.254.169.254/latest/meta-data",
    "http://127.0.0.1:8200/v1/sys/seal",
    "http://[::ffff:10.0.0.1]/",
    "http://0x7f000001/",
    "http://localhost/",
)
"""Addresses that a tenant may write into a connection's settings."""


class _Stopping(KeyRing):
    """A key provider that goes away once, after so many questions."""

    def __init__(self, inner: LocalKey, questions: int):
        super().__init__([inner])
        self.questions = questions

    async def unwrap(self, wrapped: bytes, bound_to: bytes) -> bytes:
        self.questions -= 1
        if self.questions == 0:
            raise Sealed("the key provider is away")
        return await super().unwrap(wrapped, bound_to)


class _Cbc:
    """The weaker pattern: AES-CBC with one initialisation vector per process, bound to nothing."""

    def __init__(self) -> None:
        self._cipher = Cipher(algorithms.AES(os.urandom(32)), modes.CBC(os.urandom(16)))

    def seal(self, secret: bytes) -> bytes:
        pad = padding.PKCS7(128).padder()
        sealing = self._cipher.encryptor()
        return sealing.update(pad.update(secret) + pad.finalize()) + sealing.finalize()

    def open(self, envelope: bytes) -> bytes:
        opening = self._cipher.decryptor()
        pad = padding.PKCS7(128).unpadder()
        return pad.update(opening.update(envelope) + opening.finalize()) + pad.finalize()


@row(
    "F10",
    title="vault: rotation under load, dump without keys, swaps, bit flips, nonces, canaries, SSRF;"
    " revocation of all grants",
    goal="no refresh lost by a rotation that is cut off and resumed beside up to 500/s; nothing"
    " opens without the key, elsewhere or damaged; no nonce twice; no canary in any output; each"
    " grant reported as revoked, failed or unsupported, and as it is; none forgotten unconfirmed",
)
async def vault_attacked(trial: Trial) -> RowResult:
    """Keys are rotated, cut off and resumed while grants are refreshed. Then the database is read
    without the key, envelopes are swapped between tenants and damaged, and every output is searched
    for secrets. The control seals by CBC with one IV per process.

    Then all grants of a provider are revoked by processes that are killed at every point, while the
    provider fails for a fifth of them. The control forgets tokens whatever the provider did."""
    size = trial.size.pick(small=300, medium=10_000)
    old, new = new_key(), new_key()
    printed = io.StringIO()
    async with AsyncExitStack() as stack:
        logs = stack.enter_context(capture_logs())
        stack.enter_context(redirect_stdout(printed))
        stack.enter_context(redirect_stderr(printed))
        db = await stack.enter_async_context(_database())
        await _fill(db, Vault(db, LocalKey.from_text(old)), size)
        load = _Load(db, Vault(db, LocalKey.from_text(f"{new},{old}")), size)
        running = asyncio.create_task(load.run())
        stack.callback(running.cancel)
        cut = _Stopping(LocalKey.from_text(f"{new},{old}"), questions=size // 2)
        cut_off = False
        try:
            await rekey(db, Vault(db, cut), environment="test", everything=True, batch=50)
        except Sealed:
            cut_off = True
        cut.questions = -1
        resumed = await rekey(db, Vault(db, cut), environment="test", everything=True, batch=50)
        load.stop.set()
        await running
        await rekey(db, Vault(db, cut), environment="test", everything=False)
        alone = Vault(db, LocalKey.from_text(new))
        lost = await load.lost(alone)
        attacks = await _attack(db, alone, trial.random, printed)
        nonces = attacks.pop("nonces")
    printed.write(repr(logs))
    shown = printed.getvalue().count(_CANARY)
    control = _control()
    revocations = await revoke_many(trial)
    holds = (
        cut_off
        and resumed.resumed
        and not lost
        and load.failed == 0
        and not any(attacks.values())
        and not shown
        and all(control.values())
        and revocations.holds
    )
    return RowResult(
        value=f"{load.done} refreshes at {load.rate:.0f}/s beside the rotation, {lost} lost;"
        f" {sum(attacks.values())} attacks succeed, {nonces} nonces, all different; {shown}"
        f" canaries shown; the control falls to {', '.join(name for name in control)};"
        f" {revocations}",
        holds=holds,
        detail={
            **attacks,
            "refreshes": load.done,
            "rate": round(load.rate),
            "failed": load.failed,
            "lost": lost,
            "shown": shown,
            "control": dict(control),
            "kills": revocations.kills,
            "outcomes": dict(revocations.outcomes),
            "wrong": dict(revocations.wrong),
            "revocation_control": dict(revocations.control),
            "revocation_calm": dict(revocations.calm),
        },
    )


@asynccontextmanager
async def _database() -> AsyncIterator[Database]:
    with (
        shared_server(secrets.token_hex(4)) as server,
        fresh_database(server.dsn, migrated_template(server.dsn)) as url,
    ):
        db = await Database.open(url)
        try:
            yield db
        finally:
            await db.close()


def _whose(number: int) -> tuple[str, str]:
    return f"t{number % 20}", f"grt_{number}"


def _secret(grant: str, version: int) -> bytes:
    return f"{_CANARY}-{grant}-{version}".encode()


async def _seal(vault: Vault, tenant: str, grant: str, column: str, version: int) -> bytes:
    return await vault.seal(
        Kind.CREDENTIAL if column == "secret" else Kind.ACCESS,
        environment="test",
        tenant=tenant,
        place=(secret_place if column == "secret" else access_place)(grant, version),
        secret=_secret(grant, version),
    )


async def _fill(db: Database, vault: Vault, size: int) -> None:
    async with db.transaction() as tx:
        for number in range(size):
            tenant, grant = _whose(number)
            await grants.save_tokens(
                tx,
                environment="test",
                tenant=tenant,
                id=grant,
                app="app_1",
                secret=await _seal(vault, tenant, grant, "secret", 1),
                access=await _seal(vault, tenant, grant, "access", 1),
                expires_at=None,
            )
        await tx.execute(
            "INSERT INTO landbridge.app (environment, id, provider, token)"
            " VALUES ('test', 'app_1', 'ledger', 'token')"
        )


class _Load:
    """Refreshes of grants in turn: open, swap by the version, as fast as 500 in a second."""

    def __init__(self, db: Database, vault: Vault, size: int):
        self.db = db
        self.vault = vault
        self.size = size
        self.stop = asyncio.Event()
        self.done = 0
        self.failed = 0
        self.rate = 0.0
        self.stored: dict[int, int] = {}

    async def run(self) -> None:
        """Until `stop` is set."""
        began = time.monotonic()
        number = 0
        while not self.stop.is_set():
            several = range(number, number + 10)
            await asyncio.gather(*(self._refresh(each % self.size) for each in several))
            number += 10
            ahead = number / _RATE - (time.monotonic() - began)
            await asyncio.sleep(max(ahead, 0))
        self.rate = self.done / (time.monotonic() - began)

    async def _refresh(self, number: int) -> None:
        tenant, name = _whose(number)
        try:
            grant = await grants.one(self.db, environment="test", tenant=tenant, id=name)
            assert grant is not None
            assert grant.secret is not None
            await _open(self.vault, tenant, secret_place(name, grant.version), grant.secret)
            version = grant.version + 1
            secret = await _seal(self.vault, tenant, name, "secret", version)
            access = await _seal(self.vault, tenant, name, "access", version)
            async with self.db.transaction() as tx:
                swapped = await grants.swap(
                    tx,
                    grant,
                    secret=secret,
                    access=access,
                    expires_at=None,
                    refresh_expires_at=None,
                    scopes=(),
                )
        except LandbridgeError:
            self.failed += 1
            return
        self.done += 1
        if swapped != version:
            self.failed += 1
            return
        self.stored[number] = version

    async def lost(self, vault: Vault) -> int:
        """How many grants do not hold the tokens that were stored last."""
        lost = 0
        for number in range(self.size):
            tenant, name = _whose(number)
            grant = await grants.one(self.db, environment="test", tenant=tenant, id=name)
            assert grant is not None
            assert grant.secret is not None
            wanted = _secret(name, self.stored.get(number, 1))
            place = secret_place(name, grant.version)
            lost += await _open(vault, tenant, place, grant.secret) != wanted
        return lost


async def _open(vault: Vault, tenant: str, place: str, envelope: bytes) -> bytes:
    return await vault.open(
        Kind.CREDENTIAL if "/secret/" in place else Kind.ACCESS,
        environment="test",
        tenant=tenant,
        place=place,
        envelope=envelope,
    )


async def _attack(
    db: Database, vault: Vault, chance: random.Random, printed: io.StringIO
) -> Counter[str]:
    """How many attacks of each kind succeeded, and how many nonces there were."""
    won: Counter[str] = Counter()
    values = []
    for table in TABLES:
        found, _ = await sealed.after(db, table, environment="test", mark=Mark(), most=100_000)
        values += found
    await _read_without_key(db, values, won)
    nonces = set()
    for value in values:
        head = head_of(value.envelope)
        assert head is not None
        nonces.add(value.envelope[len(head.text) : len(head.text) + NONCE])
    won["a nonce used twice"] = len(values) - len(nonces)
    for value in chance.sample(values, 100):
        other = chance.choice([each for each in values if each.tenant != value.tenant])
        damaged = bytearray(value.envelope)
        damaged[chance.randrange(len(damaged))] ^= 1 << chance.randrange(8)
        earlier = int(value.place.rpartition("/")[2]) - 1
        tries = {
            "swapped": other.envelope,
            "damaged": bytes(damaged),
            "put back": await _seal(vault, value.tenant, value.id, value.column, earlier),
        }
        for name, envelope in tries.items():
            try:
                await _open(vault, value.tenant, value.place, envelope)
                won[name] += 1
            except WrongKey as error:
                printed.write("".join(traceback.format_exception(error)) + repr((vault, value)))
    for address in _INWARD:
        try:
            await Guard().check(address)
            won["inward address"] += 1
        except (Forbidden, InvalidInput):
            continue
    won["nonces"] = len(nonces)
    return won


async def _read_without_key(db: Database, values: list[sealed.Sealed], won: Counter[str]) -> None:
    async with db.transaction() as tx:
        for table in ("access_grant", "app", "tenant_key", "connection", "drill"):
            rows = await tx.execute(f"SELECT t::text AS text FROM landbridge.{table} AS t")
            won["canary in a dump"] += sum(
                _CANARY in each["text"] or _CANARY.encode().hex() in each["text"] for each in rows
            )
    stranger = Vault(db, LocalKey.from_text(new_key()))
    for value in values[:50]:
        try:
            await _open(stranger, value.tenant, value.place, value.envelope)
            won["opened without the key"] += 1
        except WrongKey:
            continue


def _control() -> dict[str, bool]:
    """What the weaker pattern falls to."""
    cbc = _Cbc()
    secret = _secret("grt_1", 1)
    damaged = bytearray(cbc.seal(secret))
    damaged[0] ^= 1  # which changes a letter of the next block, unnoticed
    return {
        "equal secrets look equal": cbc.seal(secret) == cbc.seal(secret),
        "swaps": cbc.open(cbc.seal(secret)) == secret,
        "bit flips": cbc.open(bytes(damaged)) != secret,
    }

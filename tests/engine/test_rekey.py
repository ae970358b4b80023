"""Keys are rotated and moved while everything goes on; what was killed goes on where it was."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from landbridge.engine.rekey import rekey, status
from landbridge.errors import Sealed, WrongKey
from landbridge.store import grants, sealed
from landbridge.store.database import Database
from landbridge.store.sealed import TABLES, Mark
from landbridge.store.sql import Sql
from landbridge.vault import KeyProvider, KeyRing, Kind, LocalKey, Vault, new_key

OLD, NEW = new_key(), new_key()
EVERYTHING = Sql("tests.drills", "SELECT state, cursor FROM lb.drill ORDER BY id", across="A test.")


class Failing:
    """A key provider that goes away after so many questions."""

    def __init__(self, inner: KeyProvider, questions: int):
        self.name = inner.name
        self._inner = inner
        self.questions = questions

    async def wrap(self, key: bytes, bound_to: bytes) -> bytes:
        self._count()
        return await self._inner.wrap(key, bound_to)

    async def unwrap(self, wrapped: bytes, bound_to: bytes) -> bytes:
        self._count()
        return await self._inner.unwrap(wrapped, bound_to)

    def made_by(self, wrapped: bytes) -> str | None:
        return self._inner.made_by(wrapped)

    async def close(self) -> None:
        await self._inner.close()

    def _count(self) -> None:
        self.questions -= 1
        if self.questions < 0:
            raise Sealed("the key provider is away")


async def fill(db: Database, vault: Vault, *, tenants: int = 4, each: int = 5) -> None:
    """Grants with both tokens, webhook secrets of an app and of connections."""
    app = await vault.seal(
        Kind.SIGNING, environment="test", tenant="", place="app/app_1/secrets", secret=b"app_1"
    )
    client = await vault.seal(
        Kind.CREDENTIAL,
        environment="test",
        tenant="t0",
        place="app/app_1/client_secret",
        secret=b"app_1",
    )
    async with db.transaction() as tx:
        await tx.execute(
            "INSERT INTO landbridge.app (environment, id, provider, tenant, token, secrets,"
            " client_secret) VALUES ('test', 'app_1', 'ledger', 't0', 'token', $1, $2)",
            app,
            client,
        )
        for tenant in (f"t{number}" for number in range(tenants)):
            for number in range(each):
                grant = f"grt_{tenant}_{number}"
                await grants.save_tokens(
                    tx,
                    environment="test",
                    tenant=tenant,
                    id=grant,
                    app="app_1",
                    secret=await sealed_token(vault, tenant, grant, "secret"),
                    access=await sealed_token(vault, tenant, grant, "access"),
                    expires_at=None,
                )


async def sealed_token(
    vault: Vault, tenant: str, grant: str, column: str, version: int = 1
) -> bytes:
    return await vault.seal(
        Kind.CREDENTIAL if column == "secret" else Kind.ACCESS,
        environment="test",
        tenant=tenant,
        place=f"grant/{grant}/{column}/{version}",
        secret=grant.encode(),
    )


async def opened(db: Database, vault: Vault) -> int:
    """How many secrets there are; each opens to what was sealed."""
    count = 0
    for table in TABLES:
        values, _ = await sealed.after(db, table, environment="test", mark=Mark(), most=10_000)
        for value in values:
            secret = await vault.open(
                Kind(value.kind),
                environment="test",
                tenant=value.tenant,
                place=value.place,
                envelope=value.envelope,
            )
            assert secret.decode() == value.id
            count += 1
    return count


def local(*keys: str) -> LocalKey:
    return LocalKey.from_text(",".join(keys))


async def keys_of(db: Database, vault: Vault) -> Sequence[tuple[str, str, bool]]:
    return [
        (held.what, held.key, held.newest) for held in await status(db, vault, environment="test")
    ]


async def test_after_a_rotation_the_new_key_alone_opens_everything(db: Database) -> None:
    await fill(db, Vault(db, local(OLD)))
    both = Vault(db, local(NEW, OLD))
    assert not all(newest for _, _, newest in await keys_of(db, both))
    done = await rekey(db, both, environment="test", everything=True)
    assert (done.left, done.changed, list(done.unreadable)) == (0, 0, [])
    alone = Vault(db, local(NEW))
    assert await opened(db, alone) == 42
    assert all(newest for _, _, newest in await keys_of(db, alone))
    with pytest.raises(WrongKey):
        await opened(db, Vault(db, local(OLD)))


async def test_a_rotation_gives_each_tenant_one_new_data_key(db: Database) -> None:
    vault = Vault(db, local(OLD))
    await fill(db, vault)
    await rekey(db, vault, environment="test", everything=True)
    versions = await sealed.versions(db, environment="test", tenants=["", "t0", "t3"])
    assert versions == {"": 2, "t0": 2, "t3": 2}


async def test_a_rotation_that_was_cut_off_goes_on_where_it_was(db: Database) -> None:
    await fill(db, Vault(db, local(OLD)), tenants=8)
    keys = Failing(local(NEW, OLD), questions=75)
    vault = Vault(db, keys)
    with pytest.raises(Sealed):
        await rekey(db, vault, environment="test", everything=True, batch=4)
    state, cursor = (await db.fetch(EVERYTHING))[0]
    assert state == "running"
    assert cursor not in ("", '[0,"",""]')
    keys.questions = 10_000
    seen: list[int] = []
    done = await rekey(
        db, Vault(db, keys), environment="test", everything=True, batch=4, progress=seen.append
    )
    assert done.resumed
    assert done.left == 0
    assert await opened(db, Vault(db, local(NEW))) == 82
    versions = await sealed.versions(db, environment="test", tenants=["t0", "t7"])
    assert versions == {"t0": 2, "t7": 2}, "no second new key for the second call"
    assert [row["state"] for row in await db.fetch(EVERYTHING)] == ["done"]


async def test_secrets_move_from_one_key_provider_to_another(db: Database) -> None:
    first, second = local(OLD), Failing(local(NEW), questions=10_000)
    second.name = "other"
    await fill(db, Vault(db, first))
    ring = Vault(db, KeyRing([first, second]))
    done = await rekey(db, ring.wrapping_by("other"), environment="test", everything=False)
    assert done.left == 0
    assert done.kept == 20 + 1, "access tokens and the app's own: their data keys moved"
    assert await opened(db, Vault(db, second)) == 42
    again = await rekey(db, ring.wrapping_by("other"), environment="test", everything=False)
    assert again.sealed == 0


async def test_tokens_that_are_stored_meanwhile_stay(db: Database) -> None:
    """A refresh between our reading and our writing: its tokens are the only valid ones."""
    await fill(db, Vault(db, local(OLD)), tenants=1, each=1)
    vault = Vault(db, local(NEW, OLD))
    values, _ = await sealed.after(db, "access_grant", environment="test", mark=Mark(), most=9)
    value = next(each for each in values if each.column == "secret")
    stale = await sealed_token(vault, "t0", value.id, "secret")
    async with db.transaction() as tx:
        await tx.execute("UPDATE landbridge.access_grant SET secret = 'newer', version = 2")
    assert not await sealed.swap(db, value, stale)
    grant = await grants.one(db, environment="test", tenant="t0", id=value.id)
    assert grant is not None
    assert (grant.secret, grant.version) == (b"newer", 2)


async def test_a_rotation_while_refreshes_go_on_loses_none(db: Database) -> None:
    old = Vault(db, local(NEW, OLD))
    await fill(db, Vault(db, local(OLD)))
    stored: dict[str, int] = {}
    stop, begun = asyncio.Event(), asyncio.Event()

    async def refresh(tenant: str, id: str) -> None:
        while not stop.is_set():
            grant = await grants.one(db, environment="test", tenant=tenant, id=id)
            assert grant is not None
            async with db.transaction() as tx:
                version = await grants.swap(
                    tx,
                    grant,
                    secret=await sealed_token(old, tenant, id, "secret", grant.version + 1),
                    access=await sealed_token(old, tenant, id, "access", grant.version + 1),
                    expires_at=None,
                    refresh_expires_at=None,
                    scopes=(),
                )
            assert version == grant.version + 1, "a rotation never takes a refresh's version"
            stored[id] = version
            begun.set()
            await asyncio.sleep(0)

    work = [asyncio.create_task(refresh("t1", f"grt_t1_{number}")) for number in range(3)]
    await begun.wait()
    rotating = Vault(db, local(NEW, OLD))
    await rekey(db, rotating, environment="test", everything=True, batch=3)
    stop.set()
    await asyncio.gather(*work)
    left = await rekey(db, rotating, environment="test", everything=False)
    assert left.left == 0
    assert await opened(db, Vault(db, local(NEW))) == 42
    for name, version in stored.items():
        grant = await grants.one(db, environment="test", tenant="t1", id=name)
        assert grant is not None
        assert grant.version == version


async def test_what_no_key_opens_is_named_and_the_rest_goes_on(db: Database) -> None:
    await fill(db, Vault(db, local(OLD)))
    async with db.transaction() as tx:
        await tx.execute(
            "UPDATE landbridge.access_grant SET secret = $1 WHERE id = 'grt_t2_1'", b"\x04broken"
        )
    done = await rekey(db, Vault(db, local(NEW, OLD)), environment="test", everything=True)
    assert list(done.unreadable) == ["grant/grt_t2_1/secret/1"]
    assert done.left == 1

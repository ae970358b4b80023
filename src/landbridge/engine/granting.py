"""Keeps a set of tokens as a grant, with the connections that it opens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from landbridge import ids
from landbridge.client import Client, SignIn
from landbridge.client.sign_in import ACCESS_TOKEN
from landbridge.engine.establish import Connected, establish
from landbridge.engine.token_seals import seal_tokens
from landbridge.errors import ConsentRefused
from landbridge.oauth import Tokens
from landbridge.protocols import Account, Place, identify_all
from landbridge.spec import OAuth2, Provider
from landbridge.store import connections, grants, workload
from landbridge.store.apps import App
from landbridge.store.connections import Connection
from landbridge.store.database import Database, Tx
from landbridge.vault import Vault


@dataclass(frozen=True, kw_only=True)
class Granted:
    """A first set of tokens of a tenant, answered at `at`. Where the access token is empty, the
    first call refreshes."""

    environment: str
    tenant: str
    tokens: Tokens
    at: datetime
    scopes: tuple[str, ...]
    settings: Mapping[str, Any] = field(repr=False)


async def accounts_of(
    client: Client, page: Provider, place: Place, tokens: Tokens, redirect: Mapping[str, str]
) -> tuple[Account, ...]:
    """The accounts that an access token opens, asked at the provider."""
    signed = client.signed(page, SignIn(credentials={ACCESS_TOKEN: tokens.access}))
    return await signed.converse(identify_all(page, place, answer=tokens.answer, redirect=redirect))


async def keep(
    db: Database,
    vault: Vault,
    page: Provider,
    app: App,
    granted: Granted,
    accounts: Sequence[Account],
    *,
    owner: str = "",
    label: str = "",
    every: timedelta | None = timedelta(minutes=5),
    resources: Sequence[str] = (),
    pending: bool = False,
) -> list[Connected]:
    """Stores the grant and a connection for each account, in one transaction."""
    sealed = await _sealed(vault, page, granted)
    async with db.transaction() as tx:
        await _save(tx, app, granted, sealed)
        return [
            await establish(
                tx,
                page,
                app,
                environment=granted.environment,
                tenant=granted.tenant,
                grant=sealed.id,
                account=account,
                owner=owner,
                label=label,
                settings=granted.settings,
                every=every,
                resources=resources,
                pending=pending,
            )
            for account in accounts
        ]


async def keep_again(
    db: Database,
    vault: Vault,
    page: Provider,
    app: App,
    granted: Granted,
    accounts: Sequence[Account],
    again: Connection,
    *,
    every: timedelta | None = None,
    resources: Sequence[str] = (),
) -> list[Connected]:
    """Stores the grant for a connection that exists, and for those beside it behind its old grant.

    What waited for them is due at once; `resources` that are new to it are pulled `every` so often.
    ConsentRefused, and nothing is stored, when the consent does not open the connection's account.
    """
    found = {account.id: account for account in accounts}
    if again.account not in found:
        raise ConsentRefused(
            f"this consent is for {accounts[0].name}, the connection is to"
            f" {again.account_name or again.account}; sign in there and connect again",
            code="other_account",
        )
    sealed = await _sealed(vault, page, granted)
    async with db.transaction() as tx:
        old = await grants.one(
            tx, environment=again.environment, tenant=again.tenant, id=again.access_grant
        )
        await _save(tx, app, granted, sealed, before=_added_up(page, old))
        done = [
            await establish(
                tx,
                page,
                app,
                environment=granted.environment,
                tenant=granted.tenant,
                grant=sealed.id,
                account=found[one.account],
                owner=one.owner,
                label=one.label,
                settings=granted.settings if one.id == again.id else one.settings,
                every=every if resources and one.id == again.id else None,
                resources=resources if one.id == again.id else (),
            )
            for one in await connections.of_grant(
                tx,
                environment=again.environment,
                tenant=again.tenant,
                access_grant=again.access_grant,
            )
            if one.account in found and (one.state != "revoked" or one.id == again.id)
        ]
        for each in done:
            await workload.bring_forward(tx, each.connection)
    await db.notify()
    return sorted(done, key=lambda one: one.connection.id != again.id)


@dataclass(frozen=True, kw_only=True)
class _Sealed:
    id: str
    secret: bytes | None
    access: bytes | None
    expires_at: datetime
    refresh_expires_at: datetime | None


async def _sealed(vault: Vault, page: Provider, granted: Granted) -> _Sealed:
    named, tokens = ids.new("grt"), granted.tokens
    secret, access = await seal_tokens(
        vault,
        environment=granted.environment,
        tenant=granted.tenant,
        grant=named,
        tokens=tokens,
    )
    lives = page.auth.refresh_lives if isinstance(page.auth, OAuth2) else None
    return _Sealed(
        id=named,
        secret=secret,
        access=access,
        expires_at=granted.at + tokens.expires_in,
        refresh_expires_at=granted.at + lives if lives and secret else None,
    )


async def _save(
    tx: Tx, app: App, granted: Granted, sealed: _Sealed, *, before: Sequence[str] = ()
) -> None:
    await grants.save_tokens(
        tx,
        environment=granted.environment,
        tenant=granted.tenant,
        id=sealed.id,
        app=app.id,
        secret=sealed.secret,
        access=sealed.access,
        expires_at=sealed.expires_at,
        refresh_expires_at=sealed.refresh_expires_at,
        scopes=list(dict.fromkeys([*before, *granted.scopes])),
    )


def _added_up(page: Provider, old: grants.Grant | None) -> tuple[str, ...]:
    """The scopes that a further consent leaves as they were."""
    adds_up = isinstance(page.auth, OAuth2) and page.auth.adds_up
    return old.scopes if old and adds_up else ()

"""Takes over tokens that were granted elsewhere, so that nobody has to consent again."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from landbridge.client import Client
from landbridge.client.asking import ask
from landbridge.engine.app_client import open_client, with_client
from landbridge.engine.connect import base_of
from landbridge.engine.consent_input import checked_settings
from landbridge.engine.establish import check_environment
from landbridge.engine.granting import Granted, accounts_of, keep
from landbridge.engine.importing_rows import Row, read_row
from landbridge.errors import InvalidInput, LandbridgeError
from landbridge.oauth import Tokens, refresh
from landbridge.protocols import Account, Place
from landbridge.spec import OAuth2, Provider
from landbridge.store import connections
from landbridge.store.apps import App
from landbridge.store.connections import Connection
from landbridge.store.database import Database
from landbridge.vault import Vault

IMPORTED = "imported"
"""The setting in which a connection keeps the digest of the token that it was made of."""
_FRESH = timedelta(minutes=1)


@dataclass(frozen=True, kw_only=True)
class Imported:
    """What became of one row: `imported`, `kept` (it was connected before) or `failed`."""

    number: int
    """The row's, from 1."""
    state: str
    tenant: str
    provider: str
    connections: tuple[str, ...] = ()
    detail: str = ""


@dataclass(frozen=True, kw_only=True)
class Importer:
    """Imports rows into one environment. `every`: how often what is imported is pulled."""

    db: Database = field(repr=False)
    vault: Vault = field(repr=False)
    client: Client = field(repr=False)
    provider: Callable[[str], Provider]
    environment: str
    every: timedelta | None = timedelta(minutes=5)

    async def run(self, rows: Iterable[Mapping[str, object]]) -> AsyncIterator[Imported]:
        """One result a row, in their order; a row that fails does not stop those behind it.

        A row is an object with `provider`, `tenant` and `refresh_token` (or an `access_token` that
        is still valid), and as far as they are known `expires_at`, `scopes`, `account`,
        `account_name`, `owner`, `label`, `settings`; exports with `provider_config_key`,
        `connection_id` and `credentials` are read too. With an `account` nobody is asked: the
        tokens are stored as they are. Without it the provider is asked whose they are, for which an
        old access token is refreshed: end the old system's refreshes before. A row that was
        imported before is kept as it is, so that a file can be imported again.
        """
        for number, raw in enumerate(rows, start=1):
            tenant, slug = _shown(raw, "tenant", "connection_id"), _shown(raw, "provider")
            try:
                done = await self._one(number, read_row(raw))
            except LandbridgeError as error:
                done = Imported(
                    number=number, state="failed", tenant=tenant, provider=slug, detail=str(error)
                )
            yield done

    async def _one(self, number: int, row: Row) -> Imported:
        page = self.provider(row.provider)
        if not isinstance(page.auth, OAuth2):
            raise InvalidInput(f"provider: {page.name} is connected without tokens of a consent")
        app = await with_client(
            self.db, environment=self.environment, provider=page.slug, tenant=row.tenant
        )
        known = {field.name for field in page.auth.fields}
        given = {name: text for name, text in row.settings.items() if name in known | _PLACES}
        settings = checked_settings(page, given, {})
        mark = hashlib.sha256((row.refresh or row.access).encode()).hexdigest()[:32]
        before = await self._before(app, row, mark)
        done = Imported(number=number, state="kept", tenant=row.tenant, provider=page.slug)
        if before:
            return replace(done, connections=tuple(one.id for one in before))
        tokens, accounts = await self._tokens(page, page.auth, app, row, settings)
        for account in accounts:
            check_environment(page, self.environment, account)
        granted = Granted(
            environment=self.environment,
            tenant=row.tenant,
            tokens=tokens,
            at=self.client.clock.now(),
            scopes=tokens.scopes or row.scopes,
            settings={**settings, IMPORTED: mark},
        )
        made = await keep(
            self.db,
            self.vault,
            page,
            app,
            granted,
            accounts,
            owner=row.owner,
            label=row.label,
            every=self.every,
        )
        await self.db.notify()
        ids = tuple(one.connection.id for one in made)
        return replace(done, state="imported", connections=ids)

    async def _before(self, app: App, row: Row, mark: str) -> list[Connection]:
        """The connections that this row's token, or its account, has here already."""
        there = await connections.every(self.db, environment=self.environment, tenant=row.tenant)
        return [
            one
            for one in there
            if one.app == app.id
            and one.state != "revoked"
            and (
                one.settings.get(IMPORTED) == mark
                or (
                    one.state != "needs_reauth"
                    and bool(row.account)
                    and (one.account, one.owner, one.label) == (row.account, row.owner, row.label)
                )
            )
        ]

    async def _tokens(
        self, page: Provider, auth: OAuth2, app: App, row: Row, settings: Mapping[str, str]
    ) -> tuple[Tokens, tuple[Account, ...]]:
        now = self.client.clock.now()
        tokens = _as_given(row, now)
        if row.account:
            named = Account(id=row.account, name=row.account_name or row.account, live=None)
            return tokens, (named,)
        if not tokens.access:
            ours = await open_client(self.vault, app)
            fresh = await ask(self.client, refresh(auth, ours, row.refresh, settings=settings))
            tokens = replace(fresh, refresh=fresh.refresh or row.refresh)
        place = Place(base=base_of(page, settings), settings=dict(settings))
        return tokens, await accounts_of(self.client, page, place, tokens, {})


_PLACES = frozenset({"base", "authorize", "token", "revoke", "accounts", "url"})


def _as_given(row: Row, now: datetime) -> Tokens:
    """The row's own tokens; an access token only where it is known to be valid for a while."""
    valid = row.access and row.expires_at is not None and row.expires_at > now + _FRESH
    if not valid and not row.refresh:
        raise InvalidInput(
            "access_token: it has ended, or no expires_at says that it has not, and there is no"
            " refresh_token: this tenant has to consent anew"
        )
    return Tokens(
        access=row.access if valid else "",
        refresh=row.refresh or None,
        expires_in=row.expires_at - now if valid and row.expires_at else timedelta(),
        scopes=row.scopes,
        answer={},
    )


def _shown(raw: object, *names: str) -> str:
    """What a row calls itself, for a report; nothing else of it is shown."""
    for name in names:
        value = raw.get(name) if isinstance(raw, Mapping) else None
        if isinstance(value, str):
            return value[:200]
    return ""

"""Connects a tenant's account: checks the credentials at the provider, seals them, orders pulls."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import quote, urlsplit

import msgspec

from landbridge import ids
from landbridge.client import Client, SignIn
from landbridge.client.asking import ask
from landbridge.client.sign_in import ACCESS_TOKEN
from landbridge.engine.consent_input import check_field
from landbridge.engine.establish import LIVE, Connected, check_environment, establish
from landbridge.engine.pace import check_bounds
from landbridge.engine.tenants import check_tenant
from landbridge.engine.token_seals import seal_access, seal_credential
from landbridge.errors import (
    ConsentRefused,
    InvalidInput,
    OutcomeUnknown,
    ReconnectRequired,
    TokenRefused,
    Unreachable,
    did_you_mean,
)
from landbridge.oauth import Tokens, client_credentials, jwt_bearer
from landbridge.protocols import Account, Place, identify
from landbridge.spec import ClientCredentials, JwtBearer, OAuth2, Provider
from landbridge.store import apps, connections, grants
from landbridge.store.connections import Connection
from landbridge.store.database import Database
from landbridge.vault import Vault

__all__ = ["Connected", "base_of", "connect", "parted_fields", "settings_in"]


async def connect(
    db: Database,
    vault: Vault,
    client: Client,
    provider: Provider,
    *,
    environment: str,
    tenant: str,
    credentials: Mapping[str, str],
    settings: Mapping[str, str],
    owner: str = "",
    label: str = "",
    every: timedelta | None = timedelta(minutes=5),
    again: Connection | None = None,
) -> Connected:
    """Connects with typed-in credentials: a key, user name and password, the client id and secret
    of an own registration, or a private key that signs assertions.

    The provider is asked whose they are before anything is stored. Connecting the same account
    again keeps the connection, its cursors and records, and replaces the credentials. With `again`
    it has to be that connection's account: ConsentRefused otherwise.

    Raises InvalidInput for a missing or misshapen field, Refused or ReconnectRequired when the
    provider does not take the credentials, Unreachable when it does not answer.
    """
    check_tenant(tenant)
    if every is not None:
        check_bounds(every, every)
    if isinstance(provider.auth, OAuth2):
        raise InvalidInput(
            f"provider: {provider.name} is connected in a browser; open a session for it with"
            " bridge.connect_session(...), or begin with bridge.begin_consent(...)"
        )
    credentials, settings = parted_fields(provider, credentials, settings)
    settings = settings_in(provider, environment, settings)
    place = Place(base=base_of(provider, settings), settings=dict(settings))
    tokens = await first_tokens(client, provider, credentials, settings)
    shown = {ACCESS_TOKEN: tokens.access} if tokens else credentials
    account = _named(provider, credentials) or await _whose(client, provider, place, shown)
    check_environment(provider, environment, account)
    if again is not None and account.id != again.account:
        raise ConsentRefused(
            f"these credentials are of {account.name}, the connection is to"
            f" {again.account_name or again.account}; connect with those of that account",
            code="other_account",
        )
    app = await apps.ensure(db, environment=environment, provider=provider.slug)
    grant = ids.new("grt")
    whose: dict[str, Any] = {"environment": environment, "tenant": tenant}
    secret = None
    if tokens is not None:
        secret = await seal_credential(vault, **whose, grant=grant, credential=credentials)
    carried = tokens.access if tokens else msgspec.json.encode(dict(credentials)).decode()
    access = await seal_access(vault, **whose, grant=grant, token=carried)
    row = {**whose, "id": grant, "app": app.id}
    async with db.transaction() as tx:
        if tokens is None:
            await connections.save_grant(tx, **row, kind="typed", access=access)
        else:
            await grants.save_tokens(
                tx,
                **row,
                kind="typed",
                secret=secret,
                access=access,
                expires_at=client.clock.now() + tokens.expires_in,
                scopes=tokens.scopes or tuple(getattr(provider.auth, "scopes", ())),
            )
        return await establish(
            tx,
            provider,
            app,
            environment=environment,
            tenant=tenant,
            grant=grant,
            account=account,
            owner=owner,
            label=label,
            settings=settings,
            every=every,
        )


async def first_tokens(
    client: Client,
    provider: Provider,
    credentials: Mapping[str, str],
    settings: Mapping[str, str],
) -> Tokens | None:
    """An access token for typed credentials, where the provider gives such for them; else None."""
    auth = provider.auth
    match auth:
        case ClientCredentials():
            conversation = client_credentials(auth, credentials, settings=settings)
        case JwtBearer():
            now = client.clock.now()
            conversation = jwt_bearer(auth, credentials, now, settings=settings)
        case _:
            return None
    try:
        return await ask(client, conversation)
    except TokenRefused as error:
        code = f" ({error.code})" if error.code else ""
        raise ReconnectRequired(
            f"{provider.name} does not accept these credentials{code}; check them and try again"
        ) from None
    except OutcomeUnknown as error:  # a token that nobody got is no harm
        raise Unreachable(str(error)) from None


def parted_fields(
    provider: Provider, credentials: Mapping[str, str], settings: Mapping[str, str]
) -> tuple[dict[str, str], dict[str, str]]:
    """The credentials, which are sealed, and the settings, which are not, checked.

    A field that fills a hole of the page's address (`url`) is a setting, wherever it was given.
    InvalidInput unless exactly the page's declared fields are given, each in its shape.
    """
    wanted = {field.name: field for field in provider.auth.fields}
    given = {**{name: settings[name] for name in wanted if name in settings}, **credentials}
    for name in given:
        if name not in wanted:
            raise InvalidInput(
                f"{name}: {provider.name} has no such field.{did_you_mean(name, list(wanted))}"
                f" It takes: {', '.join(wanted)}"
            )
    for field in wanted.values():
        check_field(provider.auth, field, given.get(field.name, ""))
    open_ones = set(re.findall(r"\{(\w+)\}", provider.base))
    secret = {name: value for name, value in given.items() if name not in open_ones}
    shown = {name: value.strip() for name, value in given.items() if name in open_ones}
    return secret, {**settings, **shown}


def settings_in(
    provider: Provider, environment: str, settings: Mapping[str, str]
) -> dict[str, str]:
    """The settings of a connection in an environment: all but the live one lead to the provider's
    sandbox, where it has one."""
    return {**({} if environment == LIVE else provider.sandbox), **settings}


def base_of(provider: Provider, settings: Mapping[str, str], account: str = "") -> str:
    """The API's address, with the holes of the page's `base` filled from the settings.

    `{account}` is the id of the remote account; it stays a hole while nobody knows it.
    """
    base = provider.base
    for hole in re.findall(r"\{(\w+)\}", base.replace("{account}", "")):
        value = settings.get(hole, "").strip()
        if not value:
            raise InvalidInput(
                f"{hole}: missing; {provider.name} is reached at an address of yours"
            )
        base = base.replace(f"{{{hole}}}", value)
    base = settings.get("base", base)
    if account:
        base = base.replace("{account}", quote(account, safe=""))
    if not re.match(r"https?://[^/\s]+", base) or not _parses(base):
        raise InvalidInput(f"url: {base!r} is not an address such as https://example.com")
    return base.rstrip("/")


def _parses(address: str) -> bool:
    try:
        return urlsplit(address).hostname is not None
    except ValueError:
        return False


def _named(provider: Provider, credentials: Mapping[str, str]) -> Account | None:
    """The account that a typed-in field names, where the page says so; else None."""
    field = provider.accounts.field if provider.accounts else ""
    return Account(id=credentials[field], name=credentials[field], live=None) if field else None


async def _whose(
    client: Client, provider: Provider, place: Place, credentials: Mapping[str, str]
) -> Account:
    signed = client.signed(provider, SignIn(credentials=credentials))
    try:
        return await signed.converse(identify(provider, place))
    except ReconnectRequired as error:
        raise ReconnectRequired(
            f"{provider.name} does not accept these credentials; check them and try again",
            reason=error.reason,
        ) from None

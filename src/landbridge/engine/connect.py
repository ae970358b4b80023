"""Connects a tenant's account: checks the credentials at the provider, seals them, orders pulls."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import urlsplit

import msgspec

from landbridge import ids
from landbridge.client import Client, SignIn
from landbridge.engine.orders import pull_job
from landbridge.engine.pull import stream_of
from landbridge.errors import InvalidInput, ReconnectRequired, did_you_mean
from landbridge.protocols import Account, Place, identify
from landbridge.spec import Field, Provider, can_pull
from landbridge.store import apps, connections, due, reconciliations, syncs
from landbridge.store.connections import Connection
from landbridge.store.database import Database
from landbridge.vault import Kind, Vault

LIVE = "live"
"""The environment whose connections may hold live credentials, and only those."""


@dataclass(frozen=True, kw_only=True)
class Connected:
    """A connection and whether it is new; False: the same account was connected again."""

    connection: Connection
    new: bool


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
) -> Connected:
    """Connects with typed-in credentials (a key, or user name and password).

    The provider is asked whose they are before anything is stored. Connecting the same account
    again keeps the connection, its cursors and records, and replaces the credentials.

    Raises InvalidInput for a missing or misshapen field, Refused or ReconnectRequired when the
    provider does not take the credentials, Unreachable when it does not answer.
    """
    if not tenant or "\x00" in tenant:
        raise InvalidInput("tenant: empty; give your own id of the customer, such as acme")
    credentials, settings = parted_fields(provider, credentials, settings)
    place = Place(base=base_of(provider, settings), settings=dict(settings))
    account = await _whose(client, provider, place, credentials)
    _check_environment(provider, environment, account)
    app = await apps.ensure(db, environment=environment, provider=provider.slug)
    grant = ids.new("grt")
    secret = await vault.seal(
        Kind.CREDENTIAL,
        environment=environment,
        tenant=tenant,
        place=f"grant/{grant}/secret",
        secret=msgspec.json.encode(dict(credentials)),
    )
    enabled = [
        resource.name
        for resource in provider.resources
        if can_pull(resource) and (not app.resources or resource.name in app.resources)
    ]
    async with db.transaction() as tx:
        await connections.save_grant(
            tx,
            environment=environment,
            tenant=tenant,
            id=grant,
            app=app.id,
            kind="typed",
            secret=secret,
        )
        connection, new = await connections.save(
            tx,
            environment=environment,
            tenant=tenant,
            id=ids.new("con"),
            app=app.id,
            access_grant=grant,
            provider=provider.slug,
            account=account.id,
            account_name=account.name,
            token=apps.new_token(),
            owner=owner,
            label=label,
            settings={**settings, **account.settings},
        )
        if app.secrets is not None:
            await reconciliations.begin(tx, connection)
        await syncs.add(
            tx,
            environment=environment,
            tenant=tenant,
            connection=connection.id,
            resources=enabled,
        )
        if every is not None:
            await due.put(
                tx, [pull_job(stream_of(connection, name), every=every) for name in enabled]
            )
    return Connected(connection=connection, new=new)


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
        value = given.get(field.name, "")
        if not value.strip() or any(ord(letter) < 32 for letter in value):
            raise InvalidInput(f"{field.name}: {_wanted(field)} is missing")
        if field.pattern and not re.fullmatch(field.pattern, value):
            raise InvalidInput(f"{field.name}: this is not {_wanted(field)}")
    open_ones = set(re.findall(r"\{(\w+)\}", provider.base))
    secret = {name: value for name, value in given.items() if name not in open_ones}
    shown = {name: value.strip() for name, value in given.items() if name in open_ones}
    return secret, {**settings, **shown}


def _wanted(field: Field) -> str:
    return f"{field.label} ({field.hint})" if field.hint else field.label


def base_of(provider: Provider, settings: Mapping[str, str]) -> str:
    """The API's address, with the holes of the page's `base` filled from the settings."""
    base = provider.base
    for hole in re.findall(r"\{(\w+)\}", base):
        value = settings.get(hole, "").strip()
        if not value:
            raise InvalidInput(
                f"{hole}: missing; {provider.name} is reached at an address of yours"
            )
        base = base.replace(f"{{{hole}}}", value)
    base = settings.get("base", base)
    if not re.match(r"https?://[^/\s]+", base) or not _parses(base):
        raise InvalidInput(f"url: {base!r} is not an address such as https://example.com")
    return base.rstrip("/")


def _parses(address: str) -> bool:
    try:
        return urlsplit(address).hostname is not None
    except ValueError:
        return False


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


def _check_environment(provider: Provider, environment: str, account: Account) -> None:
    if account.live is None or account.live == (environment == LIVE):
        return
    kind, right = ("live", LIVE) if account.live else ("test", "test")
    raise InvalidInput(
        f"environment: these are {kind} credentials of {provider.name}, but the environment is"
        f" {environment!r}; connect them in the environment {right!r}"
    )

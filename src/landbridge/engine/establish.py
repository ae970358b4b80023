"""Makes connections of a stored grant: their rows, their standing orders, and the event of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from landbridge import ids
from landbridge.engine import notices
from landbridge.engine.orders import pull_job, sweep_job
from landbridge.engine.pace import check_bounds
from landbridge.engine.pull import stream_of
from landbridge.errors import InvalidInput
from landbridge.protocols import Account
from landbridge.spec import Provider, can_pull
from landbridge.store import apps, connections, due, reconciliations, schedules, syncs
from landbridge.store.apps import App
from landbridge.store.connections import Connection
from landbridge.store.database import Tx

LIVE = "live"
"""The environment whose connections may hold live credentials, and only those."""


@dataclass(frozen=True, kw_only=True)
class Connected:
    """A connection and whether it is new; False: the same account was connected again."""

    connection: Connection
    new: bool


async def establish(
    tx: Tx,
    provider: Provider,
    app: App,
    *,
    environment: str,
    tenant: str,
    grant: str,
    account: Account,
    owner: str,
    label: str,
    settings: Mapping[str, Any],
    every: timedelta | None,
    resources: Sequence[str] = (),
    pending: bool = False,
) -> Connected:
    """The connection of a grant to an account, with its pulls ordered, in the caller's transaction.

    The same account (with the same owner and label) keeps its connection. A `pending` one that is
    new waits to be chosen: see `begin`.
    """
    before = await connections.of_account(
        tx,
        environment=environment,
        tenant=tenant,
        app=app.id,
        account=account.id,
        owner=owner,
        label=label,
    )
    waits = pending and (before is None or before == "pending")
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
        state="pending" if waits else "active",
    )
    if not waits:
        fresh = new or before in ("revoked", "pending")
        await begin(tx, provider, app, connection, every=every, resources=resources, told=fresh)
    return Connected(connection=connection, new=new)


async def begin(
    tx: Tx,
    provider: Provider,
    app: App,
    connection: Connection,
    *,
    every: timedelta | None,
    resources: Sequence[str] = (),
    told: bool = True,
) -> None:
    """Orders what an active connection does by itself; `told`: emits `connection.created`.

    New streams are pulled `every` so often (InvalidInput below 10 seconds); those that it had keep
    their schedules.
    """
    if every is not None:
        check_bounds(every, every)
    enabled = enabled_of(provider, app, resources)
    enabled += [row.resource for row in connection.overlay if not row.field]
    if app.secrets is not None:
        await reconciliations.begin(tx, connection)
    await syncs.add(
        tx,
        environment=connection.environment,
        tenant=connection.tenant,
        connection=connection.id,
        resources=enabled,
        every=every,
    )
    paces = await schedules.scheduled(
        tx, environment=connection.environment, tenant=connection.tenant, connection=connection.id
    )
    await due.put(
        tx,
        [
            pull_job(stream_of(connection, name), every=paces[name])
            for name in enabled
            if name in paces
        ],
    )
    swept = {one.name for one in provider.resources if one.sweep is not None}
    await due.put(tx, [sweep_job(stream_of(connection, name)) for name in enabled if name in swept])
    if told:
        await notices.created(tx, connection)


def enabled_of(provider: Provider, app: App, resources: Sequence[str] = ()) -> list[str]:
    """The resources that a connection pulls: those named, else the app's, else every one."""
    wanted = set(resources) or set(app.resources)
    return [
        resource.name
        for resource in provider.resources
        if can_pull(resource) and (not wanted or resource.name in wanted)
    ]


def check_environment(provider: Provider, environment: str, account: Account) -> None:
    """Raises InvalidInput when live credentials are to be kept as test ones, or the reverse."""
    if account.live is None or account.live == (environment == LIVE):
        return
    kind, right = ("live", LIVE) if account.live else ("test", "test")
    raise InvalidInput(
        f"environment: these are {kind} credentials of {provider.name}, but the environment is"
        f" {environment!r}; connect them in the environment {right!r}"
    )

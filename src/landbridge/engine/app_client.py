"""An app's OAuth client: set with its secret sealed, and opened for a call about tokens."""

from __future__ import annotations

from collections.abc import Sequence

from landbridge.errors import InvalidInput, SettingsError
from landbridge.oauth import AppClient
from landbridge.spec import OAuth2, Provider, check_enabled
from landbridge.store import apps
from landbridge.store.apps import App
from landbridge.store.database import Database
from landbridge.vault import Kind, Vault

_LONGEST = 4096


async def set_client(
    db: Database,
    vault: Vault,
    provider: Provider,
    *,
    environment: str,
    tenant: str | None,
    client_id: str,
    client_secret: str,
) -> App:
    """The app with this OAuth client; made if there is none. `tenant`: it is that tenant's own.

    Tokens that an earlier client was given end with it at most providers: connections are then
    connected again. InvalidInput names what is wrong.
    """
    if not isinstance(provider.auth, OAuth2):
        raise InvalidInput(f"{provider.slug}: it is connected without an OAuth client of ours")
    public = provider.auth.client == "none"
    for name, value in (("client_id", client_id), ("client_secret", client_secret)):
        if len(value) > _LONGEST or not value.isprintable() or value != value.strip():
            raise InvalidInput(f"{name}: it has spaces around it, or letters that no id has")
    if not client_id:
        raise InvalidInput("client_id: empty; copy it from the provider's page of your app")
    if bool(client_secret) == public:
        raise InvalidInput(
            f"client_secret: {provider.name} takes none, its clients are public"
            if public
            else f"client_secret: missing; {provider.name} shows it with the client id"
        )
    app = await apps.ensure(db, environment=environment, provider=provider.slug, tenant=tenant)
    sealed = None
    if client_secret:
        sealed = await vault.seal(
            Kind.CREDENTIAL,
            environment=environment,
            tenant=tenant or "",
            place=_place(app.id),
            secret=client_secret.encode(),
        )
    await apps.set_client(
        db, environment=environment, id=app.id, client_id=client_id, client_secret=sealed
    )
    return await of(db, environment=environment, id=app.id)


async def enable(
    db: Database,
    provider: Provider,
    *,
    environment: str,
    tenant: str | None,
    resources: Sequence[str] | None = None,
    writes: Sequence[str] | None = None,
) -> App:
    """The app with what its consents ask for; None leaves that as it is, no resources mean all.

    Connections that were made before keep their scopes: see `landbridge connections audit`.
    NotFound or InvalidInput for what the page has not.
    """
    app = await apps.ensure(db, environment=environment, provider=provider.slug, tenant=tenant)
    read = app.resources if resources is None else tuple(dict.fromkeys(resources))
    written = app.writes if writes is None else tuple(dict.fromkeys(writes))
    check_enabled(provider, read, written)
    await apps.enable(db, environment=environment, id=app.id, resources=read, writes=written)
    return await of(db, environment=environment, id=app.id)


async def of(db: Database, *, environment: str, id: str) -> App:
    """The app with this id; SettingsError when it is gone."""
    app = await apps.by_id(db, environment=environment, id=id)
    if app is None:
        raise SettingsError(f"the app {id} of the environment {environment!r} is gone")
    return app


async def with_client(db: Database, *, environment: str, provider: str, tenant: str) -> App:
    """The app by which a tenant's consents at a provider go: its own, or the installation's.

    SettingsError when it has no OAuth client.
    """
    app = await apps.for_tenant(db, environment=environment, provider=provider, tenant=tenant)
    if app is None or not app.client_id:
        raise _no_client(provider, environment)
    return app


def _no_client(provider: str, environment: str) -> SettingsError:
    return SettingsError(
        f"{provider} has no OAuth client in the environment {environment!r}, by which consents are"
        f" asked for and tokens live; set it with: landbridge apps set {provider} --client-id ..."
    )


async def open_client(vault: Vault, app: App) -> AppClient:
    """The OAuth client of an app; the key provider is asked for its secret.

    SettingsError when the app has none.
    """
    if not app.client_id:
        raise _no_client(app.provider, app.environment)
    if app.client_secret is None:
        return AppClient(id=app.client_id)
    secret = await vault.open(
        Kind.CREDENTIAL,
        environment=app.environment,
        tenant=app.tenant or "",
        place=_place(app.id),
        envelope=app.client_secret,
    )
    return AppClient(id=app.client_id, secret=secret.decode())


def _place(app: str) -> str:
    return f"app/{app}/client_secret"

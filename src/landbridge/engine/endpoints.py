"""Endpoints as tenants keep them: where events go, which ones, how, and what signs them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any

from landbridge import ids
from landbridge.client.guard import Guard
from landbridge.client.post import Posts
from landbridge.client.sender import Sender
from landbridge.clock import Clock
from landbridge.engine import _endpoint_input as checks
from landbridge.engine import offer
from landbridge.engine._endpoint_input import UNCHANGED, Scheme, Unchanged
from landbridge.engine._endpoint_values import Created, Enabled, Key, Shown, found_or_raise, missing
from landbridge.engine.endpoint_keys import (
    Secret,
    custom_headers,
    open_secrets,
    seal_headers,
    seal_secrets,
    signing_secrets,
)
from landbridge.engine.ping import Pinged, ping
from landbridge.engine.rotation import Rotation, created, fresh_secrets, scheme_of
from landbridge.engine.tenants import check_tenant
from landbridge.signing.standard import Signer, new_private_key, new_secret, public_key
from landbridge.store import endpoints, health, moment
from landbridge.store.database import Database
from landbridge.store.endpoints import Endpoint
from landbridge.vault import Vault

__all__ = [
    "EVERY",
    "UNCHANGED",
    "Created",
    "Enabled",
    "Endpoints",
    "Key",
    "Pinged",
    "Scheme",
    "Shown",
    "signing_secrets",
]

EVERY = ("*",)
"""The types of an endpoint that wants all events."""

_OVERLAP = timedelta(hours=24)


class Endpoints:
    """Creates and keeps endpoints. Every call names the environment and the tenant.

    NotFound for an id that the tenant has not, InvalidInput for a wrong setting, Forbidden for an
    address that the guard refuses, Unreachable for a name without an address. `sender` is what
    pings are posted with; without one each has its own. Times are the database's, unless a `clock`
    is given.
    """

    def __init__(
        self,
        db: Database,
        vault: Vault,
        guard: Guard,
        *,
        sender: Posts | None = None,
        clock: Clock | None = None,
    ):
        self._db = db
        self._vault = vault
        self._guard = guard
        self._sender = sender
        self._rotation = Rotation(db, vault, clock)

    async def create(
        self,
        *,
        environment: str,
        tenant: str,
        url: str,
        types: Sequence[str] = EVERY,
        description: str = "",
        filter: Mapping[str, Any] | str | None = None,
        headers: Mapping[str, str] | None = None,
        api_version: str = "",
        schedule: Sequence[timedelta] | None = None,
        concurrency: int | None = None,
        rate: float | None = None,
        ordered: bool = False,
        skip_after: int | None = None,
        scheme: Scheme = "v1",
        secret: str | None = None,
        private_key: str | None = None,
    ) -> Created:
        """A new endpoint, enabled, for events that are dispatched from now on.

        `types` are event types, `*` for all, or `invoice.*` for all that begin with `invoice.`;
        `filter` is what a body has to hold (`engine.filters`), `api_version` the version of it that
        the receiver reads. `headers` are sent with each post and sealed. `schedule` are the waits
        between at most 20 tries, 14 days together. `concurrency` (1-1000) are posts at a time,
        `rate` (0.01-10000) posts a second. With `ordered`, events of one ordering key go one after
        the other; one that failed `skip_after` times steps aside and is tried on beside the others.

        It is signed with `v1` (HMAC), `v1a` (ed25519) or both. A `secret` of the receiver's is
        `whsec_` and base64 of 24 to 64 bytes, a `private_key` is `whsk_` and base64 of 32 bytes;
        without them they are made up.
        """
        check_tenant(tenant)
        settings = checks.checked(
            {
                "url": url,
                "types": types,
                "description": description,
                "filter": filter,
                "api_version": api_version,
                "schedule": schedule,
                "concurrency": concurrency,
                "rate": rate,
                "ordered": ordered,
                "skip_after": skip_after,
            }
        )
        checks.steps_aside(ordered=ordered, skip_after=skip_after)
        wanted = checks.headers(headers or {})
        fresh = fresh_secrets(checks.scheme(scheme), secret, private_key)
        await self._guard.check(url)
        whose = {
            "environment": environment,
            "tenant": tenant,
            "id": ids.new(ids.PREFIXES["endpoint"]),
        }
        secrets = [Secret(each) for each in fresh.values()]
        endpoint = await endpoints.add(
            self._db,
            **whose,
            **settings,
            secrets=await seal_secrets(self._vault, **whose, secrets=secrets),
            headers=await seal_headers(self._vault, **whose, headers=wanted),
        )
        return created(endpoint, fresh)

    async def list(self, *, environment: str, tenant: str | None = None) -> Sequence[Endpoint]:
        """The endpoints of a tenant, oldest first; without one those of all tenants."""
        return await endpoints.every(self._db, environment=environment, tenant=tenant)

    async def get(self, id: str, *, environment: str, tenant: str) -> Endpoint:
        """The endpoint."""
        return found_or_raise(
            await endpoints.one(self._db, environment=environment, tenant=tenant, id=id), id
        )

    async def show(self, id: str, *, environment: str, tenant: str) -> Shown:
        """The endpoint with its public keys and the names of its headers. VaultError: not now."""
        found = await self.get(id, environment=environment, tenant=tenant)
        whose = {"environment": environment, "tenant": tenant, "id": id}
        now = await self._rotation.now()
        secrets = await open_secrets(self._vault, **whose, envelope=found.secrets)
        valid = [each for each in secrets if not each.over(now)]
        headers = await custom_headers(self._vault, **whose, envelope=found.headers)
        return Shown(
            endpoint=found,
            scheme=scheme_of(valid),
            keys=tuple(
                Key(
                    version=each.version,
                    public_key=public_key(each.secret) if each.version == "v1a" else "",
                    until=each.until,
                )
                for each in valid
            ),
            headers=tuple(headers),
        )

    async def update(
        self,
        id: str,
        *,
        environment: str,
        tenant: str,
        url: str | Unchanged = UNCHANGED,
        types: Sequence[str] | Unchanged = UNCHANGED,
        description: str | Unchanged = UNCHANGED,
        filter: Mapping[str, Any] | str | Unchanged | None = UNCHANGED,
        headers: Mapping[str, str] | Unchanged | None = UNCHANGED,
        api_version: str | Unchanged = UNCHANGED,
        schedule: Sequence[timedelta] | Unchanged | None = UNCHANGED,
        concurrency: int | Unchanged | None = UNCHANGED,
        rate: float | Unchanged | None = UNCHANGED,
        ordered: bool | Unchanged = UNCHANGED,
        skip_after: int | Unchanged | None = UNCHANGED,
    ) -> Endpoint:
        """The endpoint with other settings, as in `create`; what is not given stays.

        None clears a setting, so that the installation's own holds. `headers` replaces all of
        them. Deliveries that wait go out as the endpoint then is; those being posted go on as they
        began. Another URL begins with a clean record of failures.
        """
        settings = checks.checked(
            {
                "url": url,
                "types": types,
                "description": description,
                "filter": filter,
                "api_version": api_version,
                "schedule": schedule,
                "concurrency": concurrency,
                "rate": rate,
                "ordered": ordered,
                "skip_after": skip_after,
            }
        )
        whose: dict[str, Any] = {"environment": environment, "tenant": tenant, "id": id}
        if headers is not UNCHANGED:
            wanted = checks.headers(headers or {})
            await self.get(id, environment=environment, tenant=tenant)
            settings["headers"] = await seal_headers(self._vault, **whose, headers=wanted)
        if url is not UNCHANGED:
            await self._guard.check(url)
        async with self._db.transaction() as tx:
            before = found_or_raise(await endpoints.lock(tx, **whose), id)
            _settle_order(settings, before)
            changed = found_or_raise(await endpoints.change(tx, **whose, **settings), id)
            if changed.url != before.url:
                await health.reset(tx, environment=environment, tenant=tenant, endpoint=id)
        return changed

    async def disable(
        self, id: str, *, environment: str, tenant: str, reason: str = "disabled by hand"
    ) -> Endpoint:
        """The endpoint, which gets no more events; deliveries under way are abandoned."""
        changed = await endpoints.set_state(
            self._db,
            environment=environment,
            tenant=tenant,
            id=id,
            state="disabled",
            reason=reason,
        )
        return found_or_raise(changed, id)

    async def enable(self, id: str, *, environment: str, tenant: str) -> Enabled:
        """The endpoint, which gets events again: those that are dispatched from now on.

        Its record of failures begins anew. What it did not get is counted, and delivered by a
        replay.
        """
        whose: dict[str, Any] = {"environment": environment, "tenant": tenant, "id": id}
        stood = None
        async with self._db.transaction() as tx:
            before = found_or_raise(await endpoints.lock(tx, **whose), id)
            enabled = found_or_raise(await endpoints.set_state(tx, **whose, state="enabled"), id)
            if before.state != "enabled":
                stood = await health.reset(tx, environment=environment, tenant=tenant, endpoint=id)
        at = before.disabled_at
        if at is None:
            return Enabled(
                endpoint=enabled, disabled_at=None, since=None, undelivered=0, exact=True
            )
        failing_since = None if stood is None else stood.failing_since
        since = await offer.begins(self._db, enabled, disabled_at=at, failing_since=failing_since)
        undelivered, exact = await offer.size(self._db, enabled, since=since)
        return Enabled(
            endpoint=enabled, disabled_at=at, since=since, undelivered=undelivered, exact=exact
        )

    async def delete(self, id: str, *, environment: str, tenant: str) -> None:
        """Removes it; deliveries under way are abandoned."""
        async with self._db.transaction() as tx:
            if not await endpoints.delete(tx, environment=environment, tenant=tenant, id=id):
                raise missing(id)
            await health.reset(tx, environment=environment, tenant=tenant, endpoint=id)

    async def ping(self, id: str, *, environment: str, tenant: str) -> Pinged:
        """What comes of a signed `endpoint.ping` that is posted now, also to a disabled endpoint.

        It is stored nowhere, is not tried again, and does not count for or against the endpoint.
        """
        found = await self.get(id, environment=environment, tenant=tenant)
        whose = {"environment": environment, "tenant": tenant, "id": id}
        now = await self._rotation.now()
        secrets = await signing_secrets(self._vault, **whose, envelope=found.secrets, now=now)
        headers = await custom_headers(self._vault, **whose, envelope=found.headers)
        outside = now - await moment.moved(self._db)
        async with AsyncExitStack() as stack:
            sender = self._sender
            if sender is None:
                sender = await stack.enter_async_context(Sender(self._guard))
            return await ping(sender, found, Signer(secrets), headers, now=outside)

    async def rotate_secret(
        self,
        id: str,
        *,
        environment: str,
        tenant: str,
        secret: str | None = None,
        overlap: timedelta = _OVERLAP,
    ) -> str:
        """The new secret (v1). For `overlap` the one before it signs as well, so that a receiver
        that has either of them accepts what comes. Without overlap it ends all others at once."""
        fresh = new_secret() if secret is None else checks.secret(secret)
        await self._rotation.rotate(
            id, environment=environment, tenant=tenant, version="v1", fresh=fresh, overlap=overlap
        )
        return fresh

    async def rotate_key(
        self,
        id: str,
        *,
        environment: str,
        tenant: str,
        private_key: str | None = None,
        overlap: timedelta = _OVERLAP,
    ) -> str:
        """The new public key (v1a). For `overlap` the key before it signs as well."""
        fresh = new_private_key() if private_key is None else checks.private_key(private_key)
        await self._rotation.rotate(
            id, environment=environment, tenant=tenant, version="v1a", fresh=fresh, overlap=overlap
        )
        return public_key(fresh)

    async def change_scheme(
        self,
        id: str,
        *,
        environment: str,
        tenant: str,
        scheme: Scheme,
        overlap: timedelta = _OVERLAP,
    ) -> Created:
        """The endpoint, signed by this scheme, with what was made for it and was not there before.

        A version that the scheme has no more signs on for `overlap`.
        """
        whose = {"environment": environment, "tenant": tenant}
        return await self._rotation.change_scheme(
            id, **whose, versions=checks.scheme(scheme), overlap=overlap
        )


def _settle_order(settings: dict[str, Any], before: Endpoint) -> None:
    """An endpoint that is no longer ordered loses `skip_after`, unless it was given."""
    ordered = settings.get("ordered", before.ordered)
    if not ordered and "skip_after" not in settings:
        settings["skip_after"] = None
    checks.steps_aside(ordered=ordered, skip_after=settings.get("skip_after", before.skip_after))

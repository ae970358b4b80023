"""Endpoints as tenants keep them: where events go, which ones, and the secrets that sign them."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import msgspec

from landbridge import ids
from landbridge.client.guard import Guard
from landbridge.clock import Clock, SystemClock
from landbridge.errors import InvalidInput, NotFound
from landbridge.signing.standard import new_secret
from landbridge.store import endpoints
from landbridge.store.database import Database
from landbridge.store.endpoints import Endpoint
from landbridge.vault import Kind, Vault

EVERY = ("*",)
"""The types of an endpoint that wants all events."""

_TYPE = re.compile(r"\*|[a-z0-9_]+(\.[a-z0-9_]+)*(\.\*)?")
_MOST_TYPES = 100
_SYSTEM = SystemClock()


@dataclass(frozen=True, kw_only=True)
class Created:
    """A new endpoint and its secret, which is shown this once: give it to the receiver."""

    endpoint: Endpoint
    secret: str = field(repr=False)


class _Secret(msgspec.Struct, frozen=True):
    """One signing secret; `until` is when its successor stands alone, None for the newest."""

    secret: str
    until: datetime | None = None


class Endpoints:
    """Creates and keeps endpoints. Every call names the environment and the tenant.

    NotFound for an id that the tenant has not, InvalidInput for a wrong URL, type or secret,
    Forbidden for an address that the guard refuses, Unreachable for a name without an address.
    """

    def __init__(self, db: Database, vault: Vault, guard: Guard, *, clock: Clock = _SYSTEM):
        self._db = db
        self._vault = vault
        self._guard = guard
        self._clock = clock

    async def create(
        self,
        *,
        environment: str,
        tenant: str,
        url: str,
        types: Sequence[str] = EVERY,
        secret: str | None = None,
    ) -> Created:
        """A new endpoint, enabled, for events that are dispatched from now on.

        `types` are event types, `*` for all, or `invoice.*` for all that begin with `invoice.`.
        `secret` is `whsec_` and base64 of 24 to 64 bytes; without one it is made up.
        """
        if not tenant or "\x00" in tenant:
            raise InvalidInput("tenant: empty; give your own id of the customer, such as acme")
        wanted = _checked_types(types)
        secret = new_secret() if secret is None else _checked_secret(secret)
        await self._guard.check(url)
        fresh = ids.new(ids.PREFIXES["endpoint"])
        sealed = await self._seal(environment, tenant, fresh, [_Secret(secret)])
        endpoint = await endpoints.add(
            self._db,
            environment=environment,
            tenant=tenant,
            id=fresh,
            url=url,
            types=wanted,
            secrets=sealed,
        )
        return Created(endpoint=endpoint, secret=secret)

    async def list(self, *, environment: str, tenant: str | None = None) -> Sequence[Endpoint]:
        """The endpoints of a tenant, oldest first; without one those of all tenants."""
        return await endpoints.every(self._db, environment=environment, tenant=tenant)

    async def get(self, id: str, *, environment: str, tenant: str) -> Endpoint:
        """The endpoint."""
        return _found(
            await endpoints.one(self._db, environment=environment, tenant=tenant, id=id), id
        )

    async def update(
        self,
        id: str,
        *,
        environment: str,
        tenant: str,
        url: str | None = None,
        types: Sequence[str] | None = None,
    ) -> Endpoint:
        """The endpoint with another URL or other types; deliveries under way follow it."""
        wanted = None if types is None else _checked_types(types)
        if url is not None:
            await self._guard.check(url)
        changed = await endpoints.change(
            self._db, environment=environment, tenant=tenant, id=id, url=url, types=wanted
        )
        return _found(changed, id)

    async def disable(
        self, id: str, *, environment: str, tenant: str, reason: str = "disabled by hand"
    ) -> Endpoint:
        """The endpoint, which gets no more events; deliveries under way are abandoned."""
        return await self._set_state(id, environment, tenant, "disabled", reason)

    async def enable(self, id: str, *, environment: str, tenant: str) -> Endpoint:
        """The endpoint, which gets events again: those that are dispatched from now on."""
        return await self._set_state(id, environment, tenant, "enabled", "")

    async def delete(self, id: str, *, environment: str, tenant: str) -> None:
        """Removes it; deliveries under way are abandoned."""
        if not await endpoints.delete(self._db, environment=environment, tenant=tenant, id=id):
            raise _missing(id)

    async def rotate_secret(
        self,
        id: str,
        *,
        environment: str,
        tenant: str,
        secret: str | None = None,
        overlap: timedelta = timedelta(hours=24),
    ) -> str:
        """The new secret. For `overlap` the one before it signs as well, so that a receiver that
        has either of them accepts what comes."""
        fresh = new_secret() if secret is None else _checked_secret(secret)
        until = self._clock.now() + overlap
        changed = None
        while changed is None:  # another rotation at the same time: this one comes after it
            found = await self.get(id, environment=environment, tenant=tenant)
            older = [
                _Secret(each.secret, until if each.until is None else min(each.until, until))
                for each in await self._opened(found)
                if not _over(each, self._clock.now())
            ]
            sealed = await self._seal(environment, tenant, id, [_Secret(fresh), *older])
            changed = await endpoints.change(
                self._db,
                environment=environment,
                tenant=tenant,
                id=id,
                secrets=sealed,
                were=found.secrets,
            )
        return fresh

    async def _set_state(
        self, id: str, environment: str, tenant: str, state: str, reason: str
    ) -> Endpoint:
        changed = await endpoints.set_state(
            self._db, environment=environment, tenant=tenant, id=id, state=state, reason=reason
        )
        return _found(changed, id)

    async def _seal(
        self, environment: str, tenant: str, id: str, secrets: Sequence[_Secret]
    ) -> bytes:
        return await self._vault.seal(
            Kind.SIGNING,
            environment=environment,
            tenant=tenant,
            place=_place(id),
            secret=msgspec.json.encode(secrets),
        )

    async def _opened(self, endpoint: Endpoint) -> Sequence[_Secret]:
        return await _open(
            self._vault, endpoint.environment, endpoint.tenant, endpoint.id, endpoint.secrets
        )


async def signing_secrets(
    vault: Vault, *, environment: str, tenant: str, id: str, envelope: bytes, now: datetime
) -> list[str]:
    """The secrets that sign an endpoint's deliveries at this moment, newest first."""
    opened = await _open(vault, environment, tenant, id, envelope)
    return [each.secret for each in opened if not _over(each, now)]


async def _open(
    vault: Vault, environment: str, tenant: str, id: str, envelope: bytes
) -> list[_Secret]:
    opened = await vault.open(
        Kind.SIGNING, environment=environment, tenant=tenant, place=_place(id), envelope=envelope
    )
    return msgspec.json.decode(opened, type=list[_Secret])


def _over(secret: _Secret, now: datetime) -> bool:
    return secret.until is not None and secret.until <= now


def _place(id: str) -> str:
    return f"endpoint/{id}/secrets"


def _checked_types(types: Sequence[str]) -> list[str]:
    if isinstance(types, str) or not types:
        raise InvalidInput("types: give a list of event types such as ['invoice.*'], or ['*']")
    if len(types) > _MOST_TYPES:
        raise InvalidInput(f"types: {len(types)} are given, {_MOST_TYPES} are the most; use ['*']")
    for each in types:
        if not _TYPE.fullmatch(each) or len(each) > 255:
            raise InvalidInput(
                f"types: {each!r} is not an event type such as invoice.paid, nor invoice.* or *"
            )
    return sorted(set(types))


def _checked_secret(secret: str) -> str:
    prefix, _, body = secret.partition("_")
    try:
        key = base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if prefix != "whsec" or not 24 <= len(key) <= 64:
        raise InvalidInput("secret: it is not whsec_ and base64 of 24 to 64 bytes; or give none")
    return secret


def _found(endpoint: Endpoint | None, id: str) -> Endpoint:
    if endpoint is None:
        raise _missing(id)
    return endpoint


def _missing(id: str) -> NotFound:
    return NotFound(
        f"{id!r} is no endpoint of this tenant here; see them with: landbridge endpoints list"
    )

"""Puts new secrets in the place of old ones, which sign on for a while beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from landbridge.clock import Clock
from landbridge.engine import _endpoint_input as checks
from landbridge.engine._endpoint_input import Scheme
from landbridge.engine._endpoint_values import Created, found_or_raise
from landbridge.engine.endpoint_keys import Secret, open_secrets, rotated, seal_secrets
from landbridge.errors import InvalidInput
from landbridge.signing.standard import new_private_key, new_secret, public_key
from landbridge.store import endpoints, moment
from landbridge.store.database import Database
from landbridge.store.endpoints import Endpoint
from landbridge.vault import Vault


class Rotation:
    """Changes what signs for endpoints. Of several at the same time each comes after another.

    When a secret ends is by the database's clock, as workers judge it, unless a `clock` is given.
    """

    def __init__(self, db: Database, vault: Vault, clock: Clock | None = None):
        self._db = db
        self._vault = vault
        self._clock = clock

    async def rotate(
        self,
        id: str,
        *,
        environment: str,
        tenant: str,
        version: str,
        fresh: str,
        overlap: timedelta,
    ) -> None:
        """Puts a fresh secret in the place of those of its version, which sign on for `overlap`."""
        lasts = checks.overlap(overlap)
        changed = None
        while changed is None:  # another rotation at the same time: this one comes after it
            found = await self._get(id, environment, tenant)
            held = await self._opened(found)
            if not any(each.version == version and each.until is None for each in held):
                raise InvalidInput(
                    f"scheme: this endpoint is not signed with {version}; add it with:"
                    f" landbridge endpoints update {id} --scheme both"
                )
            now = await self.now()
            after = rotated(held, [fresh], ending=[version], until=now + lasts, now=now)
            changed = await self._keep(found, after)

    async def change_scheme(
        self,
        id: str,
        *,
        environment: str,
        tenant: str,
        versions: Sequence[str],
        overlap: timedelta,
    ) -> Created:
        """Adds what the versions lack; what is of no version of these signs on for `overlap`."""
        lasts = checks.overlap(overlap)
        while True:
            found = await self._get(id, environment, tenant)
            held = await self._opened(found)
            there = {each.version for each in held if each.until is None}
            fresh = fresh_secrets(tuple(each for each in versions if each not in there), None, None)
            gone = [each for each in ("v1", "v1a") if each not in versions]
            now = await self.now()
            after = rotated(held, [*fresh.values()], ending=gone, until=now + lasts, now=now)
            if (changed := await self._keep(found, after)) is not None:
                return created(changed, fresh)

    async def now(self) -> datetime:
        """The moment by which secrets end."""
        return await moment.now(self._db) if self._clock is None else self._clock.now()

    async def _keep(self, found: Endpoint, secrets: Sequence[Secret]) -> Endpoint | None:
        """The endpoint with these secrets; None if others got there first."""
        whose = {"environment": found.environment, "tenant": found.tenant, "id": found.id}
        sealed = await seal_secrets(self._vault, **whose, secrets=secrets)
        return await endpoints.change(self._db, **whose, secrets=sealed, were=found.secrets)

    async def _opened(self, found: Endpoint) -> Sequence[Secret]:
        return await open_secrets(
            self._vault,
            environment=found.environment,
            tenant=found.tenant,
            id=found.id,
            envelope=found.secrets,
        )

    async def _get(self, id: str, environment: str, tenant: str) -> Endpoint:
        return found_or_raise(
            await endpoints.one(self._db, environment=environment, tenant=tenant, id=id), id
        )


def fresh_secrets(
    versions: Sequence[str], secret: str | None, private_key: str | None
) -> dict[str, str]:
    """What signs each of the versions, given or made up."""
    made = {}
    if "v1" in versions:
        made["v1"] = new_secret() if secret is None else checks.secret(secret)
    elif secret is not None:
        raise InvalidInput("secret: it signs v1, which the scheme leaves out; give scheme='both'")
    if "v1a" in versions:
        made["v1a"] = new_private_key() if private_key is None else checks.private_key(private_key)
    elif private_key is not None:
        raise InvalidInput(
            "private_key: it signs v1a, which the scheme leaves out; give scheme='both'"
        )
    return made


def created(endpoint: Endpoint, fresh: Mapping[str, str]) -> Created:
    """The endpoint with what was made for it, by version."""
    return Created(
        endpoint=endpoint,
        secret=fresh.get("v1", ""),
        public_key=public_key(fresh["v1a"]) if "v1a" in fresh else "",
    )


def scheme_of(valid: Sequence[Secret]) -> Scheme:
    """The scheme of those among the secrets that do not end."""
    there = {each.version for each in valid if each.until is None}
    return "both" if len(there) == 2 else "v1a" if "v1a" in there else "v1"

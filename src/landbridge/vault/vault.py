"""Seals secrets into envelopes that open only for the tenant and the place they were made for.

AES-256-GCM (NIST SP 800-38D) with a fresh 96-bit nonce for each envelope; environment, tenant,
place and kind are bound as associated data, so an envelope that is copied to another row does not
open. Two ways, by kind:

- credentials (keys, passwords, refresh tokens, client secrets): a data key of their own, wrapped by
  the key provider and kept in the envelope, so that opening one always asks the key provider;
- the rest (signing secrets, access tokens): the tenant's data key, cached for a short while.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from enum import StrEnum

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from landbridge.errors import WrongKey
from landbridge.store import tenant_keys
from landbridge.store.database import Database
from landbridge.vault.keys import KeyProvider

_BY_TENANT_KEY = b"\x01"
_BY_PROVIDER = b"\x02"
_NONCE = 12


class Kind(StrEnum):
    """What a secret is, which decides who must be asked to open it."""

    CREDENTIAL = "credential"
    SIGNING = "signing"
    ACCESS = "access"


class Vault:
    """Seals and opens secrets; holds no plaintext, and data keys for `keep` seconds at most."""

    def __init__(
        self,
        db: Database,
        keys: KeyProvider,
        *,
        keep: float = 300.0,
        monotonic: Callable[[], float] = time.monotonic,
    ):
        self._db = db
        self._keys = keys
        self._keep = keep
        self._monotonic = monotonic
        self._opened: dict[tuple[str, str, int], tuple[float, AESGCM]] = {}
        self._latest: dict[tuple[str, str], tuple[float, int]] = {}

    def __repr__(self) -> str:
        return f"Vault({self._keys.name})"

    async def seal(
        self, kind: Kind, *, environment: str, tenant: str, place: str, secret: bytes
    ) -> bytes:
        """The envelope of a secret. `place` says where it is kept: `endpoint/end_01.../secrets`."""
        bound_to = _bound(kind, environment, tenant, place)
        nonce = os.urandom(_NONCE)
        if kind is Kind.CREDENTIAL:
            key = AESGCM.generate_key(256)
            wrapped = await self._keys.wrap(key, bound_to)
            head = _BY_PROVIDER + len(wrapped).to_bytes(2, "big") + wrapped
            return head + nonce + AESGCM(key).encrypt(nonce, secret, bound_to)
        version, cipher = await self._newest(environment, tenant)
        head = _BY_TENANT_KEY + version.to_bytes(4, "big")
        return head + nonce + cipher.encrypt(nonce, secret, bound_to)

    async def open(
        self, kind: Kind, *, environment: str, tenant: str, place: str, envelope: bytes
    ) -> bytes:
        """The secret. WrongKey: another key, place or tenant, or damage; Sealed: not now."""
        bound_to = _bound(kind, environment, tenant, place)
        if envelope[:1] == _BY_PROVIDER and kind is Kind.CREDENTIAL:
            end = 3 + int.from_bytes(envelope[1:3], "big")
            cipher = AESGCM(await self._keys.unwrap(envelope[3:end], bound_to))
        elif envelope[:1] == _BY_TENANT_KEY and kind is not Kind.CREDENTIAL:
            end = 5
            version = int.from_bytes(envelope[1:5], "big")
            cipher = await self._cipher(environment, tenant, version)
        else:
            raise WrongKey(f"the value at {place} is not a sealed {kind}")
        try:
            return cipher.decrypt(envelope[end : end + _NONCE], envelope[end + _NONCE :], bound_to)
        except InvalidTag:
            raise WrongKey(
                f"the secret at {place} was sealed for another place or tenant, or was damaged"
            ) from None

    async def _newest(self, environment: str, tenant: str) -> tuple[int, AESGCM]:
        known = self._latest.get((environment, tenant))
        if known and known[0] > self._monotonic():
            return known[1], await self._cipher(environment, tenant, known[1])
        found = await tenant_keys.latest(self._db, environment=environment, tenant=tenant)
        if found is None:
            wrapped = await self._keys.wrap(
                AESGCM.generate_key(256), _bound("data key", environment, tenant, "1")
            )
            await tenant_keys.add(
                self._db,
                environment=environment,
                tenant=tenant,
                version=1,
                wrapped=wrapped,
                wrapped_by=self._keys.name,
            )
            found = (1, wrapped)
        self._latest[environment, tenant] = (self._monotonic() + self._keep, found[0])
        return found[0], await self._cipher(environment, tenant, found[0])

    async def _cipher(self, environment: str, tenant: str, version: int) -> AESGCM:
        place = (environment, tenant, version)
        kept = self._opened.get(place)
        if kept and kept[0] > self._monotonic():
            return kept[1]
        wrapped = await tenant_keys.one(
            self._db, environment=environment, tenant=tenant, version=version
        )
        if wrapped is None:
            raise WrongKey(f"the data key {version} of tenant {tenant!r} is not in the database")
        bound_to = _bound("data key", environment, tenant, str(version))
        cipher = AESGCM(await self._keys.unwrap(wrapped, bound_to))
        self._opened[place] = (self._monotonic() + self._keep, cipher)
        return cipher


def _bound(*parts: str) -> bytes:
    return b"\x00".join(part.encode() for part in parts)

"""Seals secrets into envelopes that open only for the tenant and the place they were made for.

AES-256-GCM (NIST SP 800-38D) with a fresh 96-bit nonce for each envelope. Bound as associated data
are environment, tenant, place (which names the row and the column), kind, and the envelope's own
head: its form, and the version of the data key or the wrapped key. So an envelope that is copied
to another row, or given another head, does not open. Two ways, by kind:

- credentials (keys, passwords, refresh tokens, client secrets): a data key of their own, wrapped by
  the key provider and kept in the envelope, so that opening one always asks the key provider;
- the rest (signing secrets, access tokens): the tenant's data key, cached for a short while.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from landbridge.errors import SettingsError, WrongKey
from landbridge.store import tenant_keys
from landbridge.store.database import Database
from landbridge.vault._envelope import NONCE, Form, Head, Kind, bound, head_of
from landbridge.vault.keys import KeyProvider
from landbridge.vault.ring import KeyRing


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
        # Bytearrays, because those can be overwritten. What Python and OpenSSL copied cannot.
        self._opened: dict[tuple[str, str, int], tuple[float, bytearray]] = {}
        self._latest: dict[tuple[str, str], tuple[float, int]] = {}

    def __repr__(self) -> str:
        return f"Vault({self._keys.name})"

    async def seal(
        self, kind: Kind, *, environment: str, tenant: str, place: str, secret: bytes
    ) -> bytes:
        """The envelope of a secret. `place` says where it is kept: `endpoint/end_01.../secrets`."""
        bound_to = bound(kind, environment, tenant, place)
        if kind is Kind.CREDENTIAL:
            fresh = AESGCM.generate_key(256)
            head = Head.of_provider(await self._keys.wrap(fresh, bound_to))
            key: bytes | bytearray = fresh
        else:
            version, key = await self._newest(environment, tenant)
            head = Head.of_tenant_key(version)
        nonce = os.urandom(NONCE)
        return head.text + nonce + AESGCM(key).encrypt(nonce, secret, head.bind(bound_to))

    async def open(
        self, kind: Kind, *, environment: str, tenant: str, place: str, envelope: bytes
    ) -> bytes:
        """The secret. WrongKey: another key, place or tenant, or damage; Sealed: not now."""
        bound_to = bound(kind, environment, tenant, place)
        head = head_of(envelope)
        if head is None or head.by_provider != (kind is Kind.CREDENTIAL):
            raise WrongKey(f"the value at {place} is not a sealed {kind}")
        key: bytes | bytearray
        if head.by_provider:
            key = await self._keys.unwrap(head.wrapped, bound_to)
        else:
            key = await self._data_key(environment, tenant, head.version)
        start = len(head.text)
        nonce, sealed = envelope[start : start + NONCE], envelope[start + NONCE :]
        try:
            return AESGCM(key).decrypt(nonce, sealed, head.bind(bound_to))
        except (InvalidTag, ValueError):
            raise WrongKey(
                f"the secret at {place} was sealed for another place or tenant, or was damaged"
            ) from None

    async def seal_again(
        self, kind: Kind, *, environment: str, tenant: str, place: str, envelope: bytes
    ) -> bytes:
        """The same secret in a fresh envelope, by the newest key."""
        secret = await self.open(
            kind, environment=environment, tenant=tenant, place=place, envelope=envelope
        )
        return await self.seal(
            kind, environment=environment, tenant=tenant, place=place, secret=secret
        )

    async def newest_key(self) -> str:
        """What wraps keys at this moment, as `made_by` names it: the key provider is asked."""
        probe = await self._keys.wrap(bytes(32), bound("probe"))
        return self._keys.made_by(probe) or self._keys.name

    def made_by(self, envelope: bytes) -> str:
        """Which key of the key provider wrapped a credential's own, `data key N` of the tenant for
        the rest; `unknown`: no key that is at hand."""
        head = head_of(envelope)
        if head is None:
            return "unknown"
        if head.by_provider:
            return self.wrapped_by(head.wrapped)
        return f"data key {head.version}"

    def wrapped_by(self, wrapped: bytes) -> str:
        """Which key of the key provider wrapped a data key; `unknown`: none that is at hand."""
        return self._keys.made_by(wrapped) or "unknown"

    def is_of_today(self, envelope: bytes, *, newest: str, version: int) -> bool:
        """Whether sealing it again would bring nothing: it has the present form, and was sealed by
        the key `newest` of the key provider or the tenant's data key of this version."""
        head = head_of(envelope)
        if head is None or head.form not in (Form.TENANT_KEY, Form.PROVIDER):
            return False
        return self.made_by(envelope) == newest if head.by_provider else head.version >= version

    async def add_data_key(self, environment: str, tenant: str, version: int) -> bool:
        """Gives a tenant its data key of this version; False: somebody did before."""
        wrapped = await self._keys.wrap(
            AESGCM.generate_key(256), _bound_key(environment, tenant, version)
        )
        added = await tenant_keys.add(
            self._db,
            environment=environment,
            tenant=tenant,
            version=version,
            wrapped=wrapped,
            wrapped_by=self._keys.name,
        )
        self._latest.pop((environment, tenant), None)
        return added

    async def wrap_again(
        self, wrapped: bytes, *, environment: str, tenant: str, version: int
    ) -> bytes:
        """The same data key of a tenant, wrapped by the newest key of the key provider."""
        bound_to = _bound_key(environment, tenant, version)
        return await self._keys.wrap(await self._keys.unwrap(wrapped, bound_to), bound_to)

    def wrapping_by(self, provider: str) -> Vault:
        """A vault that wraps by another of its key providers: transit, pkcs11, ...

        SettingsError when it has none of this name.
        """
        ring = self._keys if isinstance(self._keys, KeyRing) else KeyRing([self._keys])
        first = ring.first(provider)
        if first is None:
            raise SettingsError(
                f"{provider}: no such key provider is set up; name it in LANDBRIDGE_KEY_PROVIDER or"
                f" LANDBRIDGE_KEY_ALSO. There is: {ring.names}"
            )
        return Vault(self._db, first, keep=self._keep, monotonic=self._monotonic)

    @property
    def provider(self) -> str:
        """The name of the key provider that wraps."""
        return self._keys.name

    def forget(self) -> None:
        """Overwrites and drops all data keys that are held; the next use asks for them again."""
        for _, key in self._opened.values():
            _wipe(key)
        self._opened.clear()
        self._latest.clear()

    async def _newest(self, environment: str, tenant: str) -> tuple[int, bytearray]:
        known = self._latest.get((environment, tenant))
        if known and known[0] > self._monotonic():
            return known[1], await self._data_key(environment, tenant, known[1])
        found = await tenant_keys.latest(self._db, environment=environment, tenant=tenant)
        if found is None:
            await self.add_data_key(environment, tenant, 1)
            found = 1
        self._latest[environment, tenant] = (self._monotonic() + self._keep, found)
        return found, await self._data_key(environment, tenant, found)

    async def _data_key(self, environment: str, tenant: str, version: int) -> bytearray:
        place = (environment, tenant, version)
        kept = self._opened.get(place)
        if kept and kept[0] > self._monotonic():
            return kept[1]
        wrapped = await tenant_keys.one(
            self._db, environment=environment, tenant=tenant, version=version
        )
        if wrapped is None:
            raise WrongKey(f"the data key {version} of tenant {tenant!r} is not in the database")
        key = bytearray(await self._keys.unwrap(wrapped, _bound_key(environment, tenant, version)))
        self._drop_old()
        self._opened[place] = (self._monotonic() + self._keep, key)
        return key

    def _drop_old(self) -> None:
        now = self._monotonic()
        for place in [place for place, (until, _) in self._opened.items() if until <= now]:
            _wipe(self._opened.pop(place)[1])


def _bound_key(environment: str, tenant: str, version: int) -> bytes:
    return bound("data key", environment, tenant, str(version))


def _wipe(key: bytearray) -> None:
    key[:] = bytes(len(key))

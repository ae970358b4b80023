"""What of an endpoint is sealed: the secrets that sign for it, and its own headers.

The secrets are one list in one envelope, of both schemes: `whsec_` (v1) and `whsk_` (v1a). While a
rotation overlaps, old and new stand in it together, each with the moment when it ends.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import datetime

import msgspec

from landbridge.errors import InvalidInput
from landbridge.signing.standard import Signer
from landbridge.vault import Kind, Vault

MOST_VALID = 25
"""Secrets that may be valid at a time: as many signatures stand in a header."""

_PRIVATE = "whsk_"


class Secret(msgspec.Struct, frozen=True):
    """One signing secret; `until` is when its successor stands alone, None for the newest."""

    secret: str
    until: datetime | None = None

    def __repr__(self) -> str:
        return f"Secret({self.version})"

    @property
    def version(self) -> str:
        """Which signatures it makes: v1 or v1a."""
        return "v1a" if self.secret.startswith(_PRIVATE) else "v1"

    def over(self, now: datetime) -> bool:
        """Whether its time is over."""
        return self.until is not None and self.until <= now


def rotated(
    held: Sequence[Secret],
    fresh: Sequence[str],
    *,
    ending: Sequence[str],
    until: datetime,
    now: datetime,
) -> list[Secret]:
    """The secrets after `fresh` ones joined and those of the `ending` versions got their end.

    Newest first, v1 before v1a; those whose time is over are left out. InvalidInput when too many
    would be valid at a time.
    """
    kept = [
        Secret(each.secret, min(until, each.until or until)) if each.version in ending else each
        for each in held
        if not each.over(now)
    ]
    after = [*map(Secret, fresh), *(each for each in kept if not each.over(now))]
    if len(after) > MOST_VALID:
        raise InvalidInput(
            f"overlap: {len(after) - 1} secrets of this endpoint are valid already, {MOST_VALID} at"
            " a time are the most; wait until some end, or rotate with no overlap"
        )
    return sorted(after, key=lambda each: each.version)


async def seal_secrets(
    vault: Vault, *, environment: str, tenant: str, id: str, secrets: Sequence[Secret]
) -> bytes:
    """The envelope of the column `secrets`."""
    return await vault.seal(
        Kind.SIGNING,
        environment=environment,
        tenant=tenant,
        place=f"endpoint/{id}/secrets",
        secret=msgspec.json.encode(secrets),
    )


async def open_secrets(
    vault: Vault, *, environment: str, tenant: str, id: str, envelope: bytes
) -> list[Secret]:
    """All secrets, those whose time is over among them."""
    opened = await vault.open(
        Kind.SIGNING,
        environment=environment,
        tenant=tenant,
        place=f"endpoint/{id}/secrets",
        envelope=envelope,
    )
    return msgspec.json.decode(opened, type=list[Secret])


async def signing_secrets(
    vault: Vault, *, environment: str, tenant: str, id: str, envelope: bytes, now: datetime
) -> list[str]:
    """The secrets that sign an endpoint's deliveries at this moment, newest first."""
    opened = await open_secrets(
        vault, environment=environment, tenant=tenant, id=id, envelope=envelope
    )
    return [each.secret for each in opened if not each.over(now)]


async def seal_headers(
    vault: Vault, *, environment: str, tenant: str, id: str, headers: dict[str, str]
) -> bytes | None:
    """The envelope of the column `headers`; None for no headers."""
    if not headers:
        return None
    return await vault.seal(
        Kind.SIGNING,
        environment=environment,
        tenant=tenant,
        place=f"endpoint/{id}/headers",
        secret=msgspec.json.encode(headers),
    )


async def custom_headers(
    vault: Vault, *, environment: str, tenant: str, id: str, envelope: bytes | None
) -> dict[str, str]:
    """The endpoint's own headers, for its posts; empty if it has none."""
    if envelope is None:
        return {}
    opened = await vault.open(
        Kind.SIGNING,
        environment=environment,
        tenant=tenant,
        place=f"endpoint/{id}/headers",
        envelope=envelope,
    )
    return msgspec.json.decode(opened, type=dict[str, str])


async def endpoint_signer(
    vault: Vault, *, environment: str, tenant: str, id: str, envelope: bytes, now: datetime
) -> Signer:
    """Signs with all secrets that are valid now; see `Opened` for one that is kept."""
    return Signer(
        await signing_secrets(
            vault, environment=environment, tenant=tenant, id=id, envelope=envelope, now=now
        )
    )


class _Kept(msgspec.Struct, frozen=True):
    signer: Signer
    headers: dict[str, str]
    secrets: bytes
    sealed_headers: bytes | None
    begins: datetime
    until: datetime | None
    dies: float


class Opened:
    """Signers and headers of the endpoints that were posted to lately, opened once.

    An entry serves as long as the envelopes are the same, no secret has ended meanwhile, and for
    `keep` seconds at most, so that a key that is taken away ends signing. At most `most` are kept.
    """

    def __init__(
        self,
        vault: Vault,
        *,
        most: int = 10_000,
        keep: float = 300.0,
        monotonic: Callable[[], float] = time.monotonic,
    ):
        self._vault = vault
        self._most = most
        self._keep = keep
        self._monotonic = monotonic
        self._kept: dict[tuple[str, str, str], _Kept] = {}

    def __repr__(self) -> str:
        return f"Opened({len(self._kept)} endpoints)"

    async def of(
        self,
        *,
        environment: str,
        tenant: str,
        id: str,
        secrets: bytes,
        headers: bytes | None,
        now: datetime,
    ) -> tuple[Signer, dict[str, str]]:
        """The endpoint's signer at this moment, and its own headers (not to be changed).

        VaultError: an envelope cannot be opened; nothing of it is kept.
        """
        place = (environment, tenant, id)
        kept = self._kept.get(place)
        if (
            kept is not None
            and kept.secrets == secrets
            and kept.sealed_headers == headers
            and kept.begins <= now
            and (kept.until is None or now < kept.until)
            and self._monotonic() < kept.dies
        ):
            return kept.signer, kept.headers
        self._kept.pop(place, None)
        made = await self._open(place, secrets, headers, now)
        while len(self._kept) >= self._most:
            del self._kept[next(iter(self._kept))]
        self._kept[place] = made
        return made.signer, made.headers

    async def _open(
        self, place: tuple[str, str, str], secrets: bytes, headers: bytes | None, now: datetime
    ) -> _Kept:
        whose = dict(zip(("environment", "tenant", "id"), place, strict=True))
        opened = await open_secrets(self._vault, **whose, envelope=secrets)
        valid = [each for each in opened if not each.over(now)]
        return _Kept(
            signer=Signer([each.secret for each in valid]),
            headers=await custom_headers(self._vault, **whose, envelope=headers),
            secrets=secrets,
            sealed_headers=headers,
            begins=now,
            until=min((each.until for each in valid if each.until), default=None),
            dies=self._monotonic() + self._keep,
        )

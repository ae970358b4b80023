"""Key providers: who holds the key that wraps all other keys."""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import stat
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from landbridge.errors import Sealed, SettingsError, WrongKey

_NONCE = 12
_MARK = 8


class KeyProvider(Protocol):
    """Wraps and unwraps data keys with a key that it does not give away."""

    name: str

    async def wrap(self, key: bytes, bound_to: bytes) -> bytes:
        """The wrapped key; `bound_to` must be given again to unwrap it."""
        ...

    async def unwrap(self, wrapped: bytes, bound_to: bytes) -> bytes:
        """The data key; WrongKey when another key wrapped it, Sealed while the provider is away."""
        ...

    def made_by(self, wrapped: bytes) -> str | None:
        """Which of this provider's keys wrapped it, as `transit/landbridge/3`; None: none."""
        ...

    async def close(self) -> None:
        """Ends connections and sessions."""
        ...


class LocalKey:
    """Keys from a setting or a file, for development and small installations.

    The first key wraps; all of them open, so a new key can be put in front before the old one goes.
    """

    name = "local"

    def __init__(self, keys: list[bytes]):
        if not keys:
            raise SettingsError("LANDBRIDGE_KEY: no key; make one with: landbridge keys new")
        self._keys = {_mark(key): AESGCM(key) for key in keys}
        self._first = _mark(keys[0])

    def __repr__(self) -> str:
        return f"LocalKey({len(self._keys)} keys)"

    @classmethod
    def from_text(cls, text: str) -> LocalKey:
        """Keys from text: base64 of 32 bytes each, parted by commas."""
        return cls([_decode(part.strip()) for part in text.split(",") if part.strip()])

    @classmethod
    def from_file(cls, path: Path, *, create: bool = False) -> LocalKey:
        """Keys from a file that only its owner can read; `create` makes one that is missing."""
        if create and not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            fresh = path.with_name(f"{path.name}.{os.getpid()}")
            descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w") as file:
                file.write(new_key() + "\n")
            try:
                os.link(fresh, path)
            except FileExistsError:
                pass
            finally:
                fresh.unlink()
        return cls.from_text(",".join(read_private(path, "key").split()))

    async def wrap(self, key: bytes, bound_to: bytes) -> bytes:
        """The data key sealed under the first key."""
        nonce = os.urandom(_NONCE)
        return self._first + nonce + self._keys[self._first].encrypt(nonce, key, bound_to)

    async def unwrap(self, wrapped: bytes, bound_to: bytes) -> bytes:
        """The data key, by whichever of our keys wrapped it."""
        cipher = self._keys.get(wrapped[:_MARK])
        if cipher is None:
            raise WrongKey(
                "LANDBRIDGE_KEY: another key sealed what the database holds;"
                " put that key back (several are parted by commas)"
            )
        nonce, sealed = wrapped[_MARK : _MARK + _NONCE], wrapped[_MARK + _NONCE :]
        try:
            return cipher.decrypt(nonce, sealed, bound_to)
        except InvalidTag:
            raise WrongKey("a sealed key was damaged or moved to another tenant") from None

    def made_by(self, wrapped: bytes) -> str | None:
        """`local/` and the mark of the key: no part of the key itself."""
        mark = wrapped[:_MARK]
        return f"local/{mark.hex()}" if mark in self._keys else None

    async def close(self) -> None:
        """There is nothing to end."""


def read_private(path: Path, what: str) -> str:
    """The text of a file that only its owner can read.

    Sealed: it cannot be read at all. SettingsError: others can read it too.
    """
    try:
        mode, text = path.stat().st_mode, path.read_text()
    except OSError as error:
        raise Sealed(f"the {what} file {path} cannot be read: {error.strerror}") from None
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise SettingsError(f"the {what} file {path} is open to others; run: chmod 600 {path}")
    return text


def new_key() -> str:
    """A fresh key for LANDBRIDGE_KEY: 32 random bytes in base64."""
    return base64.b64encode(os.urandom(32)).decode()


def _mark(key: bytes) -> bytes:
    return hashlib.sha256(b"landbridge key mark" + key).digest()[:_MARK]


def _decode(text: str) -> bytes:
    try:
        key = base64.b64decode(text.replace("-", "+").replace("_", "/"), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != 32:
        raise SettingsError(
            "LANDBRIDGE_KEY: not base64 of 32 bytes (44 characters ending in =);"
            " make one with: landbridge keys new"
        )
    return key

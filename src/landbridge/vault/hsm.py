"""A key in a hardware security module, by PKCS#11: the module wraps, the key never leaves.

PKCS#11 v3.0 section 6.13.3, CKM_AES_GCM with a 96-bit nonce and a 128-bit tag. Needs the extra
`landbridge[pkcs11]`. The module's driver blocks, and a session does one thing at a time: all calls
run in one thread of their own.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from landbridge.errors import Sealed, SettingsError, VaultError, WrongKey
from landbridge.vault._wrapped import key_names, pack, unpack

try:
    import pkcs11
    from pkcs11 import exceptions as refused
except ImportError:
    raise SettingsError(
        "LANDBRIDGE_KEY_PROVIDER: pkcs11 needs the package python-pkcs11; install it with:"
        " pip install 'landbridge[pkcs11]'"
    ) from None

_PREFIX = b"lb/hsm1:"
_NONCE = 12
_TAG_BITS = 128
_PIN = (refused.PinIncorrect, refused.PinInvalid, refused.PinLenRange, refused.PinLocked)
_NOT_OURS = (
    refused.EncryptedDataInvalid,
    refused.EncryptedDataLenRange,
    refused.DataInvalid,
    refused.DataLenRange,
)


class HsmKey:
    """Wraps by AES-256 keys of a token; `keys` are labels parted by commas, the first wraps.

    A key that could be taken out of the module is refused. A PIN that was refused is not tried
    again: modules lock themselves after a few.
    """

    name = "pkcs11"

    def __init__(self, module: Path, *, token: str, pin: str, keys: str):
        if not pin:
            raise SettingsError(
                "LANDBRIDGE_PKCS11_PIN: missing; give the token's user PIN, or a file that holds it"
                " (LANDBRIDGE_PKCS11_PIN_FILE)"
            )
        if not token:
            raise SettingsError("LANDBRIDGE_PKCS11_TOKEN: missing; it is the label of the token")
        self._keys = key_names("LANDBRIDGE_PKCS11_KEY", keys)
        self._module = module
        self._token = token
        self._pin = pin
        self._pin_refused = False
        self._session: Any = None
        self._found: dict[str, Any] = {}
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="landbridge-pkcs11")

    def __repr__(self) -> str:
        return f"HsmKey({self._token}/{self._keys[0]})"

    async def wrap(self, key: bytes, bound_to: bytes) -> bytes:
        """The key wrapped by the first key of the token."""
        nonce = os.urandom(_NONCE)
        label = self._keys[0]
        sealed = await self._run(
            lambda: self._key(label).encrypt(
                key,
                mechanism=pkcs11.Mechanism.AES_GCM,
                mechanism_param=pkcs11.GCMParams(nonce, bound_to, _TAG_BITS),
            )
        )
        return pack(_PREFIX, label, nonce + sealed)

    async def unwrap(self, wrapped: bytes, bound_to: bytes) -> bytes:
        """The key, by whichever of our keys wrapped it."""
        found = unpack(_PREFIX, wrapped)
        if found is None or found[0] not in self._keys:
            raise WrongKey(
                "LANDBRIDGE_PKCS11_KEY: another key wrapped what the database holds;"
                " put its label back (several are parted by commas)"
            )
        label, body = found
        if len(body) <= _NONCE + _TAG_BITS // 8:
            raise WrongKey("a sealed key was damaged")
        return await self._run(
            lambda: self._key(label).decrypt(
                body[_NONCE:],
                mechanism=pkcs11.Mechanism.AES_GCM,
                mechanism_param=pkcs11.GCMParams(body[:_NONCE], bound_to, _TAG_BITS),
            )
        )

    def made_by(self, wrapped: bytes) -> str | None:
        """`pkcs11/landbridge`: the key's label."""
        found = unpack(_PREFIX, wrapped)
        return f"pkcs11/{found[0]}" if found and found[0] in self._keys else None

    async def close(self) -> None:
        """Logs out."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._leave)
        self._thread.shutdown(wait=False)

    async def _run(self, work: Callable[[], bytes]) -> bytes:
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._try, work)

    def _try(self, work: Callable[[], bytes]) -> bytes:
        """Once more with a new session where the first one failed: tokens come and go."""
        kept = self._session is not None
        try:
            return bytes(work())
        except _NOT_OURS:
            raise WrongKey("a sealed key was damaged or moved to another tenant") from None
        except VaultError:
            raise
        except refused.PKCS11Error as error:
            self._leave()
            # Some modules, SoftHSM among them, say no more than that decrypting failed.
            if kept:
                return self._try(work)
            if isinstance(error, refused.GeneralError) and self._opens():
                raise WrongKey("a sealed key was damaged or moved to another tenant") from None
            raise Sealed(
                f"the module {self._module.name} fails ({type(error).__name__}); nothing that the"
                f" token {self._token!r} wraps opens until that is mended"
            ) from None

    def _opens(self) -> bool:
        """Whether the module still works, asked by wrapping and unwrapping nothing of ours."""
        try:
            key = self._key(self._keys[0])
            gcm = pkcs11.GCMParams(os.urandom(_NONCE), b"probe", _TAG_BITS)
            sealed = key.encrypt(bytes(32), mechanism=pkcs11.Mechanism.AES_GCM, mechanism_param=gcm)
            opened = key.decrypt(sealed, mechanism=pkcs11.Mechanism.AES_GCM, mechanism_param=gcm)
        except (VaultError, refused.PKCS11Error):
            return False
        return bytes(opened) == bytes(32)

    def _key(self, label: str) -> Any:
        if label not in self._found:
            try:
                key = self._logged_in().get_key(
                    object_class=pkcs11.ObjectClass.SECRET_KEY,
                    key_type=pkcs11.KeyType.AES,
                    label=label,
                )
            except (refused.NoSuchKey, refused.MultipleObjectsReturned) as error:
                count = "no" if isinstance(error, refused.NoSuchKey) else "more than one"
                raise Sealed(
                    f"LANDBRIDGE_PKCS11_KEY: the token {self._token!r} has {count} AES key with the"
                    f" label {label!r}"
                ) from None
            if key[pkcs11.Attribute.EXTRACTABLE] or not key[pkcs11.Attribute.SENSITIVE]:
                raise SettingsError(
                    f"LANDBRIDGE_PKCS11_KEY: {label!r} can be taken out of the module; make one"
                    " that is sensitive and not extractable"
                )
            if key[pkcs11.Attribute.VALUE_LEN] != 32:
                raise SettingsError(f"LANDBRIDGE_PKCS11_KEY: {label!r} is no key of 256 bits")
            self._found[label] = key
        return self._found[label]

    def _logged_in(self) -> Any:
        if self._session is not None:
            return self._session
        if self._pin_refused:
            raise self._wrong_pin()
        try:
            token = self._load().get_token(token_label=self._token)
            try:
                self._session = token.open(user_pin=self._pin)
            except refused.UserAlreadyLoggedIn:  # a login counts for the whole process
                self._session = token.open()
        except _PIN:
            self._pin_refused = True
            raise self._wrong_pin() from None
        except (refused.NoSuchToken, refused.TokenNotPresent, refused.MultipleTokensReturned):
            raise Sealed(
                f"LANDBRIDGE_PKCS11_TOKEN: the module {self._module.name} has no single token with"
                f" the label {self._token!r}; is it plugged in?"
            ) from None
        return self._session

    def _load(self) -> Any:
        try:
            return pkcs11.lib(str(self._module))
        except (RuntimeError, OSError):
            raise Sealed(
                f"LANDBRIDGE_PKCS11_MODULE: {self._module} cannot be loaded as a PKCS#11 module"
            ) from None

    def _wrong_pin(self) -> Sealed:
        return Sealed(
            f"LANDBRIDGE_PKCS11_PIN: the token {self._token!r} refuses the PIN; it is not tried"
            " again before a restart, because tokens lock themselves"
        )

    def _leave(self) -> None:
        session, self._session = self._session, None
        self._found.clear()
        if session is not None:
            try:
                session.close()
            except refused.PKCS11Error:
                return  # it is gone already, which is what was wanted

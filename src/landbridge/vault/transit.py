"""A key that HashiCorp Vault or OpenBao keeps: their transit engine wraps, the key never leaves.

https://openbao.org/api-docs/secret/transit/ : `encrypt` and `decrypt` with `associated_data`, which
takes a key of type aes256-gcm96 (the default) or chacha20-poly1305.
"""

from __future__ import annotations

import base64
import re
import ssl
from pathlib import Path
from typing import Any

import httpx2
import msgspec

from landbridge.errors import Sealed, SettingsError, WrongKey
from landbridge.vault._wrapped import key_names, pack, unpack

_PREFIX = b"lb/tran:"
_NAME = re.compile(r"[A-Za-z0-9_.-]+")
_PLACE = re.compile(r"[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*")
_VERSION = re.compile(rb"vault:v([1-9]\d{0,8}):")


class TransitKey:
    """Wraps by the transit engine at `address`; `keys` are names parted by commas, the first wraps.

    A `token_file`, as an agent writes it, is read again whenever the token in it is refused.
    SettingsError for an address or a name that is none, or without a token.
    """

    name = "transit"

    def __init__(
        self,
        address: str,
        *,
        keys: str,
        mount: str = "transit",
        token: str = "",
        token_file: Path | None = None,
        namespace: str = "",
        ca_file: Path | None = None,
        timeout: float = 5.0,
    ):
        if not re.fullmatch(r"https?://[^/\s@]+(/[^\s@?#]*)?", address):
            raise SettingsError(
                "LANDBRIDGE_TRANSIT_ADDRESS: not an address such as https://vault.example.com:8200"
            )
        if not _PLACE.fullmatch(mount):
            raise SettingsError(f"LANDBRIDGE_TRANSIT_MOUNT: {mount!r} is no path such as transit")
        if not token and token_file is None:
            raise SettingsError(
                "LANDBRIDGE_TRANSIT_TOKEN: missing; give the token, or the file that an agent"
                " keeps it in (LANDBRIDGE_TRANSIT_TOKEN_FILE)"
            )
        self._keys = key_names("LANDBRIDGE_TRANSIT_KEY", keys)
        for key in self._keys:
            if not _NAME.fullmatch(key):
                raise SettingsError(
                    f"LANDBRIDGE_TRANSIT_KEY: {key!r} is no name such as landbridge"
                )
        self._mount = mount
        self._token_file = token_file
        self._token = token
        headers = {"X-Vault-Request": "true"}
        if namespace:
            headers["X-Vault-Namespace"] = namespace
        self._http = httpx2.AsyncClient(
            base_url=address.rstrip("/"),
            headers=headers,
            timeout=timeout,
            trust_env=False,
            follow_redirects=False,
            verify=ssl.create_default_context(cafile=str(ca_file)) if ca_file else True,
        )

    def __repr__(self) -> str:
        return f"TransitKey({self._mount}/{self._keys[0]})"

    async def wrap(self, key: bytes, bound_to: bytes) -> bytes:
        """The key wrapped by the newest version of the first key."""
        name = self._keys[0]
        answer = await self._ask(
            "encrypt", name, {"plaintext": _text(key), "associated_data": _text(bound_to)}
        )
        return pack(_PREFIX, name, str(answer.get("ciphertext", "")).encode())

    async def unwrap(self, wrapped: bytes, bound_to: bytes) -> bytes:
        """The key, by whichever of our keys wrapped it."""
        found = unpack(_PREFIX, wrapped)
        if found is None or found[0] not in self._keys:
            raise WrongKey(
                "LANDBRIDGE_TRANSIT_KEY: another key wrapped what the database holds;"
                " put its name back (several are parted by commas)"
            )
        name, body = found
        if not _is_ciphertext(body):
            raise WrongKey("a sealed key was damaged")
        answer = await self._ask(
            "decrypt", name, {"ciphertext": body.decode(), "associated_data": _text(bound_to)}
        )
        return base64.b64decode(str(answer.get("plaintext", "")))

    def made_by(self, wrapped: bytes) -> str | None:
        """`transit/landbridge/3`: the key's name and version."""
        found = unpack(_PREFIX, wrapped)
        if found is None or found[0] not in self._keys:
            return None
        version = _VERSION.match(found[1])
        return f"transit/{found[0]}/{version[1].decode() if version else '?'}"

    async def close(self) -> None:
        """Closes every kept connection."""
        await self._http.aclose()

    async def _ask(self, verb: str, name: str, body: dict[str, str]) -> dict[str, Any]:
        token = self._token or self._read_token()
        answer = await self._post(verb, name, body, token)
        if answer.status_code == 403 and self._token_file is not None:
            fresh = self._read_token()
            if fresh != token:
                answer = await self._post(verb, name, body, fresh)
        if answer.status_code != 200:
            raise self._failure(verb, name, answer)
        try:
            found = msgspec.json.decode(answer.content)["data"]
        except (msgspec.DecodeError, KeyError, TypeError):
            raise Sealed(f"{self._where()} answers in a form that is not transit's") from None
        return found if isinstance(found, dict) else {}

    async def _post(
        self, verb: str, name: str, body: dict[str, str], token: str
    ) -> httpx2.Response:
        try:
            return await self._http.post(
                f"/v1/{self._mount}/{verb}/{name}",
                content=msgspec.json.encode(body),
                headers={"X-Vault-Token": token, "Content-Type": "application/json"},
            )
        except (httpx2.TransportError, TimeoutError) as error:
            raise Sealed(
                f"{self._where()} does not answer ({type(error).__name__}); nothing it wraps"
                " opens until it does"
            ) from None

    def _read_token(self) -> str:
        assert self._token_file is not None
        try:
            token = self._token_file.read_text().strip()
        except (OSError, UnicodeDecodeError):
            token = ""
        if not token or not token.isascii() or not token.isprintable():
            raise Sealed(
                f"LANDBRIDGE_TRANSIT_TOKEN_FILE: {self._token_file} holds no token that can be read"
            )
        return token

    def _failure(self, verb: str, name: str, answer: httpx2.Response) -> Sealed | WrongKey:
        said = answer.text[:2000]  # read, and never repeated: it may hold what was sent
        if answer.status_code == 403:
            return Sealed(
                f"{self._where()} refuses the token for {verb}/{name}: it is wrong, expired or has"
                " no such right; renew LANDBRIDGE_TRANSIT_TOKEN"
            )
        if answer.status_code == 400 and verb == "decrypt" and "not found" not in said:
            if "disallowed" in said or "too old" in said:
                return WrongKey(
                    f"the version of {name} that wrapped this is below its min_decryption_version"
                )
            return WrongKey("a sealed key was damaged or moved to another tenant")
        if answer.status_code in (400, 404):
            return Sealed(
                f"{self._where()} has no key {name} that takes associated data at"
                f" {self._mount}; make one of type aes256-gcm96"
            )
        why = "is sealed" if answer.status_code == 503 else f"answers {answer.status_code}"
        return Sealed(f"{self._where()} {why}; nothing it wraps opens until that is mended")

    def _where(self) -> str:
        return f"the key provider at {self._http.base_url.host}:{self._http.base_url.port or ''}"


def _is_ciphertext(body: bytes) -> bool:
    version = _VERSION.match(body)
    if version is None:
        return False
    text = body[version.end() :]
    try:
        return base64.b64encode(base64.b64decode(text, validate=True)) == text
    except ValueError:
        return False


def _text(value: bytes) -> str:
    return base64.b64encode(value).decode()

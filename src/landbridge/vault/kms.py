"""A key in AWS KMS: KMS wraps, the key never leaves.

https://docs.aws.amazon.com/kms/latest/APIReference/API_Encrypt.html : the encryption context must
be given again to decrypt. It is a digest of what the key is bound to, because CloudTrail logs it.
Needs the extra `landbridge[kms]`. botocore blocks: its calls run in threads of their own.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Lock
from typing import Any

from landbridge.errors import Sealed, SettingsError, WrongKey
from landbridge.vault._wrapped import key_names, pack, unpack

try:
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError
    from botocore.session import Session
except ImportError:
    raise SettingsError(
        "LANDBRIDGE_KEY_PROVIDER: kms needs the package botocore; install it with:"
        " pip install 'landbridge[kms]'"
    ) from None

_PREFIX = b"lb/kms1:"
_THREADS = 8
_NOT_OURS = ("InvalidCiphertextException", "IncorrectKeyException")
_CODE = re.compile(r"[A-Za-z.]{1,80}")


class KmsKey:
    """Wraps by AWS KMS; `keys` are parted by commas, the first wraps.

    Each is an ARN or an id; the first may be an alias. The access key comes from where AWS's own
    tools look for it: environment, files, or the machine's role.
    """

    name = "kms"

    def __init__(self, *, keys: str, region: str = "", endpoint: str = ""):
        self._keys = key_names("LANDBRIDGE_KMS_KEY", keys)
        for key in self._keys[1:]:
            if "alias/" in key:
                raise SettingsError(
                    "LANDBRIDGE_KMS_KEY: only the first may be an alias; name the keys that still"
                    " open by their ids or ARNs"
                )
        self._region = region
        self._endpoint = endpoint
        self._first = self._keys[0] if "alias/" not in self._keys[0] else ""
        self._client: Any = None
        self._making = Lock()
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="landbridge-kms")

    def __repr__(self) -> str:
        return f"KmsKey({self._keys[0]})"

    async def wrap(self, key: bytes, bound_to: bytes) -> bytes:
        """The key wrapped by the first key."""
        answer = await self._ask(
            "encrypt",
            KeyId=self._keys[0],
            Plaintext=key,
            EncryptionContext=_context(bound_to),
        )
        self._first = answer["KeyId"]
        return pack(_PREFIX, answer["KeyId"], answer["CiphertextBlob"])

    async def unwrap(self, wrapped: bytes, bound_to: bytes) -> bytes:
        """The key, by whichever of our keys wrapped it."""
        found = unpack(_PREFIX, wrapped)
        if found and not self._first:  # KMS says which key the alias means when it wraps
            await self.wrap(bytes(32), b"probe")
        if found is None or not self._is_ours(found[0]):
            raise WrongKey(
                "LANDBRIDGE_KMS_KEY: another key wrapped what the database holds;"
                " put it back (several are parted by commas)"
            )
        answer = await self._ask(
            "decrypt",
            KeyId=found[0],
            CiphertextBlob=found[1],
            EncryptionContext=_context(bound_to),
        )
        plain: bytes = answer["Plaintext"]
        return plain

    def made_by(self, wrapped: bytes) -> str | None:
        """`kms/arn:aws:kms:...`: the key's ARN."""
        found = unpack(_PREFIX, wrapped)
        return f"kms/{found[0]}" if found and self._is_ours(found[0]) else None

    async def close(self) -> None:
        """Ends the threads and the connections."""
        self._threads.shutdown(wait=False)
        if self._client is not None:
            self._client.close()

    def _is_ours(self, arn: str) -> bool:
        known = (self._first, *self._keys)
        return any(arn == key or arn.endswith(f":key/{key}") for key in known if key)

    async def _ask(self, verb: str, **parts: Any) -> dict[str, Any]:
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._threads, partial(self._call, verb, parts))
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", ""))
            if code in _NOT_OURS and verb == "decrypt":
                raise WrongKey("a sealed key was damaged or moved to another tenant") from None
            shown = code if _CODE.fullmatch(code) else "an error"
            raise Sealed(
                f"AWS KMS refuses to {verb} ({shown}); nothing it wraps opens until that is mended:"
                " look at the key's state and policy, and at the access key"
            ) from None
        except BotoCoreError as error:
            raise Sealed(
                f"AWS KMS does not answer ({type(error).__name__}); nothing it wraps opens until it"
                " does: look at LANDBRIDGE_KMS_REGION, the network and the access key"
            ) from None

    def _call(self, verb: str, parts: dict[str, Any]) -> dict[str, Any]:
        with self._making:
            if self._client is None:
                self._client = Session().create_client(
                    "kms",
                    region_name=self._region or None,
                    endpoint_url=self._endpoint or None,
                    config=Config(
                        connect_timeout=3,
                        read_timeout=5,
                        retries={"mode": "standard", "max_attempts": 3},
                        max_pool_connections=_THREADS,
                    ),
                )
        answer: dict[str, Any] = getattr(self._client, verb)(**parts)
        return answer


def _context(bound_to: bytes) -> dict[str, str]:
    digest = base64.b64encode(hashlib.sha256(bound_to).digest())
    return {"landbridge": digest.decode()}

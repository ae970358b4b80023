"""A key in KMS, played by moto: another encryption context, other keys, and no answer.

Moto lets disabled keys decrypt and checks no access key. What KMS says then is said here by a
listener in KMS's own words.
"""

from __future__ import annotations

import json
import socket

import pytest

from landbridge.errors import Sealed, SettingsError, WrongKey
from landbridge.vault.kms import KmsKey
from tests.client.servers import Answer, listening, says
from tests.vault.providers import kms_key

KEY = bytes(range(32))

pytestmark = pytest.mark.usefixtures("aws")


def _refuses(code: str) -> Answer:
    body = json.dumps({"__type": code, "message": "said with a secret: s3cr3t"}).encode()
    head = (
        "HTTP/1.1 400 Bad Request\r\ncontent-type: application/x-amz-json-1.1\r\n"
        f"content-length: {len(body)}\r\n\r\n"
    )
    return says(head.encode() + body)


@pytest.fixture
def key(kms: str) -> KmsKey:
    return KmsKey(keys=kms_key(kms), region="eu-central-1", endpoint=kms)


async def test_it_wraps_and_unwraps(key: KmsKey) -> None:
    wrapped = await key.wrap(KEY, b"acme")
    assert KEY not in wrapped
    assert await key.unwrap(wrapped, b"acme") == KEY
    await key.close()


async def test_another_encryption_context_opens_nothing(key: KmsKey) -> None:
    wrapped = await key.wrap(KEY, b"acme")
    for other in (b"bolt", b""):
        with pytest.raises(WrongKey, match="moved to another tenant"):
            await key.unwrap(wrapped, other)
    await key.close()


async def test_a_key_that_is_not_ours_is_not_asked(kms: str, key: KmsKey) -> None:
    wrapped = await key.wrap(KEY, b"acme")
    other = KmsKey(keys=kms_key(kms), region="eu-central-1", endpoint=kms)
    with pytest.raises(WrongKey, match="LANDBRIDGE_KMS_KEY"):
        await other.unwrap(wrapped, b"acme")
    assert other.made_by(wrapped) is None
    await other.close()
    await key.close()


async def test_an_alias_opens_what_its_key_wrapped_also_after_a_restart(kms: str) -> None:
    from botocore.session import Session

    arn = kms_key(kms)
    client = Session().create_client("kms", region_name="eu-central-1", endpoint_url=kms)
    client.create_alias(AliasName="alias/landbridge", TargetKeyId=arn)
    client.close()
    alias = KmsKey(keys="alias/landbridge", region="eu-central-1", endpoint=kms)
    wrapped = await alias.wrap(KEY, b"acme")
    await alias.close()
    again = KmsKey(keys="alias/landbridge", region="eu-central-1", endpoint=kms)
    assert await again.unwrap(wrapped, b"acme") == KEY
    assert again.made_by(wrapped) == f"kms/{arn}"
    await again.close()


async def test_the_first_of_several_keys_wraps_and_all_open(kms: str, key: KmsKey) -> None:
    wrapped = await key.wrap(KEY, b"acme")
    old = (key.made_by(wrapped) or "").removeprefix("kms/")
    both = KmsKey(keys=f"{kms_key(kms)},{old}", region="eu-central-1", endpoint=kms)
    assert await both.unwrap(wrapped, b"acme") == KEY
    assert both.made_by(await both.wrap(KEY, b"acme")) != f"kms/{old}"
    await both.close()
    await key.close()


@pytest.mark.parametrize(
    "code", ["DisabledException", "KMSInvalidStateException", "ExpiredTokenException"]
)
async def test_a_disabled_key_or_an_expired_access_key_is_sealed(key: KmsKey, code: str) -> None:
    wrapped = await key.wrap(KEY, b"acme")
    arn = (key.made_by(wrapped) or "").removeprefix("kms/")
    async with listening(_refuses(code)) as listener:
        refusing = KmsKey(keys=arn, region="eu-central-1", endpoint=listener.url)
        with pytest.raises(Sealed, match=code) as refused:
            await refusing.unwrap(wrapped, b"acme")
        await refusing.close()
    assert "s3cr3t" not in str(refused.value)
    await key.close()


async def test_no_answer_is_sealed() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        away = KmsKey(
            keys="k", region="eu-central-1", endpoint=f"http://127.0.0.1:{nobody.getsockname()[1]}"
        )
        with pytest.raises(Sealed, match="does not answer"):
            await away.wrap(KEY, b"acme")
        await away.close()


def test_wrong_settings_are_named() -> None:
    for keys in ("", "one,alias/two"):
        with pytest.raises(SettingsError, match="LANDBRIDGE_KMS_KEY"):
            KmsKey(keys=keys)

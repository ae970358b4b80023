"""Signed assertions (RFC 7523): a JWT that a tenant's private key vouches for."""

from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils

from landbridge.errors import InvalidInput
from landbridge.spec import JwtBearer


def assertion(
    auth: JwtBearer,
    credentials: Mapping[str, str],
    now: datetime,
    *,
    audience: str,
    scopes: Sequence[str] = (),
) -> str:
    """The signed JWT of these credentials, valid from `now` for as long as the page says.

    InvalidInput when the private key cannot be read or is not of the page's algorithm.
    """
    issued = int(now.timestamp())
    claims: dict[str, object] = {
        "iss": credentials[auth.issuer],
        "aud": auth.audience or audience,
        "iat": issued,
        "exp": issued + int(auth.lives.total_seconds()),
    }
    if auth.subject:
        claims["sub"] = credentials[auth.subject]
    if auth.scope_claim and scopes:
        claims[auth.scope_claim] = auth.separator.join(scopes)
    head = {"alg": auth.algorithm, "typ": "JWT"}
    if auth.key_id:
        head["kid"] = credentials[auth.key_id]
    signed = f"{_part(head)}.{_part(claims)}"
    return f"{signed}.{_base64url(_signature(auth, credentials[auth.key], signed.encode()))}"


def _signature(auth: JwtBearer, pem: str, signed: bytes) -> bytes:
    try:
        # A pasted key often has its line breaks as \n in text, as in Google's JSON.
        key = serialization.load_pem_private_key(pem.replace("\\n", "\n").encode(), password=None)
    except (ValueError, TypeError):
        raise InvalidInput(
            f"{auth.key}: this is not a private key in PEM without a password"
        ) from None
    if auth.algorithm == "RS256" and isinstance(key, rsa.RSAPrivateKey):
        return key.sign(signed, padding.PKCS1v15(), hashes.SHA256())
    if (
        auth.algorithm == "ES256"
        and isinstance(key, ec.EllipticCurvePrivateKey)
        and isinstance(key.curve, ec.SECP256R1)
    ):
        first, second = utils.decode_dss_signature(key.sign(signed, ec.ECDSA(hashes.SHA256())))
        return first.to_bytes(32, "big") + second.to_bytes(32, "big")
    raise InvalidInput(f"{auth.key}: this key does not sign with {auth.algorithm}")


def _part(value: Mapping[str, object]) -> str:
    return _base64url(msgspec.json.encode(value))


def _base64url(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()

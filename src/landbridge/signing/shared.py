"""Secret texts that a vendor repeats instead of signing: Graph's clientState, Google's channel
token, a parameter of the address.

Such a token proves who calls, and nothing of what is said: what a webhook names is read again from
the vendor.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import parse_qsl, urlsplit

import msgspec

from landbridge.errors import InvalidInput
from landbridge.signing._scheme import Call, Claim, NoClaim, Scheme, one
from landbridge.spec._paths import find
from landbridge.spec.signature import SharedToken
from landbridge.wire import Headers

_MOST_PARAMETERS = 100


@dataclass(frozen=True, kw_only=True, slots=True)
class Shared(Scheme):
    """The rules of a `SharedToken` fact."""

    spec: SharedToken

    @property
    def tolerance(self) -> timedelta | None:
        """None: there is no time."""
        return None

    @property
    def needs_call(self) -> bool:
        """Whether the token is in the address."""
        return bool(self.spec.query)

    @property
    def secret_headers(self) -> frozenset[str]:
        """The header with the token."""
        return frozenset({self.spec.header.lower()}) if self.spec.header else frozenset()

    def read(self, headers: Headers, call: Call) -> Claim:
        """The token of a header or the address; that of a body is found with the body."""
        if self.spec.header:
            return Claim(at=None, signatures=(("", one(headers, self.spec.header)),))
        if self.spec.query:
            return Claim(at=None, signatures=(("", _in_query(call.url, self.spec.query)),))
        return Claim(at=None)

    def check(self, secret: str) -> None:
        """Returns for any text but an empty one."""
        if not secret.strip():
            raise InvalidInput("secret: it is empty")

    def made_by(self, secret: str, claim: Claim, body: bytes) -> bool:
        """Whether this is the token, in every place where one is due."""
        return self.signer([secret], claim, body) is not None

    def signer(self, secrets: Sequence[str], claim: Claim, body: bytes) -> int | None:
        """The place of the first token's secret; each item of a body may have any of them."""
        for secret in secrets:
            self.check(secret)
        tokens = self._in_body(body) if self.spec.body else claim.written("")
        places = [_place(token, secrets) for token in tokens]
        return None if None in places or not places else places[0]

    def _in_body(self, body: bytes) -> list[object]:
        try:
            content: object = msgspec.json.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return []
        if not self.spec.items:
            return [find(content, self.spec.body)]
        items = find(content, self.spec.items)
        return [find(item, self.spec.body) for item in items] if isinstance(items, list) else []


def _place(token: object, secrets: Sequence[str]) -> int | None:
    if not isinstance(token, str):
        return None
    told = token.encode("utf-8", "surrogatepass")
    fits = [hmac.compare_digest(told, secret.encode()) for secret in secrets]
    return fits.index(True) if any(fits) else None


def _in_query(url: str, name: str) -> str:
    if not url:
        raise NoClaim(
            f"the token is the parameter {name} of the address, which is not known: give the URL"
            " that was called",
            reason="no_url",
        )
    try:
        pairs = parse_qsl(urlsplit(url).query, max_num_fields=_MOST_PARAMETERS)
    except ValueError:
        pairs = []
    found = [value for key, value in pairs if key == name]
    if len(found) != 1:
        raise NoClaim(
            f"the parameter {name} of the address is there {len(found)} times, not once",
            reason="malformed_header" if found else "no_header",
        )
    return found[0]

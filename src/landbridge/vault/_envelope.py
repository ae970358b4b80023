"""The form of envelopes: a head that says which key opens it, a nonce, and what was sealed."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum

from landbridge.errors import InvalidInput

NONCE = 12
_MOST_VERSION = 2**31 - 1


class Kind(StrEnum):
    """What a secret is, which decides who must be asked to open it."""

    CREDENTIAL = "credential"
    SIGNING = "signing"
    ACCESS = "access"


class Form(IntEnum):
    """The first byte of an envelope. The first two did not bind the head; they still open."""

    TENANT_KEY_FIRST = 1
    PROVIDER_FIRST = 2
    TENANT_KEY = 3
    PROVIDER = 4


_BY_PROVIDER = (Form.PROVIDER_FIRST, Form.PROVIDER)
_BOUND = (Form.TENANT_KEY, Form.PROVIDER)


@dataclass(frozen=True, kw_only=True, slots=True)
class Head:
    """What stands before the nonce: `text` is all of it, `wrapped` or `version` what it says."""

    form: Form
    text: bytes
    version: int = 0
    wrapped: bytes = b""

    @classmethod
    def of_provider(cls, wrapped: bytes) -> Head:
        """The head of a secret with a key of its own, which the key provider wrapped."""
        text = bytes([Form.PROVIDER]) + len(wrapped).to_bytes(2, "big") + wrapped
        return cls(form=Form.PROVIDER, text=text, wrapped=wrapped)

    @classmethod
    def of_tenant_key(cls, version: int) -> Head:
        """The head of a secret that the tenant's data key of this version seals."""
        text = bytes([Form.TENANT_KEY]) + version.to_bytes(4, "big")
        return cls(form=Form.TENANT_KEY, text=text, version=version)

    @property
    def by_provider(self) -> bool:
        """Whether the key provider has to be asked."""
        return self.form in _BY_PROVIDER

    def bind(self, bound_to: bytes) -> bytes:
        """The associated data of what is sealed under this head."""
        return bound_to + b"\x00" + self.text if self.form in _BOUND else bound_to


def head_of(envelope: bytes) -> Head | None:
    """The head of an envelope; None if this is none."""
    try:
        form = Form(envelope[0])
    except (IndexError, ValueError):
        return None
    if form in _BY_PROVIDER:
        end = 3 + int.from_bytes(envelope[1:3], "big")
        found = Head(form=form, text=envelope[:end], wrapped=envelope[3:end])
    else:
        end = 5
        version = int.from_bytes(envelope[1:5], "big")
        if version > _MOST_VERSION:
            return None
        found = Head(form=form, text=envelope[:end], version=version)
    return found if len(envelope) > end + NONCE else None


def bound(*parts: str) -> bytes:
    """What an envelope belongs to, so that no two things give the same bytes."""
    for part in parts:
        if "\x00" in part:
            raise InvalidInput(f"{part!r}: a tenant, an environment or a place has no NUL in it")
    return b"\x00".join(part.encode() for part in parts)

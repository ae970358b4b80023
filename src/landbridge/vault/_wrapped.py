"""The form of a wrapped key that names the key that wrapped it."""

from __future__ import annotations

from landbridge.errors import SettingsError

PREFIX = 8
"""Bytes that say which kind of provider wrapped a key."""
_LONGEST = 255


def pack(prefix: bytes, name: str, body: bytes) -> bytes:
    """A wrapped key: who wraps, the name of the key, and what only that key opens."""
    encoded = name.encode()
    return prefix + bytes([len(encoded)]) + encoded + body


def unpack(prefix: bytes, wrapped: bytes) -> tuple[str, bytes] | None:
    """The name of the key and what it wrapped; None if another kind of provider did."""
    if wrapped[:PREFIX] != prefix or len(wrapped) <= PREFIX:
        return None
    end = PREFIX + 1 + wrapped[PREFIX]
    try:
        return wrapped[PREFIX + 1 : end].decode(), wrapped[end:]
    except UnicodeDecodeError:
        return None


def key_names(setting: str, text: str) -> tuple[str, ...]:
    """Names of keys from a setting: the first wraps, all open. SettingsError if there is none."""
    names = tuple(part.strip() for part in text.split(",") if part.strip())
    if not names:
        raise SettingsError(f"{setting}: missing; it names the key that wraps all others")
    for name in names:
        if len(name.encode()) > _LONGEST:
            raise SettingsError(f"{setting}: a name has at most {_LONGEST} bytes")
    return names

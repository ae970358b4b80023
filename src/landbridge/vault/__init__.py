"""Secrets as envelopes, and who holds the key that wraps keys."""

from landbridge.vault._envelope import Kind
from landbridge.vault.keys import KeyProvider, LocalKey, new_key, read_private
from landbridge.vault.ring import KeyRing
from landbridge.vault.vault import Vault

__all__ = ["KeyProvider", "KeyRing", "Kind", "LocalKey", "Vault", "new_key", "read_private"]

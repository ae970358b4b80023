"""Secrets as envelopes, and who holds the key that wraps keys."""

from landbridge.vault.keys import KeyProvider, LocalKey, new_key
from landbridge.vault.vault import Kind, Vault

__all__ = ["KeyProvider", "Kind", "LocalKey", "Vault", "new_key"]

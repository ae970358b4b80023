"""Xero: the books of an organisation."""

from landbridge.providers.xero.provider import xero

__all__ = ["xero"]

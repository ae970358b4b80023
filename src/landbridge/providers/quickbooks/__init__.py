"""QuickBooks Online: accounting."""

from landbridge.providers.quickbooks.provider import quickbooks

__all__ = ["quickbooks"]

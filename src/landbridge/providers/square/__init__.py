"""Square: customers, catalogue, subscriptions, invoices, payments, refunds, disputes, payouts."""

from landbridge.providers.square.provider import square

__all__ = ["square"]

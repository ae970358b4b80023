"""PayPal: invoices, what is paid and refunded, and what recurs."""

from landbridge.providers.paypal.provider import paypal

__all__ = ["paypal"]

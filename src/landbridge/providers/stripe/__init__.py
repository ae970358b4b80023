"""Stripe: customers, what they buy, and their payments."""

from landbridge.providers.stripe.provider import stripe

__all__ = ["stripe"]

"""A simulated PayPal: one merchant's sandbox account with its app, and signed webhooks.

Written from PayPal's OpenAPI files of February 2024 and its documentation, not from Landbridge's
page. Its webhooks are signed with a certificate of its own, which it serves.
"""

from landbridge.testing.paypal.app import CLIENT, SECRET, Settings, Simulator, places
from landbridge.testing.paypal.seed import Amounts

__all__ = ["CLIENT", "SECRET", "Amounts", "Settings", "Simulator", "places"]

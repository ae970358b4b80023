"""A simulated Xero: an OAuth server, several organisations with their books, and webhooks.

Written from Xero's OpenAPI files 16.1.0 and its documentation, not from Landbridge's page.
"""

from landbridge.testing.xero.app import Settings, Simulator, places
from landbridge.testing.xero.identity import CLIENT, SECRET
from landbridge.testing.xero.quotas import Limits
from landbridge.testing.xero.seed import Amounts

__all__ = ["CLIENT", "SECRET", "Amounts", "Limits", "Settings", "Simulator", "places"]

"""A simulated QuickBooks Online: an OAuth server, companies with their books, and webhooks.

Written from Intuit's schema of the v3 API and its documentation, not from Landbridge's page.
"""

from landbridge.testing.quickbooks.app import Settings, Simulator, places
from landbridge.testing.quickbooks.identity import CLIENT, SECRET
from landbridge.testing.quickbooks.quotas import Limits
from landbridge.testing.quickbooks.seed import Amounts

__all__ = ["CLIENT", "SECRET", "Amounts", "Limits", "Settings", "Simulator", "places"]

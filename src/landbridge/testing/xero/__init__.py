"""A simulated Xero: an OAuth server, several organisations with their books, and webhooks.

Written from Xero's OpenAPI files 16.1.0 and its documentation, not from Landbridge's page.
"""

from landbridge.testing.xero.app import Settings, Simulator
from landbridge.testing.xero.identity import CLIENT, SECRET

__all__ = ["CLIENT", "SECRET", "Settings", "Simulator"]

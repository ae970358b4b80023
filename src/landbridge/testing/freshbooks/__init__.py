"""A simulated FreshBooks: an OAuth server, some businesses with their books, and callbacks.

Written from the field lists and fixtures of FreshBooks's official SDKs and from its documentation,
not from Landbridge's page.
"""

from landbridge.testing.freshbooks.app import Settings, Simulator, places
from landbridge.testing.freshbooks.identity import CLIENT, SECRET
from landbridge.testing.freshbooks.seed import Amounts

__all__ = ["CLIENT", "SECRET", "Amounts", "Settings", "Simulator", "places"]

"""A simulator of Square: OAuth, one merchant's locations, customers, catalogue, money, webhooks."""

from landbridge.testing.square.app import Settings, Simulator, places
from landbridge.testing.square.identity import APPLICATION, SECRET
from landbridge.testing.square.seed import Amounts

__all__ = ["APPLICATION", "SECRET", "Amounts", "Settings", "Simulator", "places"]

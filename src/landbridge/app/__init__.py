"""Settings and wiring: the only place where everything meets."""

from landbridge.app.bridge import Landbridge
from landbridge.app.settings import Settings

__all__ = ["Landbridge", "Settings"]

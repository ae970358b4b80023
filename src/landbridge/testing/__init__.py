"""What you test an integration with: servers that behave like the vendors', well and badly."""

from landbridge.clock import FakeClock
from landbridge.testing.conduct import Conduct
from landbridge.testing.faults import Fault

__all__ = ["Conduct", "FakeClock", "Fault"]

"""What you test an integration with: servers that behave like the vendors', well and badly."""

from landbridge.clock import FakeClock

__all__ = ["FakeClock"]

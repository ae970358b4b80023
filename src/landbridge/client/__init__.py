"""HTTP towards providers and receivers, guarded against addresses that must not be called."""

from landbridge.client.http import Client
from landbridge.client.seams import Lane
from landbridge.client.sign_in import SignIn
from landbridge.client.signed import Signed

__all__ = ["Client", "Lane", "SignIn", "Signed"]

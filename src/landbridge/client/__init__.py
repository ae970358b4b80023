"""HTTP towards providers and receivers, guarded against addresses that must not be called."""

from landbridge.client.http import Client, Signed
from landbridge.client.sign_in import SignIn

__all__ = ["Client", "SignIn", "Signed"]

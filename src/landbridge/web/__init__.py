"""HTTP towards the outside: where webhooks come in, and what a server shows."""

from landbridge.web.intake import ASGI, intake_app
from landbridge.web.site import site

__all__ = ["ASGI", "intake_app", "site"]

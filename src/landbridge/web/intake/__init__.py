"""Where webhooks come in."""

from landbridge.web.intake.asgi import ASGI, Scope, Send, intake_app
from landbridge.web.intake.reading import Receive

__all__ = ["ASGI", "Receive", "Scope", "Send", "intake_app"]

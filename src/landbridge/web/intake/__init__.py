"""Where webhooks come in."""

from landbridge.web.intake.asgi import ASGI, Receive, Scope, Send, intake_app

__all__ = ["ASGI", "Receive", "Scope", "Send", "intake_app"]

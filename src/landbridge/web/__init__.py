"""HTTP towards the outside: where webhooks come in, and what a server shows."""

from landbridge.web.connect import Desk, checked_texts, connect_app
from landbridge.web.intake import ASGI, intake_app
from landbridge.web.metrics import MeasuresCollector, exposition, metrics_app
from landbridge.web.site import site

__all__ = [
    "ASGI",
    "Desk",
    "MeasuresCollector",
    "checked_texts",
    "connect_app",
    "exposition",
    "intake_app",
    "metrics_app",
    "site",
]

"""Pages on which a tenant's people connect accounts, and the script that opens them."""

from landbridge.web.connect.asgi import connect_app
from landbridge.web.connect.desk import Desk
from landbridge.web.connect.texts import TEXTS, checked_texts

__all__ = ["TEXTS", "Desk", "checked_texts", "connect_app"]

"""A receiver of webhooks that checks each delivery and remembers all of them.

`python -m landbridge.testing.serve receiver --endpoint shop=whsec_... --journal FILE`. Deliveries
go to `/hook/{name}`. What was genuine and not failed on purpose is answered with 200.
"""

from landbridge.testing.receiver.app import Receiver, Settings

__all__ = ["Receiver", "Settings"]

"""A Stripe account that runs on your machine: `Simulator().app` is an ASGI application.

`python -m landbridge.testing.serve stripe --port 0` serves it. The control plane is described in
`landbridge.testing.stripe.control`, faults in `landbridge.testing.faults`.
"""

from landbridge.testing.stripe.app import KEY, Settings, Simulator, places
from landbridge.testing.stripe.seed import Amounts

__all__ = ["KEY", "Amounts", "Settings", "Simulator", "places"]

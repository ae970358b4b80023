"""A small CalDAV server for those without a real one: `Simulator().app` is an ASGI application.

`python -m landbridge.testing.serve caldav --port 0` serves it; `--dialect xandikos` gives it the
manners of that server instead of Radicale's (`dialect`). The control plane is in `control`.
"""

from landbridge.testing.caldav.app import CALENDAR, Settings, Simulator, places

__all__ = ["CALENDAR", "Settings", "Simulator", "places"]

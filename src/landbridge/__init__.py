"""Landbridge: the integration layer of a SaaS, on Postgres alone.

    from landbridge import Landbridge
    from landbridge.models.payments import Invoice

    bridge = Landbridge.from_env()

Names are loaded when they are first used, so that `import landbridge` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from landbridge.app import Landbridge as Landbridge
    from landbridge.app import Settings as Settings
    from landbridge.clock import FakeClock as FakeClock
    from landbridge.engine.catalogue import EventType as EventType
    from landbridge.engine.catalogue import Version as Version
    from landbridge.engine.connect import Connected as Connected
    from landbridge.engine.consume import Change as Change
    from landbridge.engine.link import Functions as Functions
    from landbridge.engine.link import Table as Table
    from landbridge.engine.received import Received as Received
    from landbridge.engine.sessions import ConnectSession as ConnectSession
    from landbridge.engine.suggest import Code as Code
    from landbridge.errors import LandbridgeError as LandbridgeError
    from landbridge.merge import Policy as Policy
    from landbridge.merge import Take as Take
    from landbridge.store.connections import Connection as Connection
    from landbridge.store.database import Tx as Tx

_HOME = {
    "Change": "landbridge.engine.consume",
    "Code": "landbridge.engine.suggest",
    "ConnectSession": "landbridge.engine.sessions",
    "Connected": "landbridge.engine.connect",
    "Connection": "landbridge.store.connections",
    "EventType": "landbridge.engine.catalogue",
    "FakeClock": "landbridge.clock",
    "Functions": "landbridge.engine.link",
    "Landbridge": "landbridge.app",
    "LandbridgeError": "landbridge.errors",
    "Policy": "landbridge.merge",
    "Received": "landbridge.engine.received",
    "Settings": "landbridge.app",
    "Table": "landbridge.engine.link",
    "Take": "landbridge.merge",
    "Tx": "landbridge.store.database",
    "Version": "landbridge.engine.catalogue",
}

__all__ = [
    "Change",
    "Code",
    "ConnectSession",
    "Connected",
    "Connection",
    "EventType",
    "FakeClock",
    "Functions",
    "Landbridge",
    "LandbridgeError",
    "Policy",
    "Received",
    "Settings",
    "Table",
    "Take",
    "Tx",
    "Version",
]


def __getattr__(name: str) -> Any:
    """The public name, imported now (PEP 562)."""
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'landbridge' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__

"""What a tenant made at its provider for itself: records of custom objects."""

from typing import ClassVar

from landbridge.models.base import Model


class CustomRecord(Model, frozen=True, kw_only=True):
    """A record of a custom object; all that it says is in `extra`."""

    kind: ClassVar[str] = "custom.record"

    object: str
    """The name under which the object was set for the connection, such as `car`."""

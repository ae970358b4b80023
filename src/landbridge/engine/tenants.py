"""What a tenant may be called."""

from __future__ import annotations

from landbridge.errors import InvalidInput


def check_tenant(tenant: str) -> None:
    """Raises InvalidInput for an empty name, and for one that Postgres cannot store."""
    if not tenant or "\x00" in tenant:
        raise InvalidInput("tenant: empty; give your own id of the customer, such as acme")

"""A page with quotas, and connections that use them, without a row in any table."""

from datetime import UTC, datetime
from typing import Any

from landbridge.spec import ApiKey, Errors, Field, Provider, Quota, Resource
from landbridge.store.connections import Connection
from landbridge.wire import Headers, Response


def page(*quotas: Quota) -> Provider:
    return Provider(
        slug="acme",
        name="Acme",
        docs="https://acme.example/docs",
        checked="2026-11-22",
        auth=ApiKey(fields=[Field(name="key", label="Key")]),
        base="https://api.acme.example",
        errors=Errors(quota="X-Problem", code="code", throttled=["slow_down"]),
        quotas=quotas,
        resources=[Resource(name="thing", path="/things", key="id")],
    )


def connection(name: str, **more: Any) -> Connection:
    """Of the tenant `name`, at an account of its own, by the app `one`."""
    values: dict[str, Any] = {
        "environment": "test",
        "tenant": name,
        "id": f"con_{name}",
        "app": "one",
        "access_grant": f"grt_{name}",
        "provider": "acme",
        "account": name,
        "account_name": name,
        "token": "token",
        "owner": "",
        "label": "",
        "state": "active",
        "reason": "",
        "settings": {},
        "secrets": None,
        "created_at": datetime(2026, 11, 22, tzinfo=UTC),
    }
    return Connection(**{**values, **more})


def answer(status: int = 200, body: bytes = b"", **headers: str) -> Response:
    named = [(name.replace("_", "-"), value) for name, value in headers.items()]
    return Response(status=status, headers=Headers(named), body=body)

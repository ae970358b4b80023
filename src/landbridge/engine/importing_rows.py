"""Rows of tokens as other systems export them: our own names, or theirs one level down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from landbridge.errors import InvalidInput


@dataclass(frozen=True, kw_only=True)
class Row:
    """One grant of a tenant, as exported. Empty: not known."""

    provider: str
    tenant: str
    refresh: str = field(repr=False)
    access: str = field(repr=False)
    expires_at: datetime | None
    scopes: tuple[str, ...]
    account: str
    account_name: str
    owner: str
    label: str
    settings: Mapping[str, str] = field(repr=False)


def read_row(raw: object) -> Row:
    """A row, checked. InvalidInput names the field that is missing or of a wrong kind."""
    if not isinstance(raw, Mapping):
        raise InvalidInput("the row is no JSON object")
    inner = raw.get("credentials")
    tokens = {**raw, **inner} if isinstance(inner, Mapping) else raw
    answer = tokens.get("raw")
    scopes = tokens.get("scopes", answer.get("scope") if isinstance(answer, Mapping) else None)
    row = Row(
        provider=_text(raw, "provider", "provider_config_key"),
        tenant=_text(raw, "tenant", "connection_id"),
        refresh=_text(tokens, "refresh_token"),
        access=_text(tokens, "access_token"),
        expires_at=_instant(tokens.get("expires_at")),
        scopes=_scopes(scopes),
        account=_text(raw, "account"),
        account_name=_text(raw, "account_name"),
        owner=_text(raw, "owner"),
        label=_text(raw, "label"),
        settings=_settings(raw.get("settings", raw.get("connection_config"))),
    )
    for name, value in (("provider", row.provider), ("tenant", row.tenant)):
        if not value:
            raise InvalidInput(f"{name}: missing")
    if not row.refresh and not row.access:
        raise InvalidInput("refresh_token: missing, and there is no access_token either")
    return row


def _text(raw: Mapping[str, object], *names: str) -> str:
    """The first of these fields that is there."""
    for name in names:
        value = raw.get(name)
        if value is None or value == "":
            continue
        if not isinstance(value, str) or "\x00" in value:
            raise InvalidInput(f"{name}: it is not text")
        return value
    return ""


def _instant(value: object) -> datetime | None:
    """ISO text with a zone (without one: UTC), or seconds since 1970."""
    if value is None or value == "":
        return None
    try:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return datetime.fromtimestamp(value, tz=UTC)
        if isinstance(value, str):
            found = datetime.fromisoformat(value)
            return found if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, OverflowError, OSError):
        pass
    raise InvalidInput(
        "expires_at: it is neither an instant such as 2026-11-27T12:00:00Z nor seconds"
    )


def _scopes(value: object) -> tuple[str, ...]:
    if value is None:
        return ()
    if isinstance(value, str):
        return tuple(value.replace(",", " ").split())
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return tuple(value)
    raise InvalidInput("scopes: it is neither a list of texts nor one text")


def _settings(value: object) -> dict[str, str]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise InvalidInput("settings: it is no object")
    return {str(name): text for name, text in value.items() if isinstance(text, str)}

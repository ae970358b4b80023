"""What calls about endpoints give back."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from landbridge.engine._endpoint_input import Scheme
from landbridge.errors import NotFound
from landbridge.store.endpoints import Endpoint


@dataclass(frozen=True, kw_only=True)
class Created:
    """An endpoint with what was made for it: give it to the receiver, who verifies with it.

    `secret` (v1) is shown this once, `public_key` (v1a) at any time; each is empty where none was
    made.
    """

    endpoint: Endpoint
    secret: str = field(default="", repr=False)
    public_key: str = ""


@dataclass(frozen=True, kw_only=True)
class Key:
    """Something that signs for an endpoint. `public_key` is empty for v1, whose secret is not
    shown; `until` is when it ends, None for the newest."""

    version: str
    public_key: str
    until: datetime | None


@dataclass(frozen=True, kw_only=True)
class Shown:
    """An endpoint with what is sealed of it, as far as it is shown: headers by their names."""

    endpoint: Endpoint
    scheme: Scheme
    keys: tuple[Key, ...]
    headers: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Enabled:
    """An endpoint that gets events again, and what it did not get.

    `undelivered` events were given up while it failed and when it was disabled, or emitted since
    (at least that many if not `exact`). A replay of `state="undelivered"` from `since` delivers
    them. None and 0 for one that was not disabled.
    """

    endpoint: Endpoint
    disabled_at: datetime | None
    since: datetime | None
    undelivered: int
    exact: bool


def found_or_raise(endpoint: Endpoint | None, id: str) -> Endpoint:
    """The endpoint; NotFound for None."""
    if endpoint is None:
        raise missing(id)
    return endpoint


def missing(id: str) -> NotFound:
    """The error for an endpoint that is not there."""
    return NotFound(
        f"{id!r} is no endpoint of this tenant here; see them with: landbridge endpoints list"
    )

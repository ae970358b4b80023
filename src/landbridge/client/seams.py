"""What a call passes on its way out: the token it carries, the quotas it keeps to, the shadow that
may hold it back. Each is filled by `app`, from layers above or beside this one."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from landbridge.spec import Provider
from landbridge.store.connections import Connection
from landbridge.wire import Request, Response


class Lane(StrEnum):
    """Who goes first when a quota is short, the first one first."""

    INTERACTIVE = "interactive"
    WEBHOOK = "webhook"
    INCREMENTAL = "incremental"
    BACKFILL = "backfill"


@dataclass(frozen=True, kw_only=True)
class Access:
    """An access token, the version of the grant that it belongs to, and when it ends (None: the
    provider does not say)."""

    token: str = field(repr=False)
    version: int
    expires_at: datetime | None = None


class AccessTokens(Protocol):
    """Gives the access tokens of connections whose provider has such."""

    async def access(self, connection: Connection) -> Access:
        """A token that is valid for the length of a call; refreshed before, if need be.

        ReconnectRequired: there is none any more. Unreachable: the provider gives none now.
        """
        ...

    async def refused(self, connection: Connection, version: int) -> Access:
        """The token to use after a 401 for that version: a newer one, by a refresh if need be."""
        ...


class Governor(Protocol):
    """Keeps calls within the provider's quotas, over all processes."""

    async def acquire(
        self, provider: Provider, connection: Connection, lane: Lane, *, cost: int = 1
    ) -> None:
        """Returns when the call may be sent; Throttled when that takes too long for its lane."""
        ...

    def answered(self, provider: Provider, connection: Connection, response: Response) -> None:
        """Learns from an answer what is left, and what a 429 is about; ends the call's turn."""
        ...

    def unanswered(self, provider: Provider, connection: Connection) -> None:
        """Ends the turn of a call to which no answer came."""
        ...


class Recorder(Protocol):
    """Holds writes back while a shadow runs."""

    async def keep(
        self, provider: Provider, connection: Connection, request: Request
    ) -> Response | None:
        """The answer that is made up for a request that was recorded; None: it is to be sent."""
        ...

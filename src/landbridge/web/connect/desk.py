"""What the pages do besides showing: the application wires it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from landbridge.engine.connect import Connected
from landbridge.spec import Provider
from landbridge.store.connections import Connection
from landbridge.store.database import Database
from landbridge.store.sessions import Session


class Asked(Protocol):
    """One scope of a consent, and in words for what it is."""

    @property
    def why(self) -> str:
        """What it is for."""


class Begun(Protocol):
    """A consent under way: where the browser goes, and what it has to show when it is back."""

    @property
    def url(self) -> str:
        """The provider's address."""

    @property
    def browser_token(self) -> str:
        """What binds it to the browser."""


class Finished(Protocol):
    """What came of a consent; with a `choice` its connections wait to be chosen."""

    @property
    def connected(self) -> Sequence[Connected]:
        """The connections."""

    @property
    def choice(self) -> str:
        """What `choose` wants to see; empty: there is nothing to choose."""


class Consents(Protocol):
    """Consents at providers, as `engine.consent` has them."""

    async def begin(
        self,
        provider: str,
        *,
        environment: str,
        tenant: str,
        fields: Mapping[str, str] | None = None,
        settings: Mapping[str, str] | None = None,
        owner: str = "",
        label: str = "",
        connection: Connection | None = None,
        choose: bool = False,
        context: Mapping[str, Any] | None = None,
    ) -> Begun:
        """Begins a consent of a tenant."""

    async def finish(self, provider: str, query: Mapping[str, str], browser_token: str) -> Finished:
        """Ends it with what the provider sent back."""

    async def choose(
        self, choice: str, browser_token: str, chosen: Sequence[str]
    ) -> Sequence[Connected]:
        """Keeps these of the connections that wait, and forgets the rest."""


@dataclass(frozen=True, kw_only=True)
class Desk:
    """The use cases behind the pages. `public` is the address below which they are reached."""

    public: str
    db: Callable[[], Database]
    offered: Callable[[], Sequence[Provider]]
    """The pages of facts that there are, for sessions that name none."""
    typed: Callable[[Session, Provider, Mapping[str, str]], Awaitable[Connected]]
    """Connects a session's tenant with what was typed in."""
    consents: Callable[[], Consents] | None = None
    """None: providers that need a consent are not offered."""
    asks: Callable[[Session, Provider], Awaitable[Sequence[str]]] | None = None
    """In words, what a consent at this provider asks for."""

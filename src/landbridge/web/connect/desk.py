"""What the pages do besides showing: the application wires it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from landbridge.engine.codes import Matching
from landbridge.engine.connect import Connected
from landbridge.engine.consent import Consents
from landbridge.spec import Provider
from landbridge.store.database import Database
from landbridge.store.sessions import Session


@dataclass(frozen=True, kw_only=True)
class Desk:
    """The use cases behind the pages. `public` is the address below which they are reached."""

    public: str
    db: Callable[[], Database]
    offered: Callable[[], Sequence[Provider]]
    """The pages of facts that there are, for sessions that name none."""
    typed: Callable[[Session, Provider, Mapping[str, str]], Awaitable[Connected]]
    """Connects a session's tenant with what was typed in."""
    consents: Callable[[], Consents]
    asks: Callable[[Session, Provider], Awaitable[Sequence[str]]]
    """In words, what a consent at this provider asks for."""
    matches: Callable[[Provider], bool]
    """Whether there are codes of this provider to be matched with ours."""
    matchings: Callable[[Session, str], Awaitable[Sequence[Matching]]]
    """What is to be matched at a connection of the session's tenant."""
    confirm: Callable[[Session, str, str, Mapping[str, str]], Awaitable[None]]
    """Sets lines of a table at a connection, theirs to ours."""

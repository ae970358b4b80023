"""What the connect pages do, wired to the parts of a bridge."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from landbridge.app.opening import Parts
from landbridge.engine.codes import Matching, Tables, matched_tables
from landbridge.engine.connect import Connected, connect
from landbridge.engine.custom import Custom
from landbridge.errors import NotFound
from landbridge.spec import Provider, asked
from landbridge.store import apps, connections
from landbridge.store.connections import Connection
from landbridge.store.sessions import Session
from landbridge.web.connect.desk import Desk


@dataclass(frozen=True, kw_only=True)
class Connecting:
    """The use cases behind the pages; `parts` are there while the bridge is open."""

    parts: Callable[[], Parts]
    codes: Callable[[], Tables]

    def desk(self, public: str, offered: Callable[[], Sequence[Provider]]) -> Desk:
        """What the pages are given."""
        return Desk(
            public=public,
            db=lambda: self.parts().front,
            offered=offered,
            typed=self.typed,
            consents=lambda: self.parts().consents,
            asks=self.asks,
            matches=lambda provider: bool(matched_tables(provider, self.codes())),
            matchings=self.matchings,
            confirm=self.confirm,
        )

    async def typed(
        self, session: Session, provider: Provider, given: Mapping[str, str]
    ) -> Connected:
        """Connects a session's tenant with what was typed in."""
        parts = self.parts()
        connected = await connect(
            parts.db,
            parts.vault,
            parts.client,
            provider,
            environment=session.environment,
            tenant=session.tenant,
            credentials=given,
            settings=session.args["settings"].get(provider.slug, {}),
            owner=session.args["owner"],
            label=session.args["label"],
            again=await self._again(session),
        )
        await parts.db.notify()
        return connected

    async def asks(self, session: Session, provider: Provider) -> list[str]:
        """In words, what a consent asks for: what is enabled in the tenant's app."""
        app = await apps.for_tenant(
            self.parts().db,
            environment=session.environment,
            provider=provider.slug,
            tenant=session.tenant,
        )
        found = asked(provider, app.resources, app.writes) if app else asked(provider)
        return [each.why for each in found]

    async def matchings(self, session: Session, connection: str) -> Sequence[Matching]:
        """What is to be matched at a connection of a session's tenant."""
        return await self._custom().match_codes(await self._one(session, connection))

    async def confirm(
        self, session: Session, connection: str, table: str, lines: Mapping[str, str]
    ) -> None:
        """Sets the lines that a person confirmed; records with other codes are parked."""
        found = await self._one(session, connection)
        await self._custom().set_codes(found, table, lines, anyway=True)

    def _custom(self) -> Custom:
        parts = self.parts()
        return Custom(parts.db, provider=parts.provider, codes=self.codes())

    async def _one(self, session: Session, connection: str) -> Connection:
        found = await connections.one(
            self.parts().db,
            environment=session.environment,
            tenant=session.tenant,
            id=connection,
        )
        if found is None:
            raise NotFound(f"the connection {connection} is gone")
        return found

    async def _again(self, session: Session) -> Connection | None:
        """The connection that a session reconnects."""
        if session.connection is None:
            return None
        return await connections.one(
            self.parts().db,
            environment=session.environment,
            tenant=session.tenant,
            id=session.connection,
        )

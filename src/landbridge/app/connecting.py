"""What the connect pages do, wired to the parts of a bridge."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from landbridge.app.opening import Parts
from landbridge.engine.connect import Connected, connect
from landbridge.spec import Provider, asked
from landbridge.store import apps, connections
from landbridge.store.connections import Connection
from landbridge.store.sessions import Session
from landbridge.web.connect.desk import Desk


@dataclass(frozen=True, kw_only=True)
class Connecting:
    """The use cases behind the pages; `parts` are there while the bridge is open."""

    parts: Callable[[], Parts]

    def desk(self, public: str, offered: Callable[[], Sequence[Provider]]) -> Desk:
        """What the pages are given."""
        return Desk(
            public=public,
            db=lambda: self.parts().front,
            offered=offered,
            typed=self.typed,
            consents=lambda: self.parts().consents,
            asks=self.asks,
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

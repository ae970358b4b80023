"""What the connect pages do, wired to the parts of a bridge."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from landbridge.app.opening import Parts
from landbridge.engine.connect import Connected, connect
from landbridge.spec import Provider
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
        )
        await parts.db.notify()
        return connected

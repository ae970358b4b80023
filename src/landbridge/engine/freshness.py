"""How old what we hold is: measured when a pull ends, and when a change is stored."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Literal

from landbridge.engine.page import Applied
from landbridge.errors import RecordError, UnmappedCode
from landbridge.measures import CHANGE_AGE_SECONDS, PULL_AGE_SECONDS, Measures
from landbridge.protocols import Fetched, Page
from landbridge.spec import Provider, Resource
from landbridge.store.syncs import Stream


class Freshness:
    """Files ages into the measures of a process; streams count under their provider's resource."""

    def __init__(self, measures: Measures):
        self._measures = measures

    def pulled(self, provider: Provider, stream: Stream, since: timedelta | None) -> None:
        """A pull came to its end, this long after the one before; None: it is the first."""
        if since is not None:
            self._measures.observe(
                PULL_AGE_SECONDS,
                since.total_seconds(),
                stream.environment,
                provider.slug,
                stream.resource,
            )

    def page(
        self, provider: Provider, resource: Resource, stream: Stream, page: Page, applied: Applied
    ) -> None:
        """What a page stored that says when it changed; a full listing's are old, and no measure
        of how well changes are followed."""
        if page.listing is not None or applied.at is None or not applied.stored:
            return
        stored = set(applied.stored)
        changed = [fetched for fetched in page.records if fetched.key in stored]
        stamps = [stamp for fetched in changed if (stamp := stamp_of(resource, fetched))]
        self.changes(provider, stream, stamps, applied.at, by="pull")

    def changes(
        self,
        provider: Provider,
        stream: Stream,
        stamps: Sequence[datetime],
        stored_at: datetime,
        *,
        by: Literal["pull", "webhook"],
    ) -> None:
        """Changes of these moments, by the provider's clock, were stored at that one, by ours."""
        self._measures.observe_many(
            CHANGE_AGE_SECONDS,
            [(stored_at - stamp).total_seconds() for stamp in stamps],
            stream.environment,
            provider.slug,
            stream.resource,
            by,
        )


def stamp_of(resource: Resource, fetched: Fetched) -> datetime | None:
    """When the provider says that the record changed: by the event that named it, or its own."""
    if fetched.stamp is not None:
        return datetime.fromtimestamp(fetched.stamp, UTC)
    if resource.maps is None:
        return None
    try:
        stamp = getattr(resource.maps.read(fetched.value), "updated_at", None)
    except (RecordError, UnmappedCode):  # parked
        return None
    return stamp if isinstance(stamp, datetime) and stamp.tzinfo is not None else None

"""The verbs that write in a caller's own transaction: what a bridge can do without being open."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from typing import Any, overload

from landbridge import ids
from landbridge.app import opening
from landbridge.app.settings import Settings
from landbridge.engine import emit, push
from landbridge.errors import NotFound, SettingsError
from landbridge.models import Model
from landbridge.providers import get as get_provider
from landbridge.spec import Provider
from landbridge.store.bind import AsyncBound, BlockingBound, bind
from landbridge.store.connections import Connection
from landbridge.store.database import Database, Tx


class Writing:
    """Settings, providers and the parts that are open, and the verbs of a transaction."""

    def __init__(self, settings: Settings, *, providers: Sequence[Provider] | None = None):
        self.settings = settings
        self._pages = None if providers is None else {page.slug: page for page in providers}
        self._parts: opening.Parts | None = None

    @property
    def _open(self) -> opening.Parts:
        if self._parts is None:
            raise SettingsError(
                "the bridge is not open: use `async with bridge:` or give its lifespan to the app"
            )
        return self._parts

    @property
    def db(self) -> Database:
        """The pool, while the bridge is open."""
        return self._open.db

    def provider(self, slug: str) -> Provider:
        """The page of a provider; NotFound with the nearest names."""
        if self._pages is None:
            return get_provider(slug)
        if slug in self._pages:
            return self._pages[slug]
        raise NotFound(f"{slug!r} is not among this bridge's providers: {', '.join(self._pages)}")

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Tx]:
        """A transaction on our own pool; what it emits is on its way as soon as it commits."""
        async with self.db.transaction() as tx:
            yield tx
        if tx.wake:
            await self.db.notify()

    @overload
    def emit(
        self, tx: AsyncBound, type: str, data: object, *, tenant: str, **more: Any
    ) -> Awaitable[ids.EventId]: ...

    @overload
    def emit(
        self, tx: BlockingBound, type: str, data: object, *, tenant: str, **more: Any
    ) -> ids.EventId: ...

    @overload
    def emit(self, tx: object, type: str, data: object, *, tenant: str, **more: Any) -> Any: ...

    def emit(
        self,
        tx: object,
        type: str,
        data: object,
        *,
        tenant: str,
        environment: str | None = None,
        **more: Any,
    ) -> Any:
        """Writes an event into the caller's transaction: it is delivered if and only if that
        commits. Gives the event's id; on an async session it is to be awaited.

        `tx` is ours (`bridge.transaction()`), or a session, connection or cursor of asyncpg,
        psycopg, SQLAlchemy or Django with an open transaction. `more` takes `idempotency_key`,
        `ordering_key`, `subject`, `schema_version` and `content_type`.
        """
        return emit.emit(
            bind(tx, schema=self.settings.schema_name),
            type,
            data,
            environment=environment or self.settings.environment,
            tenant=tenant,
            limit=self.settings.event_limit,
            **more,
        )

    @overload
    def push(
        self,
        tx: AsyncBound,
        document: Model,
        *,
        to: Connection,
        resource: str | None = None,
        action: str | None = None,
    ) -> Awaitable[ids.IntentId]: ...

    @overload
    def push(
        self,
        tx: BlockingBound,
        document: Model,
        *,
        to: Connection,
        resource: str | None = None,
        action: str | None = None,
    ) -> ids.IntentId: ...

    @overload
    def push(
        self,
        tx: object,
        document: Model,
        *,
        to: Connection,
        resource: str | None = None,
        action: str | None = None,
    ) -> Any: ...

    def push(
        self,
        tx: object,
        document: Model,
        *,
        to: Connection,
        resource: str | None = None,
        action: str | None = None,
    ) -> Any:
        """Promises one write at a provider, in the caller's transaction; gives the intent's id.

        A document with an id updates that record, one without creates it; `action="delete"`
        deletes it. Only fields that differ from what we know of the record are sent. The intent's
        id is the idempotency key, so a repeated try has one effect. On an async session the result
        is to be awaited.
        """
        return push.promise(
            bind(tx, schema=self.settings.schema_name),
            self.provider(to.provider),
            document,
            to=to,
            resource=resource,
            action=action,
        )

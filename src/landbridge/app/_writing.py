"""The verbs that write: in a caller's own transaction, which needs no open bridge, or alone."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, Final, Unpack, overload

from landbridge import ids
from landbridge.app import opening
from landbridge.app.settings import Settings
from landbridge.engine import emit, push
from landbridge.engine.catalogue import Catalogue, EventType
from landbridge.engine.codes import Tables, declared_codes
from landbridge.engine.emit import Options
from landbridge.engine.overlay import page_of
from landbridge.engine.reference import References
from landbridge.engine.suggest import Code
from landbridge.errors import InvalidInput, NotFound, SettingsError
from landbridge.measures import EMITS, Measures
from landbridge.models import Model
from landbridge.providers import get as get_provider
from landbridge.providers import names as provider_names
from landbridge.spec import Provider
from landbridge.store import event_types
from landbridge.store.bell import Bell
from landbridge.store.bind import AsyncBound, Awaiting, BlockingBound, bind
from landbridge.store.connections import Connection
from landbridge.store.database import DISPATCH, Database, Tx
from landbridge.store.sql import Sql

_NOT_GIVEN: Final = object()


class Writing:
    """Settings, providers, events and the parts that are open, and the verbs that write."""

    def __init__(
        self,
        settings: Settings,
        *,
        providers: Sequence[Provider] | None = None,
        events: Sequence[EventType] = (),
    ):
        self.settings = settings
        self.measures = Measures()
        self.catalogue = Catalogue(events)
        self._codes: Tables = {}
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

    def page(self, connection: Connection) -> Provider:
        """The page of a connection: its provider's, with the fields and objects that its tenant
        added (see `custom`)."""
        return page_of(self.provider, connection)

    def offered(self) -> tuple[Provider, ...]:
        """Every page that this bridge connects, by name."""
        pages = self._pages
        if pages is None:
            pages = {slug: get_provider(slug) for slug in provider_names()}
        return tuple(sorted(pages.values(), key=lambda page: page.name))

    def declare(self, *events: EventType) -> None:
        """Adds types to the catalogue of events, before the bridge is opened.

        From the first one on, `emit` takes declared types only, and data that fits their models.
        SpecError names what is wrong in a declaration.
        """
        if self._parts is not None:
            raise SettingsError("the bridge is open already; declare events before that")
        self.catalogue.declare(events)

    def codes(self, table: str, codes: Sequence[Code]) -> None:
        """Declares the codes by which your documents name ledger accounts, tax rates and the like,
        before the bridge is opened.

        `table` is a code table of pages, such as accounts. What is known of a code (name, kind,
        rate) is what suggestions for a tenant's table go by; nothing of it is secret, and none of
        it is stored. SpecError names what is wrong.
        """
        if self._parts is not None:
            raise SettingsError("the bridge is open already; declare codes before that")
        self._codes = declared_codes(self._codes, table, codes)

    async def _publish(self) -> None:
        """Writes the catalogue down for those who have not this code, if it changed."""
        if self.catalogue:
            await event_types.sync(self.db, self.catalogue.stored())

    @property
    def _bell(self) -> Bell | None:
        return None if self._parts is None else self._parts.bell

    @property
    def _outbox_bell(self) -> Bell | None:
        return None if self._parts is None else self._parts.outbox_bell

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Tx]:
        """A transaction on our own pool; what it emits is on its way as soon as it commits."""
        async with self.db.transaction() as tx:
            yield tx
        if tx.wakes == {DISPATCH}:
            self._open.outbox_bell.ring()
        elif tx.wakes:
            self._open.bell.ring()

    @overload
    def emit(
        self,
        tx: AsyncBound,
        type: str,
        data: object,
        *,
        tenant: str,
        **more: Unpack[Options],
    ) -> Awaitable[ids.EventId]: ...

    @overload
    def emit(
        self,
        tx: BlockingBound,
        type: str,
        data: object,
        *,
        tenant: str,
        **more: Unpack[Options],
    ) -> ids.EventId: ...

    @overload
    def emit(
        self, type: str, data: object, /, *, tenant: str, **more: Unpack[Options]
    ) -> Awaitable[ids.EventId]: ...

    @overload
    def emit(
        self, tx: object, type: str, data: object, *, tenant: str, **more: Unpack[Options]
    ) -> Any: ...

    def emit(
        self,
        tx: object,
        type: Any,
        data: object = _NOT_GIVEN,
        *,
        tenant: str,
        environment: str | None = None,
        by_reference: bool = False,
        **more: Any,
    ) -> Any:
        """Writes an event into the caller's transaction: it is delivered if and only if that
        commits. Gives the event's id; on an async session it is to be awaited.

        `tx` is ours (`bridge.transaction()`), or a session, connection or cursor of asyncpg,
        psycopg, SQLAlchemy or Django with an open transaction. Without one, `await
        bridge.emit("invoice.paid", data, tenant=...)` commits the event by itself, together with
        others that are emitted at the same time.

        `more` takes `idempotency_key`, `ordering_key`, `subject` and `content_type`. With
        `by_reference` receivers get an address under which they fetch the body; it may be larger.
        InvalidInput names what is wrong, PayloadTooLarge says by how much.
        """
        alone = data is _NOT_GIVEN
        if alone and not isinstance(tx, str):
            raise InvalidInput(
                "data: it is missing; give a session, a type and data, in this order"
            )
        where = environment or self.settings.environment
        event, statement, binds = emit.prepare(
            str(tx) if alone else type,
            type if alone else data,
            environment=where,
            tenant=tenant,
            catalogue=self.catalogue,
            references=self._references() if by_reference else None,
            limit=self.settings.event_limit,
            **more,
        )
        if alone:
            return self._put(event, binds, where)
        bound = bind(tx, self.settings.schema_name, self._outbox_bell)
        if isinstance(bound, Awaiting):
            return self._written(bound, statement, binds, event, where)
        bound.execute(statement, binds, event)
        self.measures.count(EMITS, where)
        return event

    async def _put(self, event: ids.EventId, binds: dict[str, Any], where: str) -> ids.EventId:
        await self._open.outbox.put(binds)
        self.measures.count(EMITS, where)
        return event

    async def _written(
        self,
        bound: Awaiting,
        statement: Sql,
        binds: dict[str, Any],
        event: ids.EventId,
        where: str,
    ) -> ids.EventId:
        await bound.execute(statement, binds, event)
        self.measures.count(EMITS, where)
        return event

    def _references(self) -> References:
        return References(
            base=self.settings.public_url,
            limit=self.settings.reference_limit,
            keep=timedelta(days=self.settings.retention.events),
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
        subject: str | None = None,
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
        subject: str | None = None,
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
        subject: str | None = None,
    ) -> Any: ...

    def push(
        self,
        tx: object,
        document: Model,
        *,
        to: Connection,
        resource: str | None = None,
        action: str | None = None,
        subject: str | None = None,
    ) -> Any:
        """Promises one write at a provider, in the caller's transaction; gives the intent's id.

        A document with an id updates that record, one without creates it; `action="delete"`
        deletes it. Only fields that differ from what we know of the record are sent. The intent's
        id is the idempotency key, so a repeated try has one effect. On an async session the result
        is to be awaited. `subject` is the person it is about, for erasure, where the page and the
        document do not tell.
        """
        return push.promise(
            bind(tx, self.settings.schema_name, self._bell),
            self.page(to),
            document,
            to=to,
            resource=resource,
            action=action,
            subject=subject,
        )

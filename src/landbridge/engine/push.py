"""Pushes: one remote effect for each intent, also when a try is repeated or a process dies."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import msgspec

from landbridge import ids
from landbridge.client import Client, SignIn
from landbridge.engine import proof, unmapped
from landbridge.engine.agreed import meet_job
from landbridge.engine.codes import NO_TABLES, Tables, as_if_mapped, lines_of
from landbridge.engine.contradictions import fitting
from landbridge.engine.held import Holding, holding, present
from landbridge.engine.meanwhile import compared, rereads
from landbridge.engine.named import named
from landbridge.engine.narrowed import answer_of
from landbridge.engine.obstacles import obstacles
from landbridge.engine.orders import fetch_job
from landbridge.engine.overlay import page_of
from landbridge.engine.page import apply_one
from landbridge.engine.preview import Preview, preview
from landbridge.engine.pull import READS, Hold, stream_of
from landbridge.engine.tried import led, repeatable
from landbridge.engine.unwritten import posted_in
from landbridge.errors import (
    Conflict,
    InvalidInput,
    NotFound,
    OutcomeUnknown,
    RecordError,
    Refused,
    UnmappedCode,
)
from landbridge.formats import codec
from landbridge.models import Model, checked
from landbridge.models.custom import CustomRecord
from landbridge.protocols import Fetched, Place, Written, fetch, find_marked, take, write
from landbridge.spec import Context, Provider, Resource, Step, find
from landbridge.spec import writable as can_write
from landbridge.store import connections, due, intents, links, moment, records
from landbridge.store.connections import Connection
from landbridge.store.database import Database, Tx
from landbridge.store.intents import Intent

_ACTIONS = ("create", "update", "delete")


def promise(
    bound: Any,
    provider: Provider,
    document: Model,
    *,
    to: Connection,
    resource: str | None = None,
    action: str | None = None,
    subject: str | None = None,
    intent: ids.IntentId | None = None,
    seen: dict[str, Any] | None = None,
    link: str | None = None,
) -> Any:
    """Writes the intent through a bound session and gives its id, to be awaited on async ones.

    `subject` is the person it is about, for erasure; None: whom the page names, if the document
    tells. `intent` is the id it gets, a fresh one by default. A `link` writes the fields in `seen`
    alone, if the record still holds what was seen.
    """
    document = checked(document)
    wanted = action or ("update" if document.id else "create")
    if wanted not in _ACTIONS:
        raise InvalidInput(f"action: {wanted!r} is none of {', '.join(_ACTIONS)}")
    if wanted != "create" and not document.id:
        raise InvalidInput(f"id: the {document.kind} to {wanted} has none; set the provider's id")
    chosen = writable(provider, document, resource, wanted)
    held = present()
    name = intent or ids.IntentId(ids.new("int"))
    return bound.execute(
        intents.ADD,
        {
            "environment": to.environment,
            "tenant": to.tenant,
            "id": name,
            "connection": to.id,
            "resource": chosen.name,
            "action": wanted,
            "key": document.id,
            "document": msgspec.json.encode(document, order="sorted").decode(),
            "subject": subject or _person(chosen, document, to),
            "shadow": held.shadow if held else None,
            "seen": msgspec.json.encode(seen).decode() if seen is not None else None,
            "link": link,
            "due": ids.new("due"),
        },
        name,
    )


def writable(provider: Provider, document: Model, name: str | None, action: str) -> Resource:
    """The resource that takes this document, of several the one whose records can be what it says;
    InvalidInput says why none does."""
    if name is None and isinstance(document, CustomRecord):
        name = document.object
    able = [
        resource
        for resource in provider.resources
        if resource.maps is not None
        and resource.maps.model is type(document)
        and can_write(resource, action)
        and (name is None or resource.name == name)
    ]
    if not able:
        raise InvalidInput(
            f"{provider.name} has nothing to {action} from {document.kind}"
            + (f" at {name!r}" if name else "")
            + f"; see: landbridge provider show {provider.slug}"
        )
    fit = able if len(able) == 1 else fitting(able, document)
    if len(fit) != 1:
        names = ", ".join(resource.name for resource in able)
        raise InvalidInput(f"resource: name one of {names}; several take {document.kind}")
    return fit[0]


def _person(resource: Resource, document: Model, to: Connection) -> str | None:
    """The person a document is about, by the page's path; None where only the record will tell."""
    if not resource.subject or resource.maps is None:
        return None
    if resource.subject == resource.key:
        return document.id or None
    maps = resource.maps
    # Also of a document that will be held; one that cannot be written is refused with its reason.
    told, _ = as_if_mapped(
        lambda context: maps.write(document, None, context), Context(codes=lines_of(to))
    )
    found = find(told, resource.subject) if told is not None else None
    return str(found) if isinstance(found, str | int) else None


def _steps(resource: Resource, document: Model, base: Model | None) -> list[Step]:
    """The calls that lead from what the record is to what the document says."""
    return [
        step
        for step in resource.steps
        if str(getattr(document, step.field)) == step.to
        and (base is None or str(getattr(base, step.field)) != step.to)
    ]


@dataclass(frozen=True, kw_only=True)
class Pushed:
    """What became of an intent; `state` as in the intent's row."""

    state: str
    key: str | None = None


class Pusher:
    """Carries intents out."""

    def __init__(
        self,
        db: Database,
        client: Client,
        *,
        provider: Callable[[str], Provider],
        base: Callable[[Provider, Connection], str],
        codes: Tables = NO_TABLES,
    ):
        self._own = {table: frozenset(one.code for one in codes[table]) for table in codes}
        self._db = db
        self._client = client
        self._provider = provider
        self._base = base

    async def run(self, intent: Intent, *, hold: Hold) -> Pushed:
        """Does what an intent promised and reads the record back.

        A refusal or a conflict ends the intent with the provider's reasons. OutcomeUnknown and
        other passing failures are raised: the same intent, with the same idempotency key, is to
        be run again. An intent that is settled already is left as it is. Under a shadow the write
        is kept, the intent is `shadowed`, and our copy of the record stays as it is.

        UnmappedCode: nothing was sent; the document is held, parked with the codes that it lacks,
        and the intent waits on. A line that is set has it run again.
        """
        if intent.state != "waiting":
            return Pushed(state=intent.state, key=intent.key)
        connection = await connections.one(
            self._db,
            environment=intent.environment,
            tenant=intent.tenant,
            id=intent.connection,
        )
        if connection is None:
            raise NotFound(f"the connection {intent.connection} of this push is gone")
        if connection.state == "revoked":
            return await self._settle(intent, "refused", "the connection was disconnected")
        try:
            return await self._carried_out(intent, connection, hold)
        except UnmappedCode:
            if await self._mapped_meanwhile(connection):
                return await self.run(intent, hold=hold)
            raise

    async def _carried_out(self, intent: Intent, connection: Connection, hold: Hold) -> Pushed:
        provider = page_of(self._provider, connection)
        resource = provider.resource(intent.resource)
        held = Holding(shadow=intent.shadow, intent=intent.id, subject=intent.subject)
        try:
            with holding(held):
                written, differing = await self._write(intent, connection, provider, resource, hold)
        except Conflict as error:
            if intent.link is not None:  # what is decided next is decided by what there is now
                now = Written(key=intent.key or "", raw=None)
                await self._read_back(connection, provider, resource, intent, now, hold)
            return await self._settle(intent, "conflict", str(error))
        except (Refused, RecordError, InvalidInput) as error:
            problems = named(resource, error.problems) if isinstance(error, Refused) else {}
            unlike = set(problems) - set(getattr(error, "problems", ()))
            reason = f"{error} (our field: {', '.join(sorted(unlike))})" if unlike else str(error)
            return await self._settle(intent, "refused", reason, problems=problems or None)
        except OutcomeUnknown as error:
            settled = intent.action == "create" and not resource.marked
            if not settled or repeatable(provider, resource, intent):
                raise
            return await self._settle(intent, "unknown", str(error))
        if held.calls:
            reason = f"kept back by the shadow {held.under}"
            return await self._settle(
                intent, "shadowed", reason, key=written.key, shadow=held.under
            )
        there = await self._read_back(connection, provider, resource, intent, written, hold)
        answer = answer_of(resource, intent, written) if intent.link is not None else None
        wrong = differing(there)
        if wrong is None and intent.action == "create":
            wrong = posted_in(resource, intent.document, there)
        return await self._settle(
            intent,
            "done",
            proof.sentence(wrong) if wrong else "",
            key=written.key,
            problems=wrong,
            answer=answer,
        )

    async def preview(
        self,
        connection: Connection,
        provider: Provider,
        document: Model,
        *,
        resource: str | None = None,
    ) -> Preview:
        """What a push of this document would post; nothing is written. Errors as those of `run`."""
        document = checked(document)
        action = "update" if document.id else "create"
        chosen = writable(provider, document, resource, action)
        assert chosen.maps is not None
        base, context = None, Context(codes=lines_of(connection), own=self._own)
        if document.id:
            held = await records.one(self._db, stream_of(connection, chosen.name), document.id)
            found = held or await self._fetch(connection, provider, chosen, document.id)
            if found is None or found.raw is None:
                raise Refused(f"{chosen.name} {document.id} does not exist at {provider.name}")
            base = chosen.maps.read(codec(chosen.format).parse(found.raw), context)
        document = proof.with_amounts(provider, chosen, document, base)
        body = chosen.maps.write(document, base, context)
        return await preview(self._db, provider, connection, chosen, document, base, body)

    async def _mapped_meanwhile(self, connection: Connection) -> bool:
        """Whether a code table was changed since this connection was read."""
        now = await connections.one(
            self._db,
            environment=connection.environment,
            tenant=connection.tenant,
            id=connection.id,
        )
        return now is not None and now.overlay != connection.overlay

    async def _write(
        self,
        intent: Intent,
        connection: Connection,
        provider: Provider,
        resource: Resource,
        hold: Hold,
    ) -> tuple[Written, Callable[[bytes | None], dict[str, str] | None]]:
        """What was written, and what tells how the record that is there differs from it."""
        base_raw = await self._base_of(intent, connection, provider, resource)
        now_raw = None
        if rereads(intent, resource):
            found = await self._fetch(connection, provider, resource, intent.key or "")
            if found is None:
                raise Conflict(f"{resource.name} {intent.key} is gone at {provider.name}")
            now_raw = found.raw
        if intent.action == "delete":
            gone = await self._sent(intent, connection, provider, resource, {}, base_raw)
            return gone, lambda _gone: None
        context = Context(codes=lines_of(connection), own=self._own)
        compare = partial(compared, intent, provider, resource, base_raw, now_raw)
        try:
            document, base, changes = compare(context)
        except UnmappedCode:
            _, missing = as_if_mapped(compare, context)
            async with self._db.transaction() as tx:
                await hold(tx)
                error = await unmapped.hold(tx, intent, missing)
            raise error from None
        asked = (self._db, provider, connection, resource, document, base)
        proved = await proof.prove(*asked)
        base_raw = now_raw or base_raw
        if intent.tried_at is None:
            hindered = await obstacles(*asked)
            hindered.check()
            if proved is not None:
                proved.check()
            # What may have been posted is not refused any more, whatever is known by then.
            if proved is not None or hindered.asked or now_raw is not None:
                await intents.note_try(self._db, intent)
        written = Written(key=intent.key or "", raw=base_raw, version=None)
        if changes or intent.action == "create":
            written = await self._sent(intent, connection, provider, resource, changes, base_raw)
        signed = self._client.signed(provider, SignIn(connection=connection))
        place = self._place(provider, connection)
        for step in _steps(resource, document, base):
            written = await signed.converse(
                take(provider, resource, place, step, written.key, intent.id)
            )
        return written, partial(proof.otherwise, proved, resource, document)

    async def _sent(
        self,
        intent: Intent,
        connection: Connection,
        provider: Provider,
        resource: Resource,
        changes: dict[str, Any],
        base_raw: bytes | None,
    ) -> Written:
        signed = self._client.signed(provider, SignIn(connection=connection))
        again = intent.action != "create" or repeatable(provider, resource, intent)
        if not again:
            made = await self._made_before(intent, connection, provider, resource)
            if made is not None:
                return made
        keeps = intent.action == "create" and provider.idempotency_kept is not None
        if not again or keeps or intent.seen is not None:
            await intents.note_try(self._db, intent)
        conversation = write(
            provider,
            resource,
            self._place(provider, connection),
            intent.action,
            intent.key or "",
            changes,
            base_raw,
            intent.id,
        )
        return await led(self._db, signed, conversation, intent)

    async def _base_of(
        self, intent: Intent, connection: Connection, provider: Provider, resource: Resource
    ) -> bytes | None:
        """The record that is to be changed: as we hold it, for a link as it is just now."""
        if intent.action == "create" and not intent.key:
            return None
        held = None
        if intent.seen is None:
            stream = stream_of(connection, resource.name)
            held = await records.one(self._db, stream, intent.key or "")
        if held is not None or intent.action == "create":
            return held.raw if held else None
        fetched = await self._fetch(connection, provider, resource, intent.key or "")
        if fetched is not None:
            return fetched.raw
        if intent.seen is not None:
            raise Conflict(f"{resource.name} {intent.key} is gone at {provider.name}")
        raise Refused(f"{resource.name} {intent.key} does not exist at {provider.name}")

    async def _made_before(
        self, intent: Intent, connection: Connection, provider: Provider, resource: Resource
    ) -> Written | None:
        """What an earlier try made, found by the intent's marker; None: it made nothing.

        OutcomeUnknown while nobody can know: the page has no marker, or the provider's list may
        not show it yet.
        """
        if intent.tried_at is None:
            return None
        if resource.marked is None:
            raise OutcomeUnknown(
                f"{provider.name} may have made this {resource.name} in a try that was cut off, and"
                " nothing finds it again: look there before it is sent once more"
            )
        signed = self._client.signed(provider, SignIn(connection=connection))
        place = self._place(provider, connection)
        found = await signed.converse(find_marked(provider, resource, place, intent.id))
        if found is not None:
            return Written(key=found.key, raw=found.raw, version=found.version)
        shown = intent.tried_at + resource.marked.within
        if intent.now < shown:
            raise OutcomeUnknown(
                f"{provider.name} does not show the {resource.name} of a try that was cut off; its"
                " list may be late, it is looked for again before it is sent once more",
                retry_at=shown,
            )
        return None

    async def _fetch(
        self, connection: Connection, provider: Provider, resource: Resource, key: str
    ) -> Fetched | None:
        signed = self._client.signed(provider, SignIn(connection=connection))
        return await signed.converse(
            fetch(provider, resource, self._place(provider, connection), key)
        )

    async def _read_back(
        self,
        connection: Connection,
        provider: Provider,
        resource: Resource,
        intent: Intent,
        written: Written,
        hold: Hold,
    ) -> bytes | None:
        """Stores the record as it is now, and gives it; None: it could not be read, or is gone."""
        key = written.key or intent.key or ""
        stream = stream_of(connection, resource.name)
        for _ in range(READS):
            began = await moment.now(self._db)
            fetched = None
            if intent.action != "delete":
                fetched = await self._fetch(connection, provider, resource, key)
            applied = await apply_one(
                self._db, stream, resource, key, fetched, began=began, hold=hold
            )
            if not applied.missing:
                return fetched.raw if fetched else None
        await due.put(self._db, [fetch_job(stream, key)])
        return None

    def _place(self, provider: Provider, connection: Connection) -> Place:
        return Place(base=self._base(provider, connection), settings=dict(connection.settings))

    async def _settle(
        self,
        intent: Intent,
        state: str,
        reason: str = "",
        *,
        key: str | None = None,
        problems: dict[str, str] | None = None,
        answer: dict[str, Any] | None = None,
        shadow: str | None = None,
    ) -> Pushed:
        async with self._db.transaction() as tx:
            await intents.settle(
                tx,
                intent,
                state=state,
                key=key,
                reason=reason,
                problems=problems,
                answer=answer,
                shadow=shadow,
            )
            if state == "done" and problems:
                await unmapped.note(tx, intent, problems)
            await met_again(tx, intent)
        return Pushed(state=state, key=key or intent.key)


async def met_again(tx: Tx, intent: Intent) -> None:
    """Orders that the two sides of a link meet, once what was written for it is settled."""
    if intent.link is None:
        return
    pair = await links.by_id(
        tx, environment=intent.environment, tenant=intent.tenant, id=intent.link
    )
    if pair is not None:
        await due.put(tx, [meet_job(pair)])

"""A connection's API for the user's own code: raw calls, and records as models."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import timedelta
from typing import Any, TypeVar, overload
from urllib.parse import urlencode

import msgspec

from landbridge import ids
from landbridge.client import Client, SignIn
from landbridge.clock import Clock
from landbridge.engine.now import LEASE, held
from landbridge.engine.preview import Preview
from landbridge.engine.pull import stream_of
from landbridge.engine.push import Pusher, promise
from landbridge.engine.stored import models
from landbridge.errors import Conflict, InvalidInput, OutcomeUnknown, PostedOtherwise, Refused
from landbridge.jobs import new_owner
from landbridge.jobs.outcome import Retry, of_exception
from landbridge.models import Model, read_json
from landbridge.protocols import Page, Place, pull
from landbridge.resilience import expect
from landbridge.spec import Provider, Resource
from landbridge.store import due, intents, records
from landbridge.store.bind import bind
from landbridge.store.connections import Connection
from landbridge.store.database import Database
from landbridge.store.intents import Intent
from landbridge.wire import Headers, Request, Response

M = TypeVar("M", bound=Model)

_WAIT = 0.2
_SOON = timedelta(seconds=5)
"""When a worker goes on with a write that failed in passing."""


class Api:
    """One connection's API: signed in, kept to quotas, retried where that is safe, written down.

    Raw calls raise what the answer means (Refused, Conflict, Throttled, Unreachable, ...). A write
    of a record is an intent, stored before the call with its idempotency key.
    """

    def __init__(
        self,
        db: Database,
        client: Client,
        pusher: Pusher,
        provider: Provider,
        connection: Connection,
        *,
        base: str,
        clock: Clock,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ):
        self._db = db
        self._signed = client.signed(provider, SignIn(connection=connection))
        self._pusher = pusher
        self._provider = provider
        self._connection = connection
        self._base = base
        self._clock = clock
        self._sleep = sleep

    def __repr__(self) -> str:
        return f"Api({self._provider.slug}, {self._connection.id})"

    # Raw calls

    async def get(
        self,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        """The answer of a read. `path` begins with a slash and goes behind the API's address."""
        return await self._call("GET", path, query, headers)

    async def post(self, path: str, **more: Any) -> Response:
        """The answer of a write.

        `json`, `form` or `content` is the body; `query` and `headers` as in `get`. `key` is the
        idempotency key, for pages that name a header for it: by default a fresh one, so that tries
        of this call have one effect; give one of your own to repeat a call of an earlier process.
        """
        return await self._write("POST", path, **more)

    async def put(self, path: str, **more: Any) -> Response:
        """As `post`, by PUT."""
        return await self._write("PUT", path, **more)

    async def patch(self, path: str, **more: Any) -> Response:
        """As `post`, by PATCH."""
        return await self._write("PATCH", path, **more)

    @overload
    async def delete(self, what: str, **more: Any) -> Response: ...

    @overload
    async def delete(self, what: Model, **more: Any) -> None: ...

    async def delete(self, what: str | Model, **more: Any) -> Response | None:
        """Deletes at a path, as `post` does by DELETE; or a record, as `update` does."""
        if isinstance(what, str):
            return await self._write("DELETE", what, **more)
        await self._promised(what, "delete", **more)
        return None

    # Records as models

    async def records(
        self, model: type[M], *, resource: str | None = None, live: bool = False
    ) -> AsyncIterator[M]:
        """The records of a model, as they were last pulled, in the order of their keys.

        With `live` the provider is asked now, and nothing is stored. `resource` names the vendor's
        word where several are mapped to the model.
        """
        chosen = self._mapped(model, resource)
        async for one in self._live(chosen) if live else self._stored(chosen):
            yield one

    async def preview(self, document: Model, *, resource: str | None = None) -> Preview:
        """What `create` (or `update`, if it has an id) would post: body, totals, what is refused.

        Nothing is written. Taxes are reckoned by the rates that were pulled.
        """
        return await self._pusher.preview(
            self._connection, self._provider, document, resource=resource
        )

    async def create(self, document: M, **more: Any) -> M:
        """The record as the provider made it, with its id.

        The write is an intent that is stored first: if this process dies, or the call fails in
        passing (OutcomeUnknown, Unreachable, Throttled, ...: raised here), a worker goes on with
        it, by the same idempotency key. `intent`, an id by `landbridge.ids.new("int")` that you
        kept, makes a repeated `create` the same write. `resource` and `subject` as in
        `bridge.push`. Refused names the fields at fault in `.problems`: also amounts that would be
        posted otherwise than the document says. UnmappedCode: it is held, and goes out when the
        code has a line. PostedOtherwise: it was written, and came to something else.
        """
        return await self._promised(document, "create", **more)

    async def update(self, document: M, **more: Any) -> M:
        """The record after only those fields were sent that differ; else as `create`."""
        return await self._promised(document, "update", **more)

    async def _promised(
        self,
        document: M,
        action: str,
        *,
        intent: str | None = None,
        resource: str | None = None,
        subject: str | None = None,
    ) -> M:
        if intent is not None and not ids.is_id(intent, "int"):
            raise InvalidInput(f"intent: {intent!r} is not an id such as {ids.new('int')}")
        name = intent or ids.new("int")
        owner = new_owner()
        found = await self._intent(name) if intent else None
        claim = None
        if found is None:
            async with self._db.transaction() as tx:
                await promise(
                    bind(tx, self._db.schema),
                    self._provider,
                    document,
                    to=self._connection,
                    resource=resource,
                    action=action,
                    subject=subject,
                    intent=ids.IntentId(name),
                )
                claim = await self._take(tx, owner, name)
            found = await self._intent(name)
        while found is not None and found.state == "waiting":
            claim = claim or await self._take(self._db, owner, name)
            if claim is None:  # a worker is at it
                await self._sleep(_WAIT)
            else:
                await self._carry_out(found, owner, claim)
                claim = None
            found = await self._intent(name)
        if found is None:
            raise InvalidInput(f"intent: {name} was erased meanwhile")
        return await self._outcome(found, document)

    async def _carry_out(self, intent: Intent, owner: str, claim: due.Claimed) -> None:
        try:
            async with held(self._db, owner, claim, self._sleep) as hold:
                await self._pusher.run(intent, hold=hold)
        except Exception as error:
            failed = of_exception(error)
            again = due.Again(
                claim=claim,
                attempt=claim.attempt + isinstance(failed, Retry),
                at=failed.at,
                after=_SOON,
                error=failed.error,
            )
            await due.settle(self._db, owner, again=[again])
            raise
        await due.settle(self._db, owner, done=[claim])

    async def _outcome(self, intent: Intent, document: M) -> M:
        match intent.state:
            case "refused":
                raise Refused(intent.reason, problems=intent.problems)
            case "conflict":
                raise Conflict(intent.reason)
            case "unknown":
                raise OutcomeUnknown(intent.reason)
            case "done" if intent.problems:
                raise PostedOtherwise(intent.reason, key=intent.key or "", problems=intent.problems)
            case _:
                stream = stream_of(self._connection, intent.resource)
                held = await records.one(self._db, stream, intent.key or "")
                if held is None or held.unified is None:
                    return msgspec.structs.replace(document, id=intent.key)
                return read_json(type(document), held.unified)

    async def _intent(self, id: str) -> Intent | None:
        to = self._connection
        return await intents.one(self._db, environment=to.environment, tenant=to.tenant, id=id)

    async def _take(self, db: Any, owner: str, intent: str) -> due.Claimed | None:
        to = self._connection
        return await due.take_ref(
            db,
            owner=owner,
            environment=to.environment,
            tenant=to.tenant,
            kind="push",
            ref=intent,
            lease=LEASE,
        )

    def _stored(self, resource: Resource) -> AsyncIterator[Any]:
        assert resource.maps is not None
        return models(self._db, self._connection, resource.name, resource.maps.model)

    async def _live(self, resource: Resource) -> AsyncIterator[Any]:
        assert resource.maps is not None
        place = Place(base=self._base, settings=dict(self._connection.settings))
        conversation = pull(self._provider, resource, place, None, self._clock.now())
        reply: Response | None = None
        while True:
            try:
                step: Request | Page = conversation.send(reply)
            except StopIteration:
                return
            if isinstance(step, Request):
                reply = await self._signed.send(step)
                continue
            reply = None
            for fetched in step.records:
                if not fetched.deleted:
                    yield resource.maps.read(fetched.value)

    def _mapped(self, model: type[Model], name: str | None) -> Resource:
        able = [
            one
            for one in self._provider.resources
            if one.maps is not None and one.maps.model is model and name in (None, one.name)
        ]
        if len(able) == 1:
            return able[0]
        if not able:
            raise InvalidInput(
                f"{self._provider.name} has no {model.kind or model.__name__}"
                f"{f' at {name!r}' if name else ''}; see: landbridge provider {self._provider.slug}"
            )
        names = ", ".join(one.name for one in able)
        raise InvalidInput(f"resource: name one of {names}; several are a {model.kind}")

    async def _write(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        form: Mapping[str, str] | None = None,
        content: bytes | None = None,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        key: str | None = None,
    ) -> Response:
        if sum(each is not None for each in (json, form, content)) > 1:
            raise InvalidInput("json, form, content: give one body, not several")
        sent = dict(headers or {})
        body = content or b""
        if json is not None:
            body = msgspec.json.encode(json)
            sent.setdefault("Content-Type", "application/json")
        elif form is not None:
            body = urlencode(form).encode()
            sent.setdefault("Content-Type", "application/x-www-form-urlencoded")
        resources = self._provider.resources
        keyed = next((one for one in resources if one.idempotency), None)
        if keyed is not None and keyed.idempotency_in == "query":
            query = {keyed.idempotency: key or ids.new("int"), **(query or {})}
        elif keyed is not None and keyed.idempotency_in == "body":
            if key is not None and isinstance(json, Mapping):
                body = msgspec.json.encode({**json, keyed.idempotency: key})
        elif keyed is not None:
            sent.setdefault(keyed.idempotency, key or ids.new("int"))
        elif key is not None:
            raise InvalidInput(
                f"key: {self._provider.name} knows no idempotency keys; leave it out"
            )
        return await self._call(method, path, query, sent, body)

    async def _call(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        headers: Mapping[str, str] | None,
        body: bytes = b"",
    ) -> Response:
        if not path.startswith("/") or path.startswith("//") or not path.isprintable():
            raise InvalidInput(f"path: {path!r} is not a path such as /v1/customers")
        request = Request(
            method=method,
            url=self._base + path,
            query=tuple((query or {}).items()),
            headers=Headers({"Accept": "application/json", **(headers or {})}),
            body=body,
        )
        response = await self._signed.send(request)
        return expect(self._provider, request, response, self._clock.now())

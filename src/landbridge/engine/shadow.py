"""Keeps writes back while a shadow holds: records the request, and makes up what is answered."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

import msgspec

from landbridge import ids
from landbridge.client import Client, SignIn
from landbridge.clock import Clock
from landbridge.engine import made_up
from landbridge.engine.held import present
from landbridge.engine.made_up import Aim
from landbridge.engine.pull import stream_of
from landbridge.errors import LandbridgeError
from landbridge.formats import canonical, parse_json
from landbridge.protocols import Place, fetch
from landbridge.resilience import READS
from landbridge.spec import ApiKey, Format, Provider, Resource, find
from landbridge.store import records, shadow_calls, shadows
from landbridge.store.connections import Connection
from landbridge.store.database import Database
from landbridge.store.shadow_calls import Kept
from landbridge.store.shadows import Shadow
from landbridge.wire import Headers, Request, Response

HEADER = "Landbridge-Shadow"
"""Names the shadow in every answer that was made up."""

_SECRET = frozenset({"authorization", "proxy-authorization", "cookie"})
_KNOWN = 50


@dataclass(frozen=True, kw_only=True)
class _Answer:
    """What is answered, and what it would have changed."""

    response: Response
    key: str
    diff: list[dict[str, Any]]
    subject: str | None = None
    error: str = ""


class ShadowRecorder:
    """Fills `client.seams.Recorder`. Reads go out, but for those of records that it made up.

    Writes on one connection are expected one after the other; each is looked up in the database,
    so that no process sends one after the shadow was started.
    """

    def __init__(self, db: Database, *, base: Callable[[Provider, Connection], str], clock: Clock):
        self._db = db
        self._base = base
        self._clock = clock
        self._client: Client | None = None

    def read_with(self, client: Client) -> None:
        """Takes the client by which remote records are read, to say what a write would change."""
        self._client = client

    async def keep(
        self, provider: Provider, connection: Connection, request: Request
    ) -> Response | None:
        """The answer that was made up for a write that is kept, or for a record that was made up.

        None: the request is to be sent. Unreachable and the like: the remote record that the write
        is about cannot be read now.
        """
        if request.method in READS or request.reads:
            return await self._resolved(provider, connection, request)
        shadow = await self._holding(connection, request)
        if shadow is None:
            return None
        asked = self._exact(provider, request)
        held = present()
        once = self._once(provider, asked) or (held.intent if held else None) or ""
        found = await self._earlier(connection, shadow, once)
        if found is None:
            found = await self._kept(provider, connection, shadow, asked, once)
        if held is not None:
            held.calls.append(found.id)
            held.under = shadow.id
        return found.response

    async def _holding(self, connection: Connection, request: Request) -> Shadow | None:
        """The shadow that a write belongs to: its handler's, its connection's, or that of a record
        which it names and which exists in a shadow only."""
        held = present()
        if held is not None and held.shadow:
            named = await shadows.by_id(
                self._db, environment=connection.environment, id=held.shadow
            )
            if named is not None and named.state != "promoted":
                return named
        found = await shadows.of_connection(self._db, connection)
        if found is not None:
            return found
        text = request.url + " " + request.body.decode("utf-8", "replace")
        return await self._of_keys(connection, made_up.marked(text))

    async def _of_keys(self, connection: Connection, keys: list[str]) -> Shadow | None:
        """The shadow, if it holds yet, in which one of these keys was made up."""
        if not keys:
            return None
        named = await shadow_calls.named(
            self._db,
            environment=connection.environment,
            tenant=connection.tenant,
            connection=connection.id,
            keys=keys,
        )
        if named is None:
            return None
        found = await shadows.by_id(self._db, environment=connection.environment, id=named)
        return found if found is not None and found.holds else None

    async def _resolved(
        self, provider: Provider, connection: Connection, request: Request
    ) -> Response | None:
        """A record that exists in a shadow only, as its latest write left it."""
        if provider.body is Format.DAV:
            key = urlsplit(request.url).path if request.method == "GET" else ""
        else:
            key = ""
            if made_up.marked(request.url):
                aim = made_up.aim_of(provider, self._base(provider, connection), request)
                key = aim.key if aim.action == "read" else ""
        shadow = await self._of_keys(connection, [key] if key else [])
        if shadow is None:
            return None
        last = await self._last(connection, shadow, key)
        if last is None:
            return None
        if last.action != "delete":
            if provider.body is not Format.DAV:
                return last.response
            return _answer(shadow, 200, last.request.body, dict(last.response.headers.pairs()))
        resource = next((one for one in provider.resources if one.name == last.resource), None)
        if resource is not None and resource.deleted:
            return last.response
        return _answer(shadow, 404, canonical.canonical(made_up.missing(provider)))

    async def _earlier(self, connection: Connection, shadow: Shadow, once: str) -> Kept | None:
        if not once:
            return None
        return await shadow_calls.once(
            self._db,
            environment=connection.environment,
            tenant=connection.tenant,
            shadow=shadow.id,
            idempotency=once,
        )

    async def _last(self, connection: Connection, shadow: Shadow, key: str) -> Kept | None:
        return await shadow_calls.last(
            self._db,
            environment=connection.environment,
            tenant=connection.tenant,
            shadow=shadow.id,
            connection=connection.id,
            key=key,
        )

    async def _kept(
        self,
        provider: Provider,
        connection: Connection,
        shadow: Shadow,
        request: Request,
        once: str,
    ) -> Kept:
        """The write, stored; the one that was stored first where two come at once."""
        fresh = ids.new(ids.PREFIXES["shadow_call"])
        held = present()
        base = self._base(provider, connection)
        aim = made_up.aim_of(provider, base, request)
        if provider.body is Format.DAV:
            aim = _dav_aim(provider, request)
            answer = await self._dav(provider, connection, shadow, request, aim)
            if answer.response.status == 201:
                aim = replace(aim, action="create")
        elif aim.resource is None:
            answer = _unknown(shadow, request, fresh)
            action = "create" if request.method == "POST" else "update"
            aim = Aim(action="delete" if request.method == "DELETE" else action)
        elif aim.action == "create":
            answer = await self._create(provider, connection, shadow, request, aim, fresh)
        else:
            answer = await self._change(provider, connection, shadow, request, aim)
        call = Kept(
            environment=connection.environment,
            tenant=connection.tenant,
            id=fresh,
            shadow=shadow.id,
            connection=connection.id,
            resource=aim.resource.name if aim.resource else "",
            action=aim.action,
            key=answer.key,
            idempotency=once,
            intent=held.intent if held else None,
            state="refused" if answer.error else "recorded",
            error=answer.error,
            request=_with_once(aim.resource, request, once or fresh),
            response=answer.response,
            diff=answer.diff,
            subject=(held.subject if held else None) or answer.subject,
        )
        if await shadow_calls.add(self._db, call):
            return call
        first = await self._earlier(connection, shadow, once)
        if first is None:
            raise LandbridgeError(f"the shadow {shadow.id} could not keep a write; try it again")
        return first

    async def _create(
        self,
        provider: Provider,
        connection: Connection,
        shadow: Shadow,
        request: Request,
        aim: Aim,
        fresh: str,
    ) -> _Answer:
        resource = aim.resource
        assert resource is not None
        known = await self._known(connection, resource)
        blank = made_up.template(resource, known)
        alike = find(blank, resource.key)
        key = made_up.new_key(fresh, str(alike) if alike is not None else "")
        made = made_up.created(resource, blank, key, self._clock.now())
        value = made_up.laid_on(provider, resource, made, made_up.changes_in(request, aim.envelope))
        return _Answer(
            response=_answer(shadow, 200, made_up.wrapped(resource, value)),
            key=key,
            diff=made_up.differences({}, value),
            subject=_subject(resource, value),
        )

    async def _change(
        self,
        provider: Provider,
        connection: Connection,
        shadow: Shadow,
        request: Request,
        aim: Aim,
    ) -> _Answer:
        resource = aim.resource
        assert resource is not None
        last = await self._last(connection, shadow, aim.key)
        ours = None
        if last is not None and last.action != "delete":
            ours = made_up.unwrapped(resource, last.response.body)
        remote, said = None, None
        if not made_up.marked(aim.key):
            remote, said = await self._remote(provider, connection, resource, aim.key)
        now = ours if ours is not None else remote
        if now is None or (last is not None and last.action == "delete"):
            status, body = 404, canonical.canonical(made_up.missing(provider))
            if said is not None and said.status >= 400:
                status, body = said.status, said.body
            return _Answer(
                response=_answer(shadow, status, body),
                key=aim.key,
                diff=[],
                error=f"{provider.name} has no {resource.name} {aim.key}: it would refuse this",
            )
        if aim.action == "delete":
            value = made_up.gone(resource, now)
            diff = [{"path": "", "before": remote if remote is not None else now, "after": None}]
        else:
            changes = made_up.changes_in(request, aim.envelope)
            value = made_up.laid_on(provider, resource, now, changes)
            diff = made_up.differences(remote if remote is not None else now, value)
        return _Answer(
            response=_answer(shadow, 200, made_up.wrapped(resource, value)),
            key=aim.key,
            diff=diff,
            subject=_subject(resource, now),
        )

    async def _remote(
        self, provider: Provider, connection: Connection, resource: Resource, key: str
    ) -> tuple[Mapping[str, Any] | None, Response | None]:
        """The record as the provider has it now, or as we hold it where it cannot be asked for;
        and the provider's last answer."""
        if not resource.one or self._client is None:
            stored = await records.one(self._db, stream_of(connection, resource.name), key)
            there = stored is not None and not stored.deleted_at
            return (parse_json(stored.raw) if stored and there else None), None
        place = Place(base=self._base(provider, connection), settings=dict(connection.settings))
        signed = self._client.signed(provider, SignIn(connection=connection))
        talk = fetch(provider, resource, place, key)
        answer: Response | None = None
        try:
            asked = next(talk)
            while True:
                answer = await signed.send(asked)
                asked = talk.send(answer)
        except StopIteration as end:
            return (end.value.value if end.value else None), answer

    async def _known(self, connection: Connection, resource: Resource) -> list[dict[str, Any]]:
        """Records that came earlier, to make up another one after."""
        if resource.blank or resource.format is not Format.JSON:
            return []
        stream = stream_of(connection, resource.name)
        known = []
        for stored in await records.read(self._db, stream, most=_KNOWN):
            value = parse_json(stored.raw)
            if isinstance(value, dict):
                known.append(value)
        return known

    async def _dav(
        self,
        provider: Provider,
        connection: Connection,
        shadow: Shadow,
        request: Request,
        aim: Aim,
    ) -> _Answer:
        """A member put or deleted, under the conditions that it was sent with (RFC 9110 13)."""
        last = await self._last(connection, shadow, aim.key)
        if last is not None:
            there = last.action != "delete"
            text, tag = last.request.body, last.response.headers.get("etag", "")
        else:
            assert self._client is not None
            signed = self._client.signed(provider, SignIn(connection=connection))
            got = await signed.send(Request(method="GET", url=request.url))
            there = 200 <= got.status < 300
            text, tag = (got.body if there else b""), got.headers.get("etag", "").strip()
        before = text.decode("utf-8", "replace") if there else None
        failed = (request.headers.get("if-none-match") == "*" and there) or (
            "if-match" in request.headers and (not there or request.headers["if-match"] != tag)
        )
        if failed or (request.method == "DELETE" and not there):
            return _Answer(
                response=_answer(shadow, 412 if failed else 404, b""),
                key=aim.key,
                diff=[],
                error=f"{provider.name} would refuse this: {aim.key} is"
                f" {'another one' if there else 'not there'}",
            )
        after = None if request.method == "DELETE" else request.body.decode("utf-8", "replace")
        headers = {}
        if after is not None:
            kind = request.headers.get("content-type", "text/calendar")
            etag = f'"{made_up.new_key(after, "")}"'
            headers = {"ETag": etag, "Content-Type": kind}
        status = 201 if before is None else 204  # RFC 4918 section 9.7.1
        return _Answer(
            response=_answer(shadow, status, b"", headers),
            key=aim.key,
            diff=[{"path": "data", "before": before, "after": after}],
        )

    def _exact(self, provider: Provider, request: Request) -> Request:
        """The request without anything that signs it in."""
        secret = set(_SECRET)
        if isinstance(provider.auth, ApiKey):
            secret.add(provider.auth.header.lower())
        pairs = [pair for pair in request.headers.pairs() if pair[0].lower() not in secret]
        return request.having(headers=Headers(pairs))

    def _once(self, provider: Provider, request: Request) -> str:
        names = {one.idempotency for one in provider.resources if one.idempotency}
        told = {**made_up.changes_in(request), **dict(request.query), **request.headers}
        return next(
            (str(told[key]) for name in names for key in (name, name.lower()) if key in told), ""
        )


def _with_once(resource: Resource | None, request: Request, once: str) -> Request:
    """The request with the page's idempotency key, so that a replay may be repeated."""
    name = resource.idempotency if resource else ""
    if not name or request.carries(name):
        return request
    if resource and resource.idempotency_in == "query":
        return request.having(query=(*request.query, (name, once)))
    if resource and resource.idempotency_in == "body":
        if request.method != "POST":
            return request
        told = {**made_up.changes_in(request), name: once}
        return request.having(body=msgspec.json.encode(told))
    return request.having(headers=request.headers.having({name: once}))


def _unknown(shadow: Shadow, request: Request, fresh: str) -> _Answer:
    """The answer to a write that the page does not know: what was sent, under a made-up id."""
    told = made_up.changes_in(request)
    key = ""
    if request.method == "POST":
        key = made_up.new_key(fresh, "")
        told = {"id": key, **told}
    return _Answer(
        response=_answer(shadow, 200, canonical.canonical(told)),
        key=key,
        diff=made_up.differences({}, told),
    )


def _dav_aim(provider: Provider, request: Request) -> Aim:
    """A member of a calendar, by its path."""
    resource = next((one for one in provider.resources if one.format is Format.ICALENDAR), None)
    action = "delete" if request.method == "DELETE" else "update"
    return Aim(resource=resource, action=action, key=urlsplit(request.url).path)


def _subject(resource: Resource, value: Mapping[str, Any]) -> str | None:
    found = find(value, resource.subject) if resource.subject else None
    return str(found) if isinstance(found, str | int) else None


def _answer(
    shadow: Shadow, status: int, body: bytes, headers: Mapping[str, str] | None = None
) -> Response:
    kind = {"Content-Type": "application/json"} if body else {}
    return Response(
        status=status, headers=Headers({**kind, **(headers or {}), HEADER: shadow.id}), body=body
    )

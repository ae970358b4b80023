"""Sends the writes that a shadow kept, each once, in their order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from landbridge.client import Client, SignIn
from landbridge.engine.made_up import marked, unwrapped
from landbridge.engine.overlay import page_of
from landbridge.engine.pull import Puller
from landbridge.errors import Conflict, LandbridgeError, NotFound, OutcomeUnknown, Refused
from landbridge.resilience import expect
from landbridge.spec import Format, Provider, find
from landbridge.store import connections, intents, links, shadow_calls, shadow_ends, shadows
from landbridge.store.connections import Connection
from landbridge.store.database import Database, Tx
from landbridge.store.shadow_calls import Kept
from landbridge.store.shadows import Shadow
from landbridge.wire import Headers, Request, Response

_LEASE = timedelta(minutes=2)
_PAGE = 100


@dataclass(frozen=True, kw_only=True)
class Replayed:
    """What a replay did. `unknown` may have happened at the provider: look there. `linked` are of
    pairs of links, which see to them by themselves."""

    sent: int = 0
    refused: int = 0
    unknown: int = 0
    linked: int = 0


class ShadowReplay:
    """Replays of shadows that hold no more; see `Shadows.replay`."""

    def __init__(
        self,
        db: Database,
        client: Client,
        puller: Puller,
        *,
        provider: Callable[[str], Provider],
    ):
        self._db = db
        self._client = client
        self._puller = puller
        self._provider = provider

    async def run(self, shadow: Shadow) -> Replayed:
        """Sends what was not sent yet; how many of each outcome."""
        done = {"sent": 0, "refused": 0, "unknown": 0, "linked": 0}
        after = ""
        while True:
            page = await shadow_calls.page(
                self._db,
                environment=shadow.environment,
                shadow=shadow.id,
                after=after,
                states=["recorded", "sending"],
                most=_PAGE,
            )
            for call in page:
                after = call.id
                state = await self._one(call)
                if state:
                    done[state] += 1
            if len(page) < _PAGE:
                return Replayed(**done)

    async def _one(self, call: Kept) -> str:
        connection = await self._free(call)
        provider = page_of(self._provider, connection)
        if call.intent and await links.waits(
            self._db, environment=call.environment, tenant=call.tenant, intent=call.intent
        ):
            return "linked"
        if not await shadow_calls.claim(self._db, call, lease=_LEASE):
            return ""
        if call.state == "sending" and not _repeatable(provider, call.request):
            return await self._settle(call, "unknown", error="it was cut off while it was sent")
        request, strange = await self._translated(provider, call)
        if strange:
            reason = f"it names {strange}, which was made up and not sent"
            return await self._settle(call, "refused", error=reason)
        signed = self._client.signed(provider, SignIn(connection=connection))
        try:
            response = expect(provider, request, await signed.send(request))
        except (Refused, Conflict) as error:
            return await self._settle(call, "refused", error=str(error))
        except OutcomeUnknown as error:
            if _repeatable(provider, call.request):
                await self._settle(call, "recorded")
                raise
            return await self._settle(call, "unknown", error=str(error))
        except LandbridgeError:  # nothing was done: it may be sent by the next replay
            await self._settle(call, "recorded")
            raise
        key = _key_in(provider, call, response)
        await self._settle(call, "sent", key=key)
        if call.resource and key:
            await self._puller.one(connection, call.resource, key, hold=_unheld)
        return "sent"

    async def _free(self, call: Kept) -> Connection:
        """The connection of a write; Conflict: a shadow keeps its writes back now."""
        connection = await connections.one(
            self._db, environment=call.environment, tenant=call.tenant, id=call.connection
        )
        if connection is None:
            raise NotFound(f"the connection {call.connection} of the write {call.id} is gone")
        other = await shadows.of_connection(self._db, connection)
        if other is not None:
            raise Conflict(
                f"the shadow {other.id} keeps writes of {connection.id} back now; end it first"
            )
        return connection

    async def _settle(self, call: Kept, state: str, *, error: str = "", key: str = "") -> str:
        async with self._db.transaction() as tx:
            await shadow_calls.settle(tx, call, state, error=error, sent_key=key or None)
            if key and call.key and key != call.key:
                await shadow_ends.rename_subject(tx, call, key)
            if call.intent and state != "recorded":
                intent = await intents.one(
                    tx, environment=call.environment, tenant=call.tenant, id=call.intent
                )
                if intent is not None:
                    became = "done" if state == "sent" else state
                    await intents.settle(tx, intent, state=became, key=key or None, reason=error)
        return state

    async def _translated(self, provider: Provider, call: Kept) -> tuple[Request, str]:
        """The request with the provider's keys for those that were made up, and one that has none;
        only of creations on the same connection."""
        request = call.request
        keys = await shadow_calls.made_keys(self._db, call)
        named = marked(request.url + " " + request.body.decode("utf-8", "replace"))
        if provider.body is Format.DAV:
            # A condition on a version that was made up would never hold.
            pairs = [
                (name, value)
                for name, value in request.headers.pairs()
                if name.lower() != "if-match" or not marked(value)
            ]
            return request.having(headers=Headers(pairs)), ""
        url, body = request.url, request.body
        for made in named:
            sent = keys.get(made)
            if sent is None:
                return request, made
            url = url.replace(made, sent)
            body = body.replace(made.encode(), sent.encode())
        return request.having(url=url, body=body), ""


def _repeatable(provider: Provider, request: Request) -> bool:
    names = {one.idempotency for one in provider.resources if one.idempotency}
    return request.method in ("PUT", "DELETE") or any(request.carries(name) for name in names)


def _key_in(provider: Provider, call: Kept, response: Response) -> str:
    """The provider's key of the record that a write left."""
    if call.action == "create" and call.resource and provider.body is not Format.DAV:
        resource = provider.resource(call.resource)
        found = find(unwrapped(resource, response.body), resource.key)
        return str(found) if isinstance(found, str | int) else ""
    return call.key


async def _unheld(_tx: Tx) -> None:
    """A record that is read again after a replay is under no lease."""

"""Where both sides of a link meet: what changed on either is merged, written, or asked about.

One pair at a time, in one transaction, which also promises what is to be written at the provider;
while that is on its way the pair waits. So a pair has one write under way at most, and what it
comes to is taken in before anything else is decided. A write that a shadow keeps back is not waited
for: it gives way as soon as there is another one to do, or the shadow has ended (`kept_back`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any

import msgspec
from msgspec import UNSET

from landbridge import ids
from landbridge.engine import kept_back, push, unmapped
from landbridge.engine.agreed import dumped, loaded
from landbridge.engine.link import SAME, Link, Ours
from landbridge.engine.missing import too_many
from landbridge.engine.pull import stream_of
from landbridge.errors import InvalidInput, RecordError
from landbridge.merge import WHOLE, Conflict, Merged, Policy, Take, merge, values_of
from landbridge.models import read_json
from landbridge.spec import Provider
from landbridge.store import conflicts, intents, links, records
from landbridge.store.bind import bind
from landbridge.store.connections import Connection
from landbridge.store.database import Tx
from landbridge.store.intents import Intent
from landbridge.store.links import Pair
from landbridge.store.records import Stored
from landbridge.store.syncs import Stream

SOON = timedelta(seconds=2)
_MOST_TRIES = 10
_NONE: Mapping[str, Take] = MappingProxyType({})


@dataclass(frozen=True, kw_only=True)
class Met:
    """What came of looking at a pair. `later`: when to look again, since something is under way."""

    pair: Pair | None = None
    ours: tuple[str, ...] = ()
    """The fields that were written on our side; `*` for a row made or deleted."""
    theirs: tuple[str, ...] = ()
    """The fields that are to be written at the provider."""
    conflicts: int = 0
    later: timedelta | None = None


class Meeting:
    """Pairs of one link, with the connection they belong to."""

    def __init__(
        self,
        link: Link[Any],
        connection: Connection,
        provider: Provider,
        *,
        schema: str,
        loading: bool,
    ):
        self._link = link
        self._connection = connection
        self._provider = provider
        self._schema = schema
        self._loading = loading
        self._resource = provider.resource(link.resource)

    async def of_key(self, tx: Tx, key: str) -> Met:
        """Looks at a remote record."""
        await self._lock(tx)
        pair = await links.by_key(tx, **self._named, key=key)
        if pair is not None:
            return await self._meet(tx, pair)
        stored = await self._stored(tx, key)
        if stored is None or stored.deleted_at is not None or stored.unified is None:
            return Met()
        if await links.unmade(tx, **self._named, before=stored.changed_at):
            return Met(later=SOON)
        return await self._meet(tx, await self._introduced(tx, stored), new=True, stored=stored)

    async def of_local(self, tx: Tx, local: str) -> Met:
        """Looks at a row of ours."""
        await self._lock(tx)
        for pair in await links.by_local(tx, **self._named, rows=[local]):
            return await self._meet(tx, pair)
        if self._loading or await links.reviewed(tx, **self._named, local=local):
            return Met()
        return await self._meet(tx, self._new(local=local), new=True)

    async def of_pair(self, tx: Tx, id: str) -> Met:
        """Looks at a pair again."""
        await self._lock(tx)
        pair = await links.by_id(
            tx, environment=self._connection.environment, tenant=self._connection.tenant, id=id
        )
        return Met() if pair is None else await self._meet(tx, pair)

    async def stopped(
        self,
        tx: Tx,
        reason: str,
        *,
        pair: str | None = None,
        key: str | None = None,
        local: str | None = None,
    ) -> None:
        """Notes why the pair with this id, this remote record or this row does not go on."""
        await self._lock(tx)
        found: Pair | None = None
        if pair is not None:
            named = {name: self._named[name] for name in ("environment", "tenant")}
            found = await links.by_id(tx, **named, id=pair)
        elif key is not None:
            stored = await self._stored(tx, key)
            found = await links.by_key(tx, **self._named, key=key) or replace(
                self._new(key=key), subject=stored.subject if stored else None
            )
        elif local is not None:
            known = await links.by_local(tx, **self._named, rows=[local])
            found = known[0] if known else self._new(local=local)
        if found is not None and found.reason != reason:
            await links.save(tx, replace(found, reason=reason))

    # The steps

    async def _lock(self, tx: Tx) -> None:
        await links.lock(
            tx,
            environment=self._connection.environment,
            tenant=self._connection.tenant,
            name=self._link.name,
        )

    async def _introduced(self, tx: Tx, stored: Stored) -> Pair:
        """A pair for a remote record that has none: with the row that it is, if one is."""
        found = await candidates(tx, self._link, self._connection.tenant, stored)
        pair = replace(self._new(key=stored.key), subject=stored.subject)
        if not found:
            return pair
        known = await links.by_local(tx, **self._named, rows=found)
        free = [each for each in found if each not in {one.local for one in known}]
        if len(found) == 1 and free:
            return replace(pair, local=free[0])
        if not self._loading:
            # Somebody who makes a second record of one name means two.
            return replace(pair, local=free[0]) if len(free) == 1 else pair
        same = ", ".join(f"{name}" for name in self._link.match)
        return replace(
            pair,
            state="review",
            candidates=tuple(found),
            reason=f"several have the same {same}; say which row it is, or that it is a new one",
        )

    async def _meet(
        self, tx: Tx, pair: Pair, *, new: bool = False, stored: Stored | None = None
    ) -> Met:
        """Merges a pair, unless something has to be waited for. `stored`: its remote record, where
        that was read already."""
        known = None if new else pair
        if pair.state == "review":
            return await self._kept(tx, pair, known)
        if pair.intent is not None:
            intent = await intents.one(
                tx, environment=pair.environment, tenant=pair.tenant, id=pair.intent
            )
            if intent is not None and intent.state == "waiting":
                if not await unmapped.supersede(tx, intent):
                    return Met(pair=pair)
                intent = None
            if intent is not None and intent.state == "shadowed":
                if await kept_back.holds(tx, intent):
                    return await self._beside(tx, intent, pair, stored)
                if await kept_back.supersede(tx, intent):
                    intent = None
            pair = absorbed(pair, intent)
            if pair.state == "review":
                return await self._kept(tx, pair, known)
        return await self._decided(tx, pair, known, stored)

    async def _beside(self, tx: Tx, held: Intent, pair: Pair, stored: Stored | None) -> Met:
        """Merges a pair while a shadow keeps its write back, which is given up for another one."""
        reason = f"{held.reason}; what there is then goes out when that has ended"
        met = await self._decided(tx, replace(pair, reason=reason), pair, stored)
        if met.later is None and (met.pair is None or met.pair.intent != held.id):
            await kept_back.supersede(tx, held)
        return met

    async def _decided(self, tx: Tx, pair: Pair, known: Pair | None, stored: Stored | None) -> Met:
        try:
            return await self._merged(tx, pair, known, stored)
        except (RecordError, InvalidInput) as error:
            # What our side was given by then stays; both sides hold it when they meet again.
            return await self._kept(tx, replace(pair, reason=str(error)), known)

    async def _kept(self, tx: Tx, pair: Pair, known: Pair | None) -> Met:
        """Writes the pair down where it is not as it is known."""
        if pair != known:
            await links.save(tx, pair)
        return Met(pair=pair)

    async def _merged(self, tx: Tx, pair: Pair, known: Pair | None, stored: Stored | None) -> Met:
        link, tenant = self._link, pair.tenant
        ours = await link.side.read(tx, tenant, pair.local) if pair.local else None
        if stored is None and pair.key:
            stored = await self._stored(tx, pair.key)
        if stored is not None and stored.deleted_at is None and stored.unified is None:
            raise RecordError(f"{self._resource.name} {pair.key} is parked: it cannot be read")
        if pair.key and stored is None:
            return Met(pair=pair, later=SOON)  # made, and not yet read back
        theirs = live(link.model, stored)
        if pair.local and ours is None and pair.ours is None and theirs is not None:
            reason = f"there is no row {pair.local}; say which it is, or that it is a new one"
            return await self._kept(
                tx, replace(pair, local=None, state="review", reason=reason), known
            )
        if stored is not None:
            pair = replace(pair, subject=stored.subject)
        sides = (ours.record if ours else None, theirs)
        asked = [] if known is None else await conflicts.of(tx, pair)
        chosen = {
            each.field: Take(each.take)
            for each in asked
            if each.take and _shown(each.field, sides, link.policy) == (each.ours, each.theirs)
        }
        merged = await self._decide(tx, pair, ours, theirs, stored, chosen)
        there_is = merged.ours or merged.theirs or merged.ours_changed or merged.theirs_changed
        if not there_is and not merged.conflicts:
            await links.drop(tx, pair)
            return Met()
        held = ours.record if ours else None
        if merged.ours_changed:
            pair, held = await self._write(tx, pair, merged)
        before, pair = pair, self._agreed(pair, merged, held)
        if merged.theirs_changed:
            pair = await self._promise(tx, before, pair, merged, held, theirs)
        met = await self._kept(tx, pair, known)
        if asked or merged.conflicts:
            await conflicts.keep(tx, pair, [_told(each) for each in merged.conflicts])
        return replace(
            met,
            ours=merged.ours_changed,
            theirs=merged.theirs_changed if pair.intent else (),
            conflicts=len(merged.conflicts),
        )

    async def _decide(
        self,
        tx: Tx,
        pair: Pair,
        ours: Ours[Any] | None,
        theirs: Any,
        stored: Stored | None,
        chosen: Mapping[str, Take],
    ) -> Merged[Any]:
        """What each side is to hold; a deletion there is asked about where too much is gone."""
        # Whoever takes theirs over a deletion of ours has the record made here as if it were new.
        kept = ours is None and chosen.get(WHOLE) is Take.THEIRS
        about = replace(pair, ours=None, theirs=None) if kept else pair
        merged = self.decide(
            self._link, about, ours, theirs, stored.changed_at if stored else None, chosen=chosen
        )
        deletes = theirs is not None and merged.theirs is None and WHOLE not in chosen
        if deletes and await self._too_many_gone(tx):
            base, their_base = (loaded(self._link.model, each) for each in (pair.ours, pair.theirs))
            asked = Conflict(field=WHOLE, baseline=base, ours=None, theirs=theirs)
            return replace(
                merged,
                theirs=theirs,
                baseline=base,
                theirs_baseline=their_base,
                theirs_changed=(),
                conflicts=(asked,),
            )
        return merged

    async def _too_many_gone(self, tx: Tx) -> bool:
        """Whether so many rows of a table are gone at once that it may be a mistake."""
        if self._link.table is None:
            return False
        named = {name: self._named[name] for name in ("environment", "name", "connection")}
        return too_many(
            *await self._link.table.gone(tx, self._connection.tenant, **named), whole=False
        )

    def decide(self, *about: Any, **more: Any) -> Merged[Any]:
        """What each side is to hold: `decide`, for pairs of this link."""
        return decide(*about, **more)

    async def _write(self, tx: Tx, pair: Pair, merged: Merged[Any]) -> tuple[Pair, Any]:
        """Writes our side; the pair with its row, and what that holds now."""
        side = self._link.side
        if merged.ours is None:
            await side.delete(tx, pair.tenant, pair.local or "")
            return pair, None
        local = None if WHOLE in merged.ours_changed else pair.local
        held = await side.write(tx, pair.tenant, local, merged.ours, merged.ours_changed)
        return replace(pair, local=held.local), held.record

    def _agreed(self, pair: Pair, merged: Merged[Any], held: Any) -> Pair:
        """The pair with what both sides agree on now; ours may have a form of its own."""
        ours, theirs = merged.baseline, merged.theirs_baseline
        if held is not None and ours is not None and merged.ours_changed:
            now = values_of(held, self._link.policy)
            written = ours if WHOLE in merged.ours_changed else merged.ours_changed
            ours = {**ours, **{name: now.get(name, UNSET) for name in written}}
        return replace(
            pair, ours=dumped(ours), theirs=dumped(theirs), reason="", intent=None, pending=None
        )

    async def _promise(
        self, tx: Tx, before: Pair, pair: Pair, merged: Merged[Any], held: Any, theirs: Any
    ) -> Pair:
        """Promises the write at the provider; until it is done, nothing is agreed on what it
        writes: the baseline `before` counts."""
        policy, document, fields = self._link.policy, merged.theirs, merged.theirs_changed
        action = "update" if document is not None and theirs is not None else "create"
        if document is None:
            action, document = "delete", theirs
        sent = values_of(document, policy)
        fields = tuple(sent) if WHOLE in fields else fields
        pending = {
            "action": action,
            "fields": list(fields),
            "ours": dumped(_only(fields, values_of(held, policy) if held is not None else {})),
            "sent": dumped(_only(fields, sent)),
        }
        whole = action != "update"
        pair = replace(
            pair,
            ours=before.ours if whole else _restored(pair.ours, before.ours, fields),
            theirs=before.theirs if whole else _restored(pair.theirs, before.theirs, fields),
        )
        digest = hashlib.sha256(msgspec.json.encode(pending, order="sorted")).hexdigest()
        if before.pending is not None and digest == before.pending["digest"]:  # it is kept back
            return replace(pair, intent=before.intent, pending=before.pending, reason=before.reason)
        if digest == pair.refused:
            return replace(pair, reason=before.reason)
        try:
            push.writable(self._provider, document, self._link.resource, action)
        except InvalidInput as error:
            return replace(pair, refused=digest, reason=str(error))
        seen = values_of(theirs, policy) if theirs is not None else {}
        intent = await push.promise(
            bind(tx, self._schema, None),
            self._provider,
            msgspec.structs.replace(document, id=pair.key),
            to=self._connection,
            resource=self._link.resource,
            action=action,
            seen=None
            if action == "create"
            else {"fields": list(fields), "held": dumped(_only(fields, seen))},
            link=pair.id,
        )
        return replace(pair, intent=intent, pending={**pending, "digest": digest})

    async def _stored(self, tx: Tx, key: str) -> Stored | None:
        return await records.one(tx, self._stream, key)

    @property
    def _stream(self) -> Stream:
        return stream_of(self._connection, self._link.resource)

    @property
    def _named(self) -> dict[str, str]:
        return {
            "environment": self._connection.environment,
            "tenant": self._connection.tenant,
            "name": self._link.name,
            "connection": self._connection.id,
        }

    def _new(self, *, key: str | None = None, local: str | None = None) -> Pair:
        return Pair(
            environment=self._connection.environment,
            tenant=self._connection.tenant,
            id=ids.new("lnk"),
            name=self._link.name,
            connection=self._connection.id,
            resource=self._link.resource,
            key=key,
            local=local,
        )


async def candidates(tx: Tx, link: Link[Any], tenant: str, stored: Stored) -> list[str]:
    """The rows of ours that a remote record may be, by the fields that the link matches by."""
    record = live(link.model, stored)
    values = {name: getattr(record, name) for name in link.match} if record else {}
    if not values or not all(values.values()):
        return []  # nothing to go by
    texts = {name: str(msgspec.to_builtins(value)) for name, value in values.items()}
    return (await link.side.find(tx, tenant, texts))[:SAME]


def decide(
    link: Link[Any],
    pair: Pair,
    ours: Ours[Any] | None,
    theirs: Any,
    theirs_at: datetime | None,
    *,
    chosen: Mapping[str, Take] = _NONE,
) -> Merged[Any]:
    """What each side of a pair is to hold. `chosen`: sides that somebody took for fields."""
    policy = link.policy
    if chosen:
        policy = replace(
            policy,
            by_field={**policy.by_field, **{n: t for n, t in chosen.items() if n != WHOLE}},
            deleted=chosen.get(WHOLE, policy.deleted),
        )
    stamp = getattr(theirs, "updated_at", None) or theirs_at
    return merge(
        loaded(link.model, pair.ours),
        ours.record if ours else None,
        theirs,
        policy,
        theirs_baseline=loaded(link.model, pair.theirs),
        ours_at=ours.changed_at if ours else None,
        theirs_at=stamp,
    )


def absorbed(pair: Pair, intent: Intent | None) -> Pair:
    """The pair after its write ended: what it agreed to if it is done, as before otherwise."""
    pending = pair.pending or {}
    pair = replace(pair, intent=None, pending=None)
    if intent is None:
        return pair
    if intent.state == "done":
        answer = intent.answer if intent.answer is not None else pending["sent"]
        fields = pending["fields"]
        return replace(
            pair,
            key=pair.key or intent.key,
            ours=_restored(pair.ours or {}, pending["ours"], fields),
            theirs=_restored(pair.theirs or {}, answer, fields),
            refused=None,
            reason="",
            tries=0,
        )
    if intent.state == "conflict" and pair.tries < _MOST_TRIES:
        return replace(pair, tries=pair.tries + 1)
    if intent.state == "unknown":
        return replace(pair, state="review", reason=intent.reason)
    reason = intent.reason
    if intent.state == "shadowed":
        reason = f"what the shadow {intent.shadow} kept of it was discarded"
    return replace(pair, refused=pending["digest"], reason=reason)


def live(model: type[Any], stored: Stored | None) -> Any:
    """The model of a record that is there and could be read, else None."""
    if stored is None or stored.deleted_at is not None or stored.unified is None:
        return None
    return read_json(model, stored.unified)


def _only(fields: Iterable[str], values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: values[name] for name in fields if name in values}


def _restored(
    now: Mapping[str, Any] | None, before: Mapping[str, Any] | None, fields: Iterable[str]
) -> dict[str, Any]:
    """The values with these fields as they were before, some missing."""
    values = {**(now or {})}
    for name in fields:
        values.pop(name, None)
        if before is not None and name in before:
            values[name] = before[name]
    return values


def _shown(field: str, sides: tuple[Any, Any], policy: Policy) -> tuple[Any, ...]:
    """What somebody who looked at a conflict over this field would see now."""
    if field == WHOLE:
        return tuple(None if side is None else msgspec.to_builtins(side) for side in sides)
    held = [values_of(side, policy) if side is not None else {} for side in sides]
    return tuple(msgspec.to_builtins(values.get(field)) for values in held)


def _told(conflict: Conflict) -> tuple[str, dict[str, Any]]:
    sides = {"baseline": conflict.baseline, "ours": conflict.ours, "theirs": conflict.theirs}
    return conflict.field, {
        side: msgspec.to_builtins(value) for side, value in sides.items() if value is not UNSET
    }

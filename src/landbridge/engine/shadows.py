"""Shadows: started, reported on, promoted or stopped, and what they kept sent or given up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from landbridge import ids
from landbridge.client import Client
from landbridge.engine import kept_back
from landbridge.engine.dual import Dual
from landbridge.engine.pull import Puller
from landbridge.engine.shadow_replay import Replayed, ShadowReplay
from landbridge.errors import InvalidInput, NotFound
from landbridge.spec import Provider
from landbridge.store import connections, due, shadow_calls, shadow_ends, shadow_fields, shadows
from landbridge.store.database import Database
from landbridge.store.shadow_calls import Kept
from landbridge.store.shadow_ends import RealId
from landbridge.store.shadow_fields import Divergence
from landbridge.store.shadows import EVERYONE, Rule, Shadow

KINDS = ("provider", "connection", "handler")
_LONGEST = 24 * 90


@dataclass(frozen=True, kw_only=True)
class Report:
    """What a shadow saw. `problems` are the reasons why its rule does not hold now; none: it does.

    `counts` has `resource`, `action`, `state`, `calls` and `errors`; `fields` every field that a
    candidate was compared in; `calls` the first writes that were kept.
    """

    shadow: Shadow
    counts: list[dict[str, Any]]
    fields: list[Divergence]
    calls: list[Kept]
    problems: list[str]


class Shadows:
    """Orders shadows and ends them. NotFound for an id that is not there."""

    def __init__(
        self,
        db: Database,
        client: Client,
        puller: Puller,
        dual: Dual,
        *,
        provider: Callable[[str], Provider],
        environment: str,
    ):
        self._db = db
        self._dual = dual
        self._replay = ShadowReplay(db, client, puller, provider=provider)
        self._provider = provider
        self._environment = environment

    async def start(
        self,
        place: str,
        kind: str,
        *,
        hours: float = 48,
        tenant: str = EVERYONE,
        threshold: float = 0.0,
        errors: int = 0,
        auto: bool = True,
        writes: bool = True,
        candidate: str = "",
        environment: str | None = None,
    ) -> Shadow:
        """A shadow that holds from now on; at the end of the window its rule is looked at.

        InvalidInput: a value that cannot be, or the place has a shadow already.
        """
        where = environment or self._environment
        rule = Rule(
            threshold=threshold, errors=errors, auto=auto, writes=writes, candidate=candidate
        )
        _check(kind, hours, tenant, rule)
        if kind == "connection":
            tenant = await self._tenant_of(where, place)
        elif kind == "provider":
            place = self._provider(place).slug
        during = timedelta(hours=hours)
        async with self._db.transaction() as tx:
            made = await shadows.add(
                tx,
                environment=where,
                tenant=tenant,
                id=ids.new(ids.PREFIXES["shadow"]),
                place=place,
                kind=kind,
                rule=rule,
                during=during,
            )
            if made is None:
                raise InvalidInput(
                    f"{kind}: {place} has a shadow already; see it with: landbridge shadow list"
                )
            await due.put(tx, [_end_of(made, during)])
        return made

    async def _tenant_of(self, environment: str, id: str) -> str:
        found = await connections.by_id(self._db, environment=environment, id=id)
        if found is None:
            raise NotFound(
                f"{id!r} is no connection in the environment {environment!r};"
                " see them with: landbridge connections list"
            )
        return found.tenant

    async def get(self, id: str, *, environment: str | None = None) -> Shadow:
        """The shadow with this id."""
        where = environment or self._environment
        found = await shadows.by_id(self._db, environment=where, id=id)
        if found is None:
            raise NotFound(
                f"{id!r} is no shadow in the environment {where!r};"
                " see them with: landbridge shadow list"
            )
        return found

    async def list(self, *, tenant: str | None = None, most: int = 100) -> list[Shadow]:
        """Shadows, the newest first."""
        return await shadows.every(
            self._db, environment=self._environment, tenant=tenant, most=most
        )

    async def report(self, id: str, *, most: int = 20) -> Report:
        """What a shadow saw so far, with the first `most` of the writes that it kept."""
        shadow = await self.get(id)
        return await self._report(shadow, most)

    async def _report(self, shadow: Shadow, most: int) -> Report:
        where = {"environment": shadow.environment, "shadow": shadow.id}
        counts = await shadow_calls.counts(self._db, **where)
        fields = await shadow_fields.read(self._db, **where)
        calls = await shadow_calls.page(self._db, **where, most=most) if most else []
        return Report(
            shadow=shadow,
            counts=counts,
            fields=fields,
            calls=calls,
            problems=problems(shadow, counts, fields),
        )

    async def compare(self, id: str) -> int:
        """Compares what is stored already under the shadow's candidate; how many records."""
        return await self._dual.stored(await self.get(id))

    async def judge(self, environment: str, id: str) -> Shadow | None:
        """Ends the window of a shadow that runs: promoted if its rule holds, else failed.

        A failed one keeps writes back until somebody promotes or stops it. None: it is gone, or
        its window was ended otherwise.
        """
        shadow = await shadows.by_id(self._db, environment=environment, id=id)
        if shadow is None or shadow.state != "running":
            return None
        wrong = (await self._report(shadow, 0)).problems
        if not shadow.rule.auto:
            wrong = [*wrong, "it is promoted by hand only"]
        state = "failed" if wrong else "promoted"
        reason = "; ".join(wrong) or "its rule held to the end of its window"
        await self._move(shadow, state, ["running"], reason)
        return await shadows.by_id(self._db, environment=environment, id=id)

    async def promote(self, id: str) -> Shadow:
        """Lets writes go out from now on. What was kept stays, to be replayed or discarded; pairs
        of links are looked at again, and write what there is to write now."""
        return await self._end(id, "promoted", "by hand")

    async def stop(self, id: str) -> Shadow:
        """Ends a shadow that proved nothing; writes go out from now on, and what was kept stays as
        when it is promoted."""
        return await self._end(id, "stopped", "by hand")

    async def _end(self, id: str, state: str, reason: str) -> Shadow:
        shadow = await self.get(id)
        if not await self._move(shadow, state, ["running", "failed"], reason):
            raise InvalidInput(f"shadow: {id} is {shadow.state} already")
        return await self.get(id)

    async def _move(self, shadow: Shadow, state: str, states: Sequence[str], reason: str) -> bool:
        """Ends its window, and orders what is to be done once it holds no more."""
        async with self._db.transaction() as tx:
            moved = await shadows.end(tx, shadow, state, states=list(states), reason=reason)
            if moved and state != "failed":
                await due.put(tx, [kept_back.end_job(shadow)])
        await self._db.notify()
        return moved

    async def discard(self, id: str, *, calls: Sequence[str] | None = None) -> int:
        """Gives up kept writes, all of them or these; how many. They are never sent."""
        shadow = await self.get(id)
        return await shadow_calls.discard(
            self._db, environment=shadow.environment, shadow=shadow.id, ids=calls
        )

    async def replay(self, id: str) -> Replayed:
        """Sends what was kept, in its order, each once, under its idempotency key.

        Keys that the shadow made up are replaced by the provider's. May be stopped and run again:
        it goes on with what was not sent. A write that may have happened is not repeated unless its
        idempotency key or its method makes that harmless; it is `unknown` then. What is of a link
        is left: its pair is looked at again by itself.

        InvalidInput: the shadow holds yet. Conflict: another shadow keeps such writes back now.
        """
        shadow = await self.get(id)
        if shadow.holds:
            raise InvalidInput(
                f"shadow: {id} keeps writes back yet; first: landbridge shadow promote {id}"
            )
        return await self._replay.run(shadow)

    async def real_ids(
        self,
        id: str,
        made_up: Sequence[str] | None = None,
        *,
        after: str = "",
        most: int = 1000,
    ) -> Sequence[RealId]:
        """The provider's ids for those that the shadow made up, of what `replay` sent so far.

        In the order of the writes, all of them or those for `made_up`: for tables of your own in
        which a made-up id was stored. An id that is missing was not sent. Read on with `after`, the
        last one's `id`.
        """
        shadow = await self.get(id)
        return await shadow_ends.real_ids(
            self._db,
            environment=shadow.environment,
            shadow=shadow.id,
            made_up=made_up,
            after=after,
            most=most,
        )


def _check(kind: str, hours: float, tenant: str, rule: Rule) -> None:
    if kind not in KINDS:
        raise InvalidInput(f"kind: {kind!r} is none of {', '.join(KINDS)}")
    if not 0 < hours <= _LONGEST:
        raise InvalidInput(f"hours: {hours:g} is not above 0 and up to {_LONGEST}")
    if not 0 <= rule.threshold <= 1:
        raise InvalidInput(f"threshold: {rule.threshold:g} is no share; give 0 to 1, as 0.01")
    if rule.errors < 0:
        raise InvalidInput(f"errors: {rule.errors} is below 0")
    if not rule.writes and not rule.candidate:
        raise InvalidInput("candidate: missing; with writes going out nothing else is done")
    if kind == "handler" and (tenant or rule.candidate):
        raise InvalidInput(
            "handler: its shadow is for all tenants and has no candidate; leave these out"
        )


def problems(
    shadow: Shadow, counts: Sequence[dict[str, Any]], fields: Sequence[Divergence]
) -> list[str]:
    """Why a shadow's rule does not hold, in sentences; empty if it does."""
    rule = shadow.rule
    found = []
    errors = sum(each["errors"] for each in counts)
    if errors > rule.errors:
        found.append(f"{errors} of the kept writes would be refused, {rule.errors} are allowed")
    found += [
        f"{each.resource}.{each.field} differs in {each.diverged} of {each.compared} records"
        for each in fields
        if each.share > rule.threshold
    ]
    if rule.candidate and not any(each.compared for each in fields):
        found.append(f"nothing was compared under the candidate {rule.candidate}")
    return found


def _end_of(shadow: Shadow, during: timedelta) -> due.Job:
    return due.Job(
        environment=shadow.environment,
        tenant=shadow.tenant,
        lane="system",
        kind="shadow",
        ref=shadow.id,
        key=shadow.id,
        after=during,
    )

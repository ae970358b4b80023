"""Dual runs: a candidate page beside the current one, reading the same raw records."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import msgspec

from landbridge.engine.overlay import lay, page_of
from landbridge.engine.pull import stream_of
from landbridge.errors import InvalidInput, NotFound, RecordError, UnmappedCode
from landbridge.formats import codec
from landbridge.protocols import Fetched
from landbridge.spec import Provider, Resource, find
from landbridge.store import connections, records, shadow_fields, shadows
from landbridge.store.connections import Connection
from landbridge.store.database import Database
from landbridge.store.shadow_fields import Sample
from landbridge.store.shadows import Shadow

READING = "(reading)"
"""The field that stands for a record which one of the two cannot read, or for its model."""

_PAGE = 500

Pair = tuple[Any, Any]


def compare(current: Resource, candidate: Resource, value: Any) -> dict[str, Pair | None]:
    """Every field of our model with both its values where they differ, None where they agree.

    `(reading)` is the reason why one of the two could not read the record.
    """
    ours, problem = _read(current, value)
    theirs, other = _read(candidate, value)
    if problem or other:
        return {READING: None if problem == other else (problem or None, other or None)}
    fields = dict.fromkeys([*ours, *theirs])
    differing: dict[str, Pair | None] = {
        name: None if ours.get(name) == theirs.get(name) else (ours.get(name), theirs.get(name))
        for name in fields
    }
    return {READING: None, **differing}


def _read(resource: Resource, value: Any) -> tuple[dict[str, Any], str]:
    if resource.maps is None:
        return {}, "it has no mapping"
    try:
        model = resource.maps.read(value)
    except (RecordError, UnmappedCode, InvalidInput) as error:
        return {}, str(error)
    read: dict[str, Any] = msgspec.to_builtins(model)
    return {"kind": model.kind, **read}, ""


class Dual:
    """Compares what is pulled, and what was pulled before, under the candidates of this process.

    `candidates` are pages by the names that shadows refer to.
    """

    def __init__(
        self,
        db: Database,
        *,
        provider: Callable[[str], Provider],
        candidates: Mapping[str, Provider],
    ):
        self._db = db
        self._provider = provider
        self._candidates = candidates

    async def seen(
        self, connection: Connection, resource: Resource, fetched: Sequence[Fetched]
    ) -> None:
        """Compares records that were just pulled, if a shadow of the connection wants it.

        Without candidates in this process it costs nothing.
        """
        if not self._candidates:
            return
        shadow = await shadows.of_connection(self._db, connection, all=True)
        if shadow is None or shadow.rule.candidate not in self._candidates:
            return
        await self._compare(shadow, connection, resource, _readable(fetched))

    async def stored(self, shadow: Shadow) -> int:
        """Compares everything that is stored of what the shadow holds; how many records."""
        done = 0
        for connection in await self._connections(shadow):
            page = lay(self._candidate(shadow), connection.overlay)
            current = page_of(self._provider, connection)
            for resource in current.resources:
                if resource.maps is not None and _has(page, resource.name):
                    done += await self._stored(shadow, connection, resource)
        return done

    async def _stored(self, shadow: Shadow, connection: Connection, resource: Resource) -> int:
        stream = stream_of(connection, resource.name)
        parse = codec(resource.format).parse
        after = ""
        done = 0
        while True:
            page = await records.read(self._db, stream, after=after, most=_PAGE)
            raws = [(each.key, parse(each.raw)) for each in page]
            await self._compare(shadow, connection, resource, raws)
            done += len(page)
            if len(page) < _PAGE:
                return done
            after = page[-1].key

    async def _connections(self, shadow: Shadow) -> list[Connection]:
        if shadow.kind == "handler":
            raise InvalidInput(f"shadow: {shadow.id} is of a handler; a candidate reads records")
        if shadow.kind == "connection":
            found = await connections.by_id(
                self._db, environment=shadow.environment, id=shadow.place
            )
            return [found] if found else []
        every = await connections.every(
            self._db, environment=shadow.environment, tenant=shadow.tenant or None
        )
        return [one for one in every if one.provider == shadow.place]

    def _candidate(self, shadow: Shadow) -> Provider:
        found = self._candidates.get(shadow.rule.candidate)
        if found is None:
            names = ", ".join(self._candidates) or "none"
            raise NotFound(
                f"candidate: {shadow.rule.candidate!r} is not given in this process ({names} are);"
                " name it with bridge.candidate(page), and your bridge with --app"
            )
        return found

    async def _compare(
        self,
        shadow: Shadow,
        connection: Connection,
        resource: Resource,
        raws: Sequence[tuple[str, Any]],
    ) -> None:
        page = lay(self._candidate(shadow), connection.overlay)
        if resource.maps is None or not _has(page, resource.name):
            return
        candidate = page.resource(resource.name)
        counts: dict[str, tuple[int, int]] = {}
        samples: list[Sample] = []
        sampled: dict[str, int] = {}
        for key, value in raws:
            subject = find(value, resource.subject) if resource.subject else None
            for name, pair in compare(resource, candidate, value).items():
                compared, diverged = counts.get(name, (0, 0))
                counts[name] = (compared + 1, diverged + (pair is not None))
                if pair is not None and sampled.get(name, 0) < shadow_fields.MOST_SAMPLES:
                    sampled[name] = sampled.get(name, 0) + 1
                    samples.append(
                        Sample(
                            environment=connection.environment,
                            tenant=connection.tenant,
                            resource=resource.name,
                            field=name,
                            key=key,
                            current=pair[0],
                            candidate=pair[1],
                            subject=None if subject is None else str(subject),
                        )
                    )
        if not counts:
            return
        async with self._db.transaction() as tx:
            await shadow_fields.count(
                tx,
                environment=connection.environment,
                tenant=connection.tenant,
                shadow=shadow.id,
                resource=resource.name,
                fields=counts,
            )
            await shadow_fields.sample(tx, shadow.id, samples)


def _has(page: Provider, name: str) -> bool:
    return any(one.name == name for one in page.resources)


def _readable(fetched: Sequence[Fetched]) -> list[tuple[str, Any]]:
    """Records that are there, by their keys; what is no JSON was parked."""
    there: list[tuple[str, Any]] = []
    for one in fetched:
        if not one.deleted:
            with suppress(RecordError):
                there.append((one.key, one.value))
    return there

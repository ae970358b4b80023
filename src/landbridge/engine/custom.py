"""What tenants added at their providers, as they tell us: custom fields, objects, code tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from landbridge.engine.codes import NO_TABLES, Lack, Matching, Tables, lacking, matchings, suggested
from landbridge.engine.orders import pull_job, remap_job
from landbridge.engine.overlay import lay, page_of
from landbridge.engine.pull import stream_of
from landbridge.engine.suggest import LEAST, Suggestion
from landbridge.errors import (
    InvalidInput,
    NotFound,
    RecordError,
    SpecError,
    UnmappedCode,
    did_you_mean,
)
from landbridge.formats import codec
from landbridge.spec import CustomField, CustomObject, Provider, Resource
from landbridge.store import connections, due, intents, overlays, records, schedules, syncs
from landbridge.store.connections import Connection
from landbridge.store.database import Database, Tx
from landbridge.store.overlays import Overlay
from landbridge.store.syncs import Stream

SAMPLE = 200
"""How many stored records a new field is tried on."""

_DEEP = 4


@dataclass(frozen=True, kw_only=True)
class FieldSet:
    """A custom field was set. `tried` stored records were looked at, `seen` of them have it;
    `parked` could not be read by it."""

    field: CustomField
    tried: int
    seen: int
    parked: int


class Custom:
    """Custom fields, objects and code tables of connections: listed, set, removed.

    They are rows of the database, so every process works by them at once. What is stored of the
    resource is read again by workers, without a call.
    """

    def __init__(
        self, db: Database, *, provider: Callable[[str], Provider], codes: Tables = NO_TABLES
    ):
        self._db = db
        self._provider = provider
        self._codes = codes

    async def list(self, connection: Connection) -> Sequence[Overlay]:
        """What holds for this connection, as `Overlay` says, objects before their fields."""
        return (await self._fresh(connection)).overlay

    async def set_field(
        self,
        connection: Connection,
        resource: str,
        name: str,
        *,
        whole: bool = False,
        anyway: bool = False,
        **facts: Any,
    ) -> FieldSet:
        """Reads `path` of a resource's records into `extra[name]`, and writes it from there.

        `facts` are those of `CustomField`: `path`, `word`, `access`, `words`, `where`, `value`.
        With `whole` it holds for all of the tenant's connections to this provider. InvalidInput
        names what does not fit the page; also a path that none of the stored records has, and
        values that cannot be read by it, unless it is to be set `anyway`.
        """
        fresh = await self._fresh(connection)
        page = page_of(self._provider, fresh)
        chosen = page.resource(resource)
        try:
            field = CustomField(name=name, **facts)
            lay(self._provider(fresh.provider), _with(fresh.overlay, resource, name, facts))
        except SpecError as error:
            raise InvalidInput(str(error)) from None
        done = await self._tried(stream_of(fresh, resource), chosen, field, anyway=anyway)
        async with self._db.transaction() as tx:
            where = _where(fresh, whole=whole)
            await overlays.put(tx, **where, resource=resource, field=name, facts=facts)
            await self._order(tx, where, resource)
        await self._db.notify()
        return done

    async def remove_field(
        self, connection: Connection, resource: str, name: str, *, whole: bool = False
    ) -> None:
        """Takes a custom field away; `whole` says that it goes from all connections of the tenant.

        NotFound if there is none of this name.
        """
        fresh = await self._fresh(connection)
        _there(fresh, resource, name, whole=whole)
        async with self._db.transaction() as tx:
            where = _where(fresh, whole=whole)
            await overlays.remove(tx, **where, resource=resource, field=name)
            await self._order(tx, where, resource)
        await self._db.notify()

    async def set_object(
        self, connection: Connection, name: str, *, whole: bool = False, **facts: Any
    ) -> CustomObject:
        """Pulls a custom object as the resource `name`: `models.custom.CustomRecord`s.

        `facts` are those of `CustomObject`: `path`, `like`, `key`, `records`, `free`, and `topics`
        and `deletes`, lists of topics of webhooks about it. It is pulled as often as the resource
        that it is `like`, and by those webhooks. Set otherwise than before it is listed anew.
        InvalidInput names what does not fit the page.
        """
        fresh = await self._fresh(connection)
        page = self._provider(fresh.provider)
        facts = {fact: told if isinstance(told, str) else [*told] for fact, told in facts.items()}
        try:
            made = CustomObject(name=name, **facts)
            lay(page, _with(fresh.overlay, name, "", facts))
        except SpecError as error:
            raise InvalidInput(str(error)) from None
        async with self._db.transaction() as tx:
            where = _where(fresh, whole=whole)
            before = next(
                (row for row in fresh.overlay if (row.resource, row.field) == (name, "")), None
            )
            if before is not None and before.facts != facts:
                for each in await overlays.streams(tx, **where, resource=name):
                    await self._end(tx, where, each, name)
            await overlays.put(tx, **where, resource=name, field="", facts=facts)
            for each in await overlays.streams(tx, **where, resource=made.like):
                await self._begin(tx, fresh, each, made)
        await self._db.notify()
        return made

    async def remove_object(
        self, connection: Connection, name: str, *, whole: bool = False
    ) -> None:
        """Takes a custom object and its fields away and ends its pulls; its records stay.

        NotFound if there is none of this name.
        """
        fresh = await self._fresh(connection)
        _there(fresh, name, "", whole=whole)
        async with self._db.transaction() as tx:
            where = _where(fresh, whole=whole)
            for each in await overlays.streams(tx, **where, resource=name):
                await self._end(tx, where, each, name)
            await overlays.remove(tx, **where, resource=name, field="")

    async def set_codes(
        self,
        connection: Connection,
        table: str,
        lines: Mapping[str, str],
        *,
        whole: bool = False,
        anyway: bool = False,
    ) -> int:
        """Puts lines into a code table: our word for each code of the provider's. How many lines
        it has then.

        From the first line on a record with a code that has none is parked. So what is stored is
        looked at, and codes that would park records are an InvalidInput that names them, unless the
        lines are to be put in `anyway`. `whole` as for fields.
        """
        fresh = await self._fresh(connection)
        there = {**_lines(fresh, table), **lines}
        try:
            page = lay(self._provider(fresh.provider), _with(fresh.overlay, "", table, there))
        except SpecError as error:
            raise InvalidInput(str(error)) from None
        if not lines or not all(theirs and ours for theirs, ours in lines.items()):
            raise InvalidInput(f"{table}: give at least one line, with a code on either side")
        if not anyway:
            await self._demand_lines(fresh, page, table)
        await self._put_codes(fresh, table, there, whole=whole)
        return len(there)

    async def remove_codes(
        self, connection: Connection, table: str, codes: Sequence[str] = (), *, whole: bool = False
    ) -> int:
        """Takes lines out of a code table; none named: the whole table, so that the provider's own
        codes stand again. How many lines are left.

        NotFound for a table or a line that is not there.
        """
        fresh = await self._fresh(connection)
        _there(fresh, "", table, whole=whole)
        lines = _lines(fresh, table)
        for code in codes:
            if code not in lines:
                raise NotFound(f"{table}: no line for {code!r}.{did_you_mean(code, lines)}")
        left = {theirs: ours for theirs, ours in lines.items() if codes and theirs not in codes}
        await self._put_codes(fresh, table, left, whole=whole)
        return len(left)

    async def suggest_codes(
        self, connection: Connection, table: str, *, least: float = LEAST
    ) -> Sequence[Suggestion]:
        """What the provider's code for each of ours likely is, for those that have no line.

        Nothing is set: `set_codes` takes what somebody confirmed. Ours are those that the bridge
        declares (`bridge.codes`); without any, the words of the tenant's other connections.
        NotFound for a table that the page has not, InvalidInput before its codes were pulled.
        """
        fresh = await self._fresh(connection)
        page = self._provider(fresh.provider)
        ours = self._codes.get(table, ())
        return await suggested(self._db, page, fresh, table, ours, least=least)

    async def match_codes(self, connection: Connection) -> Sequence[Matching]:
        """What a person is to be asked about a connection's code tables, as the connect page asks
        it: for a page of your own."""
        fresh = await self._fresh(connection)
        return await matchings(self._db, self._provider(fresh.provider), fresh, self._codes)

    async def check_codes(self, connection: Connection) -> Sequence[Lack]:
        """Every code without a line: ours, as the bridge declares them, and the provider's for
        which records are parked."""
        return await lacking(self._db, self._provider, await self._fresh(connection), self._codes)

    async def _put_codes(
        self, fresh: Connection, table: str, lines: Mapping[str, str], *, whole: bool
    ) -> None:
        where = _where(fresh, whole=whole)
        async with self._db.transaction() as tx:
            if lines:
                await overlays.put(tx, **where, resource="", field=table, facts=lines)
            else:
                await overlays.remove(tx, **where, resource="", field=table)
            for resource in self._provider(fresh.provider).resources:
                if resource.maps is not None and table in resource.maps.tables:
                    await self._order(tx, where, resource.name)
            places = await overlays.places(tx, **where)
            await intents.wake(
                tx, environment=fresh.environment, tenant=fresh.tenant, connections=places
            )
        await self._db.notify()

    async def _demand_lines(self, fresh: Connection, page: Provider, table: str) -> None:
        """Raises InvalidInput for codes of stored records that have no line."""
        missing: set[str] = set()
        for resource in page.resources:
            if resource.maps is None or table not in resource.maps.tables:
                continue
            for each in await records.read(self._db, stream_of(fresh, resource.name), most=SAMPLE):
                try:
                    resource.maps.read(codec(resource.format).parse(each.raw))
                except UnmappedCode as error:
                    if error.table == table:
                        missing.add(str(error.code))
                except RecordError:
                    continue  # it is parked for another reason
        if missing:
            raise InvalidInput(
                f"{table}: stored records have codes without a line: {', '.join(sorted(missing))}."
                " Give these too, or say `anyway`: their records are parked until they have one."
            )

    async def _fresh(self, connection: Connection) -> Connection:
        found = await connections.one(
            self._db,
            environment=connection.environment,
            tenant=connection.tenant,
            id=connection.id,
        )
        if found is None:
            raise NotFound(f"the connection {connection.id} is gone")
        return found

    async def _tried(
        self, stream: Stream, resource: Resource, field: CustomField, *, anyway: bool
    ) -> FieldSet:
        """What stored records say to the field; InvalidInput if that is a refusal."""
        held = await records.read(self._db, stream, most=SAMPLE)
        values = [codec(resource.format).parse(each.raw) for each in held]
        seen, reasons = 0, []
        for value in values:
            try:
                seen += field.read(value) is not None
            except RecordError as error:
                seen += 1
                reasons.append(str(error))
        label = f"CustomField {field.name!r}"
        if values and not seen and not anyway:
            known = {path for value in values for path in _paths(value)}
            raise InvalidInput(
                f"{label}, path: nothing is at {field.path} in the {len(values)} stored records"
                f" that were looked at.{did_you_mean(field.path, known)}"
                " Say `anyway` to set it all the same."
            )
        if reasons and not anyway:
            raise InvalidInput(
                f"{label}: {len(reasons)} of {len(values)} stored records would be parked:"
                f" {reasons[0]}. Give another word, or say `anyway` to set it all the same."
            )
        return FieldSet(field=field, tried=len(values), seen=seen, parked=len(reasons))

    async def _order(self, tx: Tx, where: dict[str, str], resource: str) -> None:
        those = await overlays.streams(tx, **where, resource=resource)
        await due.put(tx, [remap_job(_stream(where, each, resource)) for each in those])

    async def _begin(self, tx: Tx, fresh: Connection, connection: str, made: CustomObject) -> None:
        own = {"environment": fresh.environment, "tenant": fresh.tenant, "connection": connection}
        paces = await schedules.scheduled(tx, **own)
        every = paces.get(made.like)
        await syncs.add(tx, **own, resources=[made.name], every=every)
        if every is not None:
            await due.put(tx, [pull_job(Stream(**own, resource=made.name), every=every)])

    async def _end(self, tx: Tx, where: dict[str, str], connection: str, name: str) -> None:
        stream = _stream(where, connection, name)
        for job in (pull_job(stream), remap_job(stream)):
            await due.cancel(
                tx, environment=job.environment, tenant=job.tenant, kind=job.kind, key=job.key
            )
        await overlays.end(tx, **stream.binds())


def _where(connection: Connection, *, whole: bool) -> dict[str, str]:
    return {
        "environment": connection.environment,
        "tenant": connection.tenant,
        "provider": connection.provider,
        "connection": "" if whole else connection.id,
    }


def _stream(where: Mapping[str, str], connection: str, resource: str) -> Stream:
    return Stream(
        environment=where["environment"],
        tenant=where["tenant"],
        connection=connection,
        resource=resource,
    )


def _lines(connection: Connection, table: str) -> dict[str, str]:
    """The lines of a code table as they are."""
    found = (row.facts for row in connection.overlay if (row.resource, row.field) == ("", table))
    return dict(next(found, {}))


def _with(
    overlay: Sequence[Overlay], resource: str, field: str, facts: Mapping[str, Any]
) -> list[Overlay]:
    """The overlay with one more in it, in the place of one of the same name."""
    rest = [row for row in overlay if (row.resource, row.field) != (resource, field)]
    return [*rest, Overlay(resource=resource, field=field, facts=facts, whole=False)]


def _there(connection: Connection, resource: str, field: str, *, whole: bool) -> None:
    """Raises what keeps a field or an object from being removed."""
    found = {
        row.field or row.resource: row for row in connection.overlay if _is(row, resource, field)
    }
    name = field or resource
    what = f"custom field of {resource}" if resource and field else "custom object"
    if not resource:
        what = "code table that is set"
    if name not in found:
        raise NotFound(
            f"{name!r} is no {what} at {connection.id}.{did_you_mean(name, found)}"
            f" There are: {', '.join(found) or 'none'}."
        )
    if found[name].whole != whole:
        whose = f"all connections of {connection.tenant} to {connection.provider}"
        raise InvalidInput(
            f"{name!r} is set for {whose}: it can be removed for all of them only (--all)"
            if not whole
            else f"{name!r} is set for {connection.id} alone: remove it there (without --all)"
        )


def _is(row: Overlay, resource: str, field: str) -> bool:
    """Whether a row is of the same sort as the one that is looked for."""
    return row.resource == resource and bool(row.field) if field else not row.field


def _paths(value: Any, above: str = "", deep: int = _DEEP) -> Iterator[str]:
    """Every path to a value in a record."""
    if not isinstance(value, dict) or not deep:
        return
    for name, inner in value.items():
        path = f"{above}.{name}" if above else name
        yield path
        yield from _paths(inner, path, deep - 1)

"""Code tables of a connection: what is suggested for them, and what waits for a line."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TypeVar

import msgspec

from landbridge.engine.overlay import page_of
from landbridge.engine.pull import stream_of
from landbridge.engine.stored import kept_rates, organisation, unified
from landbridge.engine.suggest import LEAST, Code, Seen, Suggestion, suggest
from landbridge.errors import (
    InvalidInput,
    NotFound,
    RecordError,
    SpecError,
    UnmappedCode,
    did_you_mean,
)
from landbridge.formats import codec
from landbridge.models import read_json
from landbridge.models.accounting import TaxRate
from landbridge.models.totals import whole_rate
from landbridge.spec import Context, Provider, Resource
from landbridge.store import overlays, parked, remaps
from landbridge.store.connections import Connection
from landbridge.store.database import Database

T = TypeVar("T")

_PART = 500

Tables = Mapping[str, Sequence[Code]]
"""Our own codes by the names of their tables."""

NO_TABLES: Tables = MappingProxyType({})

Missing = tuple[str, str]
"""A table and the code that has no line in it."""


@dataclass(frozen=True, kw_only=True)
class Lack:
    """A code without a line: ours (`whose` "ours") or the provider's ("theirs").

    `records` of the provider are parked until it has one, and `documents` of ours are held.
    `declared`: it is one of those that the application declared; nothing may wait for it.
    """

    table: str
    code: str
    whose: str
    name: str = ""
    declared: bool = False
    records: int = 0
    documents: int = 0


@dataclass(frozen=True, kw_only=True)
class Matching:
    """What a person is asked about one table: a suggestion for each of our codes without a line,
    and the provider's codes to choose from. These are none before they were pulled."""

    table: str
    suggestions: Sequence[Suggestion]
    theirs: Sequence[Code]


def declared_codes(given: Tables, table: str, codes: Sequence[Code]) -> dict[str, Sequence[Code]]:
    """The tables with one more. SpecError for a table that is there already, an empty one, and a
    code that is in it twice."""
    if table in given:
        raise SpecError(
            f"codes: the table {table!r} is declared already; give all its codes at once"
        )
    if not codes:
        raise SpecError(f"codes: the table {table!r} has no codes")
    count = Counter(one.code for one in codes)
    twice = [code for code, times in count.items() if times > 1]
    if twice:
        raise SpecError(f"codes: the table {table!r} has {twice[0]!r} twice")
    return {**given, table: tuple(codes)}


def lines_of(connection: Connection) -> dict[str, Mapping[str, str]]:
    """The code tables of a connection, each with its lines, theirs to ours."""
    return {row.field: row.facts for row in connection.overlay if not row.resource}


async def theirs(db: Database, page: Provider, connection: Connection, table: str) -> list[Code]:
    """The provider's codes for a table, from the records that were pulled; not those that documents
    cannot name any more.

    InvalidInput when the page does not say where they are listed.
    """
    listing = [one for one in page.resources if table in one.codes]
    if not listing:
        raise InvalidInput(
            f"{table}: the page of {page.name} does not say where these codes are listed; set them"
            " by hand: landbridge codes set"
        )
    books = await organisation(db, page, connection)
    country = _two_letters(books.country) if books else ""
    found: dict[str, Code] = {}
    kept = await kept_rates(db, page, connection)
    for resource in listing:
        async for fields in unified(db, connection, resource.name):
            code = fields.get(resource.codes[table])
            if not code or not fields.get("active", True):
                continue
            rate = None
            if resource.maps is not None and resource.maps.model is TaxRate:
                rate = whole_rate(read_json(TaxRate, fields), kept=kept)
            found[str(code)] = Code(
                code=str(code),
                name=fields.get("name") or "",
                category=fields.get("category") or "",
                type=fields.get("type") or "",
                rate=rate,
                country=_two_letters(fields.get("country")) or country,
            )
    return list(found.values())


async def suggested(
    db: Database,
    page: Provider,
    connection: Connection,
    table: str,
    ours: Sequence[Code],
    *,
    least: float = LEAST,
) -> list[Suggestion]:
    """What is suggested for our codes of a table that have no line.

    Without codes of ours, for the words that other connections' lines have. InvalidInput when the
    provider's codes were not pulled yet.
    """
    if table not in page.code_tables:
        known = sorted(page.code_tables)
        raise NotFound(
            f"{page.slug} has no code table {table!r}.{did_you_mean(table, known)}"
            f" It has: {', '.join(known) or 'none'}."
        )
    there = await theirs(db, page, connection, table)
    if not there:
        names = ", ".join(one.name for one in page.resources if table in one.codes)
        raise InvalidInput(
            f"{table}: no {names} of {connection.id} were pulled yet, so nothing can be suggested;"
            f" pull them: landbridge pull {connection.id} {names}"
        )
    elsewhere = await overlays.history(
        db,
        environment=connection.environment,
        tenant=connection.tenant,
        provider=connection.provider,
        connection=connection.id,
        table=table,
    )
    own = ours or [
        Code(code=word) for word in sorted({line.ours for line in elsewhere if line.own})
    ]
    return await asyncio.to_thread(
        suggest,
        own,
        there,
        lines=lines_of(connection).get(table, {}),
        history={
            (line.theirs, line.ours): Seen(own=line.own, others=line.others) for line in elsewhere
        },
        least=least,
    )


async def matchings(
    db: Database, page: Provider, connection: Connection, declared: Tables
) -> list[Matching]:
    """What is to be matched at a connection, by table; a table whose codes all have lines is left
    out."""
    lines, found = lines_of(connection), []
    for table in sorted(matched_tables(page, declared)):
        there = lines.get(table, {})
        if {one.code for one in declared[table]} <= set(there.values()):
            continue
        free = [one for one in await theirs(db, page, connection, table) if one.code not in there]
        asked: Sequence[Suggestion] = ()
        if free:
            asked = await suggested(db, page, connection, table, declared[table])
        found.append(Matching(table=table, suggestions=asked, theirs=free))
    return found


def matched_tables(page: Provider, declared: Tables) -> frozenset[str]:
    """The declared tables that a page has, and of which it says where the provider's codes are."""
    listed = {table for resource in page.resources for table in resource.codes}
    return frozenset(listed & declared.keys())


async def lacking(
    db: Database, provider: Callable[[str], Provider], connection: Connection, declared: Tables
) -> list[Lack]:
    """Every code without a line: those that the application declared, and those for which records
    are parked or documents held, by table and code."""
    page = page_of(provider, connection)
    tables = lines_of(connection)
    found: dict[tuple[str, str, str], Lack] = {}
    for table in sorted(page.code_tables & declared.keys()):
        mapped = set(tables.get(table, {}).values())
        for one in declared[table]:
            if one.code not in mapped:
                key = (table, "ours", one.code)
                found[key] = Lack(
                    table=table, code=one.code, whose="ours", name=one.name, declared=True
                )
    for resource in page.resources:
        if resource.maps is None or not resource.maps.tables:
            continue
        async for raw in _parked(db, connection, resource):
            for table, code in unread(resource, raw, tables):
                key = (table, "theirs", code)
                lack = found.get(key, Lack(table=table, code=code, whose="theirs"))
                found[key] = replace(lack, records=lack.records + 1)
    async for needs in held(db, connection):
        for table, code in needs:
            # A document's base may lack a line as well, for a code of the provider's.
            key = (table, "ours", code)
            lack = found.get(key, Lack(table=table, code=code, whose="ours"))
            found[key] = replace(lack, documents=lack.documents + 1)
    return [found[key] for key in sorted(found)]


def unread(
    resource: Resource, raw: bytes, tables: Mapping[str, Mapping[str, str]]
) -> Sequence[Missing]:
    """The provider's codes in a record that have no line."""
    maps = resource.maps
    if maps is None:
        return []
    try:
        value = codec(resource.format).parse(raw)
    except RecordError:
        return []  # it is parked for another reason
    return as_if_mapped(lambda context: maps.read(value, context), Context(codes=tables))[1]


def as_if_mapped(
    use: Callable[[Context], T], context: Context
) -> tuple[T | None, Sequence[Missing]]:
    """What a reading or writing would give if every code had a line, and the codes that have none.

    None where it fails for another reason as well.
    """
    lines = {name: dict(pairs) for name, pairs in context.codes.items()}
    own = {name: set(words) for name, words in context.own.items()}
    found: list[Missing] = []
    while True:
        try:
            return use(Context(codes=lines, own=own, links=context.links)), found
        except UnmappedCode as error:
            found.append((error.table, error.code))
            if error.table not in lines:
                own[error.table].discard(error.code)
                continue
            lines[error.table].setdefault(error.code, error.code)
            lines[error.table][f"{error.code}\0"] = error.code  # on the way back
        except (RecordError, InvalidInput):
            return None, found


async def held(db: Database, connection: Connection) -> AsyncIterator[Sequence[Missing]]:
    """What each document lacks that waits for lines at this connection."""
    after = ""
    while True:
        part = await parked.pushes(
            db,
            environment=connection.environment,
            tenant=connection.tenant,
            connection=connection.id,
            after=after,
            most=_PART,
        )
        for one in part:
            yield msgspec.json.decode(one.raw or b"[]", type=list[Missing])
        if len(part) < _PART:
            return
        after = part[-1].id


async def _parked(db: Database, connection: Connection, resource: Resource) -> AsyncIterator[bytes]:
    after = ""
    while True:
        async with db.transaction() as tx:
            part = await remaps.waiting(
                tx, stream_of(connection, resource.name), after=after, most=_PART
            )
        for waiting in part:
            yield waiting.raw
        if len(part) < _PART:
            return
        after = part[-1].key


def _two_letters(country: str | None) -> str:
    """The country if it is a code that can be compared."""
    return country.upper() if country and re.fullmatch("[A-Za-z]{2}", country) else ""

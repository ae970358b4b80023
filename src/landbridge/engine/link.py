"""A link: which of our rows and which remote records are one thing, and who counts where."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, Protocol, TypeVar

import msgspec

from landbridge.errors import InvalidInput, RecordError, did_you_mean
from landbridge.merge import Policy
from landbridge.models import Model
from landbridge.store.database import Tx
from landbridge.store.user_table import RowOfTable, UserTable

M = TypeVar("M", bound=Model)

SAME = 3
"""As many of our rows are looked for that could be one remote record: more than one is a doubt."""


async def _none(*_: object) -> list[str]:
    return []


@dataclass(frozen=True, kw_only=True)
class Ours(Generic[M]):
    """One of our rows. `changed_at` is for the policy `newest`; None: nobody knows."""

    local: str
    record: M
    changed_at: datetime | None = None


class Side(Protocol[M]):
    """Our side of a link: a table, or functions of the application."""

    @property
    def fields(self) -> frozenset[str]:
        """The model's fields that our side has."""

    def read(self, tx: Tx, tenant: str, local: str, /) -> Awaitable[Ours[M] | None]:
        """A row, which nobody else changes until `tx` ends; None: there is none.

        RecordError: what is in it makes no model.
        """

    def write(
        self, tx: Tx, tenant: str, local: str | None, record: M, fields: Sequence[str], /
    ) -> Awaitable[Ours[M]]:
        """Writes these fields of a row, or a new row where `local` is None; as it is then."""

    def delete(self, tx: Tx, tenant: str, local: str, /) -> Awaitable[None]:
        """Deletes a row; one that is gone already stays gone."""

    def find(self, tx: Tx, tenant: str, values: Mapping[str, str], /) -> Awaitable[list[str]]:
        """The ids of up to three rows that have these values."""

    def scan(self, tx: Tx, tenant: str, after: str, most: int, /) -> Awaitable[list[str]]:
        """The ids of rows behind `after`, in an order that stays."""


@dataclass(frozen=True, kw_only=True)
class Link(Generic[M]):
    """Our rows and a provider's records of one model, kept in step both ways."""

    name: str
    model: type[M]
    provider: str
    resource: str
    side: Side[M]
    policy: Policy
    match: tuple[str, ...] = ()
    """The fields whose values say, where a link begins, that a row and a record are one thing."""

    @property
    def table(self) -> UserTable | None:
        """The table, if our side is one."""
        return self.side.table if isinstance(self.side, TableSide) else None


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table of your own as one side of a link.

    `id` and `tenant` name its columns; `fields` gives the column of each field of the model that
    the table has (a sequence of names: columns are called like the fields). Columns of any type
    are read and written as Postgres turns them into JSON. `updated_at` is the column that says when
    a row changed, for the policy `newest`. `fixed` are values of fields that have no column.
    """

    name: str
    fields: Mapping[str, str] | Sequence[str]
    id: str = "id"
    tenant: str = "tenant"
    updated_at: str | None = None
    fixed: Mapping[str, Any] = field(default_factory=dict)

    def side(self, model: type[M]) -> TableSide[M]:
        """This table as a side; `InvalidInput` names a field that the model lacks, or demands."""
        given = self.fields
        columns = dict(given) if isinstance(given, Mapping) else {name: name for name in given}
        known = [name for name in model.__struct_fields__ if name != "id"]
        for name in (*columns, *self.fixed):
            if name not in known:
                raise InvalidInput(
                    f"fields: a {model.kind} has no field {name!r} to link."
                    f"{did_you_mean(name, known)}"
                )
        for each in msgspec.structs.fields(model):
            if each.required and each.name not in columns and each.name not in self.fixed:
                raise InvalidInput(
                    f"fields: a {model.kind} needs {each.name}; name its column, or give its value"
                    " in `fixed`"
                )
        table = UserTable(
            name=self.name,
            id=self.id,
            tenant=self.tenant,
            columns=columns,
            updated_at=self.updated_at,
        )
        return TableSide(model=model, table=table, fixed=dict(self.fixed))


@dataclass(frozen=True, kw_only=True)
class Functions(Generic[M]):
    """Functions of your own as one side of a link, for rows that are no plain table here.

    All get the transaction and the tenant, and must do their work in it. `read` gives a row by its
    id, or None; `write` gets the id (None: a new row), the record and the names of the fields to
    write, and gives the id and the record as it is then; `delete` gets the id. `find` (the ids of
    up to three rows with these values) is for `match`, and `scan` (the ids behind one, in order)
    for rows that are there when the link begins; without them there are none. `fields` are the
    model's fields that your side has. Tell of changes with `bridge.changed`.
    """

    read: Callable[[Tx, str, str], Awaitable[Ours[M] | None]]
    write: Callable[[Tx, str, str | None, M, Sequence[str]], Awaitable[Ours[M]]]
    delete: Callable[[Tx, str, str], Awaitable[None]]
    fields: frozenset[str]
    find: Callable[[Tx, str, Mapping[str, str]], Awaitable[list[str]]] = field(default=_none)
    scan: Callable[[Tx, str, str, int], Awaitable[list[str]]] = field(default=_none)


@dataclass(frozen=True, kw_only=True)
class TableSide(Generic[M]):
    """A table as one side of a link."""

    model: type[M]
    table: UserTable
    fixed: Mapping[str, Any]

    @property
    def fields(self) -> frozenset[str]:
        """The fields that have a column."""
        return frozenset(self.table.columns)

    async def read(self, tx: Tx, tenant: str, local: str) -> Ours[M] | None:
        """A row, locked until `tx` ends."""
        row = await self.table.read(tx, tenant, local)
        return self._ours(row) if row else None

    async def write(
        self, tx: Tx, tenant: str, local: str | None, record: M, fields: Sequence[str]
    ) -> Ours[M]:
        """Updates a row, or inserts one with all fields that have a column."""
        names = self.table.columns if local is None else {f.partition(".")[0] for f in fields}
        values = {name: msgspec.to_builtins(getattr(record, name)) for name in names}
        if local is None:
            return self._ours(await self.table.insert(tx, tenant, values))
        row = await self.table.update(tx, tenant, local, values)
        if row is None:
            raise RecordError(f"{self.table.name} {local} is gone")
        return self._ours(row)

    async def delete(self, tx: Tx, tenant: str, local: str) -> None:
        """Deletes a row."""
        await self.table.delete(tx, tenant, local)

    async def find(self, tx: Tx, tenant: str, values: Mapping[str, str]) -> list[str]:
        """Rows with these values."""
        return await self.table.find(tx, tenant, values, SAME)

    async def scan(self, tx: Tx, tenant: str, after: str, most: int) -> list[str]:
        """Rows in the order of their ids."""
        return await self.table.scan(tx, tenant, after, most)

    def _ours(self, row: RowOfTable) -> Ours[M]:
        values = msgspec.json.decode(row.values, type=dict[str, msgspec.Raw])
        for name, value in self.fixed.items():
            values.setdefault(name, msgspec.Raw(msgspec.json.encode(value)))
        try:
            record = msgspec.json.decode(msgspec.json.encode(values), type=self.model, strict=False)
        except msgspec.ValidationError as error:
            raise RecordError(
                f"{self.table.name} {row.local} is no {self.model.kind}: {error}"
            ) from None
        return Ours(local=row.local, record=record, changed_at=row.changed_at)

"""What a connection's records say in our own terms, as they were pulled."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any, TypeVar

from landbridge.engine.pull import stream_of
from landbridge.models import Model, read_json
from landbridge.models.accounting import Organisation, TaxRate
from landbridge.spec import Provider, Resource
from landbridge.store import records
from landbridge.store.connections import Connection
from landbridge.store.database import Database

M = TypeVar("M", bound=Model)

_PART = 500


async def unified(
    db: Database, connection: Connection, resource: str
) -> AsyncIterator[dict[str, Any]]:
    """The fields of each record of a resource that could be read, in the order of their keys."""
    after = ""
    while True:
        part = await records.read(db, stream_of(connection, resource), after=after, most=_PART)
        for record in part:
            if record.unified is not None:
                yield record.unified
        if len(part) < _PART:
            return
        after = part[-1].key


async def models(
    db: Database, connection: Connection, resource: str, model: type[M]
) -> AsyncIterator[M]:
    """The records of a resource as models, in the order of their keys."""
    async for fields in unified(db, connection, resource):
        yield read_json(model, fields)


def of_model(page: Provider, model: type[Model]) -> list[Resource]:
    """The resources of a page that a model stands for."""
    return [one for one in page.resources if one.maps is not None and one.maps.model is model]


async def kept_rates(db: Database, page: Provider, connection: Connection) -> dict[str, Decimal]:
    """The percentages by their ids, where a provider keeps them apart from what lines name."""
    found: dict[str, Decimal] = {}
    for resource in of_model(page, TaxRate):
        if not resource.codes:
            async for rate in models(db, connection, resource.name, TaxRate):
                if rate.percentage is not None:
                    found[rate.id or ""] = rate.percentage
    return found


async def organisation(db: Database, page: Provider, connection: Connection) -> Organisation | None:
    """Whose books the connection leads to; None: the page does not say, or it was not pulled."""
    for resource in of_model(page, Organisation):
        async for found in models(db, connection, resource.name, Organisation):
            return found
    return None

"""What documents name as accounts and taxes is what their page says where these are listed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from landbridge.formats import codec
from landbridge.models import write_json
from landbridge.providers import get
from landbridge.spec import Context, Resource
from landbridge.testing import freshbooks, quickbooks, xero

KEPT: Mapping[str, Any] = {
    "xero": lambda: xero.Simulator().books,
    "quickbooks": lambda: quickbooks.Simulator().books,
    "freshbooks": lambda: freshbooks.Simulator().books,
}


PLURALS = {"category": "categories", "tax": "taxes"}


class Noted(dict[str, str]):
    """A code table that has a line for everything, and notes what it was asked for."""

    def __contains__(self, code: object) -> bool:
        self[str(code)] = str(code)
        return True


def read(books: Any, slug: str, resource: Resource, tables: Mapping[str, Noted]) -> list[Any]:
    """The models of what a simulator keeps of a resource."""
    name = resource.name
    if slug == "freshbooks":
        name = PLURALS.get(name, f"{name}s")
    elif slug == "xero":
        name = resource.records
    assert resource.maps is not None
    values = [
        codec(resource.format).parse(json.dumps(each).encode())
        for each in books.kept.get(name, {}).values()
    ]
    own = [value for value in values if resource.has(value)]
    return [resource.maps.read(value, Context(codes=tables)) for value in own]


@pytest.mark.parametrize("slug", list(KEPT))
def test_documents_name_codes_that_are_listed(slug: str) -> None:
    page = get(slug)
    books = next(iter(KEPT[slug]().values()))
    tables = {table: Noted() for table in page.code_tables}
    listed: dict[str, set[str]] = {table: set() for table in tables}
    for resource in page.resources:
        if resource.maps is not None and resource.maps.tables:
            read(books, slug, resource, tables)
        for table, name in resource.codes.items():
            models = [write_json(each) for each in read(books, slug, resource, {})]
            listed[table] |= {str(each[name]) for each in models if each.get(name)}
    for table, noted in tables.items():
        assert noted.keys(), f"no document names a code of {table}"
        assert noted.keys() <= listed[table], table

"""The requests of REST conversations, and one record read by itself."""

from collections.abc import Generator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

import msgspec

from landbridge.errors import Refused, Unreachable
from landbridge.formats import parse_json
from landbridge.formats.canonical import canonical
from landbridge.protocols._answers import pluck, single, text_at
from landbridge.protocols.values import Fetched, Place, Unreadable
from landbridge.resilience import Gone, classify, expect
from landbridge.spec import (
    AfterLast,
    Continued,
    PageNumber,
    Provider,
    Resource,
    find,
    nested_at,
    patched,
)
from landbridge.wire import Headers, Request, Response


def call(
    provider: Provider,
    place: Place,
    method: str,
    path: str,
    *,
    key: str = "",
    query: Sequence[tuple[str, str]] = (),
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
) -> Request:
    """A request to the provider, without credentials; `key` goes into the path's hole `{id}`."""
    filled = path.replace("{id}", quote(key, safe=""))
    return Request(
        method=method,
        url=place.base + filled,
        query=tuple(query),
        headers=Headers({**provider.headers, "Accept": "application/json", **(headers or {})}),
        body=body,
    )


def page_query(page: object, after: str | None) -> list[tuple[str, str]]:
    """The parameters that ask for the page behind `after`, a key or a page's number."""
    if isinstance(page, PageNumber):
        size = [(page.size_param, str(page.size))] if page.size_param else []
        return [*size, (page.param, str(int(after or 0) + 1))]
    if not isinstance(page, AfterLast):
        return []
    size = [(page.size_param, str(page.size))]
    return [*size, (page.param, after)] if after else size


def fetch(
    provider: Provider, resource: Resource, place: Place, key: str
) -> Generator[Request, Response, Fetched | None]:
    """One record as it is now; None if the provider says that it is gone, or that it is another
    resource's (`Resource.only`)."""
    if not resource.one:
        raise Refused(f"{provider.name} cannot read a single {resource.name}")
    query = [*resource.one_query.items()]
    request = call(provider, place, "GET", resource.one, key=key, query=query)
    response = yield request
    if isinstance(classify(provider.errors, request, response, None), Gone):
        return None
    expect(provider, request, response)
    found = single(provider, resource, response)
    if isinstance(found, Unreadable):
        raise Refused(f"{provider.name} answered with no {resource.name}: {found.reason}")
    if found.deleted or not resource.has(found.value):
        return None
    return (yield from completed(provider, resource, place, found))


def completed(
    provider: Provider, resource: Resource, place: Place, found: Fetched
) -> Generator[Request, Response | None, Fetched]:
    """The record with the lists in it read to their end, as if the provider had sent them whole.

    Its raw form is then no longer byte for byte what was sent: keys are sorted.
    """
    value = found.value
    for inner in resource.continued:
        if find(value, inner.more) is True:
            items = yield from _whole_list(provider, resource, place, found, inner)
            value = patched(value, nested_at(inner.path, items))
            value = patched(value, nested_at(inner.more, False))
    if value is found.value:
        return found
    return msgspec.structs.replace(found, parsed=value, raw=canonical(value))


def _whole_list(
    provider: Provider, resource: Resource, place: Place, found: Fetched, inner: Continued
) -> Generator[Request, Response | None, list[Any]]:
    """The items that the record holds, and those behind them."""
    items: list[Any] = list(find(found.value, inner.path) or [])
    query = [(name, text.replace("{id}", found.key)) for name, text in inner.query.items()]
    after: str | None = None
    more = True
    while more:
        last, after = after, text_at(items[-1], inner.key) if items else None
        if items and after in (None, last):
            raise Unreachable(
                f"{provider.name} does not give the rest of {inner.path} of {resource.name}"
                f" {found.key}; it is tried again later"
            )
        page = [*query, *page_query(inner.page, after)]
        request = call(provider, place, "GET", inner.at, key=found.key, query=page)
        response = yield request
        assert response is not None
        expect(provider, request, response)
        added = find(parse_json(response.body), inner.records) or []
        items += added
        more = bool(added) and pluck(provider, response, inner.page.more, bool) is True
    return items

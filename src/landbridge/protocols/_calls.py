"""The requests of REST conversations, and one record read by itself."""

from collections.abc import Generator, Mapping, Sequence
from urllib.parse import quote

from landbridge.errors import Refused
from landbridge.protocols._answers import record
from landbridge.protocols.values import Fetched, Place, Unreadable
from landbridge.resilience import Gone, classify, expect
from landbridge.spec import AfterLast, Provider, Resource
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
    """The parameters that ask for the page behind `after`."""
    if not isinstance(page, AfterLast):
        return []
    size = [(page.size_param, str(page.size))]
    return [*size, (page.param, after)] if after else size


def fetch(
    provider: Provider, resource: Resource, place: Place, key: str
) -> Generator[Request, Response, Fetched | None]:
    """One record as it is now; None if the provider says that it is gone."""
    if not resource.one:
        raise Refused(f"{provider.name} cannot read a single {resource.name}")
    request = call(provider, place, "GET", resource.one, key=key)
    response = yield request
    if isinstance(classify(provider.errors, request, response, None), Gone):
        return None
    expect(provider, request, response)
    found = record(resource, response.body)
    if isinstance(found, Unreadable):
        raise Refused(f"{provider.name} answered with no {resource.name}: {found.reason}")
    return None if found.deleted else found

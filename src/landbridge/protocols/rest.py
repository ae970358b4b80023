"""REST: the pull of a resource, one record written, and an account asked for its name.

A pull is a full listing first (`_listing`), then what changed since (`_following`). The cursor says
which of the two goes on: `listing` is in it while a listing is under way, `since` once it is over.
"""

from collections.abc import Generator, Mapping
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from landbridge.errors import InvalidInput, Refused
from landbridge.formats import codec
from landbridge.protocols._answers import pluck, records, single, text_at
from landbridge.protocols._calls import call, fetch
from landbridge.protocols._following import (
    follow_created,
    follow_events,
    follow_header,
    too_old,
)
from landbridge.protocols._listing import list_all
from landbridge.protocols.values import Account, Fetched, Page, Place, Written
from landbridge.resilience import Gone, Ok, classify, expect
from landbridge.spec import (
    CreatedSince,
    EventFeed,
    Provider,
    Resource,
    SinceHeader,
    Write,
    find,
    gathered,
    nested_at,
)
from landbridge.wire import Request, Response

__all__ = ["fetch", "find_marked", "identify", "load", "pull", "write"]

_LOADED = {"loaded": True}
"""The cursor behind a load's last page."""


def pull(
    provider: Provider,
    resource: Resource,
    place: Place,
    cursor: dict[str, Any] | None,
    now: datetime,
) -> Generator[Request | Page, Response | None, None]:
    """What changed since the cursor, page by page; without a cursor, everything.

    A cursor that is older than what the provider remembers leads to a full listing, to be merged.
    Where the page names no way to follow changes, every pull is a full listing.
    """
    since = resource.since
    state = cursor or {}
    follows = isinstance(state.get("since"), int)
    if follows and isinstance(since, EventFeed) and too_old(state, since, now):
        state, follows = {}, False
    if not follows:
        state = yield from list_all(provider, resource, place, state, now)
    if "since" not in state:
        return
    if isinstance(since, EventFeed):
        yield from follow_events(provider, resource, place, state, now)
    elif isinstance(since, CreatedSince):
        yield from follow_created(provider, resource, place, state, now)
    elif isinstance(since, SinceHeader):
        yield from follow_header(provider, resource, place, state, now)


def load(
    provider: Provider,
    resource: Resource,
    place: Place,
    cursor: dict[str, Any] | None,
    now: datetime,
    *,
    since: datetime | None,
    until: datetime | None,
) -> Generator[Request | Page, Response | None, None]:
    """A full listing; or one of a range, which tells nothing of what it does not meet."""
    if cursor == _LOADED:
        return
    ranged = since is not None or until is not None
    query = {**resource.query, **_range(resource, since, until)} if ranged else resource.query
    listing = list_all(provider, replace(resource, query=query), place, cursor or {}, now)
    reply: Response | None = None
    while True:
        try:
            step = listing.send(reply)
        except StopIteration:
            return
        if isinstance(step, Page):
            if step.listed_all:
                step = replace(step, cursor=_LOADED)
            if ranged:
                step = replace(step, listing=None, listed_all=False)
        reply = yield step


def write(
    provider: Provider,
    resource: Resource,
    place: Place,
    action: str,
    key: str,
    changes: dict[str, Any],
    base_raw: bytes | None,
    intent: str,
) -> Generator[Request, Response, Written]:
    """Creates, updates or deletes one record; what it is then at the provider.

    The intent's id goes into the page's idempotency header and marker. A call by PUT sends the
    whole record: `base_raw` with the changes in it. Deleting what is gone succeeds.
    """
    step = _step(resource, action)
    headers = {resource.idempotency: intent} if resource.idempotency else {}
    query = [*step.query.items()]
    asking = partial(call, provider, place, step.method, step.path, key=key, query=query)
    if action == "delete":
        content_type, content = ("", b"")
        if step.sends:
            content_type, content = _content(provider, step, step.sends, base_raw)
            headers = {**headers, "Content-Type": content_type}
        request = asking(headers=headers, body=content)
        response = yield request
        if not isinstance(classify(provider.errors, request, response, None), Gone):
            expect(provider, request, response)
        return Written(key=key, raw=None)
    body = _marked(changes, resource.marker, intent)
    if step.method == "PUT" and base_raw is not None and resource.maps is not None:
        body = resource.maps.apply(codec(resource.format).parse(base_raw), body)
    content_type, content = _content(provider, step, body, base_raw)
    request = asking(headers={**headers, "Content-Type": content_type}, body=content)
    response = yield request
    expect(provider, request, response)
    told = single(provider, resource, response)
    if isinstance(told, Fetched):
        _demand_taken(provider, request, response, told)
        return Written(key=told.key, raw=told.raw, version=told.version)
    return Written(key=key, raw=None)


def find_marked(
    provider: Provider, resource: Resource, place: Place, intent: str
) -> Generator[Request, Response, Fetched | None]:
    """The record that carries an intent's marker, as far as the list shows it; None: none does."""
    assert resource.marked is not None
    narrowed = {
        name: value.replace("{intent}", intent) for name, value in resource.marked.query.items()
    }
    query = {**resource.query, **narrowed}
    request = call(provider, place, "GET", resource.path, query=[*query.items()])
    response = yield request
    expect(provider, request, response)
    found, _ = records(provider, resource, response, resource.records)
    return next((one for one in found if find(one.value, resource.marker) == intent), None)


def identify(provider: Provider, place: Place) -> Generator[Request, Response, Account]:
    """Whose account the credentials open; without a place to ask, the address is its name."""
    accounts = provider.accounts
    if accounts is None:
        host = urlsplit(place.base).netloc
        return Account(id=host, name=host, live=None)
    request = call(provider, place, "GET", accounts.path)
    response = yield request
    expect(provider, request, response)
    told = pluck(provider, response, "", Any)
    identity = text_at(told, accounts.id)
    if identity is None:
        raise InvalidInput(f"{provider.name} names no account at {accounts.id}: it cannot be kept")
    name = text_at(told, accounts.name) if accounts.name else None
    live = None
    if accounts.live and accounts.live_path:
        request = call(provider, place, "GET", accounts.live_path)
        response = yield request
        if isinstance(classify(provider.errors, request, response, None), Ok):
            live = pluck(provider, response, accounts.live, bool)
    elif accounts.live:
        live = pluck(provider, response, accounts.live, bool)
    return Account(id=identity, name=name or identity, live=live)


def _range(resource: Resource, since: datetime | None, until: datetime | None) -> Mapping[str, str]:
    between = resource.between
    if between is None:
        raise InvalidInput(f"{resource.name}: its listing cannot be narrowed to a range of time")
    told = {between.since: since, between.until: until}
    return {name: str(int(at.timestamp())) for name, at in told.items() if at is not None}


def _content(
    provider: Provider, step: Write, body: Mapping[str, Any], base_raw: bytes | None
) -> tuple[str, bytes]:
    """Content type and body of a write, in the envelope that it goes in."""
    sent = nested_at(step.envelope, [body]) if step.envelope else body
    return codec(provider.body).render(sent, base_raw)


def _demand_taken(provider: Provider, request: Request, response: Response, told: Fetched) -> None:
    """Raises `Refused` if the record that came back says that it was not taken."""
    errors = provider.errors
    wrong = gathered(told.value, errors.in_record) if errors.in_record else []
    if wrong:
        where = request.url.split("://", 1)[-1]
        raise Refused(
            f"{provider.name} refused {request.method} {where}: {'; '.join(wrong)}",
            status=response.status,
        )


def _step(resource: Resource, action: str) -> Write:
    steps = {"create": resource.create, "update": resource.update, "delete": resource.delete}
    step = steps.get(action)
    if step is None:
        can = ", ".join(name for name, one in steps.items() if one) or "nothing"
        raise InvalidInput(f"{resource.name}: cannot {action} it; the provider allows {can}")
    return step


def _marked(changes: dict[str, Any], marker: str, intent: str) -> dict[str, Any]:
    """The changes with the intent's id at the marker's path; the given ones stay as they are."""
    if not marker:
        return changes
    name, _, rest = marker.partition(".")
    if not rest:
        return {**changes, name: intent}
    inner = changes.get(name)
    return {**changes, name: _marked(inner if isinstance(inner, dict) else {}, rest, intent)}

"""REST: the pull of a resource, one record written, and an account asked for its name.

A pull is a full listing first (`_listing`), then what changed since (`_following`). The cursor says
which of the two goes on: `listing` is in it while a listing is under way, `since` once it is over.
"""

from collections.abc import Generator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from landbridge import ids
from landbridge.errors import InvalidInput, OutcomeUnknown, Refused
from landbridge.formats import codec, json_patch
from landbridge.protocols._answers import pluck, records, single, text_at
from landbridge.protocols._calls import call, fetch, page_query
from landbridge.protocols._changes import follow_changes
from landbridge.protocols._following import (
    follow_created,
    follow_events,
    follow_header,
    follow_param,
    too_old,
)
from landbridge.protocols._listing import list_all
from landbridge.protocols._ranges import list_ranges
from landbridge.protocols._readied import laid, listed_alone, needed, overlaid, parted, trailing
from landbridge.protocols.values import Account, Fetched, Page, Place, Written
from landbridge.resilience import Gone, Ok, classify, expect
from landbridge.spec import (
    ChangedSince,
    CreatedSince,
    EventFeed,
    Format,
    InRanges,
    PageNumber,
    Provider,
    Resource,
    SinceHeader,
    SinceParam,
    Step,
    Write,
    find,
    gathered,
    holes,
    nested_at,
    patched,
)
from landbridge.wire import Request, Response

__all__ = ["fetch", "find_marked", "identify", "load", "pull", "take", "write"]

_NOTHING: Mapping[str, str] = {}
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
    if isinstance(since, InRanges):
        yield from list_ranges(provider, resource, place, cursor or {}, now)
        return
    state = cursor or {}
    follows = isinstance(state.get("since"), int)
    if follows and isinstance(since, EventFeed | ChangedSince) and too_old(state, since, now):
        state, follows = {}, False
    if not follows:
        state = yield from list_all(provider, resource, place, state, now)
    if "since" not in state:
        return
    whole = yield from _followed(provider, resource, place, state, now)
    if not whole:
        yield from list_all(provider, resource, place, {}, now)


def _followed(
    provider: Provider, resource: Resource, place: Place, state: dict[str, Any], now: datetime
) -> Generator[Request | Page, Response | None, bool]:
    """What changed since the cursor; False: there may be more, list it all."""
    since = resource.since
    if isinstance(since, EventFeed):
        yield from follow_events(provider, resource, place, state, now)
    elif isinstance(since, CreatedSince):
        yield from follow_created(provider, resource, place, state, now)
    elif isinstance(since, SinceHeader):
        yield from follow_header(provider, resource, place, state, now)
    elif isinstance(since, ChangedSince):
        return (yield from follow_changes(provider, resource, place, state, now))
    elif isinstance(since, SinceParam):
        try:
            yield from follow_param(provider, resource, place, state, now)
        except Refused:
            if not since.unsure:
                raise
            return False
    return True


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
    if isinstance(resource.since, InRanges):
        found = list_ranges(provider, resource, place, cursor or {}, now, begin=since, end=until)
        yield from _loaded(found)
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


def _loaded(
    ranges: Generator[Request | Page, Response | None, None],
) -> Generator[Request | Page, Response | None, None]:
    """The ranges as a load: behind the last one nothing is to follow."""
    reply: Response | None = None
    while True:
        try:
            step = ranges.send(reply)
        except StopIteration:
            return
        if isinstance(step, Page) and "since" in step.cursor:
            step = replace(step, cursor=_LOADED)
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

    The intent's id goes into the page's idempotency key and marker. A call by PUT sends the
    whole record, `base_raw` with the changes in it; where it takes a part, the fields that differ,
    each whole. Deleting what is gone succeeds. What a new record needs comes before it, by calls of
    its own.
    """
    step = _step(resource, action)
    once = _once(resource, step, intent)
    headers, query = once["header"], [*step.query.items(), *once["query"].items()]
    around = _around(resource, step, key, base_raw)
    asking = partial(call, provider, place, step.method, step.path, key=key, query=query)
    if action == "delete":
        content_type, content = ("", b"")
        if around:
            content_type, content = _content(provider, step, around, base_raw)
            headers = {**headers, "Content-Type": content_type}
        request = asking(headers=headers, body=content)
        response = yield request
        if not isinstance(classify(provider.errors, request, response, None), Gone):
            expect(provider, request, response)
        return Written(key=key, raw=None)
    changes, path = _filled(resource, step.path, changes)
    marker = resource.marker if action == "create" or not resource.marked else ""
    body = overlaid(around, _marked(changes, marker, intent))
    body = yield from _readied(provider, place, step, body, intent)
    body, behind = trailing(body, step.then)
    replaces = step.method == "PUT" or step.partial
    if replaces and base_raw is not None and resource.maps is not None:
        whole = resource.maps.apply(codec(resource.format).parse(base_raw), body)
        body = {name: whole.get(name) for name in body} if step.partial else whole
    content_type, content = _content(provider, step, body, base_raw, once["body"])
    asking = partial(call, provider, place, step.method, path, key=key, query=query)
    request = asking(headers={**headers, "Content-Type": content_type}, body=content)
    response = yield request
    expect(provider, request, response)
    told = single(provider, resource, response)
    if isinstance(told, Fetched):
        _demand_taken(provider, request, response, told)
        if behind:
            return (
                yield from _completed(provider, resource, place, step, told.key, behind, intent)
            )
        return Written(key=told.key, raw=told.raw, version=told.version)
    if step.link and not key:
        key = _linked(provider, resource, response, step.link)
    if not key:
        raise OutcomeUnknown(
            f"{provider.name} took a new {resource.name}, and its answer does not say which it is:"
            f" {told.reason}"
        )
    return Written(key=key, raw=None)


def take(
    provider: Provider, resource: Resource, place: Place, step: Step, key: str, intent: str
) -> Generator[Request, Response, Written]:
    """Makes the call of a step, unless the record shows already what it leads to, or is none that
    the step is for.

    The idempotency key is the intent's id with what it leads to: one intent may take several calls.
    """
    assert resource.maps is not None
    found: Fetched | None = yield from fetch(provider, resource, place, key)
    if found is None:
        raise Refused(f"{resource.name} {key} does not exist at {provider.name}")
    now = resource.maps.read(found.value)
    led = str(getattr(now, step.field)) == step.to
    if led or any(str(getattr(now, name)) != word for name, word in step.when.items()):
        return Written(key=key, raw=found.raw, version=found.version)
    once = _once(resource, step.write, f"{intent}.{step.to}")
    body = {**_around(resource, step.write, key, found.raw), **once["body"]}
    headers, content = {**once["header"]}, b""
    if body or not step.write.bare:
        content_type, content = _content(provider, step.write, body, None)
        headers = {"Content-Type": content_type, **headers}
    request = call(
        provider,
        place,
        step.write.method,
        step.write.path,
        key=key,
        query=[*step.write.query.items(), *once["query"].items()],
        headers=headers,
        body=content,
    )
    response = yield request
    expect(provider, request, response)
    return Written(key=key, raw=None)


def _readied(
    provider: Provider, place: Place, step: Write, body: dict[str, Any], intent: str
) -> Generator[Request, Response, dict[str, Any]]:
    """The body with what a new record needs: lists of one item, what is looked up, and the key of
    the record that is made first, by an idempotency key of its own."""
    body = listed_alone(body, step.lists)
    for one in step.looked_up:
        if find(body, one.at) is None:
            request = call(provider, place, "GET", one.path)
            response = yield request
            expect(provider, request, response)
            found = text_at(pluck(provider, response, "", Any), one.found)
            body = laid(body, one.at, needed(provider, one.path, found))
    if step.first is None:
        return body
    other, body = parted(body, step.first)
    resource = provider.resource(step.first.resource)
    name = f"{intent}.{resource.name}"
    made = yield from write(provider, resource, place, "create", "", other, None, name)
    return laid(body, step.first.key_at, made.key)


def _completed(
    provider: Provider,
    resource: Resource,
    place: Place,
    step: Write,
    key: str,
    body: dict[str, Any],
    intent: str,
) -> Generator[Request, Response, Written]:
    """Sends the part of a new record that goes behind it (`Write.then`)."""
    then = step.then
    assert then is not None
    once = _once(resource, step, f"{intent}.{then.of}")
    content_type, content = codec(provider.body).render({**body, **once["body"]}, None)
    request = call(
        provider,
        place,
        "POST",
        then.path,
        key=key,
        query=[*once["query"].items()],
        headers={"Content-Type": content_type, **once["header"]},
        body=content,
    )
    response = yield request
    expect(provider, request, response)
    told = single(provider, resource, response)
    if isinstance(told, Fetched):
        return Written(key=told.key, raw=told.raw, version=told.version)
    return Written(key=key, raw=None)


def find_marked(
    provider: Provider, resource: Resource, place: Place, intent: str
) -> Generator[Request, Response, Fetched | None]:
    """The record that carries an intent's marker, as far as the list shows it; None: none does."""
    assert resource.marked is not None
    marked = resource.marked
    numbered = resource.page if isinstance(resource.page, PageNumber) else None
    query = {**resource.query, **_narrowed(marked.query, intent)}
    headers, body = {}, b""
    if marked.path:
        content_type, body = codec(provider.body).render(_narrowed(marked.body, intent), None)
        headers = {"Content-Type": content_type}
    method, path = ("POST", marked.path) if marked.path else ("GET", resource.path)
    asking = partial(call, provider, place, method, path, headers=headers, body=body)
    after = 0
    while True:
        page = page_query(numbered, str(after)) if numbered else []
        request = asking(query=[*query.items(), *page])
        response = yield request
        if numbered and query != resource.query and response.status in (400, 422):
            query = {**resource.query}
            continue
        expect(provider, request, response)
        found, _ = records(provider, resource, response, resource.records)
        for one in found:
            if find(one.value, resource.marker) == intent:
                return one
        after += 1
        count = pluck(provider, response, numbered.count, Any) if numbered else 0
        if not isinstance(count, int) or after >= count:
            return None


def _narrowed(query: Mapping[str, str], intent: str) -> dict[str, str]:
    """What is asked for to find an intent's record, with its holes filled."""
    if any("{day}" in value for value in query.values()):
        day = f"{ids.made_at(intent) - timedelta(days=1):%Y-%m-%d}"
        query = {name: value.replace("{day}", day) for name, value in query.items()}
    return {name: value.replace("{intent}", intent) for name, value in query.items()}


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


def _around(resource: Resource, step: Write, key: str, base_raw: bytes | None) -> dict[str, Any]:
    """What the body of a write says beside the changes: which record, and in which version."""
    around: dict[str, Any] = {}
    for path, told in step.sends.items():
        around = patched(around, nested_at(path, told))
    if step.key_at:
        around = patched(around, nested_at(step.key_at, key))
    base = codec(resource.format).parse(base_raw) if base_raw is not None else None
    for path in step.repeats:
        around = patched(around, nested_at(path, find(base, path)))
    if step.version_at:
        version = find(base, resource.version)
        if version is None:
            raise InvalidInput(
                f"{resource.name} {key}: nobody knows in which version it is to be changed; pull it"
                " first"
            )
        around = patched(around, nested_at(step.version_at, version))
    return around


def _once(resource: Resource, step: Write, key: str) -> dict[str, dict[str, str]]:
    """The idempotency key of a call, in the part of it where the provider looks for it."""
    parts: dict[str, dict[str, str]] = {"header": {}, "query": {}, "body": {}}
    fits = resource.idempotency_in != "body" or step.method == "POST"
    if resource.idempotency and step.keyed and fits:
        parts[resource.idempotency_in] = {resource.idempotency: key}
    return parts


def _filled(resource: Resource, path: str, changes: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """The changes that stay in the body, and the path with those that belong into its holes."""
    for hole in holes(path) - {"id"}:
        value = changes.get(hole)
        if not isinstance(value, str) or not value:
            rows = resource.maps.rows if resource.maps else {}
            ours = next((name for name, row in rows.items() if row.path == hole), hole)
            raise InvalidInput(f"{ours}: missing; give the id of the {hole} that it is about")
        path = path.replace(f"{{{hole}}}", quote(value, safe=""))
        changes = {name: each for name, each in changes.items() if name != hole}
    return changes, path


def _linked(provider: Provider, resource: Resource, response: Response, path: str) -> str:
    """The key at the end of a new record's address, which is all that its answer tells."""
    address = pluck(provider, response, path, Any)
    key = unquote(urlsplit(address).path.rpartition("/")[2]) if isinstance(address, str) else ""
    if not key:
        raise OutcomeUnknown(
            f"{provider.name} made a {resource.name} and tells neither it nor its address at {path}"
        )
    return key


def _content(
    provider: Provider,
    step: Write,
    body: Mapping[str, Any],
    base_raw: bytes | None,
    beside: Mapping[str, str] = _NOTHING,
) -> tuple[str, bytes]:
    """Content type and body of a write, in the envelope that it goes in; `beside` stands beside
    that."""
    if step.patches:
        before = codec(Format.JSON).parse(base_raw) if base_raw else {}
        return "application/json", json_patch(body, before)
    inside = [body] if step.listed else body
    sent = nested_at(step.envelope, inside) if step.envelope else body
    return codec(provider.body).render({**sent, **beside}, base_raw)


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

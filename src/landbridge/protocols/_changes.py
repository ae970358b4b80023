"""What changed since an instant, deleted records too, as one answer has it (`ChangedSince`).

The time up to which everything is read (`since` in the cursor) moves on to the provider's time at
the answer. An answer that shows nothing may be a swallowed error: it moves that only up to a day
ago, so that what it hid is in the next answer that shows something.
"""

from collections.abc import Generator
from datetime import UTC, datetime
from typing import Any

from landbridge.protocols._answers import records
from landbridge.protocols._calls import call
from landbridge.protocols._listing import DOUBT, provider_time
from landbridge.protocols.values import Page, Place
from landbridge.resilience import expect
from landbridge.spec import ChangedSince, Provider, Resource
from landbridge.wire import Request, Response


def follow_changes(
    provider: Provider, resource: Resource, place: Place, cursor: dict[str, Any], now: datetime
) -> Generator[Request | Page, Response | None, bool]:
    """Every record that changed since the cursor; False: there may be others, list them all."""
    since = resource.since
    assert isinstance(since, ChangedSince)
    begin = min(int(cursor["since"]), int((now + since.overlap).timestamp()))
    asked = datetime.fromtimestamp(max(begin - int(since.overlap.total_seconds()), 0), UTC)
    query = [*since.query.items(), (since.param, f"{asked:%Y-%m-%dT%H:%M:%SZ}")]
    request = call(provider, place, "GET", since.path, query=query)
    response = yield request
    assert response is not None
    expect(provider, request, response, now)
    found, unreadable = records(provider, resource, response, since.records)
    count = len(found) + len(unreadable)
    whole = count < since.most
    until = provider_time(response, now)
    if not count:
        until -= DOUBT
    yield Page(
        records=tuple(found),
        unreadable=tuple(unreadable),
        cursor={"since": max(begin, until) if whole else begin},
    )
    return whole

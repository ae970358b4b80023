"""Lists that are read by tokens: to their end, one for each of several, and what changed since."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from landbridge.errors import SpecError, Unreachable
from landbridge.protocols import Page, Place, pull
from landbridge.spec import (
    Across,
    ApiKey,
    Errors,
    Field,
    NextCursor,
    OnePage,
    Provider,
    Resource,
    SinceParam,
)
from landbridge.wire import Headers, Request, Response

NOW = datetime(2026, 11, 27, 13, tzinfo=UTC)
SERVED = Headers({"Date": "Fri, 27 Nov 2026 13:00:00 GMT"})
Serve = Callable[[str, str, Mapping[str, Any]], tuple[int, dict[str, Any]]]


def shop(**facts: Any) -> Provider:
    ordinary = {
        "name": "sale",
        "path": "/sales",
        "records": "sales",
        "key": "id",
        "page": NextCursor(size_param="limit", size=2),
        "since": SinceParam(param="since"),
    }
    return Provider(
        slug="shop",
        name="Shop",
        docs="https://shop.example",
        checked="2026-11-27",
        base="https://api.shop.example",
        auth=ApiKey(fields=[Field(name="key", label="Key")]),
        errors=Errors(message="errors[].detail", code="errors[].code"),
        resources=[Resource(**{**ordinary, **facts})],
    )


def led(
    provider: Provider, serve: Serve, cursor: dict[str, Any] | None = None, *, now: datetime = NOW
) -> tuple[list[Page], list[Request]]:
    """The pages of a pull, and what was asked for them."""
    resource = provider.resources[0]
    conversation = pull(provider, resource, Place(base=provider.base), cursor, now)
    pages: list[Page] = []
    asked: list[Request] = []
    reply = None
    while True:
        try:
            step = conversation.send(reply)
        except StopIteration:
            return pages, asked
        if isinstance(step, Page):
            pages.append(step)
            reply = None
            continue
        asked.append(step)
        told = dict(step.query) if step.method == "GET" else msgspec.json.decode(step.body)
        status, body = serve(step.method, step.url.removeprefix(provider.base), told)
        reply = Response(status=status, headers=SERVED, body=msgspec.json.encode(body))


def keys(pages: list[Page]) -> list[str]:
    return [one.key for page in pages for one in page.records]


def listing(provider: Provider, serve: Serve, *cursor: Any) -> tuple[list[Page], list[Request]]:
    """The listing alone, without what is followed behind it."""
    pages, asked = led(provider, serve, *cursor)
    return [page for page in pages if page.listing], asked


def three_pages(_method: str, _path: str, told: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
    """Three pages, the middle one empty."""
    match told.get("cursor"):
        case None:
            return 200, {"sales": [{"id": "a"}, {"id": "b"}], "cursor": "t1"}
        case "t1":
            return 200, {"cursor": "t2"}
        case "t2":
            return 200, {"sales": [{"id": "c"}]}
    return 400, {"errors": [{"code": "INVALID_CURSOR", "detail": "too old"}]}


def test_a_list_is_read_to_the_answer_without_a_token_over_empty_pages() -> None:
    pages, asked = listing(shop(), three_pages)
    assert keys(pages) == ["a", "b", "c"]
    assert [page.listed_all for page in pages] == [False, False, True]
    assert [dict(each.query) for each in asked[:3]] == [
        {"limit": "2"},
        {"limit": "2", "cursor": "t1"},
        {"limit": "2", "cursor": "t2"},
    ]
    assert pages[-1].cursor == {"since": int(NOW.timestamp()) - 30}


def test_a_pull_goes_on_at_the_token_and_begins_anew_where_it_is_too_old() -> None:
    pages, _ = listing(shop(), three_pages)
    later, asked = listing(shop(), three_pages, pages[0].cursor)
    assert (keys(later), dict(asked[0].query)["cursor"]) == (["c"], "t1")
    assert {page.listing for page in [*pages, *later]} == {pages[0].listing}
    again, _ = listing(shop(), three_pages, {**pages[0].cursor, "token": "forgotten"})
    assert keys(again) == ["a", "b", "c"]


def test_what_changed_since_is_asked_for_less_the_overlap() -> None:
    since = int(datetime(2026, 11, 27, 12, tzinfo=UTC).timestamp())
    pages, asked = led(shop(), three_pages, {"since": since})
    assert {dict(each.query)["since"] for each in asked} == {"2026-11-27T11:59:00Z"}
    assert [page.cursor["since"] for page in pages] == [since, since, int(NOW.timestamp()) - 30]
    assert not any(page.listed_all or page.listing for page in pages)
    seconds = shop(since=SinceParam(param="since", form="unix", overlap=timedelta()))
    _, asked = led(seconds, three_pages, {"since": since})
    assert {dict(each.query)["since"] for each in asked} == {str(since)}


def test_an_answer_that_shows_nothing_is_doubted_for_a_day() -> None:
    since = int(NOW.timestamp()) - 3600
    (page,), _ = led(shop(), lambda *_: (200, {}), {"since": since})
    assert page.cursor == {"since": since}
    (page,), _ = led(shop(), lambda *_: (200, {}))
    assert page.cursor == {}  # it is listed again next time


def test_an_empty_end_in_the_middle_of_a_list_is_asked_for_once_more() -> None:
    tries: list[str] = []

    def swallowed(method: str, path: str, told: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
        tries.append(told.get("cursor", ""))
        return (
            (200, {})
            if tries.count("t2") == 1 and told.get("cursor") == "t2"
            else three_pages(method, path, told)
        )

    pages, _ = listing(shop(), swallowed)
    assert keys(pages) == ["a", "b", "c"]
    assert tries[:4] == ["", "t1", "t2", "t2"]


def test_a_token_that_leads_to_itself_is_no_page() -> None:
    with pytest.raises(Unreachable, match="names no other page behind this one of sale"):
        led(shop(), lambda *_: (200, {"sales": [{"id": "a"}], "cursor": "t1"}))


def by_shop(_method: str, path: str, told: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
    if path == "/shops":
        return 200, {"shops": [{"id": "north"}, {"id": "south"}, {"name": "no id"}]}
    name = told["shop"]
    if "cursor" in told:
        return 200, {"sales": [{"id": f"{name} 2"}]}
    return 200, {"sales": [{"id": f"{name} 1"}], "cursor": f"{name} next"}


def test_a_list_for_each_item_of_another_one_is_read_in_turn() -> None:
    provider = shop(across=Across(path="/shops", records="shops", param="shop"))
    pages, asked = listing(provider, by_shop)
    assert keys(pages) == ["north 1", "north 2", "south 1", "south 2"]
    assert [page.listed_all for page in pages] == [False, False, False, True]
    later, more = listing(provider, by_shop, pages[1].cursor)  # between the two
    assert keys(later) == ["south 1", "south 2"]
    assert [each.url.rpartition("/")[2] for each in (asked[0], more[0])] == ["shops", "sales"]
    followed, _ = led(provider, by_shop, pages[-1].cursor)
    assert len(keys(followed)) == 4
    with pytest.raises(Unreachable, match="shows nothing at /shops"):
        listing(provider, lambda *_: (200, {}))


def test_a_search_by_post_carries_its_parameters_in_the_body() -> None:
    provider = shop(
        page=NextCursor(size_param="limit", size=2, posts=True),
        query={"types[]": "SALE", "deleted": "true", "query.sort.order": "ASC"},
        since=SinceParam(param="query.filter.changed.start"),
    )
    pages, asked = led(provider, three_pages, {"since": int(NOW.timestamp())})
    assert keys(pages) == ["a", "b", "c"]
    assert {(each.method, each.reads) for each in asked} == {("POST", True)}
    assert msgspec.json.decode(asked[1].body) == {
        "limit": 2,
        "types": ["SALE"],
        "deleted": True,
        "query": {
            "sort": {"order": "ASC"},
            "filter": {"changed": {"start": "2026-11-27T12:59:00Z"}},
        },
        "cursor": "t1",
    }


def test_facts_that_do_not_go_together_are_refused() -> None:
    with pytest.raises(SpecError, match="since: `also` does not go with NextCursor"):
        shop(since=SinceParam(param="since", also=[{"archived": "true"}]))
    with pytest.raises(SpecError, match="across: several lists are read by NextCursor alone"):
        shop(page=OnePage(), across=Across(path="/shops", records="shops", param="shop"))

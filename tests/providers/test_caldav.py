"""CalDAV against a real Radicale, and against two dialects of the simulator."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest
from msgspec.structs import replace

from landbridge import ids
from landbridge.errors import Conflict, Refused
from landbridge.formats import icalendar
from landbridge.models.calendar import Event
from landbridge.testing import caldav as simulated
from landbridge.testing import radicale
from landbridge.testing.control import Control
from landbridge.testing.running import in_thread
from landbridge.wire import Headers, Request, Response
from tests.plain import PLAIN
from tests.providers.mirror import MAPS, Mirror

EVENTS = 70


@dataclass(frozen=True)
class Peer:
    """A server, and a way to look at what it really holds."""

    mirror: Mirror
    calendar: str
    objects: Callable[[], dict[str, str]]
    put: Callable[[str, str], Any]
    delete: Callable[[str], Any]
    expire: Callable[[], Any]


@contextmanager
def _radicale() -> Iterator[Peer]:
    with (
        radicale.running(events=EVENTS, max_sync_token_age=2) as server,
        _http(server.user, server.password) as send,
    ):
        yield Peer(
            mirror=Mirror(send, server.url),
            calendar=server.calendar_path,
            objects=server.objects,
            put=server.put,
            delete=server.delete,
            expire=lambda: time.sleep(3.2),
        )


@contextmanager
def _simulated(dialect: str) -> Iterator[Peer]:
    simulator = simulated.Simulator(simulated.Settings(events=EVENTS, dialect=dialect))
    with (
        in_thread(simulator.app) as url,
        Control(url) as control,
        _http("user", "password") as send,
    ):
        path = f"objects/{simulated.CALENDAR}"

        def objects() -> dict[str, str]:
            return {one["href"]: one["text"] for one in control.get(path)["objects"]}

        home = next(iter(control.get("objects")))
        yield Peer(
            mirror=Mirror(send, url),
            calendar=home,
            objects=objects,
            put=lambda name, text: control.put(f"{path}/{name}", text=text),
            delete=lambda name: control.delete(f"{path}/{name}"),
            expire=lambda: control.post("expire-tokens"),
        )
    simulator.stage.journal.close()


@contextmanager
def _http(user: str, password: str) -> Iterator[Callable[[Request], Response]]:
    with httpx2.Client(auth=(user, password), trust_env=False, verify=PLAIN, timeout=30) as client:

        def send(request: Request) -> Response:
            answer = client.request(
                request.method,
                request.full_url,
                headers=list(request.headers.pairs()),
                content=request.body or None,
            )
            return Response(
                status=answer.status_code,
                headers=Headers(answer.headers.multi_items()),
                body=answer.content,
                url=str(answer.url),
            )

        yield send


@pytest.fixture(params=["radicale", "simulated radicale", "simulated xandikos"])
def peer(request: pytest.FixtureRequest) -> Iterator[Peer]:
    name = str(request.param)
    made = _radicale() if name == "radicale" else _simulated(name.removeprefix("simulated "))
    with made as peer:
        peer.mirror.connect()
        yield peer


def agree(peer: Peer) -> bool:
    """Whether the mirror holds exactly the server's objects, as they read."""
    theirs = {key: icalendar.parse(text)["UID"] for key, text in peer.objects().items()}
    return theirs == {key: one.value["UID"] for key, one in peer.mirror.records.items()}


def name_of(key: str) -> str:
    return key.rpartition("/")[2]


def test_discovery_finds_the_calendar_behind_the_bare_address(peer: Peer) -> None:
    peer.mirror.pull("calendar")
    (page,) = peer.mirror.pages
    assert peer.calendar in [one.key for one in page.records]
    one = peer.mirror.fetch(peer.calendar, "calendar")
    assert one is not None
    assert one.value["writable"]
    assert peer.mirror.fetch(peer.calendar + "nothing/", "calendar") is None


def test_everything_comes_then_nothing_then_what_changed(peer: Peer) -> None:
    mirror = peer.mirror
    mirror.pull()
    assert agree(peer)
    assert len(mirror.records) == EVENTS
    assert mirror.unreadable == {}
    for one in mirror.records.values():
        MAPS.read(one.value)
    mirror.pull()
    assert mirror.pages == []
    first, second, third, *_ = sorted(mirror.records)
    text = peer.objects()[first]
    peer.put(name_of(first), text.replace("SUMMARY", "X-A:1\r\nSUMMARY", 1))
    peer.delete(name_of(second))
    peer.put("again.ics", text.replace("landbridge-", "again-"))
    mirror.pull()
    assert agree(peer)
    assert {one.key for page in mirror.pages for one in page.records} == {
        first,
        f"{peer.calendar}again.ics",
    }
    assert third in mirror.records


def test_an_expired_token_leads_to_a_merge_that_fetches_only_what_differs(peer: Peer) -> None:
    mirror = peer.mirror
    mirror.pull()
    # Two changes, because a token may count as known until the collection moves on again.
    first, second, *_ = sorted(mirror.records)
    peer.put(name_of(first), peer.objects()[first].replace("SUMMARY", "X-A:1\r\nSUMMARY", 1))
    peer.expire()
    peer.delete(name_of(second))
    mirror.pull()
    assert agree(peer)
    assert [page.listed_all for page in mirror.pages].count(True) == 1
    assert [one.key for page in mirror.pages for one in page.records] == [first]
    assert mirror.missing == [second]
    mirror.pull()
    assert mirror.pages == []


def test_what_is_made_and_gone_between_two_pulls_leaves_nothing(peer: Peer) -> None:
    mirror = peer.mirror
    mirror.pull()
    key = min(mirror.records)
    peer.put("short.ics", peer.objects()[key].replace("landbridge-", "short-"))
    peer.delete("short.ics")
    mirror.pull()
    assert agree(peer)
    peer.put("short.ics", peer.objects()[key].replace("landbridge-", "short-"))
    mirror.pull()
    peer.delete("short.ics")
    peer.put("short.ics", peer.objects()[key].replace("landbridge-", "short-"))
    mirror.pull()
    assert agree(peer)


def test_events_are_made_changed_and_deleted(peer: Peer) -> None:
    mirror = peer.mirror
    mirror.pull()
    model = _with_series(mirror)
    intent = ids.new("int")
    wanted = replace(model, id=None, uid=None, calendar=peer.calendar, title="Ours; ü, 1\n2")
    made = [mirror.create(wanted, intent) for _ in range(2)]
    assert made[0].key == made[1].key
    mirror.pull()
    assert agree(peer)
    base = mirror.records[made[0].key]
    held = MAPS.read(base.value)
    assert (held.title, held.recurrence) == (wanted.title, wanted.recurrence)
    assert (held.start, held.end) == (wanted.start, wanted.end)

    intent = ids.new("int")
    written = mirror.update(replace(held, title="Changed"), base, intent)
    assert mirror.update(replace(held, title="Changed"), base, intent).version == written.version
    assert mirror.event(base.key).title == "Changed"
    with pytest.raises(Conflict):
        mirror.update(replace(held, title="Late"), base, ids.new("int"))
    with pytest.raises(Conflict):
        mirror.delete(base, ids.new("int"))
    mirror.pull()
    now = mirror.records[base.key]
    assert written.version == now.version
    for _ in range(2):
        mirror.delete(now, ids.new("int"))
    mirror.pull()
    assert base.key not in mirror.records
    assert agree(peer)


def test_our_own_change_is_not_fetched_again(peer: Peer) -> None:
    mirror = peer.mirror
    mirror.pull()
    key = min(mirror.records)
    base = mirror.records[key]
    mirror.update(replace(MAPS.read(base.value), title="Ours"), base, ids.new("int"))
    fetched = mirror.fetch(key)
    assert fetched is not None
    mirror.records[key] = fetched
    mirror.pull()
    assert sum(len(page.records) for page in mirror.pages) == 0


def test_the_servers_objections_are_told_apart(peer: Peer) -> None:
    mirror = peer.mirror
    mirror.pull()
    held = MAPS.read(mirror.records[min(mirror.records)].value)
    fresh = replace(held, id=None, calendar=peer.calendar, title="x")
    with pytest.raises(Conflict, match="an event with the UID"):
        mirror.create(fresh, ids.new("int"))
    nowhere = peer.calendar.rstrip("/").rpartition("/")[0] + "/nowhere/"
    with pytest.raises(Refused):
        mirror.create(replace(fresh, uid=None, calendar=nowhere), ids.new("int"))
    assert agree(peer)
    assert mirror.fetch(f"{peer.calendar}nothing.ics") is None


def test_lines_of_other_programs_survive_our_change(peer: Peer) -> None:
    mirror = peer.mirror
    mirror.pull()
    key = min(mirror.records)
    text = peer.objects()[key].replace("SUMMARY", "X-MARK;X-P=1:kept\r\nSUMMARY", 1)
    peer.put(name_of(key), text)
    mirror.pull()
    base = mirror.records[key]
    mirror.update(replace(MAPS.read(base.value), location="Here"), base, ids.new("int"))
    stored = icalendar.parse(peer.objects()[key])
    assert stored["LOCATION"] == "Here"
    assert "X-MARK;X-P=1:kept" in peer.objects()[key].replace('X-P="1"', "X-P=1")


def _with_series(mirror: Mirror) -> Event:
    models = [MAPS.read(one.value) for one in mirror.records.values()]
    return next(one for one in models if one.recurrence and not one.overrides and one.start.zone)

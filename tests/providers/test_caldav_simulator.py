"""The CalDAV simulator answers a script of requests as a real Radicale does, and Xandikos' way
where it is told to (those rows were measured on Xandikos 0.4.10)."""

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from xml.etree.ElementTree import Element

import httpx2
import icalendar
import pytest
from defusedxml.ElementTree import fromstring

from landbridge.errors import InvalidInput
from landbridge.testing import radicale
from landbridge.testing.caldav import Settings, Simulator
from landbridge.testing.caldav.events import calendar, event, events
from landbridge.testing.control import Control
from landbridge.testing.pytest_plugin import CalDAVSimulator
from landbridge.testing.running import in_thread
from tests.plain import PLAIN

SPACES = (
    'xmlns:d="DAV:" xmlns:c="urn:ietf:params:xml:ns:caldav"'
    ' xmlns:cs="http://calendarserver.org/ns/" xmlns:a="http://apple.com/ns/ical/"'
)
DAV, CAL = "{DAV:}", "{urn:ietf:params:xml:ns:caldav}"


def propfind(*names: str) -> str:
    props = "".join(f"<{name}/>" for name in names)
    return f"<d:propfind {SPACES}><d:prop>{props}</d:prop></d:propfind>"


def sync(token: str, *names: str, level: str = "1") -> str:
    props = "".join(f"<{name}/>" for name in names or ("d:getetag",))
    return (
        f"<d:sync-collection {SPACES}><d:sync-token>{token}</d:sync-token>"
        f"<d:sync-level>{level}</d:sync-level><d:prop>{props}</d:prop></d:sync-collection>"
    )


def multiget(*hrefs: str) -> str:
    named = "".join(f"<d:href>{href}</d:href>" for href in hrefs)
    props = "<d:prop><d:getetag/><c:calendar-data/></d:prop>"
    return f"<c:calendar-multiget {SPACES}>{props}{named}</c:calendar-multiget>"


def query(inner: str) -> str:
    filtered = (
        '<c:filter><c:comp-filter name="VCALENDAR"><c:comp-filter name="VEVENT">'
        f"{inner}</c:comp-filter></c:comp-filter></c:filter>"
    )
    props = "<d:prop><d:getetag/></d:prop>"
    return f"<c:calendar-query {SPACES}>{props}{filtered}</c:calendar-query>"


def ics(uid: str, summary: int = 0, start: str = "20260101T100000Z") -> str:
    return calendar([event(uid, summary, f"DTSTART:{start}", "DURATION:PT1H")])


@dataclass
class Server:
    """A CalDAV server under a script. `shapes` is what it answered, without what is its own."""

    http: httpx2.Client
    calendar: str

    def __post_init__(self) -> None:
        self.shapes: list[Any] = []

    def send(
        self, method: str, path: str, body: str = "", note: bool = True, **headers: str
    ) -> httpx2.Response:
        kind = "text/calendar; charset=utf-8" if method == "PUT" else "text/xml; charset=utf-8"
        head = {name.replace("_", "-"): value for name, value in headers.items()}
        if body:
            head = {"content-type": kind, **head}
        answer = self.http.request(method, path, content=body.encode(), headers=head)
        if note:
            self.shapes.append((method, path, answer.status_code, shape_of(answer)))
        return answer

    def put(self, name: str, text: str, **headers: str) -> httpx2.Response:
        return self.send("PUT", self.calendar + name, text, True, **headers)

    def token(self) -> str:
        root = fromstring(self.send("REPORT", self.calendar, sync("")).content)
        return root.findtext(f"{DAV}sync-token") or ""


def shape_of(answer: httpx2.Response) -> Any:
    """The structure of an XML answer with etags, tokens and times blanked; else its ETag's form."""
    if "xml" in answer.headers.get("content-type", ""):
        return shape(fromstring(answer.content))
    etag = answer.headers.get("etag")
    return None if etag is None else bool(re.fullmatch(r'"[0-9a-f]+"', etag))


OWN = {"getlastmodified", "calendar-data", "getcontentlength"}


def shape(here: Element) -> Any:
    local = here.tag.rpartition("}")[2]
    below = sorted((shape(each) for each in here), key=str)
    text = "..." if local in OWN and here.text else (here.text or "").strip()
    text = re.sub("[0-9a-f]{40,64}", "#", text)  # of a tag or a token the form is compared
    return (here.tag, sorted(here.items()), text, below)


def by_href(answer: httpx2.Response) -> dict[str, Element]:
    root = fromstring(answer.content)
    return {str(each.findtext(f"{DAV}href")): each for each in root.findall(f"{DAV}response")}


@pytest.fixture
def caldav_settings() -> Settings:
    return Settings(events=40, max_sync_token_age=100.0)


@pytest.fixture
def server(caldav_simulator: CalDAVSimulator) -> Iterator[Server]:
    with client(caldav_simulator.url) as http:
        yield Server(http, "/user/calendar/")


def client(url: str) -> httpx2.Client:
    auth = ("user", "password")
    return httpx2.Client(base_url=url, auth=auth, timeout=30, trust_env=False, verify=PLAIN)


# -- the script


def script(server: Server) -> None:
    discovery(server)
    reading(server)
    writing(server)
    syncing(server)
    collections(server)


def discovery(server: Server) -> None:
    body = propfind("d:current-user-principal", "d:resourcetype")
    server.send("PROPFIND", "/.well-known/caldav", body, depth="0")
    server.send("PROPFIND", "/", body, depth="0")
    server.send("PROPFIND", "/", body)
    names = ("c:calendar-home-set", "c:calendar-user-address-set", "d:displayname", "d:nope")
    server.send("PROPFIND", "/user/", propfind(*names, "d:resourcetype"), depth="0")
    listed = (
        "d:resourcetype d:displayname d:sync-token cs:getctag a:calendar-color"
        " c:supported-calendar-component-set c:calendar-timezone c:calendar-description"
    )
    server.send("PROPFIND", "/user/", propfind(*listed.split()), depth="1")
    server.send("PROPFIND", "/user/nowhere/", propfind("d:resourcetype"), depth="0")
    server.send("PROPFIND", "/other/", propfind("d:resourcetype"), depth="0")
    server.send("REPORT", "/user/", sync(""), depth="0")


def reading(server: Server) -> None:
    names = ("d:getetag", "d:getcontenttype", "d:resourcetype", "d:getlastmodified")
    server.send("PROPFIND", server.calendar, propfind(*names), depth="1")
    server.send("GET", server.calendar + "missing.ics")
    server.send("REPORT", server.calendar, "<broken", depth="0")
    server.send("REPORT", server.calendar, f"<d:other {SPACES}/>", depth="0")
    server.send("POST", server.calendar)


def writing(server: Server) -> None:
    etag = server.put("a.ics", ics("a"), if_none_match="*").headers["etag"]
    server.put("a.ics", ics("a"), if_none_match="*")
    server.put("b.ics", ics("a"), if_none_match="*")
    server.put("a.ics", ics("other"))
    server.put("a.ics", ics("a", 1), if_match='"stale"')
    newer = server.put("a.ics", ics("a", 1), if_match=etag).headers["etag"]
    assert newer != etag
    server.put("c.ics", ics("c"), if_match='"nothing there"')
    server.put("c.ics", "garbage")
    server.put("c.ics", ics("c").replace("UID:c\r\n", ""))
    server.send("PUT", "/user/nowhere/c.ics", ics("z"))
    got = server.send("GET", server.calendar + "a.ics")
    assert (got.headers["etag"], got.text != ics("a", 1)) == (newer, True)
    server.send("GET", server.calendar + "a.ics", if_none_match=newer)
    server.send("HEAD", server.calendar + "a.ics")
    missing = server.calendar + "missing.ics"
    server.send("REPORT", server.calendar, multiget(server.calendar + "a.ics", missing))
    span = '<c:time-range start="20260101T103000Z" end="20260101T104500Z"/>'
    weekly = calendar(
        [event("w", 0, "DTSTART:20250101T100000Z", "DURATION:PT1H", "RRULE:FREQ=WEEKLY")]
    )
    server.put("w.ics", weekly)
    server.send("REPORT", server.calendar, query(span), depth="1")
    span = '<c:time-range start="20260107T103000Z" end="20260107T104500Z"/>'
    server.send("REPORT", server.calendar, query(span), depth="1")
    uid = '<c:prop-filter name="UID"><c:text-match>a</c:text-match></c:prop-filter>'
    server.send("REPORT", server.calendar, query(uid), depth="1")
    server.send("DELETE", server.calendar + "a.ics", if_match='"stale"')
    server.send("DELETE", server.calendar + "a.ics", if_match=newer)
    server.send("DELETE", server.calendar + "a.ics")
    server.send("DELETE", server.calendar + "w.ics")


def syncing(server: Server) -> None:
    start = server.token()
    assert server.token() == start
    server.put("s1.ics", ics("s1"))
    server.put("s2.ics", ics("s2"))
    server.send("REPORT", server.calendar, sync(start))
    middle = server.token()
    server.put("s1.ics", ics("s1", 1))
    server.send("DELETE", server.calendar + "s2.ics")
    server.put("ghost.ics", ics("ghost"))
    server.send("DELETE", server.calendar + "ghost.ics")
    server.send("REPORT", server.calendar, sync(middle, "d:getetag", "c:calendar-data"))
    server.send("REPORT", server.calendar, sync(start))
    latest = server.token()
    server.send("REPORT", server.calendar, sync(latest))
    again = server.token()
    server.send("DELETE", server.calendar + "s1.ics")
    server.put("s1.ics", ics("s1", 2))
    server.send("REPORT", server.calendar, sync(again))
    server.send("REPORT", server.calendar, sync(middle, level="infinite"))
    server.send("REPORT", server.calendar, sync("http://radicale.org/ns/sync/" + "0" * 64))
    server.send("REPORT", server.calendar, sync("no token of ours"))


def collections(server: Server) -> None:
    home = "/user/"
    made = (
        f"<c:mkcalendar {SPACES}><d:set><d:prop><d:displayname>New</d:displayname>"
        "</d:prop></d:set></c:mkcalendar>"
    )
    server.send("MKCALENDAR", f"{home}new/", made)
    server.send("MKCALENDAR", f"{home}new/")
    server.send("PROPFIND", f"{home}new/", propfind("d:displayname"), depth="0")
    renamed = (
        f"<d:propertyupdate {SPACES}><d:set><d:prop><d:displayname>R</d:displayname>"
        "</d:prop></d:set></d:propertyupdate>"
    )
    server.send("PROPPATCH", f"{home}new/", renamed)
    server.send("PROPFIND", f"{home}new/", propfind("d:displayname"), depth="0")
    server.send("PUT", f"{home}new/m.ics", ics("m"))
    target = str(server.http.base_url).rstrip("/") + f"{home}new/n.ics"
    server.send("MOVE", f"{home}new/m.ics", destination=target)
    server.send("GET", f"{home}new/m.ics")
    server.send("GET", f"{home}new/n.ics")
    server.send("DELETE", f"{home}new/")
    server.send("GET", f"{home}new/n.ics")


def test_it_answers_as_radicale_does(server: Server) -> None:
    seed = Settings().seed
    with radicale.running(events=0) as real, client(real.url) as http:
        reference = Server(http, real.calendar_path)
        for item in events(4, seed=seed):
            reference.send("PUT", real.calendar_path + item.name, item.text, note=False)
        simulator = Simulator(Settings(events=0))
        with in_thread(simulator.app) as url, client(url) as other:
            simulated = Server(other, simulator.calendar)
            for item in events(4, seed=seed):
                simulated.send("PUT", simulator.calendar + item.name, item.text, note=False)
            script(simulated)
        script(reference)
    assert len(simulated.shapes) == len(reference.shapes)
    for ours, theirs in zip(simulated.shapes, reference.shapes, strict=True):
        assert ours == theirs


def test_radicale_keeps_every_seeded_event_readable() -> None:
    items = events(16, seed=3)
    with radicale.running(events=16, seed=3) as real, client(real.url) as http:
        server = Server(http, real.calendar_path)
        answer = by_href(server.send("REPORT", real.calendar_path, sync("")))
        assert set(answer) == set(real.objects()) == {real.calendar_path + i.name for i in items}
        data = server.send("REPORT", real.calendar_path, multiget(*answer))
        for item, text in zip(sorted(items, key=lambda each: each.name), _texts(data), strict=True):
            ours, theirs = (icalendar.Calendar.from_ical(each) for each in (item.text, text))
            assert str(ours.walk("VEVENT")[0]["UID"]) == str(theirs.walk("VEVENT")[0]["UID"])
            assert len(ours.walk("VEVENT")) == len(theirs.walk("VEVENT"))
        assert real.put("new.ics", ics("new")) == 201
        assert real.delete(items[0].name) == 200
        kept = real.objects()
        assert real.calendar_path + "new.ics" in kept
        assert real.calendar_path + items[0].name not in kept
        assert len(kept) == 16


def _texts(answer: httpx2.Response) -> list[str]:
    found = by_href(answer)
    data = f"{DAV}propstat/{DAV}prop/{CAL}calendar-data"
    return [str(found[href].findtext(data)) for href in sorted(found)]


def test_a_short_token_age_expires_radicales_tokens() -> None:
    with radicale.running(events=2, max_sync_token_age=1) as real, client(real.url) as http:
        server = Server(http, real.calendar_path)
        token = server.token()

        time.sleep(2.5)  # a token that nobody used for longer than its age
        real.put("x.ics", ics("x"))
        server.token()
        answer = server.send("REPORT", real.calendar_path, sync(token))
        assert (answer.status_code, "valid-sync-token" in answer.text) == (403, True)


# -- what only the simulator does


def test_the_seeded_events_are_varied_and_readable(caldav_simulator: CalDAVSimulator) -> None:
    stored = caldav_simulator.control.objects("calendar").values()
    assert len(stored) == 40
    texts = [each["text"] for each in stored]
    for text in texts:
        assert icalendar.Calendar.from_ical(text).walk("VEVENT")
        assert all(len(line.encode()) <= 75 for line in text.split("\r\n"))
    everything = "".join(texts)
    for part in (
        "RRULE:",
        "EXDATE;TZID=",
        "RECURRENCE-ID;TZID=",
        "STATUS:CANCELLED",
        "DTSTART;VALUE=DATE:",
        "BEGIN:VTIMEZONE",
        "ATTENDEE;CN=",
    ):
        assert part in everything
    assert re.search(r"DTSTART:\d{8}T\d{6}\r", everything)  # floating
    assert re.search(r"DTSTART:\d{8}T\d{6}Z\r", everything)


def test_credentials_are_asked_for(caldav_simulator: CalDAVSimulator) -> None:
    with httpx2.Client(base_url=caldav_simulator.url, trust_env=False, verify=PLAIN) as http:
        for auth in (None, ("user", "wrong"), ("other", "password")):
            answer = http.request("PROPFIND", "/", auth=auth)
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"].startswith("Basic ")


def test_tokens_expire_by_order_and_by_age(
    server: Server, caldav_simulator: CalDAVSimulator
) -> None:
    control = caldav_simulator.control
    token = server.token()
    assert control.post("expire-tokens")["expired"] >= 1
    answer = server.send("REPORT", server.calendar, sync(token))
    assert (answer.status_code, "valid-sync-token" in answer.text) == (403, True)
    token = server.token()
    control.advance(99)
    assert server.send("REPORT", server.calendar, sync(token)).status_code == 207
    control.advance(201)
    assert server.send("REPORT", server.calendar, sync(token)).status_code == 403


def test_the_other_side_changes_and_spoils(
    server: Server, caldav_simulator: CalDAVSimulator
) -> None:
    control = caldav_simulator.control
    token = server.token()
    done = control.post("churn", count=30, seed=5)["done"]
    assert {each["did"] for each in done} == {"created", "changed", "deleted"}
    answer = by_href(server.send("REPORT", server.calendar, sync(token)))
    touched = {each["href"] for each in done}
    assert set(answer) == touched
    stored = control.objects("calendar")
    gone = {href for href, each in answer.items() if each.find(f"{DAV}status") is not None}
    assert gone == touched - set(stored)
    victim = next(iter(stored)).rpartition("/")[2]
    control.put(f"objects/calendar/{victim}", text="BEGIN:NONSENSE")
    assert server.send("GET", server.calendar + victim).text == "BEGIN:NONSENSE"
    control.delete(f"objects/calendar/{victim}")
    assert server.send("GET", server.calendar + victim).status_code == 404
    with pytest.raises(InvalidInput, match="there is no"):
        control.delete(f"objects/calendar/{victim}")


def test_faults_are_committed_here_too(server: Server, caldav_simulator: CalDAVSimulator) -> None:
    control = caldav_simulator.control
    retry = {"Retry-After": "1"}
    control.fault("status", status=503, path="/user/*", method="REPORT", headers=retry)
    refused = server.send("REPORT", server.calendar, sync(""))
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    control.fault("drop", path="*/lost.ics", method="PUT", after=True)
    with pytest.raises(httpx2.TransportError):
        server.put("lost.ics", ics("lost"), if_none_match="*")
    assert server.put("lost.ics", ics("lost"), if_none_match="*").status_code == 412
    control.fault("empty", method="REPORT")
    assert by_href(server.send("REPORT", server.calendar, sync(""))) == {}
    control.fault("truncate", method="REPORT")
    body = server.send("REPORT", server.calendar, sync(""), note=False).content
    with pytest.raises(SyntaxError):
        fromstring(body)
    journal = control.journal(method="PUT")
    assert [each["status"] for each in journal] == [None, 412]


def test_hostile_xml_is_refused(server: Server) -> None:
    bomb = '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>' + propfind("d:getetag")
    assert server.send("PROPFIND", server.calendar, bomb, depth="0").status_code == 400


@pytest.fixture
def xandikos() -> Iterator[Server]:
    simulator = Simulator(Settings(events=2, dialect="xandikos"))
    with in_thread(simulator.app) as url, client(url) as http, Control(url):
        yield Server(http, simulator.calendar)


def test_the_other_dialect_differs_where_that_server_does(xandikos: Server) -> None:
    path = xandikos.calendar
    assert path == "/user/calendars/calendar/"
    assert xandikos.send("GET", "/.well-known/caldav").status_code == 302
    body = propfind("d:getetag")
    bare = xandikos.send("PROPFIND", path, body, content_type="application/octet-stream")
    assert bare.status_code == 415
    missing = xandikos.send("PROPFIND", "/user/calendars/none/", body, depth="0")
    assert (missing.status_code, "404 Not Found" in missing.text) == (207, True)
    token = xandikos.token()
    assert re.fullmatch("[0-9a-f]{40}", token)
    stale = xandikos.send("REPORT", path, sync("0" * 40))
    assert (stale.status_code, "valid-sync-token" in stale.text) == (412, True)
    assert xandikos.send("REPORT", path, sync("", level="infinite")).status_code == 400
    assert xandikos.send("REPORT", "/user/calendars/", sync("")).status_code == 500
    etag = xandikos.put("a.ics", ics("a"), if_none_match="*").headers["etag"]
    assert xandikos.send("GET", f"{path}a.ics", if_none_match=etag).status_code == 304
    double = xandikos.put("b.ics", ics("a"), if_none_match="*")
    assert (double.status_code, "no-uid-conflict" in double.text) == (412, True)
    taken = xandikos.put("a.ics", ics("a"), if_none_match="*")
    assert (taken.status_code, "no-uid-conflict" in taken.text) == (412, False)
    asked = sync(token, "d:getetag", "c:calendar-data")
    changed = by_href(xandikos.send("REPORT", path, asked))[f"{path}a.ics"]
    statuses = [each.findtext(f"{DAV}status") for each in changed.findall(f"{DAV}propstat")]
    assert statuses == ["HTTP/1.1 200 OK", "HTTP/1.1 404 Not Found"]
    assert xandikos.put("a.ics", ics("new uid")).status_code == 204
    assert xandikos.put("g.ics", "garbage").status_code == 412
    assert xandikos.put("n.ics", ics("n").replace("UID:n\r\n", "")).status_code == 201
    assert xandikos.send("DELETE", f"{path}a.ics").status_code == 204
    assert f"{path}a.ics" not in by_href(xandikos.send("REPORT", path, sync(token)))
    assert f"{path}a.ics" not in by_href(xandikos.send("REPORT", path, sync("")))
    assert "<ns0:multistatus" in xandikos.send("REPORT", path, sync("")).text

"""CalDAV conversations against servers that take every liberty the RFCs (or nobody) give them."""

from dataclasses import dataclass, field
from datetime import datetime
from xml.sax.saxutils import escape

import pytest
from defusedxml.ElementTree import fromstring
from msgspec.structs import replace

from landbridge import ids
from landbridge.errors import Conflict, InvalidInput, RecordError, Refused, Unreachable
from landbridge.formats.dav import CALDAV, DAV
from landbridge.models.calendar import Event, Moment
from landbridge.wire import Headers, Request, Response
from tests.providers.mirror import MAPS, Mirror

HOST = "https://cal.example.com"
HOME = "/dav/jo/"
WORK = f"{HOME}work/"


def text(uid: str, title: str = "x") -> str:
    return (
        f"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:t\r\nBEGIN:VEVENT\r\nUID:{uid}\r\n"
        f"DTSTART:20260101T090000Z\r\nSUMMARY:{title}\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
    )


@dataclass
class Server:
    """A small CalDAV server in memory; each flag is one real server's way."""

    objects: dict[str, tuple[str, str]] = field(default_factory=dict)
    log: list[set[str]] = field(default_factory=list)
    sync: bool = True
    ctag: bool = True
    cut: int = 0
    """How many members a sync answers at once before it says 507; 0: all."""
    stale: int = 403
    multiget: int = 207
    etag_on_put: str = '"{}"'
    weak: bool = False
    data_in_multiget: bool = True
    calendar: bool = True
    first_token: int = 0
    conflict: str = ""

    def put(self, name: str, body: str) -> None:
        version = str(sum(len(names) for names in self.log) + 1)
        etag = f'W/"{version}"' if self.weak else f'"{version}"'
        self.objects[WORK + name] = (etag, body)
        self.log.append({WORK + name})

    def remove(self, name: str) -> None:
        del self.objects[WORK + name]
        self.log.append({WORK + name})

    def __call__(self, request: Request) -> Response:
        path = request.url.removeprefix(HOST)
        answer = getattr(self, f"_{request.method.lower()}")(path, request)
        assert isinstance(answer, Response)
        return answer

    def _propfind(self, path: str, request: Request) -> Response:
        if path == "/.well-known/caldav":
            return Response(status=308, headers=Headers({"Location": "/dav/"}))
        if path == "/dav/":
            return _multi(
                _ok(
                    path,
                    "<d:current-user-principal><d:href>/dav/p/jo/</d:href>"
                    "</d:current-user-principal>",
                )
            )
        if path == "/dav/p/jo/":
            return _multi(
                _ok(
                    path,
                    f"<c:calendar-home-set><d:href>{HOST}/dav/%6ao</d:href>"
                    "</c:calendar-home-set><c:calendar-user-address-set>"
                    "<d:href>mailto:jo@example.com</d:href></c:calendar-user-address-set>",
                )
            )
        if path == WORK and request.headers["depth"] == "1":
            return _multi(_ok(WORK, "<d:resourcetype/>"), *map(self._listed, self.objects))
        collections = [_ok(WORK, self._properties())] if self.calendar else []
        if path == WORK and not self.calendar:
            return Response(status=404)
        return _multi(_ok(HOME, "<d:resourcetype><d:collection/></d:resourcetype>"), *collections)

    def _properties(self) -> str:
        token = f"<d:sync-token>{self._token}</d:sync-token>" if self.sync else ""
        ctag = f"<s:getctag>{len(self.log)}</s:getctag>" if self.ctag else ""
        return f"<d:resourcetype><d:collection/><c:calendar/></d:resourcetype>{token}{ctag}"

    @property
    def _token(self) -> str:
        return f"t{len(self.log)}"

    def _listed(self, href: str) -> str:
        return _ok(href, f"<d:getetag>{escape(self.objects[href][0])}</d:getetag>")

    def _report(self, path: str, request: Request) -> Response:
        asked = fromstring(request.body)
        if asked.tag == f"{CALDAV}calendar-multiget":
            return self._many([str(one.text) for one in asked.findall(f"{DAV}href")])
        token = asked.findtext(f"{DAV}sync-token") or ""
        if not self.sync:
            return _error(403, "<d:supported-report/>")
        since = int(token.removeprefix("t") or 0)
        if token and since < self.first_token:
            return _error(self.stale, "<d:valid-sync-token/>")
        upto, names = since, set[str]()
        for upto in range(since + 1, len(self.log) + 1):
            names |= self.log[upto - 1]
            if self.cut and len(names) >= self.cut:
                break
        members = [
            self._listed(name) if name in self.objects else _gone(name) for name in sorted(names)
        ]
        if upto < len(self.log):
            members.append(
                f"<d:response><d:href>{path}</d:href><d:status>HTTP/1.1 507 x</d:status>"
                "</d:response>"
            )
        return _multi(*members, token=f"t{upto}")

    def _many(self, hrefs: list[str]) -> Response:
        if self.multiget != 207:
            return Response(status=self.multiget)
        found = []
        for href in hrefs:
            if href not in self.objects:
                found.append(_gone(href))
            elif self.data_in_multiget:
                etag, body = self.objects[href]
                data = f"<c:calendar-data>{escape(body)}</c:calendar-data>"
                found.append(_ok(href, f"<d:getetag>{escape(etag)}</d:getetag>{data}"))
            else:
                found.append(self._listed(href))
        return _multi(*found)

    def _get(self, path: str, request: Request) -> Response:
        if path not in self.objects:
            return Response(status=404)
        etag, body = self.objects[path]
        return Response(status=200, headers=Headers({"ETag": etag}), body=body.encode())

    def _put(self, path: str, request: Request) -> Response:
        if self.conflict:
            return _error(412, self.conflict)
        exists = path in self.objects
        guard = request.headers.get("if-match")
        if "if-none-match" in request.headers and exists:
            return Response(status=412)
        if guard is not None and (not exists or self.objects[path][0] != guard):
            return Response(status=412)
        self.put(path.removeprefix(WORK), request.body.decode())
        etag = self.etag_on_put.format(self.objects[path][0].strip('"'))
        return Response(status=201, headers=Headers({"ETag": etag} if etag else {}))

    def _delete(self, path: str, request: Request) -> Response:
        if path not in self.objects:
            return Response(status=404)
        if request.headers.get("if-match", self.objects[path][0]) != self.objects[path][0]:
            return Response(status=412)
        self.remove(path.removeprefix(WORK))
        return Response(status=204)


def _multi(*responses: str, token: str = "") -> Response:
    tail = f"<d:sync-token>{token}</d:sync-token>" if token else ""
    body = (
        '<d:multistatus xmlns:d="DAV:" xmlns:c="urn:ietf:params:xml:ns:caldav"'
        f' xmlns:s="http://calendarserver.org/ns/">{"".join(responses)}{tail}</d:multistatus>'
    )
    return Response(status=207, body=body.encode())


def _ok(href: str, properties: str) -> str:
    return (
        f"<d:response><d:href>{href}</d:href><d:propstat><d:prop>{properties}</d:prop>"
        "<d:status>HTTP/1.1 200 OK</d:status></d:propstat></d:response>"
    )


def _gone(href: str) -> str:
    status = "<d:status>HTTP/1.1 404 Not Found</d:status>"
    return f"<d:response><d:href>{href}</d:href>{status}</d:response>"


def _error(status: int, inner: str) -> Response:
    body = f'<d:error xmlns:d="DAV:" xmlns:c="urn:ietf:params:xml:ns:caldav">{inner}</d:error>'
    return Response(status=status, body=body.encode())


def filled(count: int, **flags: object) -> tuple[Server, Mirror]:
    server = Server(**flags)  # type: ignore[arg-type]
    for number in range(count):
        server.put(f"{number:03}.ics", text(f"u{number}"))
    mirror = Mirror(server, HOST)
    mirror.connect()
    return server, mirror


def agree(server: Server, mirror: Mirror) -> bool:
    return {key: server.objects[key][0] for key in server.objects} == {
        key: one.version for key, one in mirror.records.items()
    }


# --- discovery ---


def test_discovery_follows_the_well_known_address_to_the_home() -> None:
    _, mirror = filled(0)
    assert mirror.place.settings == {"homes": [f"{HOST}/dav/%6ao/"]}
    mirror.pull("calendar")
    (page,) = mirror.pages
    assert [one.value["displayname"] for one in page.records] == ["work"]
    assert page.listed_all


@pytest.mark.parametrize("location", ["http://evil.example.com/", "http://cal.example.com/dav/"])
def test_a_password_is_not_carried_to_an_unprotected_address(location: str) -> None:
    def send(_: Request) -> Response:
        return Response(status=301, headers=Headers({"Location": location}))

    with pytest.raises(Refused, match="the password would travel unprotected"):
        Mirror(send, HOST).connect()


def test_an_account_may_live_on_another_protected_host() -> None:
    def send(request: Request) -> Response:
        if request.url.startswith(HOST):
            where = "https://p42.example.com/1/principal/"
            return _multi(
                _ok(
                    "/",
                    f"<d:current-user-principal><d:href>{where}</d:href>"
                    "</d:current-user-principal>",
                )
            )
        assert request.url == "https://p42.example.com/1/principal/"
        return _multi(
            _ok(
                request.url,
                "<c:calendar-home-set><d:href>/1/calendars</d:href></c:calendar-home-set>",
            )
        )

    mirror = Mirror(send, HOST)
    assert mirror.connect() == "https://p42.example.com/1/principal/"
    assert mirror.place.settings == {"homes": ["https://p42.example.com/1/calendars/"]}


def test_redirects_end() -> None:
    def send(request: Request) -> Response:
        return Response(status=302, headers=Headers({"Location": request.url + "x"}))

    with pytest.raises(Refused, match="more than 5 redirects"):
        Mirror(send, HOST).connect()


@pytest.mark.parametrize("answer", [Response(status=404), Response(status=200, body=b"<html>")])
def test_an_address_without_calendars_tells_where_was_looked(answer: Response) -> None:
    with pytest.raises(Refused) as caught:
        Mirror(lambda _: answer, f"{HOST}/calendars/jo").connect()
    for tried in ("/calendars/jo or at", "/calendars/jo/", "/.well-known/caldav: give the address"):
        assert f"{HOST}{tried}" in str(caught.value)


def test_a_server_that_is_down_is_not_taken_for_one_without_calendars() -> None:
    with pytest.raises(Unreachable):
        Mirror(lambda _: Response(status=503), HOST).connect()


def test_the_address_of_a_single_calendar_will_do() -> None:
    def send(request: Request) -> Response:
        if request.url != f"{HOST}/public/cal/":
            return Response(status=404)
        return _multi(_ok("/public/cal/", "<d:resourcetype><c:calendar/></d:resourcetype>"))

    mirror = Mirror(send, f"{HOST}/public/cal")
    mirror.connect()
    mirror.pull("calendar")
    assert [one.key for one in mirror.pages[0].records] == ["/public/cal/"]


# --- sync ---


@pytest.mark.parametrize("sync", [True, False])
@pytest.mark.parametrize("diff", [True, False])
def test_what_changes_is_mirrored(sync: bool, diff: bool) -> None:
    server, mirror = filled(120, sync=sync)
    mirror.pull(diff=diff)
    assert agree(server, mirror)
    assert [len(page.records) for page in mirror.pages] == [0, 50, 50, 20]
    mirror.pull(diff=diff)
    assert mirror.pages == []
    server.put("007.ics", text("u7", "new"))
    server.remove("008.ics")
    server.put("new.ics", text("new"))
    mirror.pull(diff=diff)
    assert agree(server, mirror)
    if sync or diff:
        fetched = [one.key for page in mirror.pages for one in page.records]
        assert fetched == [f"{WORK}007.ics", f"{WORK}new.ics"]


@pytest.mark.parametrize("stale", [400, 403, 409, 410, 412])
def test_an_expired_token_leads_to_a_listing_that_is_merged(stale: int) -> None:
    server, mirror = filled(60, stale=stale)
    mirror.pull()
    server.put("001.ics", text("u1", "changed"))
    server.remove("002.ics")
    server.first_token = len(server.log)
    mirror.pull()
    assert agree(server, mirror)
    assert [one.key for page in mirror.pages for one in page.records] == [f"{WORK}001.ics"]
    assert mirror.missing == [f"{WORK}002.ics"]
    assert all(page.gone == () for page in mirror.pages)


def test_an_answer_that_is_cut_short_is_asked_for_to_its_end() -> None:
    server, mirror = filled(95, cut=40)
    mirror.pull()
    assert agree(server, mirror)
    assert [page.listed_all for page in mirror.pages].count(True) == 1
    assert mirror.pages[-1].listed_all
    assert len({page.listing for page in mirror.pages}) == 1
    for number in range(95):
        server.remove(f"{number:03}.ics")
    mirror.pull()
    assert mirror.records == {}


def test_a_pull_that_stops_anywhere_goes_on_and_fetches_nothing_twice() -> None:
    for stop in range(1, 5):
        server, mirror = filled(120)
        mirror.pull(pages=stop)
        held = len(mirror.records)
        server.put("000.ics", text("u0", "meanwhile"))
        server.remove("001.ics")
        mirror.pull()
        assert agree(server, mirror), stop
        fetched = sum(len(page.records) for page in mirror.pages)
        assert fetched <= 120 - held + 1


def test_a_cut_listing_that_stops_goes_on_as_the_same_listing() -> None:
    server, mirror = filled(95, cut=40)
    mirror.pull(pages=2)
    assert mirror.cursor is not None
    listing = mirror.cursor["calendars"][WORK]["listing"]
    mirror.pull()
    assert agree(server, mirror)
    assert {page.listing for page in mirror.pages} == {listing}


def test_a_member_that_goes_while_it_is_fetched_is_passed_over() -> None:
    server, mirror = filled(3)
    send = mirror._send

    def racing(request: Request) -> Response:
        if b"calendar-multiget" in request.body and WORK + "001.ics" in server.objects:
            server.remove("001.ics")
        return send(request)

    mirror._send = racing
    mirror.pull()
    assert set(mirror.records) == {f"{WORK}000.ics", f"{WORK}002.ics"}
    mirror.pull()
    assert agree(server, mirror)


@pytest.mark.parametrize(
    "flags", [{"multiget": 403}, {"multiget": 501}, {"data_in_multiget": False}]
)
def test_a_server_without_multiget_is_read_one_by_one(flags: dict[str, object]) -> None:
    server, mirror = filled(5, **flags)
    mirror.pull()
    assert agree(server, mirror)


def test_a_damaged_object_spoils_neither_the_others_nor_the_pull() -> None:
    server, mirror = filled(3)
    server.put("bad.ics", text("bad", "con\x0btrol"))
    server.put("worse.ics", "no calendar")
    server.put("late.ics", text("late").replace("DTSTART:2026", "DTSTART:soon"))
    mirror.pull()
    assert set(mirror.records) == {f"{WORK}{name}.ics" for name in ("000", "001", "002", "bad")}
    reasons = {key: one.reason for key, one in mirror.unreadable.items()}
    assert reasons == {
        f"{WORK}worse.ics": "VEVENT: the line 'no calendar' has no colon before its value",
        f"{WORK}late.ics": "VEVENT.DTSTART: 'soon0101T090000Z' is no date or time like"
        " 20260131T090000",
    }
    assert mirror.unreadable[f"{WORK}late.ics"].field == "DTSTART"
    server.put("late.ics", text("late"))
    mirror.pull()
    assert f"{WORK}late.ics" in mirror.records


def test_tasks_and_notes_are_no_events() -> None:
    server, mirror = filled(1)
    server.put("task.ics", text("t").replace("VEVENT", "VTODO"))
    mirror.pull()
    assert set(mirror.records) == {f"{WORK}000.ics"}
    assert mirror.unreadable == {}
    server.put("000.ics", text("u0").replace("VEVENT", "VTODO"))
    mirror.pull()
    assert mirror.records == {}
    assert mirror.fetch(f"{WORK}000.ics") is None


def test_a_calendar_that_is_gone_leaves_its_events_missing_not_deleted_unseen() -> None:
    server, mirror = filled(3)
    mirror.pull()
    server.calendar = False
    server.objects.clear()
    mirror.pull()
    (page,) = mirror.pages
    assert (page.scope, page.listed_all, page.gone) == (WORK, True, ())
    assert mirror.records == {}
    assert mirror.cursor == {"calendars": {}}


def test_a_calendar_that_the_home_forgets_is_kept_while_it_answers() -> None:
    _, mirror = filled(3)
    mirror.pull()
    send = mirror._send

    def forgetting(request: Request) -> Response:
        if request.headers.get("depth") == "1":
            return _multi(_ok(HOME, "<d:resourcetype><d:collection/></d:resourcetype>"))
        return send(request)

    mirror._send = forgetting
    mirror.pull()
    assert len(mirror.records) == 3
    assert mirror.pages == []


def test_without_a_ctag_versions_are_compared_each_time() -> None:
    server, mirror = filled(3, sync=False, ctag=False)
    mirror.pull()
    mirror.pull()
    assert [len(page.records) for page in mirror.pages] == [0, 0]
    server.put("001.ics", text("u1", "y"))
    mirror.pull()
    assert agree(server, mirror)


def test_another_refusal_is_an_error_and_not_a_new_beginning() -> None:
    server, mirror = filled(3)
    mirror.pull()
    cursor = mirror.cursor
    server.put("x.ics", text("x"))
    send = mirror._send

    def refusing(request: Request) -> Response:
        if b"sync-collection" in request.body:
            return _error(403, "<d:need-privileges/>")
        return send(request)

    mirror._send = refusing
    with pytest.raises(Refused):
        mirror.pull()
    assert mirror.cursor == cursor


def test_the_password_goes_to_the_accounts_own_hosts_alone() -> None:
    server, mirror = filled(2)
    server.objects["https://evil.example.com/x.ics"] = ('"1"', text("x"))
    server.log.append({"https://evil.example.com/x.ics"})
    mirror.pull()
    assert len(mirror.records) == 2
    assert all(url.startswith(HOST) for _, url in mirror.calls)
    for call in (mirror.fetch, lambda key: mirror.create(new_event(calendar=key), "i")):
        with pytest.raises(InvalidInput, match="is not on the servers of this account"):
            call("https://evil.example.com/")


# --- writes ---


def new_event(title: str = "made", **fields: str | None) -> Event:
    start = Moment(local=datetime.fromisoformat("2026-02-01T09:00:00"), zone="UTC")
    made = Event(calendar=WORK, title=title, start=start)
    return replace(made, **fields)


def test_an_intent_carried_out_twice_makes_one_event() -> None:
    server, mirror = filled(0)
    intent = ids.new("int")
    first = mirror.create(new_event(), intent)
    again = mirror.create(new_event(), intent)
    assert first.key == again.key
    assert first.version == again.version
    assert len(server.objects) == 1
    other = mirror.create(new_event(), ids.new("int"))
    assert other.key != first.key


def test_another_event_in_the_place_is_a_conflict_with_both_values() -> None:
    _, mirror = filled(0)
    mirror.create(new_event(uid="same"), ids.new("int"))
    with pytest.raises(Conflict) as caught:
        mirror.create(new_event("other", uid="same"), ids.new("int"))
    assert isinstance(caught.value.ours, dict)
    assert isinstance(caught.value.theirs, dict)
    assert (caught.value.ours["SUMMARY"], caught.value.theirs["SUMMARY"]) == ("other", "made")


@pytest.mark.parametrize(
    ("inner", "error", "words"),
    [
        ("<c:no-uid-conflict/>", Conflict, "has an event with the UID 'u'"),
        ("<c:valid-calendar-data/>", Refused, "refused PUT .412.: valid-calendar-data"),
    ],
)
def test_a_412_on_create_is_read_by_its_element(
    inner: str, error: type[Exception], words: str
) -> None:
    _, mirror = filled(0, conflict=inner)
    with pytest.raises(error, match=words):
        mirror.create(new_event(uid="u"), ids.new("int"))


@pytest.mark.parametrize("uid", ["a/b", "../x", ".hidden", "ü" * 3, "x" * 300, "a b", "{1-2}"])
def test_any_uid_gets_an_href_of_its_own_in_the_calendar(uid: str) -> None:
    server, mirror = filled(0)
    made = mirror.create(new_event(uid=uid), ids.new("int"))
    assert made.key.startswith(WORK)
    assert "/" not in made.key.removeprefix(WORK)
    assert f"UID:{uid}"[:70] in server.objects[made.key][1]


def test_a_new_event_needs_a_calendar() -> None:
    _, mirror = filled(0)
    with pytest.raises(RecordError, match=r"Event\.calendar: name the calendar"):
        mirror.create(new_event(calendar=None), ids.new("int"))


def test_a_missing_calendar_is_named() -> None:
    _, mirror = filled(0)
    mirror._send = lambda request: Response(status=409)
    with pytest.raises(Refused, match="has no calendar /dav/jo/work/"):
        mirror.create(new_event(), ids.new("int"))


@pytest.mark.parametrize("etag", ['"{}"', "", 'W/"{}"'])
def test_without_a_strong_etag_the_server_is_asked_what_it_took(etag: str) -> None:
    server, mirror = filled(0, etag_on_put=etag)
    made = mirror.create(new_event(), ids.new("int"))
    assert made.version == server.objects[made.key][0]
    assert made.raw is not None
    assert (("GET", HOST + made.key) in mirror.calls) == (etag != '"{}"')


def test_an_update_is_guarded_and_a_repeated_one_is_no_conflict() -> None:
    server, mirror = filled(1)
    mirror.pull()
    base = mirror.records[f"{WORK}000.ics"]
    event = MAPS.read(base.value)
    changed = replace(event, title="ours")
    intent = ids.new("int")
    first = mirror.update(changed, base, intent)
    again = mirror.update(changed, base, intent)
    assert first.version == again.version
    with pytest.raises(Conflict) as caught:
        mirror.update(replace(event, title="late"), base, ids.new("int"))
    assert isinstance(caught.value.theirs, dict)
    assert caught.value.theirs["SUMMARY"] == "ours"
    assert "SUMMARY:ours" in server.objects[base.key][1]


def test_weak_etags_guard_nothing_so_the_content_is_compared() -> None:
    server, mirror = filled(1, weak=True)
    mirror.pull()
    base = mirror.records[f"{WORK}000.ics"]
    event = MAPS.read(base.value)
    mirror.update(replace(event, title="ours"), base, ids.new("int"))
    assert "SUMMARY:ours" in server.objects[base.key][1]
    with pytest.raises(Conflict):
        mirror.update(replace(event, title="late"), base, ids.new("int"))


def test_deleting_is_guarded_and_what_is_gone_is_fine() -> None:
    server, mirror = filled(1)
    mirror.pull()
    base = mirror.records[f"{WORK}000.ics"]
    server.put("000.ics", text("u0", "changed"))
    with pytest.raises(Conflict):
        mirror.delete(base, ids.new("int"))
    mirror.pull()
    base = mirror.records[base.key]
    for _ in range(2):
        assert mirror.delete(base, ids.new("int")).raw is None
    assert server.objects == {}

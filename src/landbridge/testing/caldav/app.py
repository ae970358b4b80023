"""The CalDAV simulator as an ASGI application, in the manner of one of two real servers.

One user, HTTP Basic, calendars at `{home}{name}/`, objects at `{home}{name}/{object}`.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import unquote, urlsplit
from xml.etree.ElementTree import Element

from landbridge.errors import SettingsError
from landbridge.testing.asgi import Answer, App, Call, Drop, application
from landbridge.testing.caldav import properties
from landbridge.testing.caldav.calendars import Calendar, Object
from landbridge.testing.caldav.control import ControlPlane
from landbridge.testing.caldav.dialect import DIALECTS
from landbridge.testing.caldav.events import events
from landbridge.testing.caldav.ical import BadCalendar, stored
from landbridge.testing.caldav.reports import REPORTS, Failed
from landbridge.testing.caldav.xml import (
    APPLE,
    BadXml,
    c,
    d,
    element,
    found,
    gone,
    multistatus,
    read,
    written,
)
from landbridge.testing.conduct import Conduct
from landbridge.testing.faults import Fault, Spoiler
from landbridge.testing.stage import Stage
from landbridge.wire import Headers, Response

CALENDAR = "calendar"
"""The name of the calendar that there is at the start."""

_METHODS = "DELETE GET HEAD MKCALENDAR MOVE OPTIONS PROPFIND PROPPATCH PUT REPORT".split()


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How a simulator starts. `base` tells the time in unix seconds (None: the real one)."""

    seed: int = 0
    events: int = 60
    user: str = "user"
    password: str = "password"
    dialect: str = "radicale"
    max_sync_token_age: float = 30 * 86_400.0
    conduct: Conduct = field(default_factory=Conduct)
    """How it behaves badly, whoever calls."""
    journal: Path | None = None
    base: Callable[[], float] | None = None
    day: datetime | None = None
    """The middle of the seeded events; None: today of the simulator's clock."""


def places(url: str) -> dict[str, str]:
    """The settings of a connection that lead to a simulator at this address."""
    return {"url": url}


class Simulator:
    """One user's calendars (`.app`) and their control plane."""

    def __init__(self, settings: Settings | None = None):
        settings = settings or Settings()
        if settings.dialect not in DIALECTS:
            known = ", ".join(DIALECTS)
            raise SettingsError(f"dialect: {settings.dialect!r} is none of {known}")
        self.stage = Stage(journal=settings.journal, base=settings.base, conduct=settings.conduct)
        self.dialect = DIALECTS[settings.dialect]
        self.principal = f"/{settings.user}/"
        self.home = self.dialect.home.format(user=settings.user)
        self.calendar = f"{self.home}{CALENDAR}/"
        self.calendars: dict[str, Calendar] = {}
        self._token_age = settings.max_sync_token_age
        pair = f"{settings.user}:{settings.password}".encode()
        self._credentials = base64.b64encode(pair).decode()
        self._spoiler = Spoiler(failure=self._failure, emptied=self._emptied)
        names = {d("displayname"): "Calendar", f"{{{APPLE}}}calendar-color": "#0e7490"}
        first = self.make(self.calendar, names)
        day = settings.day or datetime.fromtimestamp(self.stage.clock.now(), UTC)
        for item in events(settings.events, seed=settings.seed, day=day):
            first.put(item.name, item.text)
        ControlPlane(self.stage, self.calendars)
        self.app: App = application(self._answer)

    def make(self, path: str, settings: dict[str, str]) -> Calendar:
        """A new calendar at a path that ends in a slash."""
        calendar = Calendar(
            path=path,
            dialect=self.dialect,
            clock=self.stage.clock,
            token_age=self._token_age,
            properties=settings,
        )
        self.calendars[path] = calendar
        return calendar

    async def _answer(self, call: Call) -> Answer:
        controlled = await self.stage.controlled(call)
        if controlled is not None:
            return controlled
        fault = self.stage.fault(call.method, call.path)
        outcome = await self._spoiler.carried_out(fault, lambda: self._respond(call))
        status = outcome.answer.status if isinstance(outcome.answer, Response) else None
        self.stage.journal.write(
            kind="request",
            at=self.stage.clock.now(),
            method=call.method,
            path=call.path,
            depth=call.headers.get("depth"),
            condition=call.headers.get("if-match") or call.headers.get("if-none-match"),
            bytes=len(call.body),
            status=status,
            fault=None if fault is None else fault.kind,
        )
        if call.method == "HEAD" and not isinstance(outcome.answer, Drop):
            return self._head(outcome.answer)
        return outcome.answer

    def _respond(self, call: Call) -> Response:
        if call.path == "/.well-known/caldav":
            return _plain(self.dialect.well_known, "Redirected to /", {"location": "/"})
        if call.headers.get("authorization", "") != f"Basic {self._credentials}":
            realm = {"www-authenticate": 'Basic realm="Landbridge simulator"'}
            return _plain(401, "Access to the requested resource forbidden.", realm)
        if call.path != "/" and not call.path.startswith(self.principal):
            return _plain(403, "Access to the requested resource forbidden.")
        answer = {
            "OPTIONS": self._options,
            "PROPFIND": self._propfind,
            "PROPPATCH": self._proppatch,
            "REPORT": self._report,
            "GET": self._get,
            "HEAD": self._get,
            "PUT": self._put,
            "DELETE": self._delete,
            "MKCALENDAR": self._mkcalendar,
            "MOVE": self._move,
        }.get(call.method)
        if answer is None:
            return _plain(405, "The method is not allowed on the requested resource.")
        try:
            return answer(call)
        except BadXml:
            return _plain(400, "Bad Request")
        except Failed as failed:
            return self._refused(failed.status, failed.precondition)

    def _options(self, _: Call) -> Response:
        return _plain(200, "", {"allow": ", ".join(_METHODS), "dav": self.dialect.dav})

    def _propfind(self, call: Call) -> Response:
        body = self._xml(call)
        resources = self._resources(call.path, deep=call.headers.get("depth", "0") != "0")
        if not resources:
            if self.dialect.missing_is_207:
                return self._xml_response(multistatus(gone(call.path)))
            return _missing()
        responses = []
        for path, own in resources:
            wanted, names_only = properties.asked_for(body, own)
            if names_only:
                responses.append(found(path, [Element(tag) for tag in wanted], []))
            else:
                responses.append(properties.response(path, own, wanted))
        more = {"dav": self.dialect.dav}
        return self._xml_response(multistatus(*responses), headers=more)

    def _resources(self, path: str, *, deep: bool) -> list[tuple[str, properties.Properties]]:
        """The resource at a path and, if asked for, its members."""
        folder = path if path.endswith("/") else f"{path}/"
        if path == "/":
            below = [(self.principal, self._principal())] if deep else []
            return [("/", properties.root(self.principal)), *below]
        if folder in {self.principal, self.home}:
            return self._home(folder, deep=deep)
        if folder in self.calendars:
            calendar = self.calendars[folder]
            own = [(folder, properties.calendar(self.principal, calendar))]
            members = calendar.objects.values() if deep else ()
            return own + [
                (folder + each.name, properties.member(self.principal, each)) for each in members
            ]
        one = self._object(path)
        return [] if one is None else [(path, properties.member(self.principal, one))]

    def _principal(self) -> properties.Properties:
        return properties.principal(self.principal, self.home)

    def _home(self, folder: str, *, deep: bool) -> list[tuple[str, properties.Properties]]:
        is_principal = folder == self.principal
        own = self._principal() if is_principal else properties.home(self.principal)
        found_here = [(folder, own)]
        if deep and is_principal and self.home != self.principal:
            found_here.append((self.home, properties.home(self.principal)))
        if deep and folder == self.home:
            found_here += [
                (path, properties.calendar(self.principal, each))
                for path, each in self.calendars.items()
            ]
        return found_here

    def _proppatch(self, call: Call) -> Response:
        body = self._xml(call)
        calendar = self.calendars.get(call.path)
        if calendar is None or body is None:
            return _missing()
        sets = [each for part in body.findall(f"{d('set')}/{d('prop')}") for each in part]
        removes = [each for part in body.findall(f"{d('remove')}/{d('prop')}") for each in part]
        for each in sets:
            calendar.properties[each.tag] = each.text or ""
        for each in removes:
            calendar.properties.pop(each.tag, None)
        named = [Element(each.tag) for each in [*sets, *removes]]
        return self._xml_response(multistatus(found(call.path, named, [])))

    def _report(self, call: Call) -> Response:
        body = self._xml(call)
        if body is None:
            return _plain(400, "Bad Request")
        report = REPORTS.get(body.tag)
        folder = call.path if call.path.endswith("/") else f"{call.path}/"
        calendar = self.calendars.get(folder)
        if calendar is None and folder in {"/", self.principal, self.home}:
            status = self.dialect.home_sync
            return self._refused(status, d("supported-report") if status == 403 else None)
        if calendar is None:
            return _missing()
        if report is None:
            if self.dialect.unknown_report == 207:
                return self._xml_response(multistatus())
            return self._refused(self.dialect.unknown_report, d("supported-report"))
        return self._xml_response(report(self.principal, calendar, body))

    def _get(self, call: Call) -> Response:
        one = self._object(call.path)
        if one is None and self._resources(call.path, deep=False):
            return _plain(405, "Collections are not served as a whole here.")
        if one is None:
            return _missing()
        if self.dialect.conditional_get and call.headers.get("if-none-match") == one.etag:
            return Response(status=304, headers=Headers({"etag": one.etag}))
        head = {"content-type": "text/calendar; charset=utf-8", "etag": one.etag}
        return Response(status=200, headers=Headers(head), body=one.text.encode())

    def _put(self, call: Call) -> Response:
        calendar, name = self._place(call.path)
        if calendar is None or not name:
            return _plain(409, "Conflict in the request.")
        before = calendar.objects.get(name)
        if not _allowed(call, before):
            return _plain(412, "Precondition failed.")
        try:
            new = stored(call.body.decode(), first=self.dialect.first)
        except (BadCalendar, UnicodeDecodeError):
            return self._bad_data()
        if new.uid is None and self.dialect.needs_uid:
            return self._bad_data()
        renamed = before is not None and before.uid != new.uid and self.dialect.keeps_uid
        holder = None if new.uid is None else calendar.holder(new.uid)
        if renamed or holder not in {None, name}:
            return self._refused(self.dialect.uid_conflict, c("no-uid-conflict"))
        kept = calendar.put(name, call.body.decode())
        status = 201 if before is None else 204
        return Response(status=status, headers=Headers({"etag": kept.etag}))

    def _bad_data(self) -> Response:
        if self.dialect.bad_data == 412:
            return self._refused(412, c("valid-calendar-data"))
        return _plain(self.dialect.bad_data, "Bad Request")

    def _delete(self, call: Call) -> Response:
        calendar, name = self._place(call.path)
        if calendar is None:
            return _missing()
        if name:
            before = calendar.objects.get(name)
            if before is None:
                return _missing()
            if not _allowed(call, before):
                return _plain(412, "Precondition failed.")
            calendar.delete(name)
        else:
            del self.calendars[calendar.path]
        if self.dialect.deleted == 204:
            return Response(status=204)
        body = multistatus(gone(call.path, 200))
        return self._xml_response(body, status=self.dialect.deleted)

    def _mkcalendar(self, call: Call) -> Response:
        body = self._xml(call)
        path = call.path if call.path.endswith("/") else f"{call.path}/"
        if path in self.calendars or path in {self.principal, self.home}:
            return self._refused(self.dialect.existing, d("resource-must-be-null"))
        if path.removeprefix(self.home).count("/") != 1 or not path.startswith(self.home):
            return _plain(409, "Conflict in the request.")
        wanted = [] if body is None else body.findall(f"{d('set')}/{d('prop')}/*")
        settings = {each.tag: each.text or "" for each in wanted if each.tag in properties.SETTABLE}
        self.make(path, settings)
        return Response(status=201)

    def _move(self, call: Call) -> Response:
        if self.dialect.name != "radicale":
            return _plain(412, "Precondition failed.")
        source, name = self._place(call.path)
        target, new_name = self._place(unquote(urlsplit(call.headers.get("destination", "")).path))
        if source is None or name not in source.objects:
            return _missing()
        if target is None or not new_name:
            return _plain(409, "Conflict in the request.")
        replaced = new_name in target.objects
        if replaced and call.headers.get("overwrite", "T") == "F":
            return _plain(412, "Precondition failed.")
        moved = source.delete(name)
        target.put(new_name, moved.text)
        return Response(status=204 if replaced else 201)

    def _place(self, path: str) -> tuple[Calendar | None, str]:
        """The calendar that a path lies in and the object's name; empty for the calendar."""
        folder, _, name = path.rpartition("/")
        return self.calendars.get(f"{folder}/"), name

    def _object(self, path: str) -> Object | None:
        calendar, name = self._place(path)
        return None if calendar is None else calendar.objects.get(name)

    def _xml(self, call: Call) -> Element | None:
        content_type = call.headers.get("content-type", "application/octet-stream")
        if call.body and self.dialect.needs_xml_type and "xml" not in content_type:
            raise Failed(415)
        return read(call.body)

    def _xml_response(
        self, root: Element, *, status: int = 207, headers: dict[str, str] | None = None
    ) -> Response:
        body = written(root, default_namespace=self.dialect.default_namespace)
        head = {"content-type": "text/xml; charset=utf-8", **(headers or {})}
        return Response(status=status, headers=Headers(head), body=body)

    def _refused(self, status: int, precondition: str | None) -> Response:
        if precondition is None:
            return _plain(status, "The request was refused.")
        return self._xml_response(element(d("error"), element(precondition)), status=status)

    def _failure(self, fault: Fault) -> Response:
        return _plain(fault.status, "Refused on purpose.", fault.headers)

    def _emptied(self, _: Response) -> Response:
        return self._xml_response(multistatus())

    def _head(self, answer: Answer) -> Answer:
        if not isinstance(answer, Response):
            return answer
        length = {"content-length": str(len(answer.body))}
        return Response(status=answer.status, headers=answer.headers.having(length))


def _allowed(call: Call, before: Object | None) -> bool:
    """If-Match and If-None-Match (RFC 9110 section 13.1); weak tags never match."""
    match, none_match = call.headers.get("if-match"), call.headers.get("if-none-match")
    if match is not None and (before is None or match not in {"*", before.etag}):
        return False
    return before is None or none_match not in {"*", before.etag}


def _plain(status: int, text: str, headers: dict[str, str] | None = None) -> Response:
    head = {"content-type": "text/plain; charset=utf-8", **(headers or {})}
    return Response(status=status, headers=Headers(head), body=text.encode())


def _missing() -> Response:
    return _plain(404, "The requested resource could not be found.")

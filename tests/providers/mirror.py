"""Leads CalDAV conversations and keeps what they bring, as the engine does, without a database."""

import json
from collections.abc import Callable, Generator
from datetime import UTC, datetime
from typing import Any, TypeVar

from landbridge.models.calendar import Event
from landbridge.protocols import Fetched, Page, Place, Unreadable, Written, identify, pull, write
from landbridge.protocols import fetch as fetch_one
from landbridge.providers.caldav import caldav
from landbridge.spec import Mapped
from landbridge.wire import Request, Response

T = TypeVar("T")
VEVENT = caldav.resource("VEVENT")
assert VEVENT.maps is not None
MAPS: Mapped[Event] = VEVENT.maps


class Mirror:
    """The records of one account; `pages` and `calls` tell what the last pull did."""

    def __init__(self, send: Callable[[Request], Response], base: str):
        self._send = send
        self.place = Place(base=base)
        self.cursor: dict[str, Any] | None = None
        self.records: dict[str, Fetched] = {}
        self.unreadable: dict[str | None, Unreadable] = {}
        self.missing: list[str] = []
        self.pages: list[Page] = []
        self.calls: list[tuple[str, str]] = []
        self._met: dict[tuple[str, str], set[str]] = {}

    def connect(self) -> str:
        """Finds the calendars and gives the account's id."""
        account = self.talk(identify(caldav, self.place))
        self.place = Place(base=self.place.base, settings=account.settings)
        return account.id

    def talk(self, conversation: Generator[Request, Response, T]) -> T:
        """Leads a conversation to its end."""
        try:
            request = next(conversation)
            while True:
                request = conversation.send(self.send(request))
        except StopIteration as end:
            result: T = end.value
            return result

    def send(self, request: Request) -> Response:
        self.calls.append((request.method, request.url))
        return self._send(request)

    def pull(
        self, resource: str = "VEVENT", *, pages: int | None = None, diff: bool = True
    ) -> None:
        """Pulls, at most so many pages; `diff=False` says of no member that it is held."""
        self.pages, self.calls, self.missing = [], [], []
        now = datetime.now(UTC)
        conversation = pull(caldav, caldav.resource(resource), self.place, self.cursor, now)
        reply: Response | set[str] | None = None
        while pages is None or len(self.pages) < pages:
            try:
                step = conversation.send(reply)
            except StopIteration:
                return
            if isinstance(step, Request):
                reply = self.send(step)
            else:
                wanted = self._keep(step, resource)
                reply = wanted if diff else None

    def _keep(self, page: Page, resource: str) -> set[str] | None:
        self.pages.append(page)
        self.cursor = json.loads(json.dumps(page.cursor))
        for fetched in page.records:
            self.records[fetched.key] = fetched
            self.unreadable.pop(fetched.key, None)
        for one in page.unreadable:
            self.unreadable[one.key] = one
        for key in page.gone:
            self.records.pop(key, None)
        same = {
            key
            for key, version in (page.members or {}).items()
            if key in self.records and self.records[key].version == version
        }
        if page.listing:
            met = self._met.setdefault((page.scope, page.listing), set())
            met |= same | {one.key for one in page.records}
            met |= {one.key for one in page.unreadable if one.key}
            if page.listed_all:
                held = {k for k, one in self.records.items() if one.scope == page.scope}
                self.missing += sorted(held - met)
                for key in held - met:
                    if self.fetch(key, resource) is None:
                        del self.records[key]
        return None if page.members is None else set(page.members) - same

    def fetch(self, key: str, resource: str = "VEVENT") -> Fetched | None:
        return self.talk(fetch_one(caldav, caldav.resource(resource), self.place, key))

    def event(self, key: str) -> Event:
        """An event as the provider has it now."""
        found = self.fetch(key)
        assert found is not None
        return MAPS.read(found.value)

    def create(self, event: Event, intent: str) -> Written:
        return self._write("create", "", MAPS.write(event), None, intent)

    def update(self, event: Event, base: Fetched, intent: str) -> Written:
        changes = MAPS.write(event, base=MAPS.read(base.value))
        return self._write("update", base.key, changes, base.raw, intent)

    def delete(self, base: Fetched, intent: str) -> Written:
        return self._write("delete", base.key, {}, base.raw, intent)

    def _write(
        self, action: str, key: str, changes: dict[str, Any], base: bytes | None, intent: str
    ) -> Written:
        return self.talk(write(caldav, VEVENT, self.place, action, key, changes, base, intent))

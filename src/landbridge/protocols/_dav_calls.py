"""WebDAV's requests, and where a user's calendars are: discovery by RFC 6764, 5397 and 4791."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import unquote, urljoin, urlsplit

from landbridge.errors import InvalidInput, Refused, Unreachable
from landbridge.formats import dav, icalendar
from landbridge.formats.dav import APPLE, CALDAV, DAV, SERVER, Member, Multistatus
from landbridge.protocols.values import Account, Place
from landbridge.resilience import expect
from landbridge.spec import Provider
from landbridge.wire import Headers, Request, Response

T = TypeVar("T")
Talk = Generator[Request, Any, T]
"""A part of a conversation that yields requests only and gives a T."""

PRINCIPAL = f"{DAV}current-user-principal"
HOME_SET = f"{CALDAV}calendar-home-set"
ADDRESSES = f"{CALDAV}calendar-user-address-set"
CALENDAR = f"{CALDAV}calendar"
COMPONENTS = f"{CALDAV}supported-calendar-component-set"
SYNC_TOKEN = f"{DAV}sync-token"
CTAG = f"{SERVER}getctag"
REPORTS = f"{DAV}supported-report-set"
PRIVILEGES = f"{DAV}current-user-privilege-set"
DESCRIPTION = f"{CALDAV}calendar-description"
TIMEZONE = f"{CALDAV}calendar-timezone"
COLOR = f"{APPLE}calendar-color"

_REDIRECTS = frozenset({301, 302, 307, 308})
_MOST_REDIRECTS = 5
_WRITING = tuple(f"{DAV}{name}" for name in ("all", "write", "write-content", "bind"))


@dataclass(frozen=True, kw_only=True, slots=True)
class Homes:
    """Where the user's calendars are; keys carry a host only where it is not that of `root`."""

    urls: tuple[str, ...]

    @property
    def root(self) -> str:
        """The address against which keys are resolved."""
        return self.urls[0]

    def url(self, key: str) -> str:
        """The address of what has this key; `InvalidInput`: it is not on the account's servers."""
        url = dav.url_of(key, self.root)
        if not self.holds(key):
            raise InvalidInput(f"key: {key[:80]!r} is not on the servers of this account")
        return url

    def holds(self, key: str) -> bool:
        """Whether a key is on a host of the account: the password goes nowhere else."""
        parts = urlsplit(dav.url_of(key, self.root))
        hosts = [(home.scheme, home.netloc) for home in map(urlsplit, self.urls)]
        return (parts.scheme, parts.netloc) in hosts


@dataclass(frozen=True, kw_only=True, slots=True)
class Collection:
    """A calendar as the home lists it."""

    key: str
    member: Member

    @property
    def token(self) -> str:
        """Its present sync token; empty: it has none."""
        return self.member.text(SYNC_TOKEN)

    @property
    def ctag(self) -> str:
        """What changes with any change in it; empty: the server does not say."""
        return self.member.text(CTAG)

    @property
    def syncs(self) -> bool:
        """Whether it answers sync-collection: listed among its reports, or it has a token."""
        return bool(self.token) or self.member.has(REPORTS, f"{DAV}sync-collection")

    def raw(self) -> dict[str, Any]:
        """What is kept of it: nothing that changes with its events."""
        zone = self.member.text(TIMEZONE)
        color = self.member.text(COLOR)
        known = self.member.found.get(PRIVILEGES) is not None
        kept = {
            "href": self.key,
            "displayname": self.member.text(dav.DISPLAY_NAME) or last_part(self.key),
            "calendar-description": self.member.text(DESCRIPTION) or None,
            "calendar-color": color[:7] or None,
            "calendar-timezone": zone or None,
            "zone": icalendar.zone_of(zone) if zone else None,
            "components": _components(self.member) or None,
            "writable": not known or any(self.member.has(PRIVILEGES, one) for one in _WRITING),
        }
        return {name: value for name, value in kept.items() if value is not None}


def request(
    provider: Provider,
    method: str,
    url: str,
    body: bytes = b"",
    headers: Mapping[str, str] | None = None,
) -> Request:
    """A request without credentials; a body is XML unless the headers say otherwise."""
    kind = {"Content-Type": dav.CONTENT_TYPE} if body else {}
    sent = Headers({**provider.headers, **kind, **(headers or {})})
    return Request(method=method, url=url, headers=sent, body=body)


def multistatus(
    provider: Provider, asked: Request, response: Response, root: str = ""
) -> Multistatus:
    """The 207 that an answer holds; raises what another answer means."""
    expect(provider, asked, response)
    try:
        return dav.parse(response.body, asked.url, root)
    except ValueError as error:
        raise Unreachable(
            f"{provider.name} answered {response.status} without a WebDAV multistatus ({error});"
            " it is tried again later",
            status=response.status,
        ) from None


def properties(
    provider: Provider, url: str, depth: int, *names: str, root: str = ""
) -> Talk[Multistatus]:
    """The properties of a resource and, with depth 1, of what is in it."""
    asked = request(provider, "PROPFIND", url, dav.propfind(*names), {"Depth": str(depth)})
    response = yield asked
    return multistatus(provider, asked, response, root)


def identify(provider: Provider, place: Place) -> Talk[Account]:
    """Whose calendars the credentials open: the account's settings hold their `homes`.

    Looks at the address as given, and at /.well-known/caldav of its host (first, if the address
    has no path); then at the principal that it names, and at that principal's calendar home.
    `Refused`: no calendars are found there; the message lists where was looked.
    """
    tried: list[str] = []
    for url in _candidates(place.base):
        tried.append(url)
        found = yield from _look(provider, url)
        if found is not None:
            account = yield from _account(provider, *found)
            if account is not None:
                return account
    raise Refused(
        f"no {provider.name} calendars were found at {' or at '.join(tried)}: give the address that"
        " the calendar's provider names for CalDAV"
    )


def homes_of(provider: Provider, place: Place) -> Talk[Homes]:
    """Where the connection's calendars are, as `identify` found; it looks again if need be."""
    known = place.settings.get("homes")
    if not known:
        account = yield from identify(provider, place)
        known = account.settings["homes"]
    return Homes(urls=tuple(known))


def calendars(provider: Provider, homes: Homes) -> Talk[list[Collection]]:
    """The calendars of the account that hold events, by their keys."""
    found: dict[str, Collection] = {}
    for home in homes.urls:
        answer = yield from properties(provider, home, 1, *_CALENDAR_PROPERTIES, root=homes.root)
        for member in answer.members:
            if is_calendar(member) and homes.holds(member.key):
                found[member.key] = Collection(key=member.key, member=member)
    return [found[key] for key in sorted(found)]


def one_calendar(provider: Provider, homes: Homes, key: str) -> Talk[Collection | None]:
    """One calendar; None if it is gone, or is no calendar of events."""
    asked = request(
        provider, "PROPFIND", homes.url(key), dav.propfind(*_CALENDAR_PROPERTIES), {"Depth": "0"}
    )
    response = yield asked
    if response.status in {404, 410}:
        return None
    answer = multistatus(provider, asked, response, homes.root)
    held = [member for member in answer.members if is_calendar(member)]
    return Collection(key=key, member=held[0]) if held else None


def is_calendar(member: Member) -> bool:
    """Whether a member is a calendar that takes events; one that does not say takes all."""
    if member.status != 200 or not member.has(dav.RESOURCE_TYPE, CALENDAR):
        return False
    names = _components(member)
    return not names or "VEVENT" in names


def href_of(url: str, root: str) -> str:
    """An address as it stands in a body: the path alone where the host is that of `root`."""
    parts = urlsplit(url)
    return parts.path if parts.netloc == urlsplit(root).netloc else url


def last_part(key: str) -> str:
    """The last part of a path, for people."""
    return key.rstrip("/").rpartition("/")[2] or key


_CALENDAR_PROPERTIES = (
    dav.RESOURCE_TYPE,
    dav.DISPLAY_NAME,
    COMPONENTS,
    SYNC_TOKEN,
    CTAG,
    REPORTS,
    PRIVILEGES,
    DESCRIPTION,
    TIMEZONE,
    COLOR,
)


def _components(member: Member) -> list[str]:
    element = member.found.get(COMPONENTS)
    return [] if element is None else [one.get("name", "").upper() for one in element]


def _candidates(base: str) -> Iterator[str]:
    well_known = urljoin(base, "/.well-known/caldav")
    if urlsplit(base).path in {"", "/"}:
        yield well_known
        yield base.rstrip("/") + "/"
    else:
        yield base
        yield base + "/"
        yield well_known


def _look(provider: Provider, url: str) -> Talk[tuple[str, Member] | None]:
    """What answers at an address, redirects followed with method and body; None: no WebDAV."""
    body = dav.propfind(PRINCIPAL, HOME_SET, dav.RESOURCE_TYPE, dav.DISPLAY_NAME)
    for _ in range(_MOST_REDIRECTS):
        asked = request(provider, "PROPFIND", url, body, {"Depth": "0"})
        response = yield asked
        location = response.headers.get("location", "")
        if response.status in _REDIRECTS and location:
            url = _trusted(provider, url, urljoin(url, location))
            continue
        if response.status != 207:
            if response.status == 429 or response.status >= 500:
                expect(provider, asked, response)
            return None
        try:
            members = dav.parse(response.body, url).members
        except ValueError:
            return None
        return (url, members[0]) if members else None
    raise Refused(f"{provider.name}: more than {_MOST_REDIRECTS} redirects, the last to {url}")


def _account(provider: Provider, url: str, member: Member) -> Talk[Account | None]:
    """The account of the principal that a resource names; None: it names none."""
    principal = url
    person = member
    named = member.hrefs(PRINCIPAL)
    if named:
        principal = _trusted(provider, url, urljoin(url, named[0]))
        answer = yield from properties(
            provider, principal, 0, HOME_SET, ADDRESSES, dav.DISPLAY_NAME
        )
        person = next((one for one in answer.members if one.status == 200), member)
    homes = [
        _trusted(provider, principal, urljoin(principal, href)) for href in person.hrefs(HOME_SET)
    ]
    if not homes and member.has(dav.RESOURCE_TYPE, CALENDAR):
        homes = [url]
    if not homes:
        return None
    mail = [href[7:] for href in person.hrefs(ADDRESSES) if href.lower().startswith("mailto:")]
    name = person.text(dav.DISPLAY_NAME) or next(iter(mail), "")
    return Account(
        id=principal,
        name=name or unquote(last_part(urlsplit(principal).path)),
        live=None,
        settings={"homes": [home if home.endswith("/") else f"{home}/" for home in homes]},
    )


def _trusted(provider: Provider, here: str, there: str) -> str:
    """An address that the credentials may go to: the same host, or over https; else `Refused`."""
    old, new = urlsplit(here), urlsplit(there)
    same = (old.scheme, old.netloc.lower()) == (new.scheme, new.netloc.lower())
    if same or new.scheme == "https":
        return there
    raise Refused(
        f"{provider.name}: {here} leads to {there}, where the password would travel unprotected;"
        " give the https address of the server"
    )

"""WebDAV bodies (RFC 4918, 4791, 6578): questions are built, answers parsed, by namespace.

Names of elements are in Clark notation, `{DAV:}getetag`. A member is known by its key: the path of
its href, decoded, so that servers that write one href in several ways name one record.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import quote, unquote, urljoin, urlsplit
from xml.etree.ElementTree import Element, ParseError, SubElement, tostring

from defusedxml import ElementTree as Safe
from defusedxml.common import DefusedXmlException

DAV = "{DAV:}"
CALDAV = "{urn:ietf:params:xml:ns:caldav}"
SERVER = "{http://calendarserver.org/ns/}"
APPLE = "{http://apple.com/ns/ical/}"

ETAG = f"{DAV}getetag"
CALENDAR_DATA = f"{CALDAV}calendar-data"
RESOURCE_TYPE = f"{DAV}resourcetype"
DISPLAY_NAME = f"{DAV}displayname"
VALID_SYNC_TOKEN = f"{DAV}valid-sync-token"
NO_UID_CONFLICT = f"{CALDAV}no-uid-conflict"
CONTENT_TYPE = "application/xml; charset=utf-8"

_ENCODED = re.compile(r"(?:%[0-9A-Fa-f]{2})+")
_KEPT = re.compile(r"[\x00-\x1f\x7f%/]")
_SAFE = "/%:@!$&'()*+,;=~"
_STATUS = re.compile(r"HTTP/\d(?:\.\d)? +(\d{3})")


@dataclass(frozen=True, kw_only=True, slots=True)
class Member:
    """One response of a multistatus.

    `status` is the bare one of a response without properties (404: it is gone), 200 otherwise;
    `found` holds the properties that came with a success.
    """

    href: str
    key: str
    status: int
    found: Mapping[str, Element] = field(default_factory=dict)

    def text(self, name: str) -> str:
        """The text of a property, without blanks around it; empty: it did not come."""
        element = self.found.get(name)
        return "" if element is None else (element.text or "").strip()

    def hrefs(self, name: str) -> list[str]:
        """The hrefs inside a property, as written."""
        element = self.found.get(name)
        if element is None:
            return []
        return [href.text.strip() for href in element.iter(f"{DAV}href") if href.text]

    def has(self, name: str, inner: str) -> bool:
        """Whether a property holds an element of the name `inner`, at any depth."""
        element = self.found.get(name)
        return element is not None and next(element.iter(inner), None) is not None


@dataclass(frozen=True, kw_only=True, slots=True)
class Multistatus:
    """A 207 answer; `token` is the sync token for the whole, None where there is none."""

    members: tuple[Member, ...]
    token: str | None = None


def propfind(*names: str) -> bytes:
    """The body that asks for these properties."""
    root = Element(f"{DAV}propfind")
    _properties(root, names)
    return _written(root)


def sync_collection(token: str, *names: str) -> bytes:
    """The body that asks what changed since a token; an empty token asks for everything.

    It never limits the answer: a server may cut the list and give the final token all the same.
    """
    root = Element(f"{DAV}sync-collection")
    SubElement(root, f"{DAV}sync-token").text = token or None
    SubElement(root, f"{DAV}sync-level").text = "1"
    _properties(root, names)
    return _written(root)


def multiget(hrefs: Sequence[str], *names: str) -> bytes:
    """The body that asks for these members of a calendar (RFC 4791 section 7.9)."""
    root = Element(f"{CALDAV}calendar-multiget")
    _properties(root, names)
    for href in hrefs:
        SubElement(root, f"{DAV}href").text = href
    return _written(root)


def parse(body: bytes, url: str, root: str = "") -> Multistatus:
    """What a 207 answer to a request at `url` says; ValueError: it is no multistatus.

    Keys carry the host where that is not the one of `root`, which is `url` unless given.
    """
    answer = _document(body)
    if answer.tag != f"{DAV}multistatus":
        raise ValueError(f"expected a DAV:multistatus, found {_short(answer.tag)}")
    token = answer.findtext(f"{DAV}sync-token")
    members = [
        member
        for response in answer.findall(f"{DAV}response")
        for member in _members(response, url, root or url)
    ]
    return Multistatus(members=tuple(members), token=token.strip() if token else None)


def preconditions(body: bytes) -> frozenset[str]:
    """The names of the conditions that a DAV:error body says were not met; else none."""
    try:
        root = _document(body)
    except ValueError:
        return frozenset()
    if root.tag != f"{DAV}error":
        return frozenset()
    return frozenset(element.tag for element in root.iter() if element is not root)


def key_of(href: str, url: str) -> str:
    """The key of a member: its decoded path; with the host if that is not the one of `url`.

    `%2F`, `%25` and control characters stay encoded, so that `url_of` leads back.
    """
    parts = urlsplit(urljoin(url, href))
    path = _ENCODED.sub(_decoded, parts.path)
    if parts.netloc.lower() == urlsplit(url).netloc.lower():
        return path or "/"
    return f"{parts.scheme}://{parts.netloc}{path}"


def url_of(key: str, url: str) -> str:
    """The address of the member with this key, on the server of `url`."""
    scheme, mark, rest = key.partition("://")
    if mark and scheme in {"http", "https"}:
        host, slash, path = rest.partition("/")
        return f"{scheme}://{host}{quote(slash + path, safe=_SAFE)}"
    return urljoin(url, quote(key, safe=_SAFE))


def collection_of(key: str) -> str:
    """The key of the collection that a member is in."""
    return key.rstrip("/").rpartition("/")[0] + "/"


def _members(response: Element, url: str, root: str) -> Iterator[Member]:
    hrefs = [href.text.strip() for href in response.findall(f"{DAV}href") if href.text]
    bare = response.findtext(f"{DAV}status")
    found: dict[str, Element] = {}
    for propstat in response.findall(f"{DAV}propstat"):
        if 200 <= _code(propstat.findtext(f"{DAV}status"), 200) < 300:
            for prop in propstat.findall(f"{DAV}prop"):
                found.update((element.tag, element) for element in prop)
    for href in hrefs:
        key = key_of(urljoin(url, href), root)
        yield Member(href=href, key=key, status=_code(bare, 200), found=found)


def _code(status: str | None, default: int) -> int:
    matched = _STATUS.match(status.strip()) if status else None
    return int(matched[1]) if matched else default


def _properties(root: Element, names: Sequence[str]) -> None:
    prop = SubElement(root, f"{DAV}prop")
    for name in names:
        SubElement(prop, name)


def _written(root: Element) -> bytes:
    written: bytes = tostring(root, encoding="utf-8", xml_declaration=True)
    return written


def _document(body: bytes) -> Element:
    try:
        root: Element = Safe.fromstring(body, forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError, LookupError) as error:
        raise ValueError(f"not XML ({error})"[:200]) from None
    return root


def _decoded(encoded: re.Match[str]) -> str:
    try:
        text = unquote(encoded[0], errors="strict")
    except UnicodeDecodeError:
        return encoded[0].upper()
    return _KEPT.sub(lambda letter: f"%{ord(letter[0]):02X}", text)


def _short(name: str) -> str:
    return name.rpartition("}")[2][:40]

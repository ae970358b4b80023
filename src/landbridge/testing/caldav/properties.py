"""The live properties of each kind of resource, as PROPFIND and the reports give them."""

from __future__ import annotations

from collections.abc import Callable
from email.utils import formatdate
from xml.etree.ElementTree import Element

from landbridge.testing.caldav.calendars import Calendar, Object
from landbridge.testing.caldav.xml import APPLE, CS, c, d, element, found, with_href

Property = Callable[[], Element | None]
Properties = dict[str, Property]
"""By Clark name, what makes the element; None where the resource has no such property now."""

_PRIVILEGES = ("read", "all", "write", "write-properties", "write-content")
_REPORTS = (d("sync-collection"), c("calendar-multiget"), c("calendar-query"))
_HIDDEN = {c("calendar-data")}
SETTABLE = (
    d("displayname"),
    c("calendar-description"),
    c("calendar-timezone"),
    f"{{{APPLE}}}calendar-color",
)


def _fixed(tag: str, *below: Element, text: str | None = None) -> Property:
    return lambda: element(tag, *below, text=text)


def _access(*more: str) -> Element:
    privileges = [element(d("privilege"), element(d(each))) for each in _PRIVILEGES]
    privileges += [element(d("privilege"), element(each)) for each in more]
    return element(d("current-user-privilege-set"), *privileges)


def root(principal: str) -> Properties:
    """Of `/`: it leads to the principal."""
    return {
        d("resourcetype"): _fixed(d("resourcetype"), element(d("collection"))),
        d("current-user-principal"): lambda: with_href(d("current-user-principal"), principal),
        d("principal-collection-set"): lambda: with_href(d("principal-collection-set"), "/"),
    }


def principal(path: str, home: str) -> Properties:
    """Of the user: leads to the calendar home, which may be the same resource."""
    own = root(path) | {
        c("calendar-home-set"): lambda: with_href(c("calendar-home-set"), home),
        c("calendar-user-address-set"): lambda: with_href(c("calendar-user-address-set"), path),
        d("principal-URL"): lambda: with_href(d("principal-URL"), path),
        d("current-user-privilege-set"): _access,
        d("supported-report-set"): _fixed(d("supported-report-set")),
    }
    types = [element(d("principal")), element(d("collection"))]
    return own | {d("resourcetype"): _fixed(d("resourcetype"), *types)}


def home(path: str) -> Properties:
    """Of a calendar home that is not the principal itself."""
    return root(path) | {d("current-user-privilege-set"): _access}


def calendar(owner: str, one: Calendar) -> Properties:
    """Of a calendar collection."""
    components = [Element(c("comp"), name=each) for each in ("VTODO", "VEVENT", "VJOURNAL")]
    reports = [
        element(d("supported-report"), element(d("report"), element(each))) for each in _REPORTS
    ]
    ctag = f"{{{CS}}}getctag"
    own: Properties = root(owner) | {
        d("resourcetype"): _fixed(
            d("resourcetype"), element(c("calendar")), element(d("collection"))
        ),
        d("owner"): lambda: with_href(d("owner"), owner),
        d("current-user-privilege-set"): lambda: _access(c("read-free-busy")),
        d("supported-report-set"): _fixed(d("supported-report-set"), *reports),
        c("supported-calendar-component-set"): _fixed(
            c("supported-calendar-component-set"), *components
        ),
        d("getetag"): lambda: element(d("getetag"), text=f'"{one.ctag().strip(chr(34))}"'),
        d("getcontenttype"): _fixed(d("getcontenttype"), text="text/calendar"),
        d("getlastmodified"): lambda: _modified(one.changed_at),
        d("sync-token"): lambda: element(d("sync-token"), text=one.token()),
        ctag: lambda: element(ctag, text=one.ctag()),
    }
    for tag, value in one.properties.items():
        own[tag] = _fixed(tag, text=value)
    return own


def member(owner: str, one: Object) -> Properties:
    """Of a calendar object."""
    content_type = f"text/calendar;charset=utf-8;component={one.kind}"
    return {
        d("resourcetype"): _fixed(d("resourcetype")),
        d("current-user-principal"): lambda: with_href(d("current-user-principal"), owner),
        d("getetag"): _fixed(d("getetag"), text=one.etag),
        d("getcontenttype"): _fixed(d("getcontenttype"), text=content_type),
        d("getcontentlength"): _fixed(d("getcontentlength"), text=str(len(one.text.encode()))),
        d("getlastmodified"): lambda: _modified(one.changed_at),
        c("calendar-data"): _fixed(c("calendar-data"), text=one.text),
    }


def _modified(at: float) -> Element:
    return element(d("getlastmodified"), text=formatdate(at, usegmt=True))


def response(path: str, own: Properties, wanted: list[str]) -> Element:
    """A DAV:response with the wanted properties, sorted into found and absent."""
    there: list[Element] = []
    absent: list[str] = []
    for tag in wanted:
        made = own[tag]() if tag in own else None
        if made is None:
            absent.append(tag)
        else:
            there.append(made)
    return found(path, there, absent)


def asked_for(body: Element | None, own: Properties) -> tuple[list[str], bool]:
    """The names that a PROPFIND asks for, and whether for names alone."""
    if body is None or body.find(d("allprop")) is not None:
        return [tag for tag in own if tag not in _HIDDEN], False
    if body.find(d("propname")) is not None:
        return [tag for tag in own if tag not in _HIDDEN], True
    return props_of(body), False


def props_of(body: Element) -> list[str]:
    """The names below a request's DAV:prop."""
    prop = body.find(d("prop"))
    return [] if prop is None else [each.tag for each in prop]

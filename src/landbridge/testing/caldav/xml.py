"""WebDAV's XML: reads requests safely, writes answers in a server's own choice of prefixes."""

from __future__ import annotations

from xml.etree.ElementTree import Element, ParseError, SubElement
from xml.sax.saxutils import escape, quoteattr

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring

DAV, CAL = "DAV:", "urn:ietf:params:xml:ns:caldav"
CS, APPLE = "http://calendarserver.org/ns/", "http://apple.com/ns/ical/"
_PREFIXES = {CAL: "C", CS: "CS", APPLE: "ICAL"}


class BadXml(Exception):
    """The body is not XML, or XML that is not safe to read."""


def d(name: str) -> str:
    """A name in the DAV: namespace."""
    return f"{{{DAV}}}{name}"


def c(name: str) -> str:
    """A name in the CalDAV namespace."""
    return f"{{{CAL}}}{name}"


def read(body: bytes) -> Element | None:
    """The root of a request's body; None where there is no body."""
    if not body.strip():
        return None
    try:
        root: Element = fromstring(body)
    except (ParseError, DefusedXmlException, ValueError) as error:
        raise BadXml(str(error)) from None
    return root


def element(tag: str, *below: Element, text: str | None = None) -> Element:
    """An element with children or text."""
    made = Element(tag)
    made.text = text
    made.extend(below)
    return made


def with_href(tag: str, path: str) -> Element:
    """An element around one DAV:href."""
    return element(tag, element(d("href"), text=path))


def multistatus(*below: Element) -> Element:
    """The root of a 207."""
    return element(d("multistatus"), *below)


def status(tag_parent: Element, code: int) -> None:
    """Adds a DAV:status to a response or propstat."""
    reasons = {200: "OK", 404: "Not Found", 507: "Insufficient Storage"}
    SubElement(tag_parent, d("status")).text = f"HTTP/1.1 {code} {reasons[code]}"


def gone(path: str, code: int = 404) -> Element:
    """A response with a bare status."""
    response = with_href(d("response"), path)
    status(response, code)
    return response


def found(path: str, there: list[Element], absent: list[str]) -> Element:
    """A response with the properties that are there and, as 404, those that are not."""
    response = with_href(d("response"), path)
    for code, props in ((200, there), (404, [Element(tag) for tag in absent])):
        if props or (code == 200 and not absent):
            propstat = SubElement(response, d("propstat"))
            propstat.append(element(d("prop"), *props))
            status(propstat, code)
    return response


def written(root: Element, *, default_namespace: bool) -> bytes:
    """The document. With a default namespace DAV: has no prefix, else every name has one."""
    spaces = sorted({each.tag[1:].partition("}")[0] for each in root.iter()} | {DAV})
    spaces.sort(key=lambda space: space != DAV)
    if default_namespace:
        names = {space: _PREFIXES.get(space, f"ns{i}") for i, space in enumerate(spaces)}
        names[DAV] = ""
    else:
        names = {space: f"ns{i}" for i, space in enumerate(spaces)}
    declared = "".join(
        f" xmlns{':' if prefix else ''}{prefix}={quoteattr(space)}"
        for space, prefix in names.items()
    )
    head = "<?xml version='1.0' encoding='utf-8'?>\n" if default_namespace else ""
    return (head + _markup(root, names, declared)).encode()


def _markup(here: Element, names: dict[str, str], more: str = "") -> str:
    space, _, local = here.tag[1:].partition("}")
    name = f"{names[space]}:{local}" if names[space] else local
    attributes = "".join(f" {key}={quoteattr(value)}" for key, value in here.items())
    inner = escape(here.text or "") + "".join(_markup(each, names) for each in here)
    start = f"<{name}{more}{attributes}"
    return f"{start}>{inner}</{name}>" if inner else f"{start} />"

"""As much of iCalendar as a server needs: the objects' UIDs, and its own way of writing them.

A server stores what it understood, not the bytes it was sent: lines are unfolded, put into its own
order and folded again. Clients must not compare bodies.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from landbridge.testing.caldav.events import folded


class BadCalendar(Exception):
    """The text is no single calendar object."""


@dataclass
class _Component:
    name: str
    lines: list[str] = field(default_factory=list)
    below: list[_Component] = field(default_factory=list)

    def written(self, first: tuple[str, ...]) -> list[str]:
        order = {name: index for index, name in enumerate(first)}
        lines = sorted(
            self.lines, key=lambda line: (order.get(_name(line), len(order)), _name(line))
        )
        inner = [line for each in self.below for line in each.written(first)]
        return [f"BEGIN:{self.name}", *lines, *inner, f"END:{self.name}"]


@dataclass(frozen=True, kw_only=True)
class Stored:
    """An object as the server keeps it. `uid` is None only where the server asks for none."""

    text: str
    uid: str | None
    kind: str
    """VEVENT, VTODO or VJOURNAL."""


def stored(text: str, *, first: tuple[str, ...]) -> Stored:
    """Reads one calendar object; `BadCalendar` says what is wrong with it."""
    root = _parsed(text)
    members = [each for each in root.below if each.name != "VTIMEZONE"]
    if not members:
        raise BadCalendar("there is no VEVENT, VTODO or VJOURNAL")
    uids = {_value(each, "UID") for each in members}
    kinds = {each.name for each in members}
    if len(uids) > 1 or len(kinds) > 1:
        raise BadCalendar("its components differ in UID or kind")
    version = [line for line in root.lines if _name(line) in {"VERSION", "PRODID"}]
    rest = [line for line in root.lines if line not in version]
    head = sorted(version, reverse=True) + rest
    body = [line for each in root.below for line in each.written(first)]
    lines = ["BEGIN:VCALENDAR", *head, *body, "END:VCALENDAR"]
    written = "".join(f"{folded(line)}\r\n" for line in lines)
    return Stored(text=written, uid=uids.pop(), kind=kinds.pop())


def _parsed(text: str) -> _Component:
    unfolded = text.replace("\r\n", "\n").replace("\n ", "").replace("\n\t", "")
    top = _Component("")
    stack = [top]
    for line in unfolded.split("\n"):
        name, colon, value = line.partition(":")
        if not line.strip():
            continue
        if not colon:
            raise BadCalendar(f"{line[:20]!r} is no content line")
        if name.upper() == "BEGIN":
            below = _Component(value.strip().upper())
            stack[-1].below.append(below)
            stack.append(below)
        elif name.upper() == "END":
            if len(stack) == 1 or stack.pop().name != value.strip().upper():
                raise BadCalendar(f"END:{value} closes nothing")
        else:
            stack[-1].lines.append(line)
    if len(stack) != 1 or len(top.below) != 1 or top.below[0].name != "VCALENDAR" or top.lines:
        raise BadCalendar("it is not one whole VCALENDAR")
    return top.below[0]


def _name(line: str) -> str:
    return line.partition(":")[0].partition(";")[0].upper()


def _value(component: _Component, name: str) -> str | None:
    found = [line for line in component.lines if _name(line) == name]
    return found[0].partition(":")[2] if found else None

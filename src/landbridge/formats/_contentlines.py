"""iCalendar text as a tree of content lines that keeps every byte it does not understand.

A line is parsed only as far as its name, parameters and raw value. Written back, an untouched line
is the text that came, folds included. RFC 5545 sections 3.1 and 3.2, RFC 6868.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

_NAME = re.compile(r"[A-Za-z0-9-]+")
_PARAMETER = re.compile(
    r';[ \t]*([A-Za-z0-9-]+)[ \t]*=((?:"[^"]*"|[^";:,])*(?:,(?:"[^"]*"|[^";:,])*)*)'
)
_VALUE = re.compile(r'"([^"]*)"|([^",]+)')
_FOLD = re.compile(r"\r\n[ \t]")
_LINE_END = re.compile(r"\r\n|\r|\n")
_CARET = {"^n": "\n", "^'": '"', "^^": "^"}
_QUOTED = re.compile(r"[,;:]")
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_DEEPEST = 8
_WIDEST = 75


@dataclass(frozen=True, slots=True)
class _Parts:
    name: str
    parameters: tuple[tuple[str, tuple[str, ...]], ...]
    value: str


class Line:
    """One property: `name` in capitals, `parameters` by name in capitals, and the raw `value`."""

    def __init__(self, raw: str):
        self.raw = raw

    @classmethod
    def of(
        cls, name: str, value: str, parameters: Mapping[str, str | Sequence[str]] | None = None
    ) -> Line:
        """A new line, folded at 75 octets; `value` comes escaped. Empty parameters fall out."""
        text = name + "".join(
            f";{key}={_written(given)}" for key, given in (parameters or {}).items() if given
        )
        return cls(_folded(f"{text}:{value}"))

    @cached_property
    def _parts(self) -> _Parts:
        text = _FOLD.sub("", self.raw)
        named = _NAME.match(text)
        if not named:
            raise ValueError(f"the line {_excerpt(text)} has no name")
        position = named.end()
        parameters: list[tuple[str, tuple[str, ...]]] = []
        while parameter := _PARAMETER.match(text, position):
            values = tuple(quoted or bare for quoted, bare in _VALUE.findall(parameter[2]))
            parameters.append((parameter[1].upper(), tuple(map(_uncaret, values))))
            position = parameter.end()
        if text[position : position + 1] != ":":
            raise ValueError(f"the line {_excerpt(text)} has no colon before its value")
        return _Parts(named[0].upper(), tuple(parameters), text[position + 1 :])

    @property
    def name(self) -> str:
        """The property's name, in capitals."""
        return self._parts.name

    @property
    def value(self) -> str:
        """What stands after the colon, escapes and all."""
        return self._parts.value

    @property
    def text(self) -> str:
        r"""The value as TEXT: `\n`, `\,`, `\;` and `\\` are what they stand for."""
        return unescape(self.value)

    def parameter(self, name: str) -> str:
        """The first value of a parameter; empty: the line does not have it."""
        values = self.parameters.get(name, ())
        return values[0] if values else ""

    @property
    def parameters(self) -> dict[str, tuple[str, ...]]:
        """The parameters by name, with quotes and carets taken off."""
        return dict(self._parts.parameters)

    def having(self, value: str, parameters: Mapping[str, str]) -> Line:
        """The line with another value and some parameters replaced; an empty one is taken out."""
        kept: dict[str, str | Sequence[str]] = {**self.parameters, **parameters}
        return Line.of(self.name, value, kept)


@dataclass(slots=True)
class Component:
    """A block from BEGIN to END: its lines and inner blocks, in order."""

    name: str
    items: list[Line | Component] = field(default_factory=list)

    @property
    def components(self) -> list[Component]:
        """The inner blocks."""
        return [item for item in self.items if isinstance(item, Component)]

    def called(self, name: str) -> list[Component]:
        """The inner blocks of one name."""
        return [item for item in self.components if item.name == name]

    def lines(self, name: str) -> list[Line]:
        """All lines of one name, in order."""
        return [item for item in self.items if isinstance(item, Line) and item.name == name]

    def line(self, name: str) -> Line | None:
        """The first line of one name; None: there is none."""
        return next(iter(self.lines(name)), None)

    def replace(self, name: str, lines: Sequence[Line]) -> None:
        """Puts `lines` where the lines of this name were, or behind the last line."""
        position = self._place(name)
        kept = [item for item in self.items if not (isinstance(item, Line) and item.name == name)]
        self.items = [*kept[:position], *lines, *kept[position:]]

    def _place(self, name: str) -> int:
        before = 0
        for item in self.items:
            if isinstance(item, Line) and item.name == name:
                return before
            before += 1
        firsts = [place for place, item in enumerate(self.items) if isinstance(item, Component)]
        return firsts[0] if firsts else before

    def write(self) -> Iterator[str]:
        """The physical lines, without their ends."""
        yield f"BEGIN:{self.name}"
        for item in self.items:
            if isinstance(item, Line):
                yield item.raw
            else:
                yield from item.write()
        yield f"END:{self.name}"


def normalize(text: str) -> str:
    """The text with CR LF line ends (XML and some servers change them) and one at the end."""
    lines = _LINE_END.split(text.removeprefix("\ufeff"))
    return "\r\n".join(line for line in lines if line) + "\r\n"


def read(text: str) -> Component:
    """The outermost block of a calendar object; ValueError says what is wrong with the text."""
    root = Component("")
    stack = [root]
    for line in _logical(normalize(text)):
        if line.name == "BEGIN":
            if len(stack) > _DEEPEST:
                raise ValueError(f"blocks are nested more than {_DEEPEST} deep")
            inner = Component(line.value.strip().upper())
            stack[-1].items.append(inner)
            stack.append(inner)
        elif line.name == "END":
            name = line.value.strip().upper()
            if len(stack) == 1 or stack[-1].name != name:
                raise ValueError(f"END:{name} has no BEGIN:{name} before it")
            stack.pop()
        elif len(stack) == 1:
            raise ValueError(f"the line {_excerpt(line.raw)} stands outside BEGIN and END")
        else:
            stack[-1].items.append(line)
    if len(stack) > 1:
        raise ValueError(f"BEGIN:{stack[-1].name} has no END; the text is cut off")
    if not root.components:
        raise ValueError("the text is empty")
    if len(root.components) > 1:
        raise ValueError(f"{len(root.components)} blocks stand side by side; expected one")
    return root.components[0]


def write(component: Component) -> str:
    """The text of a block, with CR LF line ends."""
    return "".join(f"{line}\r\n" for line in component.write())


def escape(text: str) -> str:
    r"""A TEXT value as it is written: backslash, comma, semicolon and line ends escaped.

    Control characters that no content line may hold fall out (RFC 5545 section 3.1).
    """
    plain = "".join(letter for letter in _LINE_END.sub("\n", text) if _allowed(letter))
    for letter, written in (("\\", "\\\\"), (";", "\\;"), (",", "\\,"), ("\n", "\\n")):
        plain = plain.replace(letter, written)
    return plain


def unescape(value: str) -> str:
    """What a written TEXT value stands for."""
    return _ESCAPED.sub(lambda found: "\n" if found[1] in "nN" else found[1], value)


def split_list(value: str) -> list[str]:
    """The members of a written list of TEXT values, unescaped."""
    members = re.split(r"(?<!\\)((?:\\\\)*),", value)
    joined = [a + b for a, b in zip(members[::2], [*members[1::2], ""], strict=True)]
    return [unescape(member) for member in joined]


def _logical(text: str) -> Iterator[Line]:
    pending: list[str] = []
    for physical in text.split("\r\n"):
        if physical[:1] in (" ", "\t") and pending:
            pending.append(physical)
            continue
        if pending:
            yield Line("\r\n".join(pending))
        pending = [physical] if physical.strip() else []
    if pending:
        yield Line("\r\n".join(pending))


def _folded(line: str) -> str:
    physical: list[str] = []
    octets = 0
    start = 0
    for place, letter in enumerate(line):
        size = len(letter.encode())
        if octets + size > _WIDEST:
            physical.append(line[start:place])
            start, octets = place, 1
        octets += size
    return "\r\n ".join([*physical, line[start:]])


def _written(values: str | Sequence[str]) -> str:
    return ",".join(map(_quoted, [values] if isinstance(values, str) else values))


def _quoted(value: str) -> str:
    plain = "".join(letter for letter in _LINE_END.sub("\n", value) if _allowed(letter))
    written = plain.replace("^", "^^").replace("\n", "^n").replace('"', "^'")
    return f'"{written}"' if _QUOTED.search(written) else written


def _uncaret(value: str) -> str:
    return re.sub(r"\^[n'^]", lambda found: _CARET[found[0]], value)


def _allowed(letter: str) -> bool:
    return letter in "\t\n" or (letter >= " " and letter != "\x7f")


def _excerpt(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:37] + "...")

"""Other bytes that a body may have been before something on its way changed it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

_BOM = b"\xef\xbb\xbf"
_LARGEST = 256 * 1024


class _Number(str):
    __slots__ = ()


class _Object(list[tuple[str, Any]]):
    __slots__ = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class _Style:
    words: str
    comma: str = ","
    colon: str = ":"
    indent: int = 0
    sort: bool = False
    ascii: bool = False
    html: bool = False
    slashes: bool = False

    def having(self, words: str, **changes: Any) -> _Style:
        return replace(self, words=f"{self.words}, {words}", **changes)


_LAYOUTS = (
    _Style(words="without blanks"),
    _Style(words="with a blank after each comma and colon", comma=", ", colon=": "),
    _Style(words="indented by 2", colon=": ", indent=2),
    _Style(words="indented by 4", colon=": ", indent=4),
)


def variants(body: bytes) -> Iterator[tuple[str, bytes]]:
    """Bodies that the sender may have signed, each with words for how it differs from this one.

    Line ends, a byte order mark and the newline at the end first, then, for a JSON body of at most
    256 KiB, the ways in which libraries write the same document. Numbers keep their digits.
    """
    yield from _line_ends(body)
    if len(body) <= _LARGEST:
        yield from _rewritten(body)


def _line_ends(body: bytes) -> Iterator[tuple[str, bytes]]:
    unix = body.replace(b"\r\n", b"\n")
    if body.endswith(b"\n"):
        yield "without the newline at the end", unix.removesuffix(b"\n")
        yield "without the newline at the end", body.removesuffix(b"\n").removesuffix(b"\r")
    else:
        yield "with a newline at the end", body + b"\n"
        yield "with CR LF at the end", body + b"\r\n"
    yield "with LF line ends instead of CR LF", unix
    yield "with CR LF line ends instead of LF", unix.replace(b"\n", b"\r\n")
    if body.startswith(_BOM):
        yield "without the byte order mark", body.removeprefix(_BOM)
    else:
        yield "with a byte order mark before it", _BOM + body
    try:
        yield "before it was encoded as UTF-8 a second time", body.decode().encode("latin-1")
    except UnicodeError:
        return


def _rewritten(body: bytes) -> Iterator[tuple[str, bytes]]:
    try:
        document = json.loads(
            body.removeprefix(_BOM),
            parse_int=_Number,
            parse_float=_Number,
            parse_constant=_Number,
            object_pairs_hook=_Object,
        )
        for style in _styles():
            text = _write(document, style, 0).encode()
            yield f"as JSON {style.words}", text
            yield f"as JSON {style.words}, with a newline at the end", text + b"\n"
    except (ValueError, RecursionError):
        return


def _styles() -> Iterator[_Style]:
    for layout in _LAYOUTS:
        for style in (layout, layout.having("its keys sorted", sort=True)):
            yield style
            yield style.having("other letters than ASCII escaped", ascii=True)
            yield style.having("slashes escaped", slashes=True)
            yield style.having("letters and slashes escaped", ascii=True, slashes=True)
            yield style.having("<, > and & escaped", html=True)


def _write(value: Any, style: _Style, depth: int) -> str:
    if isinstance(value, _Number):
        return str(value)
    if isinstance(value, str):
        return _text(value, style)
    if isinstance(value, _Object):
        pairs = sorted(value, key=lambda pair: pair[0]) if style.sort else value
        items = [
            f"{_text(key, style)}{style.colon}{_write(member, style, depth + 1)}"
            for key, member in pairs
        ]
        return _enclosed("{", items, "}", style, depth)
    if isinstance(value, list):
        items = [_write(member, style, depth + 1) for member in value]
        return _enclosed("[", items, "]", style, depth)
    return json.dumps(value)


def _text(value: str, style: _Style) -> str:
    written = json.dumps(value, ensure_ascii=style.ascii)
    if style.slashes:
        written = written.replace("/", "\\/")
    if style.html:
        for letter in "<>&":
            written = written.replace(letter, f"\\u{ord(letter):04x}")
    return written


def _enclosed(opening: str, items: list[str], closing: str, style: _Style, depth: int) -> str:
    if not style.indent or not items:
        return opening + style.comma.join(items) + closing
    inner = "\n" + " " * style.indent * (depth + 1)
    outer = "\n" + " " * style.indent * depth
    return opening + inner + f",{inner}".join(items) + outer + closing

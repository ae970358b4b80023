"""The codec of each format: how a stored record becomes a value, and changes become a body."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import msgspec

from landbridge.errors import RecordError
from landbridge.formats import form, icalendar
from landbridge.formats.canonical import canonical
from landbridge.spec import Format

_DECODER = msgspec.json.Decoder(float_hook=Decimal)


@dataclass(frozen=True, kw_only=True)
class Codec:
    """The two directions of a format.

    `parse` turns the bytes of one record into what mappings read; numbers with a point are
    Decimal. It raises `RecordError` for bytes that are not of the format. `render` turns the
    changes that a mapping wrote (over `base`, the bytes they are laid on, where the format needs
    them) into a content type and a body.
    """

    parse: Callable[[bytes], Any]
    render: Callable[[Mapping[str, Any], bytes | None], tuple[str, bytes]]


def codec(fmt: Format) -> Codec:
    """The codec of a format. Forms and WebDAV only go out: what is stored of them is JSON."""
    match fmt:
        case Format.JSON | Format.DAV:
            return _JSON
        case Format.FORM:
            return _FORM
        case Format.ICALENDAR:
            return _CALENDAR_OBJECT


def parse_json(raw: bytes) -> Any:
    """JSON with exact numbers; `RecordError` if it is none."""
    try:
        return _DECODER.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, ArithmeticError, RecursionError) as error:
        raise RecordError(f"not JSON ({error})") from None


def _to_json(changes: Mapping[str, Any], _base: bytes | None) -> tuple[str, bytes]:
    return "application/json", canonical(changes)


def _to_form(changes: Mapping[str, Any], _base: bytes | None) -> tuple[str, bytes]:
    return form.CONTENT_TYPE, form.encode(changes)


def _from_calendar_object(raw: bytes) -> Any:
    """The event of a stored member: the properties of its text, with where it was found."""
    stored = parse_json(raw)
    if not isinstance(stored, dict) or not isinstance(stored.get("data"), str):
        raise RecordError("a calendar object without its text", field="data")
    found = {key: value for key, value in stored.items() if key != "data"}
    return icalendar.parse(stored["data"]) | found


def _to_calendar_object(changes: Mapping[str, Any], base: bytes | None) -> tuple[str, bytes]:
    text = parse_json(base)["data"] if base else None
    return icalendar.CONTENT_TYPE, icalendar.render(changes, text).encode()


_JSON = Codec(parse=parse_json, render=_to_json)
_FORM = Codec(parse=parse_json, render=_to_form)
_CALENDAR_OBJECT = Codec(parse=_from_calendar_object, render=_to_calendar_object)

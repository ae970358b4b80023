"""`landbridge map`: one record through its mapping, to see what comes out or where it fails."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from landbridge.cli.usage import WrongUsage, find_provider, standard_input

if TYPE_CHECKING:
    from landbridge.models import Model
    from landbridge.spec import Mapped, Resource


def map_record(
    provider: Annotated[str, typer.Argument(metavar="PROVIDER", help="Whose record it is.")],
    resource: Annotated[
        str, typer.Argument(metavar="RESOURCE", help="The vendor's own word, such as invoice.")
    ],
    write: Annotated[
        bool, typer.Option("--write", help="Take the unified record and give the provider's body.")
    ] = False,
    base: Annotated[
        Path | None,
        typer.Option(
            help="With --write: the last state both sides agreed on, as the provider's record or"
            " the unified one. Only what differs from it is written.",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON also for calendar text and for errors.")
    ] = False,
) -> None:
    """Read a record into its unified form, or write one back.

    Takes the record from standard input: the provider's as JSON (an event also as iCalendar text),
    or with --write the unified one as JSON. Exit 1 names the field at fault.
    """
    if base is not None and not write:
        raise WrongUsage("--base goes with --write: reading needs no earlier state")
    chosen = _resource(provider, resource, write=write)
    given = standard_input()
    if not write:
        typer.echo(pretty(read(chosen, given)))
        return
    body = written(chosen, given, base.read_bytes() if base else None)
    if isinstance(body, str):
        typer.echo(pretty({"body": body}) if as_json else body, nl=as_json)
    else:
        typer.echo(pretty(body))


def read(resource: Resource, given: bytes) -> dict[str, Any]:
    """The unified form of a provider's record, as JSON values."""
    from landbridge.models import write_json

    record = _record(resource, given, "standard input")
    _demand_own(resource, record)
    model: Model = _mapped(resource).read(record)
    return write_json(model)


def written(resource: Resource, given: bytes, base: bytes | None) -> dict[str, Any] | str:
    """The body that makes the provider's record say what a unified record says.

    An object of the fields that are set (with a base: that differ), or the whole text of a
    calendar object.
    """
    from landbridge.formats import codec
    from landbridge.spec import Format

    mapped = _mapped(resource)
    model = _unified(mapped, _json(given, "standard input"))
    known, raw = (None, None) if base is None else _base(resource, base)
    changes = mapped.write(model, base=known)
    if resource.format is not Format.ICALENDAR:
        return changes
    render = codec(resource.format).render
    if known is not None and raw is None:
        _, text = render(mapped.write(known), None)
        raw = _envelope(text)
    return render(changes, raw)[1].decode()


def pretty(value: Mapping[str, Any]) -> str:
    """JSON for people: indented, keys in order, decimals as text."""
    from json import dumps

    return dumps(value, indent=2, ensure_ascii=False, sort_keys=True, default=_plain)


def _resource(slug: str, name: str, *, write: bool) -> Resource:
    from landbridge.errors import NotFound

    page = find_provider(slug)
    try:
        found = page.resource(name)
    except NotFound as error:
        raise WrongUsage(str(error)) from None
    if found.maps is None:
        raise WrongUsage(f"{slug} {name} is kept as it comes: it has no unified form")
    if write and not found.maps.written:
        raise WrongUsage(f"{slug} {name} is only read: nothing of it can be written")
    return found


def _demand_own(resource: Resource, record: Any) -> None:
    """Raises `RecordError` for a record of another resource of the same collection."""
    from landbridge.errors import RecordError
    from landbridge.spec import find

    for path, words in resource.only.items():
        found = find(record, path)
        if found not in words:
            raise RecordError(
                f"standard input is no record of {resource.name}: {str(found)[:40]!r} at {path} is"
                f" not {' or '.join(words)}; name the resource that has such records",
                field=path,
            )


def _mapped(resource: Resource) -> Mapped[Any]:
    assert resource.maps is not None
    return resource.maps


def _record(resource: Resource, given: bytes, where: str) -> Any:
    """What a mapping reads, from the provider's record as it is stored, or as calendar text."""
    from landbridge.formats import codec
    from landbridge.spec import Format

    if resource.format is not Format.ICALENDAR:
        return _json(given, where)
    return codec(resource.format).parse(_calendar_object(given, where))


def _calendar_object(given: bytes, where: str) -> bytes:
    from landbridge.errors import RecordError

    if given.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"{":
        _json(given, where)
        return given
    if not given.strip():
        _json(given, where)
    try:
        given.decode()
    except UnicodeDecodeError as error:
        raise RecordError(f"{where} is not UTF-8 at byte {error.start}") from None
    except UnicodeEncodeError:
        raise RecordError(f"{where} holds half of a surrogate pair, such as \\ud800") from None
    return _envelope(given)


def _envelope(text: bytes) -> bytes:
    from landbridge.formats.canonical import canonical

    return canonical({"data": text.decode()})


def _base(resource: Resource, given: bytes) -> tuple[Any, bytes | None]:
    """The unified form of a base, and its bytes if it is the provider's record."""
    from landbridge.errors import InvalidInput, RecordError
    from landbridge.spec import Format

    mapped = _mapped(resource)
    is_text = resource.format is Format.ICALENDAR and given.lstrip()[:1] != b"{"
    if not is_text:
        value = _json(given, "the base")
        try:
            return _unified(mapped, value), None
        except InvalidInput:
            pass
    try:
        model = mapped.read(_record(resource, given, "the base"))
    except RecordError as error:
        raise RecordError(f"the base: {error}", field=error.field) from None
    if resource.format is Format.ICALENDAR:
        return model, _calendar_object(given, "the base")
    return model, given


def _unified(mapped: Mapped[Any], value: Any) -> Any:
    from landbridge.models import read_json

    return read_json(mapped.model, value)


def _json(given: bytes, where: str) -> Any:
    """JSON with exact numbers; `RecordError` says where it stops being JSON."""
    from json import JSONDecodeError, dumps, loads

    from landbridge.errors import RecordError

    if not given.strip():
        raise RecordError(
            f"{where} is empty: it takes one record as JSON, as in `... < record.json`"
        )
    try:
        value = loads(given.decode("utf-8-sig"), parse_float=Decimal, parse_constant=_no_number)
        dumps(value, ensure_ascii=False, default=str).encode()  # half a surrogate pair is no text
    except JSONDecodeError as error:
        raise RecordError(
            f"{where} is not JSON: line {error.lineno}, column {error.colno}: {error.msg}"
        ) from None
    except UnicodeDecodeError as error:
        raise RecordError(f"{where} is not UTF-8 at byte {error.start}") from None
    except UnicodeEncodeError:
        raise RecordError(f"{where} holds half of a surrogate pair, such as \\ud800") from None
    except (ValueError, RecursionError) as error:
        raise RecordError(f"{where} is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise RecordError(f"{where} is not a JSON object: it takes one record")
    return value


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is no number there")


def _plain(value: Any) -> Any:
    return format(value, "f") if isinstance(value, Decimal) else str(value)

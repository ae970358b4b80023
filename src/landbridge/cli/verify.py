"""`landbridge verify`: does a webhook's signature hold, and if not, why."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from landbridge.cli.usage import WrongUsage, find_provider, standard_input

if TYPE_CHECKING:
    from landbridge.signing import Diagnosis, Standard
    from landbridge.spec.signature import Signature
    from landbridge.wire import Headers

OWN = "standard"
_YEAR_9999 = 253_402_300_799


def verify(
    scheme: Annotated[
        str,
        typer.Argument(
            metavar="SCHEME",
            help=f"The provider that sent it; {OWN}: a webhook of Landbridge itself; or a scheme"
            " as a page has it, 'hmac_base64(\"x-xero-signature\")'.",
        ),
    ],
    secret: Annotated[
        list[str] | None,
        typer.Option(
            help="The signing secret. Give it twice while one replaces the other.",
            envvar="LANDBRIDGE_VERIFY_SECRET",
        ),
    ] = None,
    header: Annotated[
        list[str] | None,
        typer.Option(help="A header as it arrived, 'Name: value'. Give each one."),
    ] = None,
    url: Annotated[str, typer.Option(help="The URL that was called, where it is signed.")] = "",
    method: Annotated[str, typer.Option(help="The method, where it is signed.")] = "POST",
    at: Annotated[
        int | None,
        typer.Option(help="Check as of this unix time, not now.", min=0, max=_YEAR_9999),
    ] = None,
    cert: Annotated[
        Path | None,
        typer.Option(
            help="The vendor's certificate, where it signs with one; its chain and dates are not"
            " checked.",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Say whether a webhook's signature holds, and if not, why.

    Reads the raw body from standard input. Prints `valid` (exit 0) or the reason (exit 1), and
    never a secret. LANDBRIDGE_VERIFY_SECRET keeps the secret out of the shell's history; several
    stand there parted by blanks.
    """
    from datetime import UTC, datetime
    from json import dumps

    from landbridge.signing import Call, diagnose, scheme_of

    signature = signature_of(scheme)
    rules = scheme_of(signature)
    if not secret:
        raise WrongUsage(
            "no signing secret: give --secret, or set LANDBRIDGE_VERIFY_SECRET to keep it out of"
            " the shell's history"
        )
    if rules.needs_call and not url:
        raise WrongUsage("this scheme looks at the address: give --url, as the vendor has it")
    headers = parse_headers(header or [])
    now = datetime.now(UTC) if at is None else datetime.fromtimestamp(at, tz=UTC)
    certificate = cert.read_bytes() if cert else b""
    call = Call(method=method.upper(), url=url, certificate=certificate)
    diagnosis = diagnose(signature, secret, headers, standard_input(), now, call)
    found = (
        dumps(outcome(diagnosis), indent=2) if as_json else advice(diagnosis, fixed=at is not None)
    )
    typer.echo(found)
    if not diagnosis.valid:
        raise typer.Exit(1)


def signature_of(text: str) -> Signature | Standard:
    """How this provider signs, or what is written as a page has it: `hmac_hex("X-Signature")`.

    `WrongUsage`: no such provider or word, or it sends no webhooks.
    """
    from landbridge.signing import Standard

    if text == OWN:
        return Standard()
    if "(" in text:
        return _written(text)
    page = find_provider(text, also=(OWN,))
    if page.webhook is None:
        raise WrongUsage(f"{text} sends no webhooks, so there is nothing to verify: it is polled")
    return page.webhook.signature


def _written(text: str) -> Signature:
    import ast

    from landbridge.errors import SpecError, did_you_mean
    from landbridge.spec import signature as words

    known = [word for word in words.__all__ if word != "Signature"]
    try:
        written = ast.parse(text.strip(), mode="eval").body
        if not isinstance(written, ast.Call) or not isinstance(written.func, ast.Name):
            raise WrongUsage(f'{text!r} is no scheme such as hmac_base64("x-xero-signature")')
        word = written.func.id
        if word not in known:
            raise WrongUsage(
                f"{word!r} is no scheme.{did_you_mean(word, known)} There are: {', '.join(known)}."
            )
        given = [ast.literal_eval(value) for value in written.args]
        named = {each.arg: ast.literal_eval(each.value) for each in written.keywords if each.arg}
        made: Signature = getattr(words, word)(*given, **named)
    except SpecError as error:
        raise WrongUsage(str(error)) from None
    except (SyntaxError, TypeError, ValueError):
        raise WrongUsage(
            f"{text!r} cannot be read: write the scheme as a page does, with plain texts"
        ) from None
    return made


def parse_headers(lines: Sequence[str]) -> Headers:
    """Header lines such as `Name: value`; `WrongUsage` tells which has no colon, not its value."""
    from landbridge.wire import Headers

    pairs: list[tuple[str, str]] = []
    for place, line in enumerate(lines, start=1):
        name, colon, value = line.partition(":")
        if not colon or not name.strip():
            raise WrongUsage(f"--header number {place} has no name and colon: write 'Name: value'")
        pairs.append((name.strip(), value.strip()))
    return Headers(pairs)


def advice(diagnosis: Diagnosis, *, fixed: bool) -> str:
    """The line that a person reads; `fixed`: the clock was already given by --at."""
    late = diagnosis.reason in {"too_old", "in_the_future"}
    hint = "; check an old capture as of its own time with --at" if late and not fixed else ""
    return diagnosis.message + hint


def outcome(diagnosis: Diagnosis) -> dict[str, Any]:
    """What `--json` prints."""
    return {
        "valid": diagnosis.valid,
        "reason": diagnosis.reason,
        "message": diagnosis.message,
        "secret": diagnosis.secret,
        "seconds": diagnosis.seconds,
    }

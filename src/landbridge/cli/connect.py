"""`landbridge connect`: connects a tenant's account with credentials that are typed in."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from landbridge.cli.session import AsJson, Environment
from landbridge.cli.usage import WrongUsage

if TYPE_CHECKING:
    from landbridge.app.bridge import Landbridge
    from landbridge.spec.auth import Field
    from landbridge.spec.provider import Provider

WEBHOOK_SECRET = "webhook_secret"
_PREFIX = "LANDBRIDGE_CONNECT_"


def connect(
    provider: Annotated[
        str, typer.Argument(help="One of those that `landbridge providers` lists.")
    ],
    tenant: Annotated[str, typer.Option(help="Your own id of the customer, such as acme.")],
    given: Annotated[
        list[str] | None,
        typer.Option(
            "--set", help="A field that is no secret, or a setting.", metavar="NAME=VALUE"
        ),
    ] = None,
    url: Annotated[
        str | None, typer.Option(help="The server's address: the customer's own, or a simulator's.")
    ] = None,
    label: Annotated[str, typer.Option(help="Tells two connections to one account apart.")] = "",
    owner: Annotated[str, typer.Option(help="The end user whose connection it is.")] = "",
    stdin: Annotated[
        bool, typer.Option("--stdin", help="Read fields from standard input, name=value a line.")
    ] = False,
    webhook_secret_stdin: Annotated[
        bool,
        typer.Option(
            "--webhook-secret-stdin",
            help="Read the secret that the provider signs webhooks with from standard input.",
        ),
    ] = False,
    schedule: Annotated[
        bool, typer.Option(help="Pull every five minutes from now on; else only when told.")
    ] = True,
    wait: Annotated[
        bool,
        typer.Option("--wait", help="Wait until the account is connected in the browser."),
    ] = False,
    environment: Environment = None,
    as_json: AsJson = False,
) -> None:
    """Connect a tenant's account: check its credentials, seal them and order the first pull.

    Where the provider asks its customer in a browser, print the address to open there: it is good
    for half an hour and for this tenant and provider alone, and `landbridge serve` answers there.
    With --wait the command ends when the account is connected.

    The fields that the provider's page declares are asked for, secret ones unseen. Without a
    terminal they come from LANDBRIDGE_CONNECT_<FIELD>, or with --stdin from standard input
    (`webhook_secret=...` may be among the lines). A secret is never an argument: it would stand in
    the shell's history. Connecting the same account again replaces its credentials.
    """
    from landbridge.cli.output import print_facts
    from landbridge.cli.session import on_bridge
    from landbridge.cli.usage import find_provider
    from landbridge.spec import OAuth2

    if stdin and webhook_secret_stdin:
        raise WrongUsage(
            "--stdin and --webhook-secret-stdin read the same input; with --stdin give the secret"
            f" as a line {WEBHOOK_SECRET}=..."
        )
    page = find_provider(provider)
    if isinstance(page.auth, OAuth2):
        from landbridge.cli.connect_browser import connect_in_a_browser

        if stdin or webhook_secret_stdin:
            raise WrongUsage(
                f"{page.name} asks its customer itself: --stdin and --webhook-secret-stdin are not"
                " for it"
            )
        connect_in_a_browser(
            page,
            settings=sort_given(page, given or [], url),
            tenant=tenant,
            label=label,
            owner=owner,
            wait=wait,
            environment=environment,
            as_json=as_json,
        )
        return
    settings, lines = sort_given(page, given or [], url), read_lines(page) if stdin else {}
    known = {**lines, **{name: settings.pop(name) for name in field_names(page) & set(settings)}}
    webhook_secret = lines.get(WEBHOOK_SECRET) or _webhook_secret(asked=webhook_secret_stdin)
    credentials = {field.name: _value(page, field, known) for field in page.auth.fields}

    async def work(bridge: Landbridge) -> dict[str, Any]:
        from datetime import timedelta

        connected = await bridge.connect(
            page.slug,
            tenant=tenant,
            credentials=credentials,
            settings=settings,
            webhook_secret=webhook_secret,
            owner=owner,
            label=label,
            every=timedelta(minutes=5) if schedule else None,
        )
        connection = connected.connection
        return {
            "connected": page.name,
            "connection": connection.id,
            "tenant": connection.tenant,
            "environment": connection.environment,
            "account": connection.account,
            "account_name": connection.account_name,
            "new": connected.new,
            "pulled_every": "300 s" if schedule else None,
            "webhooks_to": await bridge.intake_url(connection) if page.webhook else None,
            "webhook_secret": (
                ("set" if webhook_secret or connection.secrets else "missing")
                if page.webhook
                else None
            ),
        }

    facts = on_bridge(work, environment=environment)
    print_facts(facts, as_json=as_json)
    if not as_json:
        _say_what_is_next(page, facts)


def field_names(page: Provider) -> set[str]:
    """The names of the fields that the page asks for."""
    return {field.name for field in page.auth.fields}


def sort_given(page: Provider, given: Sequence[str], url: str | None) -> dict[str, str]:
    """`--set name=value` and `--url` as settings and open fields; `WrongUsage` for a secret."""
    from landbridge.errors import did_you_mean
    from landbridge.spec.provider import holes

    fields = {field.name: field for field in page.auth.fields}
    takes = (holes(page.base) - {"account"}) | _addresses(page)
    sorted_: dict[str, str] = {}
    for pair in given:
        name, equals, value = pair.partition("=")
        if not equals:
            raise WrongUsage("--set: this has no equals sign; write --set name=value")
        if name in fields and fields[name].secret:
            raise WrongUsage(
                f"--set {name}: a secret would stand in the shell's history; type it when asked,"
                f" set {_variable(name)}, or give it with --stdin"
            )
        if name not in fields and name not in takes:
            names = sorted({*fields, *takes})
            raise WrongUsage(
                f"--set {name}: {page.name} has no such field or setting."
                f"{did_you_mean(name, names)} There are: {', '.join(names)}"
            )
        sorted_[name] = value
    if url is not None:
        sorted_["url" if "url" in takes else "base"] = url
    return sorted_


def _addresses(page: Provider) -> set[str]:
    """The addresses besides `base` that a setting replaces: a sandbox's or a simulator's."""
    names = {name for name in ("authorize", "token", "revoke") if getattr(page.auth, name, "")}
    return names | ({"accounts"} if page.accounts else set())


def read_lines(page: Provider) -> dict[str, str]:
    """The `name=value` lines of standard input; `WrongUsage` gives the number of a wrong line."""
    from landbridge.cli.usage import standard_input

    try:
        text = standard_input().decode()
    except UnicodeDecodeError:
        raise WrongUsage("--stdin: standard input is not UTF-8 text") from None
    names = {*field_names(page), WEBHOOK_SECRET}
    lines: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        name, equals, value = line.partition("=")
        if not line.strip():
            continue
        if not equals or name.strip() not in names:
            raise WrongUsage(
                f"--stdin: line {number} is not of the form name=value with a name of"
                f" {', '.join(sorted(names))}"
            )
        lines[name.strip()] = value.strip()
    return lines


def _value(page: Provider, field: Field, known: Mapping[str, str]) -> str:
    value = known.get(field.name) or os.environ.get(_variable(field.name))
    if value:
        return value
    if not sys.stdin.isatty():
        raise WrongUsage(
            f"{field.name}: {page.name} needs its {field.label}; set {_variable(field.name)}, or"
            f" give {field.name}=... on standard input with --stdin"
        )
    asked = f"{field.label} ({field.hint})" if field.hint else field.label
    answer: str = typer.prompt(asked, hide_input=field.secret, err=True)
    return answer


def _webhook_secret(*, asked: bool) -> str | None:
    if not asked:
        return os.environ.get(_variable(WEBHOOK_SECRET))
    if sys.stdin.isatty():
        answer: str = typer.prompt("Webhook secret", hide_input=True, err=True)
        return answer
    from landbridge.cli.usage import standard_input

    return standard_input().decode(errors="replace").strip()


def _variable(name: str) -> str:
    return _PREFIX + name.upper()


def _say_what_is_next(page: Provider, facts: Mapping[str, Any]) -> None:
    connection = facts["connection"]
    typer.echo("")
    if facts["webhooks_to"] and facts["webhook_secret"] == "missing":
        typer.echo(
            f"Give {page.name} the address above for its webhooks, then tell us the secret that it"
            f" shows: landbridge connections secret {connection}"
        )
    typer.echo(f"Pull it now: landbridge pull {connection}")

"""`landbridge sandbox`: the providers' simulators as servers, to develop against."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated, Any

import typer

from landbridge.cli.session import AsJson
from landbridge.cli.usage import WrongUsage

if TYPE_CHECKING:
    from landbridge.spec.provider import Provider

_PORT = 8710
_TENANT = "acme"


def sandbox(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Which to run, such as stripe xero; none named: all.", metavar="NAME"),
    ] = None,
    port: Annotated[
        int,
        typer.Option(
            help="Where their ports begin; each has its own, whichever run. 0 takes free ones.",
            min=0,
            max=65_000,
        ),
    ] = _PORT,
    seed: Annotated[int, typer.Option(help="The same seed, the same content.")] = 0,
    fault: Annotated[
        list[str] | None,
        typer.Option(
            help="Let NAME fail: KEY=VALUE,... such as stripe:status=429,path=/v1/*,times=3,"
            "retry-after=2 or xero:kind=drop,after,every=10; repeatable.",
            metavar="NAME:KEY=VALUE,...",
        ),
    ] = None,
    webhooks: Annotated[
        str | None,
        typer.Option(
            help="How webhooks come: late=5s, duplicate=0.1 for every tenth twice, or both with a"
            " comma.",
            metavar="KEY=VALUE,...",
        ),
    ] = None,
    token_life: Annotated[
        str | None,
        typer.Option(
            help="How long an access token is good, such as 60s; else as long as at the vendor.",
            metavar="SPAN",
        ),
    ] = None,
    quota: Annotated[
        str | None,
        typer.Option(
            help="How many calls each serves, such as 10/s, 600/m or 1000/h; others are a 429.",
            metavar="CALLS/UNIT",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Run simulators of providers on this machine until Ctrl-C or SIGTERM.

    Prints for each its address, its credentials and the commands that connect a tenant to it; with
    --json all of it in one line, once they answer. What is in them is made up, is held in memory
    and begins anew each time. They listen on loopback only: Landbridge calls them when
    LANDBRIDGE_ALLOW_NETWORKS is 127.0.0.0/8.

    A fault is one of kind status (the default), drop, delay, truncate or empty, for requests whose
    path and method match; `times` and `skip` count them, `every=10` takes each tenth, `after` lets
    the request have its effect first. Whatever else can be done behind their backs is listed by
    GET /_sim of each.
    """
    from landbridge.cli.sandbox_options import conducts
    from landbridge.cli.session import run
    from landbridge.testing.running import in_thread
    from landbridge.testing.serve import KINDS, build

    chosen = _chosen(names or [], list(KINDS))
    conduct = conducts(
        chosen, faults=fault or [], webhooks=webhooks, token_life=token_life, quota=quota
    )
    with ExitStack() as stack:
        running: dict[str, dict[str, Any]] = {}
        for place, name in enumerate(KINDS):
            if name in chosen:
                app, more = build(name, f"--seed={seed}", conduct=conduct[name])
                url = stack.enter_context(in_thread(app, port and port + place))
                running[name] = _facts(name, url, more)
        run(_until_told(list(running.values()), as_json=as_json))


async def _until_told(running: Sequence[Mapping[str, Any]], *, as_json: bool) -> None:
    from landbridge.cli.signals import stop_on_signals

    with stop_on_signals() as stop:
        if as_json:
            typer.echo(json.dumps({"simulators": running, "pid": os.getpid()}))
        else:
            _show(running)
        await stop.wait()


def _chosen(names: Sequence[str], known: Sequence[str]) -> list[str]:
    from landbridge.errors import did_you_mean

    for name in names:
        if name not in known:
            raise WrongUsage(
                f"{name!r} has no simulator.{did_you_mean(name, known)} There are:"
                f" {', '.join(known)}."
            )
    return list(names or known)


def _facts(name: str, url: str, more: Mapping[str, Any]) -> dict[str, Any]:
    """What a developer has to know; `settings` and `connect` where something can be connected."""
    from landbridge import providers
    from landbridge.testing.serve import places

    facts = {"name": name, "url": url, "control": f"{url}/_sim", **more}
    if name in providers.names():
        settings = places(name, url)
        facts["settings"] = settings
        facts["connect"] = _commands(providers.get(name), settings, more)
    return facts


def _commands(page: Provider, settings: Mapping[str, str], known: Mapping[str, Any]) -> list[str]:
    """The commands that connect a tenant to a simulator, in their order."""
    from landbridge.spec import OAuth2

    words = ["landbridge", "connect", page.slug, "--tenant", _TENANT]
    for name, value in settings.items():
        words += ["--url", value] if name in ("base", "url") else ["--set", f"{name}={value}"]
    if isinstance(page.auth, OAuth2):
        app = ["landbridge", "apps", "set", page.slug, "--client-id", known["client_id"], "--stdin"]
        secret = shlex.join(["echo", known["client_secret"]])
        return [f"{secret} | {shlex.join(app)}", shlex.join(words)]
    lines = [f"{one.name}={known[one.name]}" for one in page.auth.fields if one.name in known]
    typed = shlex.join(["printf", r"%s\n", *lines])
    return [f"{typed} | {shlex.join([*words, '--stdin'])}"]


def _show(running: Sequence[Mapping[str, Any]]) -> None:
    from landbridge.cli.output import print_facts

    for facts in running:
        commands = facts.get("connect", [])
        left = {name: value for name, value in facts.items() if name not in ("settings", "connect")}
        print_facts(left, as_json=False)
        for command in commands:
            typer.echo(f"$ {command}")
        typer.echo("")
    typer.echo(
        "Landbridge calls them with LANDBRIDGE_ALLOW_NETWORKS=127.0.0.0/8. Ctrl-C ends them."
    )

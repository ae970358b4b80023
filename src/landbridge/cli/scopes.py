"""`landbridge scopes`: what a consent asks for, and why."""

from __future__ import annotations

from typing import Annotated

import typer

from landbridge.cli.session import AsJson


def scopes(
    provider: Annotated[
        str, typer.Argument(help="One of those that `landbridge providers` lists.")
    ],
    resource: Annotated[
        list[str] | None,
        typer.Option("--resource", help="Only what reading this takes; repeatable. Else all."),
    ] = None,
    write: Annotated[
        list[str] | None,
        typer.Option(
            "--write", help="Also what writing takes: invoice, or invoice.create; repeatable."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Print the scopes that a consent asks for, and what needs each.

    They are computed from the provider's page: the union of what is enabled, and no more.
    """
    from landbridge.cli.output import print_rows
    from landbridge.cli.usage import find_provider
    from landbridge.spec import asked

    page = find_provider(provider)
    rows = [
        {"scope": one.scope, "why": one.why, "needed_by": list(one.by)}
        for one in asked(page, resource or (), write or ())
    ]
    none = f"{page.name} knows no scopes: its credentials open what they open"
    print_rows("scopes", rows, ["scope", "why", "needed_by"], as_json=as_json, none=none)

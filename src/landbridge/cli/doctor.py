"""`landbridge doctor`: looks the installation over and says how to mend it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from landbridge.cli.session import AsJson, Environment

if TYPE_CHECKING:
    from landbridge.app.checks import Check

_MARKS = {"ok": "ok     ", "warning": "warning", "failed": "failed "}
_COLOURS = {"ok": typer.colors.GREEN, "warning": typer.colors.YELLOW, "failed": typer.colors.RED}


def doctor(
    offline: Annotated[
        bool, typer.Option("--offline", help="Call no address but the database's.")
    ] = False,
    environment: Environment = None,
    as_json: AsJson = False,
) -> None:
    """Check database, migrations, key, clock, partitions, work, addresses; say how to mend them.

    Exit 1 if a check failed; warnings are no failures.
    """
    from landbridge.cli.output import print_json

    checks = asyncio.run(_examine(environment, offline=offline, tell=not as_json))
    healthy = all(check.state != "failed" for check in checks)
    if as_json:
        rows = [{"check": each.name, "state": each.state, "said": each.said} for each in checks]
        print_json({"healthy": healthy, "checks": rows})
    if not healthy:
        raise typer.Exit(1)


async def _examine(environment: str | None, *, offline: bool, tell: bool) -> list[Check]:
    from landbridge.app import checks
    from landbridge.app.settings import load
    from landbridge.clock import SystemClock
    from landbridge.errors import SettingsError
    from landbridge.providers import get

    try:
        settings = load(environment=environment)
    except SettingsError as error:
        wrong = checks.Check(name="settings", state=checks.FAILED, said=str(error))
        if tell:
            _tell(wrong)
        return [wrong]
    done = []
    async for check in checks.examine(settings, provider=get, clock=SystemClock(), offline=offline):
        done.append(check)
        if tell:
            _tell(check)
    return done


def _tell(check: Check) -> None:
    from landbridge.cli.output import is_terminal, visible

    mark = _MARKS[check.state]
    if is_terminal():
        mark = typer.style(mark, fg=_COLOURS[check.state])
    typer.echo(f"{mark}  {check.name:14}  {visible(check.said)}")

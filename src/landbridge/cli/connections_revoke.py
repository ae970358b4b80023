"""`landbridge connections revoke`: the drill after a breach."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from landbridge.cli.session import AsJson, Environment

if TYPE_CHECKING:
    from landbridge.app.bridge import Landbridge
    from landbridge.engine.revoke import Revoked


def revoke(
    provider: Annotated[str, typer.Option("--provider", help="Whose connections end.")],
    every: Annotated[
        bool, typer.Option("--all", help="Yes, all of them, of every tenant.")
    ] = False,
    rate: Annotated[
        float, typer.Option(min=0.1, max=100.0, help="Connections a second at most.")
    ] = 10.0,
    environment: Environment = None,
    as_json: AsJson = False,
) -> None:
    """End all connections of a provider, as after a breach: each grant is revoked there.

    What the provider does not revoke now stays sealed here, and its connection is paused. Run it
    again for those, and where it was stopped. Ends with status 1 while some are left.
    """
    from dataclasses import asdict

    from landbridge.cli.output import print_json, print_rows
    from landbridge.cli.session import on_bridge
    from landbridge.cli.usage import WrongUsage

    if not every:
        raise WrongUsage(
            f"--all: it ends every connection of {provider} in the environment; say --all if that"
            " is what you want, or: landbridge connections disconnect CONNECTION"
        )

    async def work(bridge: Landbridge) -> Revoked:
        with _bar(as_json=as_json) as show:
            return await bridge.revoke_all(provider, rate=rate, progress=show)

    done = on_bridge(work, environment=environment)
    rows = [asdict(each) for each in done.grants]
    if as_json:
        print_json(
            {
                "drill": done.drill,
                "resumed": done.resumed,
                "connections": done.connections,
                **done.counts,
                "grants": rows,
            }
        )
    else:
        columns = ["tenant", "access_grant", "outcome", "reason", "at"]
        print_rows("grants", rows, columns, as_json=False, none=f"nothing of {provider} is left")
        counts = ", ".join(f"{number} {outcome}" for outcome, number in done.counts.items())
        typer.echo(f"{done.connections} connections; grants: {counts}")
        if done.counts["failed"]:
            typer.echo("Run it again for those that failed: their tokens are kept.", err=True)
    if done.counts["failed"]:
        raise typer.Exit(1)


@contextmanager
def _bar(*, as_json: bool) -> Iterator[Callable[[int, int], None]]:
    from landbridge.cli.output import watched

    if not watched(as_json=as_json):
        yield lambda _done, _total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("")
        yield lambda done, total: bar.update(task, completed=done, total=total)

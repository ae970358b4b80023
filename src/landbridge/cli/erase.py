"""`landbridge erase`: everything that is kept of a tenant, or of one person of it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from landbridge.cli.session import AsJson, Environment, noun

if TYPE_CHECKING:
    from landbridge.app.bridge import Landbridge
    from landbridge.store.erasures import Erasure

erasures = noun("Reports of what was erased; they are kept for 400 days.")


def erase(
    tenant: Annotated[str, typer.Option(help="Your own id of the customer, such as acme.")],
    subject: Annotated[
        str | None,
        typer.Option(help="Only this person, as emit and the providers name it; none: everything."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only count what there is; change nothing.")
    ] = False,
    wait: Annotated[
        bool, typer.Option("--wait/--no-wait", help="Wait for the worker and show its report.")
    ] = True,
    environment: Environment = None,
    as_json: AsJson = False,
) -> None:
    """Erase what is kept of a tenant or a person, for good; a worker does it.

    A tenant loses its connections, endpoints and keys as well. Stop what emits for it first.
    """
    from landbridge.cli.output import print_json
    from landbridge.cli.session import on_bridge

    async def count(bridge: Landbridge) -> dict[str, int]:
        return await bridge.erasures.preview(tenant=tenant, subject=subject)

    async def work(bridge: Landbridge) -> Erasure:
        ordered = await bridge.erase(tenant=tenant, subject=subject)
        found = await bridge.erasures.get(ordered)
        return await _awaited(bridge, found) if wait else found

    if dry_run or not yes:
        counts = on_bridge(count, environment=environment)
        if dry_run:
            if as_json:
                print_json({"tenant": tenant, "subject": subject, "would_erase": counts})
            else:
                _table(counts, "nothing is kept of it")
            return
        _confirm(tenant, subject, counts)
    found = on_bridge(work, environment=environment)
    if as_json:
        print_json(_row(found))
    else:
        _report(found)


@erasures.command("list")
def list_(
    tenant: Annotated[str | None, typer.Option(help="Only those of this tenant.")] = None,
    environment: Environment = None,
    as_json: AsJson = False,
) -> None:
    """List what was erased, newest first."""
    from landbridge.cli.output import print_rows
    from landbridge.cli.session import on_bridge

    async def work(bridge: Landbridge) -> list[dict[str, Any]]:
        return [_row(each) for each in await bridge.erasures.list(tenant=tenant)]

    rows = on_bridge(work, environment=environment)
    columns = ["id", "tenant", "subject", "state", "rows", "created_at", "ended_at"]
    print_rows("erasures", rows, columns, as_json=as_json, none="nothing was erased so far")


@erasures.command()
def show(
    id: Annotated[str, typer.Argument(help="era_...", metavar="ID")],
    environment: Environment = None,
    as_json: AsJson = False,
) -> None:
    """Show one report."""
    from landbridge.cli.output import print_json
    from landbridge.cli.session import on_bridge

    async def work(bridge: Landbridge) -> Erasure:
        return await bridge.erasures.get(id)

    found = on_bridge(work, environment=environment)
    if as_json:
        print_json(_row(found))
    else:
        _report(found)


def _confirm(tenant: str, subject: str | None, counts: dict[str, int]) -> None:
    """Goes on only after the tenant's name was typed."""
    from landbridge.cli.usage import WrongUsage

    if not sys.stdin.isatty():
        raise WrongUsage("--yes: nobody is there to be asked; give it, or --dry-run to only count")
    _table(counts, "nothing is kept of it so far as can be counted")
    whose = f"the tenant {tenant!r}" if subject is None else f"{subject!r} of {tenant!r}"
    typed = typer.prompt(
        f"\nThis erases {whose} for good. Type the tenant's name to go on", err=True
    )
    if typed.strip() != tenant:
        raise WrongUsage("the names differ; nothing was erased")


async def _awaited(bridge: Landbridge, found: Erasure) -> Erasure:
    """The erasure once it is done, or Ctrl-C came: the worker goes on without us."""
    import asyncio
    from contextlib import nullcontext, suppress

    from rich.console import Console

    from landbridge.cli.output import watched
    from landbridge.cli.signals import stop_on_signals

    seen = watched()
    console = Console(stderr=True)
    status: Any = console.status(f"{found.id}: waiting for a worker") if seen else nullcontext()
    with status as shown, stop_on_signals() as stop:
        while found.state != "done" and not stop.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), 0.3)
            found = await bridge.erasures.get(found.id)
            if seen and found.report:
                shown.update(f"{found.id}: {sum(found.report.values()):,} rows erased")
    return found


def _report(found: Erasure) -> None:
    typer.echo(f"{found.id}: {found.state}")
    _table(found.report, "no row so far" if found.state == "running" else "there was nothing")
    if found.state == "running":
        typer.echo(f"a worker does it; see: landbridge erasures show {found.id}")


def _table(counts: Any, none: str) -> None:
    from landbridge.cli.output import print_rows

    rows = [{"table": table, "rows": rows} for table, rows in sorted(counts.items())]
    print_rows("tables", rows, ["table", "rows"], as_json=False, none=none)


def _row(found: Erasure) -> dict[str, Any]:
    from dataclasses import asdict

    return {**asdict(found), "rows": sum(found.report.values())}

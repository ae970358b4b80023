"""Parked webhooks, as `landbridge inbox parked` lists them and `inbox replay --parked` does."""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from landbridge.app.bridge import Landbridge
    from landbridge.store.parked import Webhooks


async def rows(
    bridge: Landbridge,
    provider: str | None,
    since: datetime | None,
    until: datetime | None,
    *,
    limit: int,
) -> list[dict[str, Any]]:
    """Parked webhooks as rows for output, the oldest first."""
    from landbridge.cli.parked import row_of
    from landbridge.store import parked

    found = [
        each
        for wanted in await _wanted(bridge, provider, since, until)
        for each in await parked.arrivals(bridge.db, wanted, most=limit)
    ]
    found.sort(key=lambda each: each.key)
    return [row_of(each) for each in found[:limit]]


def again(
    provider: str | None,
    since: datetime | None,
    until: datetime | None,
    dry_run: bool,
    environment: str | None,
    *,
    as_json: bool,
) -> None:
    """Has parked webhooks sorted again, or only counts them, and says what was done."""
    from landbridge.cli.output import print_json
    from landbridge.cli.session import on_bridge

    async def work(bridge: Landbridge) -> dict[str, Any]:
        from landbridge.engine.inbox import Unparked, replay_parked
        from landbridge.store import parked

        wanted = await _wanted(bridge, provider, since, until)
        if dry_run:
            counts = [await parked.count_arrivals(bridge.db, each) for each in wanted]
            return {"webhooks": sum(counts), "dry_run": True}
        done = Unparked()
        for each in wanted:
            some = await replay_parked(bridge.db, each)
            done = replace(done, webhooks=done.webhooks + some.webhooks, lost=done.lost + some.lost)
        return asdict(done)

    done = on_bridge(work, environment=environment)
    if as_json:
        print_json(done)
    elif dry_run:
        typer.echo(f"{done['webhooks']:,} parked webhooks are meant; nothing was done")
    else:
        typer.echo(
            f"{done['webhooks']:,} parked webhooks are sorted again; a worker does it"
            + (f"; of {done['lost']:,} the bytes are no longer kept" if done["lost"] else "")
        )


async def apps_of(bridge: Landbridge, provider: str | None) -> list[str]:
    """Ids of the environment's apps, of one provider if it is named."""
    from landbridge.cli.usage import find_provider
    from landbridge.store import apps

    slug = None if provider is None else find_provider(provider).slug
    every = await apps.every(bridge.db, environment=bridge.settings.environment)
    return [app.id for app in every if slug in (None, app.provider)]


async def _wanted(
    bridge: Landbridge, provider: str | None, since: datetime | None, until: datetime | None
) -> list[Webhooks]:
    from landbridge.store.parked import Webhooks

    where = bridge.settings.environment
    return [
        Webhooks(environment=where, app=app, since=since, until=until)
        for app in await apps_of(bridge, provider)
    ]

"""`landbridge breakers`: which connections and providers fail and are left alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from landbridge.cli.session import AsJson, Environment, Limit, noun

if TYPE_CHECKING:
    from landbridge.app.bridge import Landbridge

breakers = noun("What is left alone because it does not answer.")

COLUMNS = ("place", "tenant", "state", "failures", "open_until", "error")


@breakers.command("list")
def list_(limit: Limit = 100, environment: Environment = None, as_json: AsJson = False) -> None:
    """List the connections and providers that fail, open or not; those that work are not listed."""
    from landbridge.cli.output import print_page
    from landbridge.cli.session import on_bridge

    async def work(bridge: Landbridge) -> list[dict[str, Any]]:
        from landbridge.store import breakers as store

        now, _ = await store.every(bridge.db)
        found = await store.listed(
            bridge.db, environment=bridge.settings.environment, most=limit + 1
        )
        return [
            {
                "place": each.place.name,
                "tenant": each.place.tenant,
                "state": str(each.breaker.position(now)),
                "failures": each.breaker.failures,
                "open_until": each.breaker.open_until,
                "error": each.error,
                "updated_at": each.updated_at,
            }
            for each in found
        ]

    rows = on_bridge(work, environment=environment)
    print_page("breakers", rows, COLUMNS, limit=limit, as_json=as_json, none="everything answers")


@breakers.command()
def reset(
    place: Annotated[
        str, typer.Argument(help="con_..., or a provider's slug.", metavar="CONNECTION|PROVIDER")
    ],
    environment: Environment = None,
    as_json: AsJson = False,
) -> None:
    """Let calls go again at once; workers see it within two seconds."""
    from landbridge.cli.output import print_facts
    from landbridge.cli.session import on_bridge
    from landbridge.errors import NotFound

    async def work(bridge: Landbridge) -> dict[str, Any]:
        from landbridge.store import breakers as store

        where = bridge.settings.environment
        if not await store.reset(bridge.db, environment=where, name=place):
            raise NotFound(
                f"{place!r} does not fail in the environment {where!r};"
                " see what does with: landbridge breakers list"
            )
        return {"place": place, "state": "closed"}

    print_facts(on_bridge(work, environment=environment), as_json=as_json)

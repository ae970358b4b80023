"""`landbridge connect` where a provider asks its customer in a browser."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from landbridge.app.bridge import Landbridge
    from landbridge.spec.provider import Provider
    from landbridge.store.connections import Connection

_MINUTES = 30
_LOOK = 1.0


def connect_in_a_browser(
    page: Provider,
    *,
    settings: Mapping[str, str],
    tenant: str,
    label: str,
    owner: str,
    wait: bool,
    environment: str | None,
    as_json: bool,
) -> None:
    """Prints the address to open, and with `wait` what came of it."""
    from landbridge.cli.output import print_facts
    from landbridge.cli.session import on_bridge
    from landbridge.cli.usage import WrongUsage

    async def work(bridge: Landbridge) -> dict[str, Any]:
        from landbridge.engine.app_client import with_client

        where = environment or bridge.settings.environment
        await with_client(bridge.db, environment=where, provider=page.slug, tenant=tenant)
        before = {one.id: one.access_grant for one in await _of(bridge, page, tenant, where)}
        session = await bridge.connect_session(
            tenant=tenant,
            providers=[page.slug],
            environment=where,
            label=label,
            owner=owner,
            settings={page.slug: settings},
            minutes=_MINUTES,
        )
        facts: dict[str, Any] = {
            "open": session.url,
            "until": session.expires_at,
            "tenant": tenant,
            "environment": where,
            "redirect_uri": bridge.redirect_uri(page.slug),
        }
        if not wait:
            return facts
        typer.echo(f"Open in a browser, within {_MINUTES} minutes: {session.url}", err=True)
        for _ in range(round(_MINUTES * 60 / _LOOK)):
            found = await _of(bridge, page, tenant, where)
            made = [one for one in found if before.get(one.id) != one.access_grant]
            if made:
                return {
                    **facts,
                    "open": None,
                    "until": None,
                    "connected": _named(made) if as_json else _told(made),
                }
            await asyncio.sleep(_LOOK)
        raise WrongUsage(f"nobody connected {page.name} within {_MINUTES} minutes; ask again")

    facts = on_bridge(work, environment=environment)
    print_facts(facts, as_json=as_json)
    if not as_json and not wait:
        typer.echo("")
        typer.echo("`landbridge serve` answers there. Register the redirect URI at your app first.")


async def _of(bridge: Landbridge, page: Provider, tenant: str, where: str) -> list[Connection]:
    """The tenant's connections to this provider that live."""
    found = await bridge.connections(tenant=tenant, environment=where)
    return [one for one in found if one.provider == page.slug and one.state == "active"]


def _told(made: list[Connection]) -> list[str]:
    return [f"{one.id} {one.account_name or one.account}" for one in made]


def _named(made: list[Connection]) -> list[dict[str, str]]:
    return [
        {"connection": one.id, "account": one.account, "account_name": one.account_name}
        for one in made
    ]

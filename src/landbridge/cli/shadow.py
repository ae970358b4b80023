"""`landbridge shadow`: writes are kept back and answered, looked at, then sent or given up."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from landbridge.cli.session import App, AsJson, Environment, Limit, Tenant, noun

if TYPE_CHECKING:
    from landbridge.app.bridge import Landbridge
    from landbridge.engine.shadows import Report
    from landbridge.store.shadow_calls import Kept
    from landbridge.store.shadows import Shadow

shadow = noun("Writes that are kept back and answered by us: look at them, then send them or not.")

Id = Annotated[str, typer.Argument(help="shd_...; `landbridge shadow list`.", metavar="ID")]

_COLUMNS = ["id", "kind", "place", "tenant", "state", "until", "reason"]
_SHORT = 60


@shadow.command()
def start(
    target: Annotated[
        str,
        typer.Argument(
            help="con_..., the slug of a provider, or with --handler a handler's name.",
            metavar="TARGET",
        ),
    ],
    handler: Annotated[
        bool, typer.Option("--handler", help="TARGET is a handler: what it pushes is kept.")
    ] = False,
    hours: Annotated[
        float, typer.Option(help="The window, at whose end the rule is looked at.")
    ] = 48,
    tenant: Annotated[str, typer.Option(help="Of a provider: only this tenant's.")] = "",
    threshold: Annotated[
        float, typer.Option(help="The largest share of records in which a field may differ.")
    ] = 0.0,
    errors: Annotated[
        int, typer.Option(help="How many kept writes the provider may be such as to refuse.")
    ] = 0,
    by_hand: Annotated[bool, typer.Option("--by-hand", help="Never promote it by itself.")] = False,
    candidate: Annotated[
        str, typer.Option(help="The name that your bridge gives a candidate page.")
    ] = "",
    only_compare: Annotated[
        bool, typer.Option("--only-compare", help="Let writes go out; only compare the candidate.")
    ] = False,
    environment: Environment = None,
    as_json: AsJson = False,
) -> None:
    """Keep writes back from now on; reads go out."""
    from landbridge.cli.session import on_bridge

    kind = "handler" if handler else "connection" if target.startswith("con_") else "provider"

    async def work(bridge: Landbridge) -> Shadow:
        return await bridge.shadows.start(
            target,
            kind,
            hours=hours,
            tenant=tenant,
            threshold=threshold,
            errors=errors,
            auto=not by_hand,
            writes=not only_compare,
            candidate=candidate,
        )

    _tell(on_bridge(work, environment=environment), as_json=as_json)


@shadow.command("list")
def list_(
    tenant: Tenant = None,
    limit: Limit = 50,
    environment: Environment = None,
    as_json: AsJson = False,
) -> None:
    """List shadows, newest first."""
    from landbridge.cli.output import print_page
    from landbridge.cli.session import on_bridge

    async def work(bridge: Landbridge) -> list[dict[str, Any]]:
        return [_row(each) for each in await bridge.shadows.list(tenant=tenant, most=limit + 1)]

    rows = on_bridge(work, environment=environment)
    print_page("shadows", rows, _COLUMNS, limit=limit, as_json=as_json, none="there is no shadow")


@shadow.command()
def report(
    id: Id, limit: Limit = 20, environment: Environment = None, as_json: AsJson = False
) -> None:
    """Show what a shadow kept, what would have changed, and whether its rule holds."""
    from landbridge.cli.output import print_json
    from landbridge.cli.session import on_bridge

    async def work(bridge: Landbridge) -> Report:
        return await bridge.shadows.report(id, most=limit)

    found = on_bridge(work, environment=environment)
    if as_json:
        print_json(_whole(found))
    else:
        _show(found)


@shadow.command()
def compare(
    id: Id, app: App = None, environment: Environment = None, as_json: AsJson = False
) -> None:
    """Compare what is stored already under the shadow's candidate; it is given by your bridge."""
    from landbridge.cli.output import print_facts
    from landbridge.cli.session import on_bridge

    async def work(bridge: Landbridge) -> int:
        return await bridge.shadows.compare(id)

    done = on_bridge(work, environment=environment, app=app)
    print_facts({"id": id, "compared": done}, as_json=as_json)


@shadow.command()
def promote(id: Id, environment: Environment = None, as_json: AsJson = False) -> None:
    """Let writes go out from now on; what was kept waits for `replay` or `discard`, links go on."""
    _change(lambda bridge: bridge.shadows.promote(id), environment, as_json=as_json)


@shadow.command()
def stop(id: Id, environment: Environment = None, as_json: AsJson = False) -> None:
    """End a shadow that proved nothing; writes go out from now on."""
    _change(lambda bridge: bridge.shadows.stop(id), environment, as_json=as_json)


@shadow.command()
def replay(
    id: Id, app: App = None, environment: Environment = None, as_json: AsJson = False
) -> None:
    """Send what was kept, in order, each once; may be stopped and run again.

    What is of a link is left (`linked`): the link writes by itself what there is to write now.
    """
    from dataclasses import asdict

    from landbridge.cli.output import print_facts
    from landbridge.cli.session import on_bridge

    async def work(bridge: Landbridge) -> dict[str, Any]:
        return {"id": id, **asdict(await bridge.shadows.replay(id))}

    print_facts(on_bridge(work, environment=environment, app=app), as_json=as_json)


@shadow.command("ids")
def ids_(
    id: Id, limit: Limit = 1000, environment: Environment = None, as_json: AsJson = False
) -> None:
    """Show the provider's ids for those that were made up, once `replay` sent the records."""
    from dataclasses import asdict

    from landbridge.cli.output import print_page
    from landbridge.cli.session import on_bridge

    async def work(bridge: Landbridge) -> list[dict[str, Any]]:
        return [asdict(each) for each in await bridge.shadows.real_ids(id, most=limit + 1)]

    rows = on_bridge(work, environment=environment)
    columns = ["made_up", "real", "resource", "connection", "tenant"]
    print_page(
        "ids",
        rows,
        columns,
        limit=limit,
        as_json=as_json,
        none="nothing that was made up was sent yet",
    )


@shadow.command()
def discard(
    id: Id,
    calls: Annotated[
        list[str] | None, typer.Option("--call", help="Only this write, shc_...; several at once.")
    ] = None,
    environment: Environment = None,
    as_json: AsJson = False,
) -> None:
    """Give up what was kept: it is never sent."""
    from landbridge.cli.output import print_facts
    from landbridge.cli.session import on_bridge

    async def work(bridge: Landbridge) -> dict[str, Any]:
        return {"id": id, "discarded": await bridge.shadows.discard(id, calls=calls)}

    print_facts(on_bridge(work, environment=environment), as_json=as_json)


def _change(
    work: Callable[[Landbridge], Awaitable[Shadow]],
    environment: str | None,
    *,
    as_json: bool,
) -> None:
    from landbridge.cli.session import on_bridge

    _tell(on_bridge(work, environment=environment), as_json=as_json)


def _tell(found: Shadow, *, as_json: bool) -> None:
    from landbridge.cli.output import print_facts

    print_facts(_row(found), as_json=as_json)


def _row(found: Shadow) -> dict[str, Any]:
    from dataclasses import asdict

    return asdict(found)


def _show(found: Report) -> None:
    """The report for a person: facts, then a table for each of its parts that has rows."""
    from landbridge.cli.output import print_rows

    _tell(found.shadow, as_json=False)
    said = "; ".join(found.problems) or "it holds"
    typer.echo(f"rule now    {said}")
    tables = [
        ("counts", found.counts, ["resource", "action", "state", "calls", "errors"]),
        ("writes", [_brief(each) for each in found.calls], ["id", "request", "changes", "state"]),
        (
            "fields",
            [
                {
                    "resource": each.resource,
                    "field": each.field,
                    "compared": each.compared,
                    "diverged": each.diverged,
                    "example": _example(each.samples),
                }
                for each in found.fields
                if each.diverged
            ],
            ["resource", "field", "compared", "diverged", "example"],
        ),
    ]
    for name, rows, columns in tables:
        if rows:
            typer.echo()
            print_rows(name, rows, columns, as_json=False)


def _brief(call: Kept) -> dict[str, Any]:
    from urllib.parse import urlsplit

    changes = ", ".join(
        f"{each['path'] or 'record'}: {_short(each['before'])} -> {_short(each['after'])}"
        for each in call.diff[:3]
    )
    more = len(call.diff) - 3
    return {
        "id": call.id,
        "request": f"{call.request.method} {urlsplit(call.request.url).path}",
        "changes": call.error or changes + (f", and {more} more" if more > 0 else ""),
        "state": call.state,
    }


def _example(samples: list[Any]) -> str:
    if not samples:
        return ""
    first = samples[0]
    return f"{first.key}: {_short(first.current)} -> {_short(first.candidate)}"


def _short(value: Any) -> str:
    import json

    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHORT else text[: _SHORT - 3] + "..."


def _whole(found: Report) -> dict[str, Any]:
    from dataclasses import asdict

    return {
        **_row(found.shadow),
        "holds": not found.problems,
        "problems": found.problems,
        "counts": found.counts,
        "fields": [{**asdict(each), "share": each.share} for each in found.fields],
        "writes": [_full(each) for each in found.calls],
    }


def _full(call: Kept) -> dict[str, Any]:
    return {
        "id": call.id,
        "tenant": call.tenant,
        "connection": call.connection,
        "resource": call.resource,
        "action": call.action,
        "key": call.key,
        "sent_key": call.sent_key,
        "intent": call.intent,
        "state": call.state,
        "error": call.error,
        "request": {
            "method": call.request.method,
            "url": call.request.full_url,
            "headers": dict(call.request.headers.pairs()),
            "body": call.request.body.decode("utf-8", "replace"),
        },
        "response": {
            "status": call.response.status,
            "body": call.response.body.decode("utf-8", "replace"),
        },
        "diff": call.diff,
        "created_at": call.created_at,
    }

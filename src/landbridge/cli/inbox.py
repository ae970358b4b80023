"""`landbridge inbox`: the webhooks that came in, what became of them, and doing it again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from landbridge.cli.session import AsJson, Environment, Limit, Tenant, noun

if TYPE_CHECKING:
    from datetime import datetime

    from landbridge.app.bridge import Landbridge
    from landbridge.store.inbox import Selection

inbox = noun("Webhooks that came in; replay them.")


Topic = Annotated[
    str | None,
    typer.Option(help="Only these topics; * is one word: 'invoice.*'.", metavar="TOPIC"),
]
Kind = Annotated[
    str | None,
    typer.Option(
        help="Only what means this at any provider: invoice.paid, 'payment.*'; see kinds."
    ),
]
Of = Annotated[str | None, typer.Option("--connection", help="Only of this one.", metavar="CON")]
OfProvider = Annotated[str | None, typer.Option("--provider", help="Only of this provider.")]
Outcome = Annotated[str | None, typer.Option(help="Only these: pull, delete or ignored.")]
Source = Annotated[
    str | None, typer.Option(help="Only what came by webhook, or was found by reconcile.")
]
Since = Annotated[
    str | None, typer.Option(help="From then on: 2h, 3d, or 2026-11-24T08:00.", metavar="WHEN")
]
Until = Annotated[str | None, typer.Option(help="Only before then.", metavar="WHEN")]


@inbox.command("list")
def list_(
    topic: Topic = None,
    kind: Kind = None,
    connection: Of = None,
    provider: OfProvider = None,
    outcome: Outcome = None,
    source: Source = None,
    since: Since = None,
    until: Until = None,
    tenant: Tenant = None,
    limit: Limit = 50,
    environment: Environment = None,
    as_json: AsJson = False,
) -> None:
    """List the events that webhooks brought, newest first."""
    from landbridge.cli.output import print_page
    from landbridge.cli.session import on_bridge

    wanted = _selection(topic, kind, connection, tenant, outcome, source, since, until)

    async def work(bridge: Landbridge) -> list[dict[str, Any]]:
        from dataclasses import asdict

        from landbridge.store import inbox as events

        chosen = await _of_provider(bridge, wanted, provider)
        return [asdict(event) for event in await events.page(bridge.db, chosen, most=limit + 1)]

    rows = on_bridge(work, environment=environment)
    columns = [
        "id",
        "tenant",
        "topic",
        "kind",
        "resource",
        "key",
        "outcome",
        "source",
        "created_at",
    ]
    print_page(
        "events", rows, columns, limit=limit, as_json=as_json, none="no webhook came in so far"
    )


@inbox.command()
def show(
    id: Annotated[str, typer.Argument(help="inb_... or arr_...", metavar="ID")],
    raw: Annotated[
        bool, typer.Option("--raw", help="Write the body alone, byte for byte, whole.")
    ] = False,
    environment: Environment = None,
    as_json: AsJson = False,
) -> None:
    """Show an event, the webhook that brought it as it came, and what came of it."""
    from landbridge.cli import inbox_show
    from landbridge.cli.session import on_bridge

    shown = on_bridge(lambda bridge: inbox_show.find(bridge, id), environment=environment)
    inbox_show.tell(shown, raw=raw, as_json=as_json)


@inbox.command()
def kinds(as_json: AsJson = False) -> None:
    """List what events may mean at any provider, and which providers tell of it."""
    from landbridge import providers
    from landbridge.cli.output import print_rows
    from landbridge.spec import EVENT_KINDS

    told = {
        page.slug: {means.kind for means in page.webhook.kinds}
        for page in map(providers.get, providers.names())
        if page.webhook is not None
    }
    rows = [
        {
            "kind": kind,
            "means": means,
            "providers": [slug for slug, those in told.items() if kind in those],
        }
        for kind, means in EVENT_KINDS.items()
    ]
    print_rows("kinds", rows, ["kind", "means", "providers"], as_json=as_json, none="none")


@inbox.command()
def handlers(environment: Environment = None, as_json: AsJson = False) -> None:
    """List the handlers that are told of events (bridge.on_received), and what waits for them."""
    from landbridge.cli.output import print_rows
    from landbridge.cli.session import on_bridge

    async def work(bridge: Landbridge) -> list[dict[str, Any]]:
        from dataclasses import asdict

        from landbridge.store import listeners

        where = bridge.settings.environment
        return [asdict(one) for one in await listeners.every(bridge.db, environment=where)]

    rows = on_bridge(work, environment=environment)
    columns = ["name", "kinds", "waiting", "parked", "told_since"]
    print_rows("handlers", rows, columns, as_json=as_json, none="no handler was started so far")


@inbox.command()
def tell(
    name: Annotated[str, typer.Argument(help="As `landbridge inbox handlers` has it.")],
    *,
    since: Annotated[
        str, typer.Option(help="From then on: 2h, 30d, or 2026-11-24T08:00.", metavar="WHEN")
    ],
    as_json: AsJson = False,
) -> None:
    """Tell a handler of events that came before its first start, in every environment.

    Each is handed over once, by a worker, after what the handler has heard already. Told again, it
    hears only of what is earlier still, as far back as the inbox is kept.
    """
    from landbridge.cli.moments import moment
    from landbridge.cli.output import print_json
    from landbridge.cli.session import on_bridge
    from landbridge.engine.received import tell_earlier

    begin = moment(since, "--since")
    assert begin is not None
    count = on_bridge(lambda bridge: tell_earlier(bridge.db, name, since=begin))
    if as_json:
        print_json({"handler": name, "since": begin, "events": count})
    else:
        typer.echo(f"{name}: {count:,} earlier events wait for it; a worker hands them over")


@inbox.command()
def forget(
    name: Annotated[str, typer.Argument(help="As `landbridge inbox handlers` has it.")],
    as_json: AsJson = False,
) -> None:
    """Forget a handler that is no more, with all that waits for it, in every environment.

    One that still runs is registered anew when its process starts.
    """
    from landbridge.cli.output import print_json
    from landbridge.cli.session import on_bridge

    async def work(bridge: Landbridge) -> None:
        from landbridge.errors import NotFound, did_you_mean
        from landbridge.store import listeners

        if not await listeners.forget(bridge.db, name):
            where = bridge.settings.environment
            there = [one.name for one in await listeners.every(bridge.db, environment=where)]
            raise NotFound(
                f"{name!r} is no handler of events.{did_you_mean(name, there)}"
                " See: landbridge inbox handlers"
            )

    on_bridge(work)
    if as_json:
        print_json({"forgotten": name})
    else:
        typer.echo(f"{name}: forgotten, with what waited for it")


@inbox.command()
def refused(environment: Environment = None, as_json: AsJson = False) -> None:
    """Count, by day, what was refused and never stored, handshakes, and what reconcile repaired."""
    from landbridge.cli.output import print_rows
    from landbridge.cli.session import on_bridge

    async def work(bridge: Landbridge) -> list[dict[str, Any]]:
        from landbridge.store import apps, arrivals

        where = bridge.settings.environment
        names = {app.id: app.provider for app in await apps.every(bridge.db, environment=where)}
        return [
            {"day": day, "provider": names.get(app, ""), "app": app, "why": what, "count": count}
            for app, day, what, count in await arrivals.tallies(bridge.db, environment=where)
        ]

    rows = on_bridge(work, environment=environment)
    columns = ["day", "provider", "why", "count"]
    print_rows("refused", rows, columns, as_json=as_json, none="nothing was refused so far")


@inbox.command()
def parked(
    provider: OfProvider = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = 50,
    environment: Environment = None,
    as_json: AsJson = False,
) -> None:
    """List the webhooks that could not be sorted, and why; the oldest first."""
    from landbridge.cli import inbox_parked
    from landbridge.cli.output import print_page
    from landbridge.cli.parked import COLUMNS
    from landbridge.cli.session import on_bridge

    times = _times(since, until)
    rows = on_bridge(
        lambda bridge: inbox_parked.rows(bridge, provider, *times, limit=limit + 1),
        environment=environment,
    )
    print_page("parked", rows, COLUMNS, limit=limit, as_json=as_json, none="no webhook is parked")


@inbox.command()
def replay(
    ids: Annotated[
        list[str] | None,
        typer.Argument(help="inb_..., arr_... or prk_...; several.", metavar="[ID]..."),
    ] = None,
    *,
    topic: Topic = None,
    kind: Kind = None,
    connection: Of = None,
    provider: OfProvider = None,
    outcome: Outcome = None,
    source: Source = None,
    since: Since = None,
    until: Until = None,
    tenant: Tenant = None,
    parked: Annotated[
        bool,
        typer.Option(
            "--parked",
            help="All parked webhooks; limit them by --provider, --since and --until.",
        ),
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count what is meant.")] = False,
    environment: Environment = None,
    as_json: AsJson = False,
) -> None:
    """Do again what webhooks asked for, by id, or all that the options mean; a worker does it.

    An event (inb_) has its record read again. A webhook (arr_, or parked as prk_) is sorted again:
    events of it that were admitted before are not admitted twice. With options instead of ids the
    record of every event that they mean is read again, each record once; run it anew if it was
    stopped. With --parked the webhooks that could not be sorted are sorted again.
    """
    from landbridge.cli import inbox_parked
    from landbridge.cli.output import print_json
    from landbridge.cli.session import on_bridge
    from landbridge.cli.usage import WrongUsage

    wanted = _selection(topic, kind, connection, tenant, outcome, source, since, until)
    limits = (topic, kind, connection, provider, outcome, source, since, until, tenant)
    if parked:
        if ids or topic or kind or connection or outcome or source or tenant:
            raise WrongUsage(
                "--parked goes with --provider, --since and --until alone: nobody knows more of"
                " what could not be sorted"
            )
        inbox_parked.again(
            provider, wanted.since, wanted.until, dry_run, environment, as_json=as_json
        )
        return
    if not ids and not any(limits):
        raise WrongUsage(
            "name events by id, or which are meant by --since, --topic, --connection and so on"
        )
    if ids and (dry_run or any(limits)):
        raise WrongUsage("ids and options do not go together: an id means that one alone")
    if not ids:
        _replay_many(wanted, provider, dry_run, environment, as_json=as_json)
        return

    async def work(bridge: Landbridge) -> list[dict[str, Any]]:
        return [await _again(bridge, each) for each in ids]

    ordered = on_bridge(work, environment=environment)
    if as_json:
        print_json({"ordered": ordered})
    else:
        for each in ordered:
            typer.echo(f"{each['id']}: {each['ordered']}; a worker does it")


def _replay_many(
    wanted: Selection,
    provider: str | None,
    dry_run: bool,
    environment: str | None,
    *,
    as_json: bool,
) -> None:
    from landbridge.cli.inbox_show import counting
    from landbridge.cli.output import print_json
    from landbridge.cli.session import on_bridge

    async def work(bridge: Landbridge) -> dict[str, Any]:
        from dataclasses import asdict

        from landbridge.engine.inbox import replay_selection
        from landbridge.store import inbox as events

        chosen = await _of_provider(bridge, wanted, provider)
        total = await events.count(bridge.db, chosen)
        if dry_run:
            return {"events": total, "dry_run": True}
        with counting(total, as_json=as_json) as watch:
            return asdict(await replay_selection(bridge.db, chosen, on_page=watch))

    done = on_bridge(work, environment=environment)
    if as_json:
        print_json(done)
    elif dry_run:
        typer.echo(f"{done['events']:,} events are meant; nothing was done")
    else:
        typer.echo(
            f"{done['events']:,} events: {done['records']:,} records are read again,"
            f" {done['ignored']:,} events concern nothing that is pulled; a worker does it"
        )


async def _again(bridge: Landbridge, id: str) -> dict[str, Any]:
    from landbridge.cli.inbox_show import event_of
    from landbridge.cli.parked import find
    from landbridge.cli.usage import WrongUsage
    from landbridge.engine.replay import fetch_again, sort_again

    if id.startswith("inb_"):
        event = await event_of(bridge, id)
        await fetch_again(bridge.db, event)
        return {"id": id, "ordered": f"{event.resource} {event.key} is read again"}
    arrival = id
    if id.startswith("prk_"):
        stopped = await find(bridge, id)
        if stopped.what != "arrival":
            raise WrongUsage(
                f"{id} is a {stopped.what}, not a webhook: landbridge parked replay {id}"
            )
        arrival = stopped.key
    await sort_again(bridge.db, environment=bridge.settings.environment, arrival=arrival)
    return {"id": id, "ordered": "it is sorted again"}


def _selection(
    topic: str | None,
    kind: str | None,
    connection: str | None,
    tenant: str | None,
    outcome: str | None,
    source: str | None,
    since: str | None,
    until: str | None,
) -> Selection:
    """What the options mean, but for the environment and the provider, which a bridge knows."""
    from landbridge.cli.usage import WrongUsage
    from landbridge.store.inbox import Selection

    for option, word, words in (
        ("--outcome", outcome, ("pull", "delete", "ignored")),
        ("--source", source, ("webhook", "reconcile")),
    ):
        if word is not None and word not in words:
            raise WrongUsage(f"{option}: {word!r} is none of {', '.join(words)}")
    begin, end = _times(since, until)
    return Selection(
        environment="",
        tenant=tenant,
        connection=connection,
        topic=topic,
        kinds=_kinds(kind),
        outcome=outcome,
        source=source,
        since=begin,
        until=end,
    )


def _kinds(kind: str | None) -> tuple[str, ...] | None:
    from landbridge.cli.usage import WrongUsage
    from landbridge.engine.received import kinds_meant
    from landbridge.errors import InvalidInput

    try:
        return None if kind is None else kinds_meant([kind])
    except InvalidInput as error:
        raise WrongUsage(f"--{error}") from None


def _times(since: str | None, until: str | None) -> tuple[datetime | None, datetime | None]:
    """From when on and before when the options mean."""
    from landbridge.cli.moments import moment
    from landbridge.cli.usage import WrongUsage

    begin, end = moment(since, "--since"), moment(until, "--until")
    if begin and end and begin >= end:
        raise WrongUsage("--until: it is not after --since, so nothing is meant")
    return begin, end


async def _of_provider(bridge: Landbridge, wanted: Selection, slug: str | None) -> Selection:
    from dataclasses import replace

    from landbridge.cli.inbox_parked import apps_of

    named = None if slug is None else await apps_of(bridge, slug)
    return replace(wanted, environment=bridge.settings.environment, apps=named)

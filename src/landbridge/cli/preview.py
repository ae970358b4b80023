"""`landbridge preview`: what a write would post, without writing it."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from landbridge.cli.session import App, AsJson, ConnectionId, Environment
from landbridge.cli.usage import standard_input

if TYPE_CHECKING:
    from landbridge.app.bridge import Landbridge
    from landbridge.engine.preview import Preview
    from landbridge.store.connections import Connection


def preview(
    connection: ConnectionId,
    resource: Annotated[
        str, typer.Argument(metavar="RESOURCE", help="The vendor's own word, such as Invoices.")
    ],
    app: App = None,
    environment: Environment = None,
    as_json: AsJson = False,
) -> None:
    """Show what a document would post: its lines, taxes and totals as the provider rounds them.

    Takes the unified document as JSON from standard input; one with an id changes that record.
    Nothing is written. Exit 1 if the write would be refused, with the numbers.
    """
    from landbridge.cli.output import print_json
    from landbridge.cli.session import on_connection
    from landbridge.models import read_json

    given = standard_input()

    async def work(bridge: Landbridge, found: Connection) -> Preview:
        from landbridge.errors import InvalidInput

        maps = bridge.page(found).resource(resource).maps
        if maps is None:
            raise InvalidInput(f"{resource} is kept as it comes: it has no unified form")
        document = read_json(maps.model, given)
        return await bridge.api(found).preview(document, resource=resource)

    shown = on_connection(connection, work, environment=environment, app=app)
    if as_json:
        print_json(asdict(shown) | {"in_books": asdict(shown.in_books) if shown.in_books else None})
    else:
        _tell(shown)
    if shown.problems:
        raise typer.Exit(1)


def _tell(shown: Preview) -> None:
    from landbridge.cli.output import print_facts, print_rows
    from landbridge.money import Money

    def money(minor: int | None) -> str:
        if minor is None or shown.currency is None:
            return "not known"
        return str(Money(minor=minor, currency=shown.currency))

    facts: dict[str, Any] = {"resource": shown.resource, "action": shown.action}
    if shown.totals is not None:
        rows = [
            {"line": at, "amount": money(line.amount), "tax": money(line.tax)}
            for at, line in enumerate(shown.totals.lines, 1)
        ]
        print_rows("lines", rows, ["line", "amount", "tax"], as_json=False)
        facts |= {name: money(getattr(shown.totals, name)) for name in ("subtotal", "tax", "total")}
        facts |= {"in_the_books": shown.in_books, "rounding": shown.rule}
    facts |= {"notes": [f"{name}: {told}" for name, told in shown.notes.items()]}
    facts |= {"not_sent": list(shown.unsent), **shown.problems}
    print_facts(facts, as_json=False)

"""The table of commands, each loaded when it is called, and how failures are told.

A new command is a file and a line in `COMMANDS`. The target is a function with typer's parameters,
or a `typer.Typer` of its own for a noun with several verbs. Files import what they need inside
their functions, so that `landbridge --help` stays fast. A command that fails raises; one that ends
with a status of its own raises `typer.Exit`.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup
from typer.exceptions import TyperException

from landbridge.cli.usage import WrongUsage
from landbridge.errors import LandbridgeError


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """Where a command lives (`module:attribute`) and the line that `--help` shows for it."""

    target: str
    help: str


COMMANDS: Mapping[str, Entry] = {
    "demo": Entry(
        target="landbridge.cli.demo:demo",
        help="Run the whole story on this machine, and prove it.",
    ),
    "serve": Entry(
        target="landbridge.cli.serve:serve",
        help="Serve webhooks, the connect pages and health.",
    ),
    "worker": Entry(
        target="landbridge.cli.worker:worker",
        help="Do what is due: pulls, pushes, webhooks, deliveries, handlers.",
    ),
    "db": Entry(
        target="landbridge.cli.db:db",
        help="Migrate the schema, check it, or print its SQL.",
    ),
    "doctor": Entry(
        target="landbridge.cli.doctor:doctor",
        help="Look the installation over and say how to mend it.",
    ),
    "keys": Entry(
        target="landbridge.cli.keys:keys",
        help="Make, show, rotate or move the keys that seal every secret.",
    ),
    "providers": Entry(
        target="landbridge.cli.providers:providers",
        help="List what can be connected, and how far each goes.",
    ),
    "provider": Entry(
        target="landbridge.cli.providers:provider",
        help="Show the facts about one provider.",
    ),
    "scopes": Entry(
        target="landbridge.cli.scopes:scopes",
        help="Say what a consent asks for, and why.",
    ),
    "sandbox": Entry(
        target="landbridge.cli.sandbox:sandbox",
        help="Run simulators of providers to develop against.",
    ),
    "apps": Entry(
        target="landbridge.cli.apps:apps",
        help="Set our OAuth clients, and what their consents ask for.",
    ),
    "connect": Entry(
        target="landbridge.cli.connect:connect",
        help="Connect a tenant's account.",
    ),
    "connections": Entry(
        target="landbridge.cli.connections:connections",
        help="List, show, pause, resume or end connections.",
    ),
    "quotas": Entry(
        target="landbridge.cli.quotas:quotas",
        help="Show what is used of providers' quotas.",
    ),
    "pull": Entry(
        target="landbridge.cli.pull:pull",
        help="Pull a connection now.",
    ),
    "remap": Entry(
        target="landbridge.cli.remap:remap",
        help="Read what is stored again, by the mappings of now.",
    ),
    "syncs": Entry(
        target="landbridge.cli.syncs:syncs",
        help="List, set, pause or resume how often resources are pulled; backfill them.",
    ),
    "fields": Entry(
        target="landbridge.cli.fields:fields",
        help="Set what a tenant added to a resource at its provider.",
    ),
    "objects": Entry(
        target="landbridge.cli.objects:objects",
        help="Pull objects that a tenant made at its provider.",
    ),
    "codes": Entry(
        target="landbridge.cli.codes:codes",
        help="Set our words for a tenant's ledger accounts, tax rates and the like.",
    ),
    "preview": Entry(
        target="landbridge.cli.preview:preview",
        help="Show what a write would post, without writing it.",
    ),
    "calls": Entry(
        target="landbridge.cli.calls:calls",
        help="List what was lately asked of a provider for a connection.",
    ),
    "breakers": Entry(
        target="landbridge.cli.breakers:breakers",
        help="List or reset what is left alone because it does not answer.",
    ),
    "records": Entry(
        target="landbridge.cli.records:records",
        help="List what was pulled, unified or raw.",
    ),
    "export": Entry(
        target="landbridge.cli.export:export",
        help="Write what was pulled to a file: NDJSON, Arrow or Parquet.",
    ),
    "inbox": Entry(
        target="landbridge.cli.inbox:inbox",
        help="List, show or replay webhooks that came in.",
    ),
    "reconcile": Entry(
        target="landbridge.cli.reconcile:reconcile",
        help="Find webhooks that never came, by the provider's own list of events.",
    ),
    "links": Entry(
        target="landbridge.cli.links:links",
        help="See and plan what is kept in step both ways, and match doubles.",
    ),
    "conflicts": Entry(
        target="landbridge.cli.conflicts:conflicts",
        help="Decide what both sides of a link changed.",
    ),
    "parked": Entry(
        target="landbridge.cli.parked:parked",
        help="List, replay or discard what could not be read or handled.",
    ),
    "events": Entry(
        target="landbridge.cli.events:events",
        help="List or show the types of events that may be emitted.",
    ),
    "endpoints": Entry(
        target="landbridge.cli.endpoints:endpoints",
        help="List, add, change or remove where tenants want their events.",
    ),
    "deliveries": Entry(
        target="landbridge.cli.deliveries:deliveries",
        help="List, show or repeat deliveries of events.",
    ),
    "replays": Entry(
        target="landbridge.cli.replays:replays",
        help="Deliver past events again: order, watch, pause or cancel it.",
    ),
    "shadow": Entry(
        target="landbridge.cli.shadow:shadow",
        help="Keep writes back, see what they would do, then send them or not.",
    ),
    "erase": Entry(
        target="landbridge.cli.erase:erase",
        help="Erase all that is kept of a tenant or a person.",
    ),
    "erasures": Entry(
        target="landbridge.cli.erase:erasures",
        help="List or show reports of what was erased.",
    ),
    "map": Entry(
        target="landbridge.cli.map:map_record",
        help="Read a record into its unified form, or write one back.",
    ),
    "verify": Entry(
        target="landbridge.cli.verify:verify",
        help="Say whether a webhook's signature holds, and if not, why.",
    ),
}


class LazyGroup(TyperGroup):
    """The commands of `COMMANDS`; listing them imports none of them."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - typer's signature
        """The names, in the table's order."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002 - typer's signature
        """The command, imported now; None: there is no such command."""
        entry = COMMANDS.get(cmd_name)
        return load(cmd_name, entry) if entry else None

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002 - typer's signature
        """Writes the list of commands from the table alone."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.help) for name, entry in COMMANDS.items()])


def load(name: str, entry: Entry) -> Any:
    """The click command behind a table entry."""
    module, _, attribute = entry.target.partition(":")
    target = getattr(import_module(module), attribute)
    if isinstance(target, typer.Typer):
        commands = target
        commands.info.name = name
    else:
        commands = _typer()
        commands.command(name)(target)
    command = typer.main.get_command(commands)
    command.name = name
    return command


def _typer() -> typer.Typer:
    # Without rich markup: drawing the help with rich takes longer than the whole rest.
    return typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


def run(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line and returns the exit status; see `landbridge.cli.main`."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        status = group().main(given, prog_name="landbridge", standalone_mode=False)
        sys.stdout.flush()
    except TyperException as error:
        if type(error).__name__ == "NoArgsIsHelpError":
            typer.echo(str(error), err=True)
            return 2
        return _tell(error, error.format_message(), error.exit_code, as_json="--json" in given)
    except LandbridgeError as error:
        status = 2 if isinstance(error, WrongUsage) else 1
        return _tell(error, str(error), status, as_json="--json" in given)
    except (KeyboardInterrupt, typer.Abort):
        return 130
    except BrokenPipeError:
        # The reader went away, as in `landbridge ... | head`: Python must not complain at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return status if isinstance(status, int) else 0


def group() -> LazyGroup:
    """The whole command line as a click group."""
    names: dict[str, Any] = dict.fromkeys(COMMANDS)  # for "did you mean"; get_command loads them
    return LazyGroup(
        commands=names,
        name="landbridge",
        help="Connect a SaaS to the services its customers use, on Postgres alone.",
        no_args_is_help=True,
        rich_markup_mode=None,
    )


def _tell(error: Exception, message: str, status: int, *, as_json: bool) -> int:
    sentence = " ".join(message.split())
    if as_json:
        kind = "WrongUsage" if isinstance(error, TyperException) else type(error).__name__
        typer.echo(json.dumps({"error": {"type": kind, "message": sentence}}, ensure_ascii=False))
    else:
        typer.echo(f"error: {sentence}", err=True)
    return status

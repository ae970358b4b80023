"""What commands on a bridge share: opening it, running one piece of work, and common options."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from landbridge.cli.usage import WrongUsage

if TYPE_CHECKING:
    from landbridge.app.bridge import Landbridge
    from landbridge.store.connections import Connection

T = TypeVar("T")

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Environment = Annotated[
    str | None,
    typer.Option(
        "--environment",
        help="test, live, ...; else that of LANDBRIDGE_ENVIRONMENT.",
        metavar="WORD",
    ),
]
Tenant = Annotated[str | None, typer.Option(help="Only those of this tenant.")]
After = Annotated[
    str, typer.Option(help="Go on behind this one; `next` of --json has it.", metavar="ID")
]
Limit = Annotated[int, typer.Option(help="At most this many.", min=1, max=10_000)]
ConnectionId = Annotated[
    str, typer.Argument(help="con_...; `landbridge connections list` has them.")
]
App = Annotated[
    str | None,
    typer.Option(
        "--app",
        help="Your own bridge with its handlers, as package.module:attribute; the module is"
        " looked for from the present folder on.",
        metavar="MODULE:NAME",
    ),
]


def noun(text: str) -> typer.Typer:
    """The group of a noun's verbs; `text` is its line of help."""
    group = typer.Typer(
        help=text,
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )
    # A group that has a callback stays one, also with a single verb.
    group.callback(help=text)(lambda: None)
    return group


def on_bridge(
    work: Callable[[Landbridge], Awaitable[T]],
    *,
    environment: str | None = None,
    app: str | None = None,
) -> T:
    """What `work` gives, run on a bridge that is open meanwhile.

    The bridge is made from the LANDBRIDGE_... variables, or it is the user's own one of `app`.
    """
    from landbridge.app.bridge import Landbridge

    bridge = load_bridge(app) if app else Landbridge.from_env(environment=environment)

    async def opened() -> T:
        async with bridge:
            return await work(bridge)

    return run(opened())


def on_connection(
    wanted: str,
    work: Callable[[Landbridge, Connection], Awaitable[T]],
    *,
    environment: str | None = None,
    app: str | None = None,
) -> T:
    """What `work` gives, run on an open bridge with the connection of this id."""

    async def found(bridge: Landbridge) -> T:
        from landbridge.cli.connections import find

        return await work(bridge, await find(bridge, wanted))

    return on_bridge(found, environment=environment, app=app)


def run(main: Coroutine[Any, Any, T]) -> T:
    """What a coroutine gives, on the fastest event loop at hand: uvloop where it is installed."""
    try:
        from uvloop import new_event_loop
    except ImportError:  # on Windows
        return asyncio.run(main)
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        return runner.run(main)


def load_bridge(place: str) -> Landbridge:
    """The user's own bridge at `package.module:attribute`; `WrongUsage` says what is not there."""
    from importlib import import_module
    from pathlib import Path

    from landbridge.app.bridge import Landbridge

    module, colon, attribute = place.partition(":")
    if not module or not colon or not attribute:
        raise WrongUsage(f"--app: {place!r} is not of the form package.module:attribute")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        found = import_module(module)
    except ModuleNotFoundError as error:
        raise WrongUsage(
            f"--app: there is no module {error.name!r}; it is looked for in {here} and among the"
            " installed packages"
        ) from None
    bridge = getattr(found, attribute, None)
    if not isinstance(bridge, Landbridge):
        raise WrongUsage(
            f"--app: {module} has no Landbridge called {attribute!r}; name the variable that"
            " Landbridge.from_env() was put into"
        )
    return bridge

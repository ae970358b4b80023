"""`landbridge serve`: the webhook intake and health as a server of its own."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable
from contextlib import nullcontext
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from landbridge.cli.session import App, AsJson
from landbridge.errors import SettingsError

if TYPE_CHECKING:
    import uvicorn

    from landbridge.app.bridge import Landbridge
    from landbridge.web import ASGI
    from landbridge.web.bounds import Porter

_MOST = 10_000
_SECOND = 10
"""Ticks of uvicorn's main loop."""


def serve(
    host: Annotated[str, typer.Option(help="The address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0 takes a free one.", min=0, max=65_535)] = 8700,
    work: Annotated[
        bool, typer.Option("--work", help="Also do what `landbridge worker` does.")
    ] = False,
    app: App = None,
    as_json: AsJson = False,
) -> None:
    """Serve the webhook intake (/in/...), /health and /metrics until SIGTERM or Ctrl-C.

    Prints the address once requests are answered. Any number of such processes may run over one
    database; put a proxy with TLS before them and its address into LANDBRIDGE_PUBLIC_URL.
    /metrics is there once LANDBRIDGE_METRICS_TOKEN is set.
    """
    from landbridge.app.bridge import Landbridge
    from landbridge.cli.session import load_bridge, run

    bridge = load_bridge(app) if app else Landbridge.from_env()
    with listening(host, port) as listener:
        address = address_of(listener)
        run(_serve(bridge, listener, lambda: _say_ready(address, as_json=as_json), work=work))


async def _serve(
    bridge: Landbridge, listener: socket.socket, on_up: Callable[[], None], *, work: bool
) -> None:
    from landbridge.cli.logs import log_to_stderr
    from landbridge.cli.signals import stop_on_signals

    server = server_of(bridge.asgi(), on_up)
    async with bridge.lifespan(work=work):
        log_to_stderr()
        with stop_on_signals() as stop:
            serving = asyncio.create_task(server.serve(sockets=[listener]))
            stopping = asyncio.create_task(stop.wait())
            await asyncio.wait([serving, stopping], return_when=asyncio.FIRST_COMPLETED)
            server.should_exit = True
            stopping.cancel()
            await serving


def server_of(
    app: ASGI, on_up: Callable[[], None], *, porter: Porter | None = None
) -> uvicorn.Server:
    """A server for an ASGI app that calls `on_up` once it answers, and leaves signals alone.

    `porter` keeps its connections within bounds; without one, those that the process's open files
    allow.
    """
    import uvicorn

    from landbridge.web.bounds import Bounds, Porter

    keeper = porter or Porter(Bounds(connections=_connections()))

    class Server(uvicorn.Server):
        """Says when it is up, leaves signals to the command, and has its connections looked at."""

        async def on_tick(self, counter: int) -> bool:
            if counter % _SECOND == 0:
                keeper.sweep(self.server_state.connections)
            return await super().on_tick(counter)

        def capture_signals(self) -> Any:
            return nullcontext()

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            if self.started:
                on_up()

    return Server(
        uvicorn.Config(
            app,
            http=cast("type[asyncio.Protocol]", keeper.protocol),
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=20,
        )
    )


def _connections() -> int:
    """How many connections we may hold, so that files are left for the database and the outside."""
    try:
        from resource import RLIMIT_NOFILE, getrlimit
    except ImportError:  # on Windows
        return _MOST
    files = getrlimit(RLIMIT_NOFILE)[0]
    return _MOST if files < 0 else min(_MOST, files * 3 // 4)


def listening(host: str, port: int, options: str = "--host {} --port {}") -> socket.socket:
    """A socket that listens there; SettingsError names the options if it cannot."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        raise SettingsError(
            f"{options.format(host, port)}: cannot listen there ({error.strerror or error});"
            f" {options.split()[-2]} 0 takes a free port"
        ) from None


def address_of(listener: socket.socket) -> str:
    """The address at which a socket listens."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _say_ready(address: str, *, as_json: bool) -> None:
    import json

    if as_json:
        typer.echo(json.dumps({"serving": address, "pid": os.getpid()}))
    else:
        typer.echo(f"serving on {address} (pid {os.getpid()})")

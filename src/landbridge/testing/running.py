"""Simulators as running servers: in a thread of this process, or as a process of their own."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from landbridge.errors import SettingsError
from landbridge.testing.asgi import App

_HOST = "127.0.0.1"
_STOP_SECONDS = 10.0


class _Protocol(HttpToolsProtocol):
    """Shows the application its connection, so that it can break it off (`asgi.Drop`)."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.app_state = {**self.app_state, "transport": transport}


class _Server(uvicorn.Server):
    """Says when it is up, and leaves the signals alone: the caller decides what stops it."""

    def __init__(self, app: App, on_up: Callable[[], object]):
        super().__init__(
            uvicorn.Config(
                app,
                http=_Protocol,
                ws="none",
                lifespan="on",
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=1,
            )
        )
        self._on_up = on_up

    def capture_signals(self) -> Any:
        return nullcontext()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._on_up()


def listening(port: int) -> socket.socket:
    """A listening loopback socket; port 0 takes a free one."""
    try:
        return socket.create_server((_HOST, port), backlog=2048)
    except OSError as error:
        raise SettingsError(
            f"port {port} of {_HOST} cannot be opened: {error.strerror}; port 0 takes a free one"
        ) from None


def address(listener: socket.socket) -> str:
    """The base URL under which a socket of `listening` is reached."""
    return f"http://{_HOST}:{listener.getsockname()[1]}"


def run_here(app: App, listener: socket.socket, ready: dict[str, Any], *, on_eof: bool) -> None:
    """Serves until SIGTERM, SIGINT or, with `on_eof`, the end of standard input.

    Prints `ready` as one line of JSON once requests are answered. Standard input that ends with
    its parent is the one way to notice a parent's SIGKILL on every system.
    """

    def say_ready() -> None:
        sys.stdout.write(json.dumps(ready) + "\n")
        sys.stdout.flush()

    server = _Server(app, say_ready)

    async def main() -> None:
        loop = asyncio.get_running_loop()

        def stop() -> None:
            server.should_exit = True

        for each in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(each, stop)
        if on_eof:
            threading.Thread(target=_at_eof, args=(loop, stop), daemon=True).start()
        await server.serve(sockets=[listener])

    with _loop() as runner:
        runner.run(main())


def _at_eof(loop: asyncio.AbstractEventLoop, stop: Callable[[], None]) -> None:
    """Unbuffered: a daemon thread inside a buffered read aborts the interpreter's exit."""
    while os.read(0, 4096):
        pass
    loop.call_soon_threadsafe(stop)


def _loop() -> asyncio.Runner:
    """The fastest event loop at hand: uvloop where it is installed."""
    try:
        import uvloop  # noqa: PLC0415 - absent on Windows
    except ImportError:
        return asyncio.Runner()
    return asyncio.Runner(loop_factory=uvloop.new_event_loop)


@contextmanager
def in_thread(app: App, port: int = 0) -> Iterator[str]:
    """The base URL of a server that runs in a thread until the block ends; port 0: a free one."""
    up = threading.Event()
    server = _Server(app, up.set)

    def serve() -> None:
        try:
            with _loop() as runner:
                runner.run(server.serve(sockets=[listener]))
        finally:
            up.set()

    with listening(port) as listener:
        thread = threading.Thread(target=serve, name="simulator", daemon=True)
        thread.start()
        up.wait()
        if not server.started:
            raise SettingsError("the simulator did not start; its error stands above")
        try:
            yield address(listener)
        finally:
            server.should_exit = True
            thread.join(_STOP_SECONDS)


@dataclass(frozen=True, kw_only=True)
class Spawned:
    """A simulator in a process of its own. `ready` is what it said when it was."""

    url: str
    ready: dict[str, Any]
    process: subprocess.Popen[str]

    def stop(self) -> None:
        """Ends it by SIGTERM, or by SIGKILL after ten seconds. Twice is once."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                stream.close()


def spawn(name: str, *arguments: str) -> Spawned:
    """Starts `python -m landbridge.testing.serve NAME ...`; it also ends when this process does.

    Raises `SettingsError` with what it wrote to standard error if it does not come up.
    """
    process = subprocess.Popen(  # noqa: S603 - our own module, arguments are a list
        [sys.executable, "-m", "landbridge.testing.serve", name, *arguments, "--stop-on-eof"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )
    spawned_line = process.stdout.readline() if process.stdout is not None else ""
    if not spawned_line:
        Spawned(url="", ready={}, process=process).stop()
        raise SettingsError(
            f"the {name} simulator did not start (exit code {process.returncode});"
            " its error stands above"
        )
    ready = json.loads(spawned_line)
    return Spawned(url=ready["url"], ready=ready, process=process)

"""What a server shows: the webhook intake and its health."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from landbridge.engine.receive import Answer, Intake
from landbridge.errors import LandbridgeError
from landbridge.store.database import Database
from landbridge.web.bodies import bodies_app
from landbridge.web.intake import ASGI, Receive, Scope, Send, intake_app
from landbridge.web.intake.asgi import respond


def site(
    *,
    intake: Callable[[], Intake],
    health: Callable[[], Awaitable[None]],
    bodies: Callable[[], Database],
    connect: ASGI,
    metrics: ASGI | None = None,
) -> ASGI:
    """The ASGI app: `/in/...` takes webhooks, `/health` says 200 or, without a database, 503.

    `/connect/...` and `/connect.js` are the connect pages, `/bodies/...` gives what was too large
    to be posted; `/metrics` is there if `metrics` is given.
    """
    large = bodies_app(bodies)
    webhooks = intake_app(intake)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _no_lifespan(receive, send)
        elif scope["type"] == "http":
            path = scope["path"].removeprefix(scope.get("root_path", ""))
            if path == "/health":
                await respond(send, await _health(health))
            elif path == "/metrics" and metrics is not None:
                await metrics(scope, receive, send)
            elif path.startswith("/connect"):
                await connect(scope, receive, send)
            elif path.startswith("/bodies/"):
                await large(scope, receive, send)
            else:
                await webhooks(scope, receive, send)

    return app


async def _health(health: Callable[[], Awaitable[None]]) -> Answer:
    try:
        await health()
    except LandbridgeError as error:
        return Answer(status=503, body=str(error), retry_after=5)
    return Answer(status=200, body="ok")


async def _no_lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return

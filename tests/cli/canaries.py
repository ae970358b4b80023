"""Secrets that are planted to be searched for: in any text, in every form they commonly take."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import quote

import msgspec
import psycopg

from landbridge.testing.asgi import Receive, Scope, Send
from landbridge.vault import new_key


def token() -> str:
    """Letters and digits that occur nowhere else."""
    return secrets.token_hex(12)


@dataclass(frozen=True, kw_only=True)
class Canaries:
    """One of each kind of secret that passes through Landbridge."""

    api_key: str = field(default_factory=lambda: f"sk_test_{token()}")
    password: str = field(default_factory=lambda: f"pass-{token()}")
    webhook_secret: str = field(default_factory=lambda: f"whsec_{token()}")
    landbridge_key: str = field(default_factory=new_key)
    database_password: str = field(default_factory=lambda: f"dbpass-{token()}")

    def every(self) -> dict[str, str]:
        """Each by its name."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


def forms(secret: str) -> set[str]:
    """How a secret may look in a text: as it is, in hex, in URLs, in base64 at any offset."""
    raw = secret.encode()
    found = {secret, quote(secret, safe=""), json.dumps(secret)[1:-1], raw.hex(), secret[:-4]}
    for offset in range(3):
        # Only whole groups of four are the same whatever stands before and after.
        middle = base64.b64encode(b"\x00" * offset + raw).decode()
        found.add(middle[4 : len(middle) - len(middle) % 4 - 4])
    return {form for form in found if len(form) >= 12}


def leaks(canaries: Canaries, texts: Iterable[tuple[str, str]]) -> list[str]:
    """Where a canary stands: `place: kind`; nothing if none does."""
    wanted = {kind: forms(secret) for kind, secret in canaries.every().items()}
    return [
        f"{place}: {kind}"
        for place, text in texts
        for kind, any_of in wanted.items()
        if any(form.lower() in text.lower() for form in any_of)
    ]


def database_text(url: str) -> list[tuple[str, str]]:
    """Every row of every table of ours as text, binary values in hex."""
    tables = "SELECT tablename FROM pg_tables WHERE schemaname = 'landbridge'"
    with psycopg.connect(url) as connection:
        names = [row[0] for row in connection.execute(tables)]
        return [
            (f"table {name}", "\n".join(row[0] for row in rows))
            for name in names
            if (
                rows := connection.execute(f"SELECT t::text FROM landbridge.{name} AS t").fetchall()
            )
        ]


MODES = ("400", "401", "403", "404", "409", "422", "500", "text", "list", "moved", "drop")


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """A server that says back, in every place it can, what it was signed in with."""
    if scope["type"] != "http":
        return
    headers = {name.decode(): value.decode() for name, value in scope["headers"]}
    mode = scope["path"].split("/")[1]
    said = headers.get("authorization", "")
    if said.startswith("Basic "):
        said += " " + base64.b64decode(said.removeprefix("Basic ")).decode()
    status, answer, body = _answer(mode, said)
    if mode == "drop":
        raise OSError(said)
    answered = [(name.encode(), value.encode()) for name, value in answer.items()]
    answered.append((b"content-length", str(len(body)).encode()))
    await receive()
    await send({"type": "http.response.start", "status": status, "headers": answered})
    await send({"type": "http.response.body", "body": body})


def _answer(mode: str, said: str) -> tuple[int, dict[str, str], bytes]:
    header = {"request-id": said, "www-authenticate": said, "content-type": "application/json"}
    shown = dict.fromkeys(("message", "code", "param", "type"), said)
    match mode:
        case "text":
            return 200, header | {"content-type": "text/plain"}, said.encode()
        case "list":
            return 200, header, msgspec.json.encode([said])
        case "moved":
            return 302, header | {"location": f"/{said}"}, b""
        case "drop":
            return 0, {}, b""
    return int(mode), header, msgspec.json.encode({"error": shown})

"""Callbacks: where events are posted, how an address is made sure of, and how a post is signed.

A new callback's address is posted a code at once (`verifier`); nothing else goes there until the
code was sent back. It is then the key of the signature `X-FreshBooks-Hmac-SHA256`: the base64 of
HMAC-SHA256 over the form's fields as JSON with blanks after comma and colon.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from random import Random
from urllib.parse import urlencode, urlsplit

import aiohttp

from landbridge.testing.asgi import BadCall
from landbridge.testing.freshbooks.wire import Obj, result, told_off, zulu
from landbridge.testing.stage import Stage
from landbridge.wire import Response

EVENTS = frozenset(
    f"{noun}.{verb}"
    for noun in (
        "invoice payment client expense estimate credit_note bill bill_vendor bill_payment item"
        " project recurring service tax time_entry category"
    ).split()
    for verb in ("create", "update", "delete")
) | {"invoice.sendByEmail", "estimate.sendByEmail"}
RETRIES = (0.2, 0.5, 1.0, 2.0)
_MODES = ("send", "hold", "lose")


@dataclass(kw_only=True)
class Callback:
    """One event (or all of a noun) for one address."""

    id: int
    account: str
    event: str
    uri: str
    code: str
    verified: bool = False
    at: float = 0.0

    def shown(self) -> Obj:
        """As the API has it; never with its code."""
        told = {"callbackid": self.id, "verified": self.verified, "uri": self.uri}
        return {**told, "event": self.event, "updated_at": zulu(self.at)}

    def hears(self, account: str, name: str) -> bool:
        """Whether it is told of this event."""
        about = name == self.event or name.startswith(f"{self.event}.")
        return self.verified and account == self.account and about


@dataclass(kw_only=True)
class Dispatcher:
    """The queue between events and addresses. Modes: `send`, `hold` until `release`, `lose`."""

    stage: Stage
    rng: Random
    businesses: Mapping[str, int]
    retries: tuple[float, ...] = RETRIES
    mode: str = "send"
    callbacks: dict[int, Callback] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._queue: asyncio.Queue[tuple[Callback, dict[str, str], int]] = asyncio.Queue()
        self._held: list[tuple[Callback, dict[str, str]]] = []
        self._later: set[asyncio.Task[None]] = set()
        self._sending = 0
        self._session: aiohttp.ClientSession | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Sends while the block lasts."""
        timeout = aiohttp.ClientTimeout(total=5)
        async with aiohttp.ClientSession(timeout=timeout, auto_decompress=False) as session:
            self._session = session
            tasks = [asyncio.ensure_future(self._send_on()) for _ in range(4)]
            try:
                yield
            finally:
                tasks += self._later
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    def create(self, account: str, sent: Obj) -> Response:
        """A callback that is not verified yet; its address is posted the code."""
        problems = []
        event, uri = str(sent.get("event", "")), str(sent.get("uri", ""))
        if event not in EVENTS and event not in {name.split(".")[0] for name in EVENTS}:
            problems.append("event: Value error, Unrecognized event.")
        if not urlsplit(uri).scheme.startswith("http"):
            problems.append("uri: Input should be a valid URL, relative URL without a base")
        mine = [one for one in self.callbacks.values() if one.account == account]
        if any((one.event, one.uri) == (event, uri) for one in mine):
            problems.append("event: there is a callback for this event and address")
        if problems:
            return told_off(
                422, "The request was well-formed but could not be followed.", *problems
            )
        made = Callback(
            id=7_000 + len(self.callbacks),
            account=account,
            event=event,
            uri=uri,
            code=f"{self.rng.getrandbits(160):040x}",
            at=self.stage.clock.now(),
        )
        self.callbacks[made.id] = made
        self._ask(made)
        return result({"callback": made.shown()})

    def change(self, callback: Callback, sent: Obj) -> Response:
        """The code that was sent back, or a wish to have it posted again."""
        if sent.get("resend"):
            self._ask(callback)
        elif sent.get("verifier") == callback.code:
            callback.verified, callback.at = True, self.stage.clock.now()
        else:
            return told_off(422, "The verifier does not match.", "verifier: wrong")
        return result({"callback": callback.shown()})

    def _ask(self, callback: Callback) -> None:
        fields = {**self._head(callback, "callback.verify", callback.id), "verifier": callback.code}
        self._queue.put_nowait((callback, fields, 0))

    def tell(self, account: str, name: str, key: int) -> None:
        """Plans the first try for an event at every callback that hears it."""
        for callback in [*self.callbacks.values()]:
            if not callback.hears(account, name) or self.mode == "lose":
                continue
            fields = self._head(callback, name, key)
            if self.mode == "hold":
                self._held.append((callback, fields))
            else:
                self._queue.put_nowait((callback, fields, 0))

    def _head(self, callback: Callback, name: str, key: int) -> dict[str, str]:
        return {
            "name": name,
            "object_id": str(key),
            "account_id": callback.account,
            "business_id": str(self.businesses[callback.account]),
            "identity_id": "12345",
            "user_id": "1",
        }

    def set_mode(self, mode: str) -> None:
        """`send`, `hold` or `lose` from now on."""
        if mode not in _MODES:
            raise BadCall(f"mode: {mode!r} is none of {', '.join(_MODES)}")
        self.mode = mode

    def release(self, times: int) -> int:
        """Sends what was held, `times` over; how many."""
        held = self._held * times
        self._held, self.mode = [], "send"
        for callback, fields in held:
            self._queue.put_nowait((callback, fields, 0))
        return len(held)

    def waiting(self) -> int:
        """How many tries are held, queued, put off or under way."""
        return len(self._held) + self._queue.qsize() + len(self._later) + self._sending

    async def _send_on(self) -> None:
        while True:
            callback, fields, tries = await self._queue.get()
            self._sending += 1
            try:
                status = await self._post(callback, fields)
            finally:
                self._sending -= 1
            if status != 200 and tries < len(self.retries):
                task = asyncio.ensure_future(self._again(callback, fields, tries))
                self._later.add(task)
                task.add_done_callback(self._later.discard)

    async def _again(self, callback: Callback, fields: dict[str, str], tries: int) -> None:
        await asyncio.sleep(self.retries[tries])
        self._queue.put_nowait((callback, fields, tries + 1))

    async def _post(self, callback: Callback, fields: dict[str, str]) -> int | None:
        assert self._session is not None
        status = None
        head = {"Content-Type": "application/x-www-form-urlencoded"}
        if "verifier" not in fields:
            head["X-FreshBooks-Hmac-SHA256"] = sign(fields, callback.code)
        try:
            async with self._session.post(
                callback.uri, data=urlencode(fields).encode(), headers=head, allow_redirects=False
            ) as answer:
                status = answer.status
                await answer.read()
        except (aiohttp.ClientError, TimeoutError, OSError):
            pass
        self.stage.journal.write(
            kind="webhook",
            at=self.stage.clock.now(),
            method="POST",
            path=callback.uri,
            what=fields["name"],
            object_id=fields["object_id"],
            status=status,
        )
        return status


def sign(fields: Mapping[str, str], code: str) -> str:
    """The signature of a post with these fields in this order."""
    digest = hmac.new(code.encode(), json.dumps(dict(fields)).encode(), hashlib.sha256).digest()
    return base64.b64encode(digest).decode()

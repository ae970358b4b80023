"""W19: an endpoint is edited, disabled or deleted while deliveries to it are on their way."""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from structlog.testing import capture_logs

from landbridge import webhooks
from landbridge.engine.deliver import Begun, Deliveries
from landbridge.errors import Forged
from landbridge.store.database import Database
from landbridge.store.deliveries import Delivery
from landbridge.store.parcels import Destination, Parcel
from landbridge.vault import LocalKey, Vault, new_key
from tests.engine.outbound import LOCAL, Office
from tests.faults.catching import Catcher, Post, catching
from tests.faults.senders import posting, share
from tests.rows import RowResult, Trial, row
from tests.store.databases import fresh_database, migrated_template, shared_server

MOMENTS = ("waiting", "begun", "overtaken", "posting", "refused", "retrying")
"""Where the delivery is: due; claimed and read; the same, and others are read after the change
before it is posted; posted and not answered (then 200, or 503); waiting for its second try."""

CHANGES = ("moved", "rotated", "narrowed", "disabled", "paused", "deleted")
"""Another URL with headers of its own; another secret at once; types and a filter that want it no
more; disabled; disabled and enabled again; deleted."""

_CASES = len(MOMENTS) * len(CHANGES)
_WHOSE: dict[str, Any] = {"environment": "test", "tenant": "acme"}
_SOON = [timedelta(milliseconds=1)] * 3


@dataclass(kw_only=True)
class _Case:
    """One endpoint with one delivery, and the secret that holds for it."""

    endpoint: str
    event: str
    secret: str
    old: str
    new: str


@row(
    "W19",
    title="endpoint edited, disabled, deleted with deliveries in flight",
    goal="every outcome as documented, none lost; nothing begun later as it was before",
)
async def edited_in_flight(trial: Trial) -> RowResult:
    """Each change at each moment of a delivery. What is posted already ends as it is answered; all
    else goes as the endpoint then is. The control remembers where endpoints are."""
    rounds = trial.size.pick(small=2, medium=40)
    async with AsyncExitStack() as stack:
        server = stack.enter_context(shared_server(secrets.token_hex(4)))
        url = stack.enter_context(fresh_database(server.dsn, migrated_template(server.dsn)))
        db = await Database.open(url, budget=3)
        stack.push_async_callback(db.close)
        catcher = await stack.enter_async_context(catching())
        vault = Vault(db, LocalKey.from_text(new_key()))
        stack.enter_context(capture_logs())  # a row's line is its report
        by: dict[str, Counter[str]] = {}
        for name, number in share(rounds).items():
            sender = await stack.enter_async_context(posting(name, LOCAL))
            office = Office(db=db, vault=vault, sender=sender)
            by[name] = Counter()
            for _ in range(number):
                for moment in MOMENTS:
                    for change in CHANGES:
                        by[name] += await _try(office, catcher, moment, change)
                trial.step(sum(each["tried"] for each in by.values()), rounds * _CASES)
        found = sum(by.values(), Counter[str]())
        sender = await stack.enter_async_context(posting("aiohttp", LOCAL))
        office = Office(db=db, vault=vault, sender=sender)
        office.deliveries = _Remembering(db, vault, sender)
        control: Counter[str] = Counter()
        for change in CHANGES:
            control += await _try(office, catcher, "retrying", change)
    faults = ("lost", "undocumented", "stale", "mixed")
    return RowResult(
        value=", ".join(f"{each['tried']} deliveries by {name}" for name, each in by.items())
        + f", {found['delivered']} delivered,"
        f" {found['abandoned']} abandoned with the reason: "
        + ", ".join(f"{found[each]} {each}" for each in faults)
        + f"; control: {control['stale']} stale",
        holds=not any(found[each] for each in faults)
        and found["tried"] == rounds * _CASES
        and all(each["delivered"] > 0 for each in by.values())
        and control["stale"] > 0,
        detail={"tried": found["tried"], "first": dict(found), "control": dict(control)},
    )


async def _try(office: Office, catcher: Catcher, moment: str, change: str) -> Counter[str]:
    """What became of one delivery, against what is documented for it."""
    case = await _made(office, catcher)
    if moment in ("refused", "retrying"):
        catcher.refuse[case.old].append(503)
    before = await _until(office, catcher, moment, case, lambda: _change(office, change, case))
    delivery = await _ended(office, case)
    posts = catcher.of(case.event)
    later = posts[before:]
    moved = change == "moved"
    old = [each for each in later if moved and each.path == case.old]
    mixed = [
        each for each in posts if (each.headers.get("x-till") == "new") != (each.path == case.new)
    ]
    counts = Counter(
        tried=1,
        stale=len(old) + sum(not _fits(each, case.secret) for each in later),
        mixed=len(mixed),
    )
    counts[delivery.state] += 1
    counts["lost"] += delivery.state in ("waiting", "failing")
    counts["undocumented"] += delivery.state != _documented(moment, change)
    await _removed(office, case)
    return counts


async def _ended(office: Office, case: _Case) -> Delivery:
    """The delivery, once it is over; as it stands after a while if it is not."""
    left = 100
    while True:
        await office.round()
        found = await office.listed(tenant="acme", most=10)
        (delivery,) = [each for each in found if each.event == case.event]
        left -= 1
        if delivery.state in ("delivered", "abandoned") or not left:
            return delivery
        await asyncio.sleep(0.01)


def _documented(moment: str, change: str) -> str:
    """docs/howto/send-webhooks.md, "While deliveries are on their way"."""
    if moment in ("begun", "overtaken", "posting"):
        return "delivered"
    return "abandoned" if change in ("disabled", "deleted") else "delivered"


async def _until(
    office: Office,
    catcher: Catcher,
    moment: str,
    case: _Case,
    change: Callable[[], Awaitable[None]],
) -> int:
    """Takes the delivery to the moment, changes the endpoint, and lets it go on; how many posts of
    it had begun, or were about to, when the endpoint changed."""
    if moment == "waiting":
        await change()
        return 0
    if moment == "retrying":
        await office.round()
        await change()
        return 1
    claims = await office.claim()
    begun = await office.deliveries.begin(claims)
    if moment in ("begun", "overtaken"):
        await change()
        if moment == "overtaken":
            await office.emit({"later": True})
            await office.deliveries.begin(await office.claim(owner="another"))
        await office.settle([await office.deliveries.attempt(each) for each in begun.ready])
        return 1
    catcher.open.clear()
    catcher.arrived.clear()
    posting = asyncio.gather(*(office.deliveries.attempt(each) for each in begun.ready))
    await catcher.arrived.wait()
    await change()
    catcher.open.set()
    await office.settle(await posting)
    return 1


async def _made(office: Office, catcher: Catcher) -> _Case:
    mark = secrets.token_hex(4)
    old, new = f"/old/{mark}", f"/new/{mark}"
    made = await office.endpoints.create(
        **_WHOSE, url=catcher.url(old), schedule=_SOON, headers={"X-Till": "old"}
    )
    event = await office.emit({"mark": mark})
    return _Case(endpoint=made.endpoint.id, event=event, secret=made.secret, old=old, new=new)


async def _change(office: Office, change: str, case: _Case) -> None:
    endpoints, named = office.endpoints, case.endpoint
    match change:
        case "moved":
            url = f"http://127.0.0.1:{_port(await endpoints.get(named, **_WHOSE))}{case.new}"
            await endpoints.update(named, **_WHOSE, url=url, headers={"X-Till": "new"})
        case "rotated":
            case.secret = await endpoints.rotate_secret(named, **_WHOSE, overlap=timedelta())
        case "narrowed":
            await endpoints.update(named, **_WHOSE, types=["nothing.*"], filter={"data.no": 1})
        case "disabled":
            await endpoints.disable(named, **_WHOSE)
        case "paused":
            await endpoints.disable(named, **_WHOSE)
            await endpoints.enable(named, **_WHOSE)
        case "deleted":
            await endpoints.delete(named, **_WHOSE)


def _port(endpoint: Any) -> str:
    found: str = endpoint.url.split(":")[2].split("/")[0]
    return found


def _fits(post: Post, secret: str) -> bool:
    try:
        return bool(webhooks.verify(post.body, dict(post.headers), secret))
    except Forged:
        return False


async def _removed(office: Office, case: _Case) -> None:
    for each in await office.endpoints.list(**_WHOSE):
        await office.endpoints.delete(each.id, **_WHOSE)
    await office.round()


class _Remembering(Deliveries):
    """Goes where an endpoint was when it was first read."""

    def __init__(self, *parts: Any):
        super().__init__(*parts)
        self._first: dict[str, Destination] = {}

    async def begin(self, fresh: Sequence[Parcel]) -> Begun:
        begun = await super().begin(fresh)
        for each in begun.ready:
            each.via.to = self._first.setdefault(each.endpoint, each.via.to)
        return begun

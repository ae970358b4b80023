"""F08: invoices whose answers are lost, that are equal, that come to something else than they say.

Three providers: one with idempotency keys in a header, one with them in the query, one with none,
whose intents are found again by their marker, in a list that shows what is new late.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from random import Random
from typing import Any

import httpx2
import msgspec

from landbridge.client import SignIn
from landbridge.client.signed import Signed
from landbridge.errors import LandbridgeError, OutcomeUnknown, Throttled
from landbridge.models.accounting import Invoice, Line, TaxMode
from landbridge.protocols import write
from landbridge.store import intents
from landbridge.store.database import Tx
from landbridge.wire import Request
from tests.faults.books import KINDS, Books, books
from tests.rows import RowResult, Trial, row
from tests.store.databases import fresh_database, migrated_template, shared_server

_TRIES = 12
_LATER = (
    "UPDATE landbridge.intent SET tried_at = tried_at - interval '10 minutes' WHERE state ="
    " 'waiting'"
)
"""What a list shows late is shown by then."""


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What becomes of a creation: orders to the simulator, or our own process that dies."""

    orders: tuple[Mapping[str, Any], ...] = ()
    dies: bool = False
    hides: bool = False
    """The provider's list shows nothing when the intent is looked for at first."""


FAULTS = {
    "nothing": Fault(),
    "dropped before": Fault(orders=({"kind": "drop"},)),
    "dropped after": Fault(orders=({"kind": "drop", "after": True},)),
    "dropped after, twice": Fault(orders=({"kind": "drop", "after": True, "times": 2},)),
    "503 after": Fault(orders=({"kind": "status", "status": 503, "after": True},)),
    "truncated": Fault(orders=({"kind": "truncate"},)),
    "dropped after, shown late": Fault(orders=({"kind": "drop", "after": True},), hides=True),
    "died after": Fault(dies=True),
}


class _Died(BaseException):
    """The process is gone: nothing of ours runs any more."""


@row(
    "F08",
    title="money written twice or wrong: lost answers, crashes, equal intents, no idempotency keys",
    goal="one object per intent, also of two that are equal; each comes to what the intent says, or"
    " is refused with the numbers; retrying what failed makes more",
)
async def money_writes(trial: Trial) -> RowResult:
    """Each fault at each provider against two equal intents; then invoices of all sorts."""
    found: Counter[str] = Counter()
    with ExitStack() as stack:
        server = stack.enter_context(shared_server(secrets.token_hex(4)))
        template = migrated_template(server.dsn)
        for number, kind in enumerate(KINDS):
            url = stack.enter_context(fresh_database(server.dsn, template))
            async with books(url, kind) as made:
                for fault in FAULTS.values():
                    await _two_equal(made, fault, found)
                await _of_all_sorts(made, trial, found)
                await _retried(made, found)
            trial.step(number + 1, len(KINDS))
    wrong = {name: found[name] for name in ("lost", "twice", "not settled", "amiss", "let through")}
    return RowResult(
        value=f"{found['intents']} intents at {len(KINDS)} providers under {len(FAULTS)} faults,"
        f" {found['amounts']} of all sorts: {found['lost']} lost, {found['twice']} too many,"
        f" {found['not settled']} not settled, {found['amiss']} other sums, {found['refused']}"
        f" refused with the numbers; control: {found['control']} too many",
        holds=not any(wrong.values()) and found["refused"] > 0 and found["control"] > 0,
        detail=dict(found),
    )


async def _two_equal(made: Books, fault: Fault, found: Counter[str]) -> None:
    """Two intents that say the same make two objects, whatever becomes of the first answers."""
    before = set(await _there(made))
    promised = [await _promised(made, made.invoice()) for _ in range(2)]
    for order in fault.orders:
        await made.fail(**order)
    if fault.hides:
        await made.fail("empty", method="GET")
    keys = {await _carried_out(made, name, dies=fault.dies) for name in promised}
    new = set(await _there(made)) - before
    await asyncio.to_thread(made.control.delete, "faults")
    found["intents"] += len(promised)
    found["not settled"] += sum(key is None for key in keys)
    found["lost"] += max(0, len(promised) - len(new))
    found["twice"] += max(0, len(new) - len(promised))
    found["amiss"] += len(new ^ {key for key in keys if key is not None})


async def _there(made: Books) -> dict[str, dict[str, Any]]:
    return await asyncio.to_thread(made.there)


async def _promised(made: Books, document: Invoice) -> str:
    async with made.bridge.transaction() as tx:
        name: str = await made.bridge.push(
            tx, document, to=made.connection, resource=made.kind.invoices
        )
    return name


async def _waited(error: Throttled) -> None:
    """Until there is room again in the quota that was used up."""
    now = datetime.now(UTC)
    await asyncio.sleep(max(0.0, ((error.retry_at or now) - now).total_seconds()))


async def _carried_out(made: Books, name: str, *, dies: bool = False) -> str | None:
    """Runs an intent again and again as workers do, each time as if by a new one; the key of what
    it made. With `dies` the first one is gone when the answer is there."""
    db = made.bridge.db
    pusher = made.bridge._open.pusher

    async def hold(_tx: Tx) -> None:
        if dies:
            raise _Died

    for _ in range(_TRIES):
        intent = await intents.one(db, environment="test", tenant="acme", id=name)
        assert intent is not None
        if intent.state != "waiting":
            return intent.key if intent.state == "done" else None
        try:
            await pusher.run(intent, hold=hold)
        except _Died:
            dies = False
        except OutcomeUnknown as error:
            if error.retry_at is None:
                continue
            async with db.transaction() as tx:
                await tx.execute(_LATER)
        except Throttled as error:
            await _waited(error)
        except LandbridgeError:
            continue
    return None


async def _of_all_sorts(made: Books, trial: Trial, found: Counter[str]) -> None:
    """Invoices with prices, discounts and taxes by chance: what is there is what was said, and one
    that says another sum by a cent is refused before it is sent."""
    rng = Random(trial.seed)
    for _ in range(trial.size.pick(small=6, medium=60)):
        document = _by_chance(made, rng)
        shown = await made.bridge.api(made.connection).preview(document)
        found["amounts"] += 1
        total = shown.totals.total if shown.totals is not None else None
        if total is None:
            key = await _carried_out(made, await _promised(made, document))
            found["not settled"] += key is None
            continue
        said = msgspec.structs.replace(document, total=total)
        key = await _carried_out(made, await _promised(made, said))
        there = (await _there(made)).get(str(key))
        found["not settled"] += key is None
        if there is not None:
            found["amiss"] += made.kind.total(there) * 100 != total
        # More than by a cent where the page leaves open how the provider rounds.
        cents = 10 if "total" in shown.notes else 1
        off = msgspec.structs.replace(document, total=total + rng.choice((-cents, cents)))
        before = set(await _there(made))
        name = await _promised(made, off)
        await _carried_out(made, name)
        intent = await intents.one(made.bridge.db, environment="test", tenant="acme", id=name)
        assert intent is not None
        told = intent.state == "refused" and "total" in (intent.problems or {})
        found["refused" if told else "let through"] += 1
        found["twice"] += len(set(await _there(made)) - before)


def _by_chance(made: Books, rng: Random) -> Invoice:
    page = made.bridge.page(made.connection)
    proved, maps = page.rounding is not None, page.resource(made.kind.invoices).maps
    assert maps is not None
    parts = 100 if proved else 1
    lines = [
        Line(
            description=f"line {place}",
            quantity=Decimal(rng.randint(1, 40 * parts)) / parts,
            unit_price=Decimal(rng.randint(1, 99_999)) / 100,
        )
        for place in range(rng.randint(1, 5))
    ]
    says = proved and "tax_mode" not in maps.constants
    modes = [TaxMode.EXCLUSIVE, TaxMode.INCLUSIVE] if says else [None]
    return made.invoice(*lines, tax_mode=rng.choice(modes))


async def _retried(made: Books, found: Counter[str]) -> None:
    """The control: what fails is sent again, with no key that says that it is the same."""
    bridge, kind = made.bridge, made.kind
    page = bridge.page(made.connection)
    resource = page.resource(kind.invoices)
    assert resource.maps is not None
    changes = resource.maps.write(made.invoice())
    place = bridge._open.pusher._place(page, made.connection)
    before = set(await _there(made))
    await made.fail("status", status=503, after=True)
    signed = bridge.client.signed(page, SignIn(connection=made.connection))
    async with httpx2.AsyncClient(trust_env=False) as http:
        for number in range(2):
            conversation = write(
                page, resource, place, "create", "", changes, None, f"int_{number:026d}"
            )
            asked = next(conversation)
            assert isinstance(asked, Request)
            if (await _sent(http, signed, asked)) < 500:
                break
    found["control"] += max(0, len(set(await _there(made)) - before) - 1)


async def _sent(http: httpx2.AsyncClient, signed: Signed, request: Request) -> int:
    signature = await signed._signature()
    ready = signed._having(request, signature.credentials)
    answer = await http.request(
        ready.method,
        ready.url,
        params=list(ready.query),
        headers=dict(ready.headers),
        content=ready.body,
    )
    return answer.status_code

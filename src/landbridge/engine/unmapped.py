"""Documents that are parked: for a line of a code table, or as they were posted otherwise.

A held document is an intent that is still waiting, and parked with the codes that it lacks. Its
work sleeps until a line is set, unless it is given up; nothing of it was sent. One that was posted
otherwise than was reckoned is done, and parked for a person to look at.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from landbridge.engine.codes import Missing
from landbridge.engine.proof import sentence
from landbridge.errors import InvalidInput, NotFound, UnmappedCode
from landbridge.store import intents, parked
from landbridge.store.database import Database, Tx
from landbridge.store.intents import Intent
from landbridge.store.parked import Parked, Stop


async def hold(db: Database | Tx, intent: Intent, missing: Sequence[Missing]) -> UnmappedCode:
    """Parks the document of an intent; the error that says for which codes it waits."""
    codes = ", ".join(f"{table} {code!r}" for table, code in missing)
    table, code = missing[0]
    reason = (
        f"{intent.resource}: no line in the code tables for {codes}; it is held, and goes out when"
        f" there is one: landbridge codes set {intent.connection} {table} THEIRS={code}"
    )
    await _park(db, intent, reason, field=table, raw=msgspec.json.encode(missing))
    return UnmappedCode(reason, table=table, code=code)


async def note(tx: Tx, intent: Intent, wrong: Mapping[str, str]) -> None:
    """Parks a document that was posted otherwise than was reckoned, for a person to look at."""
    await _park(tx, intent, sentence(wrong), field=next(iter(wrong)), raw=b"[]")


async def _park(db: Database | Tx, intent: Intent, reason: str, *, field: str, raw: bytes) -> None:
    await parked.park(
        db,
        [Stop(key=intent.id, reason=reason, field=field, raw=raw)],
        environment=intent.environment,
        tenant=intent.tenant,
        what="push",
        place=intent.connection,
        resource=intent.resource,
    )


async def retry(db: Database, stopped: Parked) -> None:
    """Has a worker try a held document now. InvalidInput if it was posted already."""
    intent = await intents.one(
        db, environment=stopped.environment, tenant=stopped.tenant, id=stopped.key
    )
    if intent is not None and intent.state == "done":
        raise InvalidInput(
            f"{stopped.id}: it was posted already, as {intent.key}; look at it there, then:"
            f" landbridge parked discard {stopped.id}"
        )
    await intents.wake(
        db,
        environment=stopped.environment,
        tenant=stopped.tenant,
        connections=[stopped.place],
        id=stopped.key,
    )
    await db.notify()


async def give_up(tx: Tx, stopped: Parked) -> Intent:
    """Ends a held document as refused: it is never sent. NotFound if it went out meanwhile,
    InvalidInput while it is tried.

    One that was posted otherwise than was reckoned is only taken off the list.
    """
    intent = await intents.one(
        tx, environment=stopped.environment, tenant=stopped.tenant, id=stopped.key
    )
    if intent is not None and intent.state == "done" and intent.problems:
        await parked.drop(tx, stopped)
        return intent
    if intent is None or intent.state != "waiting":
        raise NotFound(f"{stopped.id}: its document is not held any more")
    if not await intents.cancel(tx, intent):
        raise InvalidInput(f"{stopped.id}: a worker tries it just now; look again in a moment")
    await intents.settle(tx, intent, state="refused", reason="discarded while it was held")
    return intent


async def supersede(tx: Tx, intent: Intent) -> bool:
    """Ends a held document of a link, in favour of what there is now; False: it is not held, or it
    is tried just now."""
    if not await intents.cancel(tx, intent):
        return False
    await intents.settle(tx, intent, state="refused", reason="superseded while it was held")
    return True

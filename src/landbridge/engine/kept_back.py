"""Writes of links that a shadow keeps back: how long, and what becomes of them when it ends.

Such a write is never replayed. The pair that it is for is looked at again once the shadow has
ended, and what there is to write by then is promised anew, under a key of its own; in the same
transaction the kept write is given up. So one of the two goes out, whatever is cut off in between.
"""

from __future__ import annotations

from landbridge.engine.agreed import meet_job
from landbridge.engine.pull import Hold
from landbridge.store import due, intents, links, shadow_calls, shadows
from landbridge.store.database import Database, Tx
from landbridge.store.intents import Intent
from landbridge.store.shadows import Shadow

_BATCH = 500


def end_job(shadow: Shadow) -> due.Job:
    """The work of looking at pairs again whose writes a shadow kept back."""
    return due.Job(
        environment=shadow.environment,
        tenant=shadow.tenant,
        lane="system",
        kind="shadow_end",
        ref=shadow.id,
        key=shadow.id,
    )


async def wake(db: Database, environment: str, shadow: str, *, hold: Hold) -> int:
    """Has every pair looked at whose write this shadow kept back; how many writes those were.

    May be run again: pairs that were looked at by then wait for it no more.
    """
    after, many = "", 0
    while True:
        async with db.transaction() as tx:
            await hold(tx)
            found = await shadow_calls.of_links(
                tx, environment=environment, shadow=shadow, after=after, most=_BATCH
            )
            pairs = {
                name: await links.by_id(tx, environment=environment, tenant=tenant, id=name)
                for _, tenant, name in found
            }
            await due.put(tx, [meet_job(pair) for pair in pairs.values() if pair is not None])
        await db.notify()
        many += len(found)
        if len(found) < _BATCH:
            return many
        after = found[-1][0]


async def holds(tx: Tx, intent: Intent) -> bool:
    """Whether the shadow that keeps the intent's write keeps it back yet."""
    shadow = await shadows.by_id(tx, environment=intent.environment, id=intent.shadow or "")
    return shadow is not None and shadow.holds


async def supersede(tx: Tx, intent: Intent) -> bool:
    """Gives up what was kept of an intent, in favour of what there is now; False: somebody
    discarded it, so that it is never to be sent."""
    taken = await shadow_calls.take_back(
        tx,
        environment=intent.environment,
        tenant=intent.tenant,
        shadow=intent.shadow or "",
        intent=intent.id,
    )
    if not taken:
        return False
    await intents.settle(tx, intent, state="refused", reason="superseded while it was kept back")
    return True

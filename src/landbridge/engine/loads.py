"""Orders of loads beside pulls: what may be asked for, and which generation it is."""

from __future__ import annotations

from datetime import datetime

import msgspec

from landbridge.errors import InvalidInput, NotFound
from landbridge.spec import Provider
from landbridge.store import backfills, syncs
from landbridge.store.backfills import Backfill
from landbridge.store.database import Tx
from landbridge.store.syncs import Stream


def check_range(
    provider: Provider,
    resource: str,
    since: datetime | None,
    until: datetime | None,
    *,
    resume: bool,
) -> None:
    """Nothing, or InvalidInput when the provider cannot be asked for such a range."""
    if since is None and until is None:
        return
    if resume:
        raise InvalidInput("since, until: a load that is resumed keeps its own; leave them away")
    for name, at in (("since", since), ("until", until)):
        if at is not None and at.tzinfo is None:
            raise InvalidInput(
                f"{name}: a moment without a zone; use datetime.now(UTC) or the like"
            )
    if since is not None and until is not None and since >= until:
        raise InvalidInput("since, until: the range ends before it begins")
    if provider.resource(resource).between is None:
        raise InvalidInput(
            f"since, until: {provider.name} cannot be asked for the {resource} records of a range"
            " of time; leave them away to load all"
        )


async def order_load(
    tx: Tx,
    stream: Stream,
    *,
    since: datetime | None,
    until: datetime | None,
    resume: bool,
    at: datetime,
) -> Backfill:
    """Begins a load of the stream, or goes on with the last one that did not come to its end.

    NotFound: there is nothing to go on with. The one under way is left as it is, and given.
    """
    last = await backfills.one(tx, stream)
    if last is not None and last.state == "running":
        return last
    if resume:
        if last is None or last.state == "done":
            raise NotFound(f"resume: no load of {stream.resource} was stopped before its end")
        begun = msgspec.structs.replace(
            last, state="running", reason="", ended_at=None, tries=0, failing_since=None
        )
    else:
        begun = Backfill(
            generation=last.generation + 1 if last else 1, since=since, until=until, began_at=at
        )
        if last is not None and last.cursor and "listing" in last.cursor:
            await syncs.forget_listing(tx, stream, last.cursor["listing"])
    await backfills.begin(tx, stream, begun)
    return begun

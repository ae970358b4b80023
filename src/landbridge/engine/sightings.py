"""How the endpoints of a batch of deliveries fared, from the tries."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from landbridge.engine.health import Seen
from landbridge.store.parcels import Destination, Try

_NOTEWORTHY = 2.0
"""Seconds: who answers sooner, with 2xx, and did so before, is not worth a second look."""


def seen(tries: Sequence[Try]) -> list[Seen]:
    """One sighting of each endpoint that may concern its watch, and of one that just works.

    Tries that were given back, or that failed on our side, say nothing of their endpoint.
    """
    odd = {each.parcel.endpoint for each in tries if each.state is not None and not _plain(each)}
    sightings: dict[str, list[Try]] = {}
    plain: Try | None = None
    for each in tries:
        if each.state is None or each.blameless or each.parcel.to is None:
            continue
        if each.parcel.endpoint in odd:
            sightings.setdefault(each.parcel.endpoint, []).append(each)
        elif each.state == "delivered":
            plain = each
    found = [_sighting(some) for some in sightings.values()]
    return [*found, _sighting([plain])] if plain is not None else found


def _plain(each: Try) -> bool:
    to = each.parcel.to
    return (
        each.state == "delivered"
        and each.took < _NOTEWORTHY
        and to is not None
        and to.failing_since is None
        and not to.opened
        and not to.slow
    )


def _sighting(tries: Sequence[Try]) -> Seen:
    to = tries[0].parcel.to
    assert isinstance(to, Destination)
    failures = [each for each in tries if each.state != "delivered" and _was_posted(each)]
    tooks = [each.took for each in tries if _was_posted(each)]
    return Seen(
        environment=to.environment,
        tenant=to.tenant,
        endpoint=to.id,
        url=to.url,
        delivered=sum(each.state == "delivered" for each in tries),
        failed=len(failures),
        error=failures[-1].error if failures else None,
        failing=to.failing_since is not None or to.opened > 0,
        answered=any(each.status is not None for each in failures),
        gone=any(each.gone for each in tries),
        slow=to.slow,
        median=statistics.median(tooks) if tooks else 0.0,
        longest=max(tooks, default=0.0),
    )


def _was_posted(each: Try) -> bool:
    """Not one that was abandoned without a post, as after its endpoint was disabled."""
    return each.status is not None or each.took > 0

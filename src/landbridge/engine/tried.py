"""What an earlier try of a write may have done, and whether it may be sent again."""

from __future__ import annotations

from collections.abc import Generator

from landbridge.client import Signed
from landbridge.errors import CircuitOpen, ReconnectRequired, Throttled, Unreachable
from landbridge.protocols import Written
from landbridge.resilience import READS
from landbridge.spec import Provider, Resource
from landbridge.store import intents
from landbridge.store.database import Database
from landbridge.store.intents import Intent
from landbridge.wire import Request, Response


def repeatable(provider: Provider, resource: Resource, intent: Intent) -> bool:
    """Whether creating again makes no second object: by a key that the provider remembers still, or
    since we choose its address."""
    assert resource.create is not None
    if not resource.idempotency or not resource.create.keyed:
        return resource.create.method == "PUT"
    kept = provider.idempotency_kept
    return kept is None or intent.tried_at is None or intent.now - intent.tried_at < kept


async def led(
    db: Database,
    signed: Signed,
    conversation: Generator[Request, Response, Written],
    intent: Intent,
) -> Written:
    """What a conversation that writes left at the provider.

    Where it fails with a call that cannot have happened, and none before wrote, the note of this
    try is taken back. An answer that cannot be read is another matter: the call happened.
    """
    wrote = False
    try:
        request = next(conversation)
        while True:
            try:
                response = await signed.send(request)
            except (CircuitOpen, ReconnectRequired, Throttled, Unreachable):
                if not wrote:
                    await intents.forget_try(db, intent)
                raise
            wrote = wrote or not (request.method in READS or request.reads)
            request = conversation.send(response)
    except StopIteration as end:
        written: Written = end.value
        return written

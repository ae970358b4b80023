"""Asks a token's address: calls that carry what they need themselves, each sent once."""

from __future__ import annotations

from collections.abc import Generator
from typing import TypeVar

from landbridge.client.exchange import NO_ANSWER, NOT_SENT, host_of
from landbridge.client.http import Client
from landbridge.errors import OutcomeUnknown, Unreachable
from landbridge.wire import Request, Response

R = TypeVar("R")

_MOST_BODY = 1_000_000


async def ask(client: Client, conversation: Generator[Request, Response, R]) -> R:
    """Leads a conversation about tokens to its end. Nothing is repeated.

    Unreachable: no connection came about, so that nothing happened. OutcomeUnknown: it was sent,
    and no answer came.
    """
    try:
        request = next(conversation)
        while True:
            request = conversation.send(await _once(client, request))
    except StopIteration as end:
        result: R = end.value
        return result


async def _once(client: Client, request: Request) -> Response:
    host = host_of(request)
    try:
        return await client.exchange(request, most=_MOST_BODY)
    except NOT_SENT as error:
        raise Unreachable(
            f"{host} cannot be reached ({type(error).__name__}); it is tried again later"
        ) from None
    except (*NO_ANSWER, Unreachable) as error:
        raise OutcomeUnknown(
            f"{host} did not answer ({type(error).__name__}): what was asked may have happened"
        ) from None

"""Callbacks at a provider that sends events once a posted code came back (`CodeSentBack`)."""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from landbridge.errors import Refused, SpecError
from landbridge.formats import codec
from landbridge.protocols._answers import pluck
from landbridge.protocols._calls import call
from landbridge.protocols.values import Place
from landbridge.resilience import expect
from landbridge.spec import CodeSentBack, Provider, find
from landbridge.wire import Headers, Request, Response


@dataclass(frozen=True, kw_only=True, slots=True)
class Subscribed:
    """What became of one event that the provider was told of."""

    event: str
    state: str
    """`made`: its code is on the way; `there`: it was made before; `refused`."""
    detail: str = ""
    """The provider's reason."""


def subscribe(
    provider: Provider, place: Place, account: str, address: str
) -> Generator[Request, Response, tuple[Subscribed, ...]]:
    """Tells the provider of each event of the page and the address where it is wanted.

    An event that the provider does not take is `refused` with its reason, and the others go on.
    """
    rules = rules_of(provider)
    path = _at(rules.path, account)
    request = call(provider, place, "GET", path, query=[*rules.query.items()])
    response = yield request
    expect(provider, request, response)
    there = pluck(provider, response, rules.records, list[dict[str, Any]]) or []
    known = {find(one, rules.event) for one in there if find(one, rules.address) == address}
    done = []
    for event in events_of(provider):
        if event in known:
            done.append(Subscribed(event=event, state="there"))
            continue
        told = {rules.event: event, rules.address: address}
        request = _sending(provider, place, "POST", path, {rules.envelope: told})
        response = yield request
        try:
            expect(provider, request, response)
        except Refused as error:
            done.append(Subscribed(event=event, state="refused", detail=str(error)))
        else:
            done.append(Subscribed(event=event, state="made"))
    return tuple(done)


def confirm(
    provider: Provider, place: Place, account: str, key: str, code: str
) -> Generator[Request, Response, None]:
    """Sends a code back; Refused if it is not the provider's."""
    rules = rules_of(provider)
    path = f"{_at(rules.path, account)}/{quote(key, safe='')}"
    request = _sending(provider, place, "PUT", path, {rules.envelope: {rules.code: code}})
    response = yield request
    expect(provider, request, response)


def rules_of(provider: Provider) -> CodeSentBack:
    """How the provider makes sure of addresses; SpecError where its page says another way."""
    handshake = provider.webhook.handshake if provider.webhook else None
    if not isinstance(handshake, CodeSentBack):
        raise SpecError(
            f"{provider.name} is not told of addresses by its API: give it the intake address by"
            " hand"
        )
    return handshake


def events_of(provider: Provider) -> Sequence[str]:
    """Every event that a resource of the page hears of, sorted."""
    every = {topic for one in provider.resources for topic in (*one.topics, *one.deletes)}
    return sorted(topic for topic in every if "*" not in topic)


def _at(path: str, account: str) -> str:
    return path.replace("{account}", quote(account, safe=""))


def _sending(
    provider: Provider, place: Place, method: str, path: str, body: Mapping[str, Any]
) -> Request:
    kind, content = codec(provider.body).render(body, None)
    request = call(provider, place, method, path, body=content)
    return request.having(headers=Headers({**request.headers, "Content-Type": kind}))

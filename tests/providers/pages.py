"""What tests of a provider's page share: a conversation that is led, and what a page asks for."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from typing import Any

import msgspec

from landbridge.formats.canonical import canonical
from landbridge.protocols import Page
from landbridge.spec import Mapped, OAuth2, Provider
from landbridge.wire import Request, Response


def answer(value: Any, status: int = 200) -> Response:
    """An answer with this as its JSON."""
    return Response(status=status, body=canonical(value))


def led(
    conversation: Generator[Any, Any, Any],
    answers: Iterable[Any],
    *,
    wrong: Callable[[Request], list[str]],
) -> tuple[list[Request], list[Page], Any]:
    """The requests and pages of a conversation that gets these answers (responses, or their JSON),
    and what it came to. Each request is held against the vendor's document before it is answered:
    `wrong` says what is wrong with it. No answer is left over."""
    made: list[Request] = []
    pages: list[Page] = []
    reply: Response | None = None
    waiting = iter(answers)
    while True:
        try:
            step = conversation.send(reply)
        except StopIteration as end:
            assert next(waiting, None) is None
            return made, pages, end.value
        reply = None
        if isinstance(step, Page):
            pages.append(step)
            continue
        assert wrong(step) == []
        made.append(step)
        given = next(waiting)
        reply = given if isinstance(given, Response) else answer(given)


def mapping(page: Provider, name: str) -> Mapped[Any]:
    """The mapping of a resource that has one."""
    mapped = page.resource(name).maps
    assert mapped is not None
    return mapped


def edited(mapped: Mapped[Any], model: Any, other: Any) -> Any:
    """The model with what another one says wherever that can be written to a record that is there:
    what lasts is not emptied."""
    both = {
        name: getattr(other, name)
        for name, row in mapped.rows.items()
        if row.access == "both" and not (row.lasting and getattr(other, name) is None)
    }
    return msgspec.structs.replace(model, **both)


def asked_scopes(page: Provider) -> set[str]:
    """The scopes that something of the page asks for. Every resource has to ask for one."""
    assert isinstance(page.auth, OAuth2)
    asked = set(page.auth.always)
    for resource in page.resources:
        assert resource.needs, resource.name
        asked |= resource.needs
        for step in (resource.create, resource.update, resource.delete):
            asked |= step.needs if step else set()
    return asked

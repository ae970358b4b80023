"""Whose shadow the present work is under, where the connection alone does not tell."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field


@dataclass(kw_only=True)
class Holding:
    """A handler's shadow or an intent at work; `calls` are the writes that were kept back in it."""

    shadow: str | None = None
    """The shadow to record under, whatever holds the connection; None: what holds it decides."""
    intent: str | None = None
    subject: str | None = None
    calls: list[str] = field(default_factory=list)
    under: str | None = None
    """The shadow that kept them."""


_PRESENT: ContextVar[Holding | None] = ContextVar("landbridge_holding", default=None)


def present() -> Holding | None:
    """What was entered last, in this task."""
    return _PRESENT.get()


@contextmanager
def holding(what: Holding) -> Iterator[Holding]:
    """Makes `what` present for the work inside."""
    token = _PRESENT.set(what)
    try:
        yield what
    finally:
        _PRESENT.reset(token)

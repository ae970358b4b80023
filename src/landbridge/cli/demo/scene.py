"""What every step of a demonstration is given."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from landbridge.cli.demo.children import Children
from landbridge.cli.demo.inside import Inside
from landbridge.cli.demo.outside import Outside
from landbridge.cli.demo.plants import Plant
from landbridge.cli.demo.screen import Screen
from landbridge.cli.demo.size import Size
from landbridge.store.connections import Connection


@dataclass(frozen=True, kw_only=True)
class Scene:
    """Both sides, running, and how the demonstration was asked for."""

    children: Children
    screen: Screen
    size: Size
    plants: frozenset[Plant]
    ours: Inside
    theirs: Outside


@dataclass(frozen=True, kw_only=True)
class Connected:
    """Both connections."""

    stripe: Connection
    calendar: Connection


@dataclass(frozen=True, kw_only=True)
class Before:
    """Keys of what there was on the other sides when everything had been pulled."""

    stripe: Mapping[str, AbstractSet[str]]
    calendar: AbstractSet[str]

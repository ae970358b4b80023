"""What a provider's refusal is about, in our words."""

from __future__ import annotations

import re
from collections.abc import Mapping

from landbridge.spec import Resource

_PLACE = re.compile(r"\[\d+\]")


def named(resource: Resource, problems: Mapping[str, str]) -> dict[str, str]:
    """The problems of a refusal by our fields: `customerid` is `contact`, `lines[0].name` is
    `lines[0].item`. A name that no row writes is kept as the provider has it."""
    return {_ours(resource, name): sentence for name, sentence in problems.items()}


def _ours(resource: Resource, name: str) -> str:
    if resource.maps is None:
        return name
    places, bare = _PLACE.findall(name), _PLACE.sub("[]", name)
    found = {line.ours for line in resource.maps.fields if bare in _spoken(line.theirs)}
    if len(found) != 1:
        return name
    ours = found.pop()
    for place in places:
        ours = ours.replace("[]", place, 1)
    return ours


def _spoken(path: str) -> list[str]:
    """What a provider may call the place: the path to it, or without the id in a reference."""
    every = path.split(", ")
    return [*every, *(each.removesuffix(".value") for each in every)]

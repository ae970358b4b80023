"""The paths of calls as templates, so that the call log has no ids of records in it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import unquote

from landbridge.spec import Format, Provider, Resource

_ID = re.compile(r".*[0-9@%].*|.{25,}")
_VERSION = re.compile(r"v[0-9][0-9.]*")
HOLE = "{id}"


@dataclass(slots=True)
class _Node:
    """What may follow in a path; `resource` has its records here, `person`: each is one."""

    below: dict[str, _Node] = field(default_factory=dict)
    person: bool = False


class Paths:
    """The path templates of one page."""

    __slots__ = ("_all", "_top", "provider")

    def __init__(self, provider: Provider):
        self.provider = provider
        self._top = _Node()
        # In calendars' paths stand the names of people.
        self._all = any(one.format is not Format.JSON for one in provider.resources)
        for resource in provider.resources:
            for template in _templates(resource):
                self._add(template, resource)

    def template(self, url: str, base: str = "") -> tuple[str, str | None]:
        """The URL's path with ids as `{id}`, and the person's id where the record is a person.

        A word that the page has at this place is kept; others are ids if they have digits or are
        long.
        """
        if not base or not url.startswith(base):
            base = "/".join(url.split("/", 3)[:3])
        path = url[len(base) :].partition("?")[0]
        node: _Node | None = self._top
        person: str | None = None
        words = path.split("/")
        for place, word in enumerate(words):
            if not word:
                continue
            following = node.below.get(word) if node is not None else None
            if following is None and node is not None and HOLE in node.below:
                following = node.below[HOLE]
                words[place] = HOLE
                if following.person:
                    person = unquote(word)
            elif following is None and (self._all or _is_id(word)):
                words[place] = HOLE
            node = following
        return "/".join(words) or "/", person

    def _add(self, template: str, resource: Resource) -> None:
        node = self._top
        for word in template.partition("?")[0].split("/"):
            if word:
                key = HOLE if "{" in word else word
                node = node.below.setdefault(key, _Node())
                if key == HOLE and resource.subject == resource.key:
                    node.person = True


def _is_id(word: str) -> bool:
    return bool(_ID.fullmatch(word)) and not _VERSION.fullmatch(word)


def _templates(resource: Resource) -> list[str]:
    writes = (resource.create, resource.update, resource.delete)
    found = [resource.path, resource.one, *(each.at for each in resource.continued)]
    return [each for each in (*found, *(write.path for write in writes if write)) if each]

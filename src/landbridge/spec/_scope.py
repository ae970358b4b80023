"""What a mapping can lean on beside the record: the tenant's tables, and the record around it."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from landbridge.spec._paths import within

__all__ = [
    "Context",
]


@dataclass(frozen=True, kw_only=True)
class Context:
    """A tenant's own tables, each from the provider's word to ours.

    `codes` holds code tables by name (`{"accounts": {"200": "sales"}}`), `links` the link table by
    resource (`{"customer": {"cus_9": "c-17"}}`). A table that is left out changes nothing: codes
    and ids are then the provider's own. When several of theirs lead to one of ours, the first is
    written back. `own` holds our words of code tables that may be missing: none of them is ever
    written as a code of the provider's.
    """

    codes: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    links: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    own: Mapping[str, Collection[str]] = field(default_factory=dict)

    @cached_property
    def codes_back(self) -> Mapping[str, Mapping[str, str]]:
        """The code tables from our word to the provider's."""
        return {table: _turned(pairs) for table, pairs in self.codes.items()}

    @cached_property
    def links_back(self) -> Mapping[str, Mapping[str, str]]:
        """The link table from our id to the provider's."""
        return {resource: _turned(pairs) for resource, pairs in self.links.items()}


def _turned(pairs: Mapping[str, str]) -> dict[str, str]:
    back: dict[str, str] = {}
    for theirs, ours in pairs.items():
        back.setdefault(ours, theirs)
    return back


class Scope:
    """One reading or writing: the outermost record, the tenant's tables, the amounts' currencies.

    `codes` is for writing: the outermost model's currencies by the provider's path.
    """

    __slots__ = ("around", "codes", "context")

    def __init__(self, around: Any, context: Context, codes: Mapping[str, Any] | None = None):
        self.around = around
        self.context = context
        self.codes = codes or {}


class Fault(Exception):  # never leaves this package: a mapping turns it into an error
    """What is wrong with one value; each level on the way out adds where it is."""

    def __init__(self, reason: str, *, theirs: str | None = None):
        super().__init__(reason)
        self.reason = reason
        """A sentence in which `{path}` stands for the provider's path."""
        self.ours = ""
        self.theirs = theirs

    def in_field(self, name: str, path: str) -> "Fault":
        """The same fault, as the mapping sees it whose field `name` it is."""
        joint = "" if not self.ours or self.ours.startswith("[") else "."
        self.ours = f"{name}{joint}{self.ours}"
        if self.theirs is None:
            self.theirs = path
        return self

    def in_part(self, path: str, position: int | None = None) -> "Fault":
        """The same fault, as the row sees it that reads a part at `path`."""
        if position is not None:
            joint = "." if self.ours else ""
            self.ours = f"[{position}]{joint}{self.ours}"
            path = f"{path}[{position}]"
        self.theirs = within(path, self.theirs or "")
        return self

    def sentence(self) -> str:
        """The reason with the provider's path in its place."""
        return self.reason.replace("{path}", self.theirs or "the record")


def shape(value: object) -> str:
    """What a value is, without saying what it holds."""
    names: Mapping[type, str] = {
        str: "text",
        bool: "true or false",
        int: "a number",
        list: "a list",
        dict: "an object",
        type(None): "nothing",
    }
    return names.get(type(value), "a number" if type(value).__name__ == "Decimal" else "something")

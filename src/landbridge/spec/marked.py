"""How what an intent made is found again."""

from collections.abc import Mapping
from dataclasses import field
from datetime import timedelta

from landbridge.errors import SpecError
from landbridge.spec._check import Template, fact

__all__ = ["Marked"]


@fact
class Marked:
    """How the list finds the record that an intent made, where the marker says so.

    `query` are its parameters: `{intent}` in a value is the intent's id, `{day}` the day before it
    was made (UTC). A list by numbers is read page by page until the marker shows; where it does not
    take the parameters, all of it is. `within` is how late the list may show a new record; until
    then a record that is not there may exist all the same. Only a creation carries the marker.
    """

    query: Mapping[str, str] = field(default_factory=dict)
    within: timedelta = timedelta()
    path: Template = ""
    """Where it is searched for, by POST of `body`; empty: in the list."""
    body: Mapping[str, str] = field(default_factory=dict)
    """What the search asks for; `{intent}` in a value is the intent's id."""

    def __post_init__(self) -> None:
        """Refuses a query that finds everything."""
        holes_told = ("{intent}", "{day}")
        asked = (*self.query.values(), *self.body.values())
        if not any(hole in value for value in asked for hole in holes_told):
            raise SpecError("Marked, query: no value has the hole {intent} or {day}")
        if bool(self.path) != bool(self.body):
            raise SpecError("Marked, path and body: a search needs both")

"""How a list is read to its end, page by page."""

import re

from landbridge.errors import SpecError
from landbridge.spec._check import Path, Template, fact

__all__ = [
    "Across",
    "AfterLast",
    "NextCursor",
    "OnePage",
    "PageNumber",
    "Paging",
    "Statement",
]


@fact
class AfterLast:
    """Pages by the last id seen: `param=<last key>` until `more` is false (Stripe)."""

    param: str
    more: Path
    size_param: str = "limit"
    size: int = 100


@fact
class PageNumber:
    """Pages by number, from 1 to the count that each answer names (Xero, FreshBooks).

    A record that leaves a page which was read pulls the others forward. None is lost by that: each
    page is asked for in such a size (`size` at most, half of it at least) that it overlaps the one
    before. Without a `size_param` every page is read twice, and new records have to come last.
    """

    param: str = "page"
    count: Path
    """Path to the number of pages in an answer."""
    size_param: str = ""
    size: int = 100


@fact
class Statement:
    """Pages of a statement in the provider's query language, each from a row's place on.

    `text` has two holes: `{start}` is the place of the first row that is wanted, `{size}` how many
    rows: `select * from Invoice orderby Id startposition {start} maxresults {size}`. The statement
    has to put the rows in an order that no change moves. Pages overlap, so that a row that is
    deleted meanwhile costs no other one; the list ends with a page that shows nothing new.
    """

    param: str
    """The query parameter that carries the statement."""
    text: str
    first: int = 1
    """The place of the first row."""
    size: int = 1000

    def __post_init__(self) -> None:
        """Refuses a statement that always brings the same rows."""
        holes = sorted(re.findall(r"\{(\w*)\}", self.text))
        if holes != ["size", "start"]:
            raise SpecError(
                f"Statement, text: {self.text!r} needs the holes {{start}} and {{size}}, no other"
            )
        if self.size < 2 or self.first < 0:
            raise SpecError("Statement, size and first: pages of two rows at least, from 0 or 1 on")


@fact
class OnePage:
    """The whole collection comes in one answer."""


@fact
class NextCursor:
    """Pages by a token that each answer names for the next one; an answer without one is the last.

    A page may be short, or empty, and not be the last. A token that is too old is not taken any
    more: the list is then begun anew.
    """

    param: str = "cursor"
    next: Path = "cursor"
    """Path to the token in an answer; with `rel`, to its list of links."""
    rel: str = ""
    """The `rel` of the link to the next page, whose address has the token in the parameter `param`;
    empty: the token stands by itself."""
    size_param: str = ""
    size: int = 100
    posts: bool = False
    """Whether the list is asked for by POST. Then parameters (of the page, the resource and
    `since`) are paths into a JSON body; `[]` behind one makes a list of its value, and the words
    `true` and `false` are flags."""


@fact
class Across:
    """There is a list for each item of another list (Square's locations); all are read, in turn."""

    path: Template
    """Where those items are listed, on one page."""
    records: Path
    """Path to them in the answer."""
    param: str
    """The parameter that says which list is meant."""
    key: Path = "id"
    """Path in an item to the value of that parameter."""


Paging = AfterLast | PageNumber | Statement | NextCursor | OnePage

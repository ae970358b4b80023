"""How a list is read to its end, page by page."""

from landbridge.spec._check import Path, fact

__all__ = ["AfterLast", "OnePage", "PageNumber", "Paging"]


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
class OnePage:
    """The whole collection comes in one answer."""


Paging = AfterLast | PageNumber | OnePage

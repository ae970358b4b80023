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

    A record that leaves a page while the list is read pulls the others forward, and one of them is
    then met by no page: list in an order that changes do not touch, such as that of the ids.
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

"""How a list is read to its end, page by page."""

from landbridge.spec._check import Path, fact

__all__ = ["AfterLast", "OnePage", "Paging"]


@fact
class AfterLast:
    """Pages by the last id seen: `param=<last key>` until `more` is false (Stripe)."""

    param: str
    more: Path
    size_param: str = "limit"
    size: int = 100


@fact
class OnePage:
    """The whole collection comes in one answer."""


Paging = AfterLast | OnePage

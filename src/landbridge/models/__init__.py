"""Unified models, one module a domain: `from landbridge.models.payments import Invoice`.

Two domains may use the same word for different things (`payments.Invoice` is what a payment
service collects, `accounting.Invoice` what the books hold); a model's `kind` tells them apart.
"""

from collections.abc import Mapping

from landbridge.errors import NotFound, did_you_mean
from landbridge.models import accounting, calendar, custom, payments
from landbridge.models._json import checked, read_json, write_json
from landbridge.models.base import Address, Model, Part

KINDS: Mapping[str, type[Model]] = {
    model.kind: model
    for module in (payments, accounting, calendar, custom)
    for model in vars(module).values()
    if isinstance(model, type) and issubclass(model, Model) and model.kind
}
"""Every model by its kind."""


def model_of(kind: str) -> type[Model]:
    """The model of a kind such as `payments.invoice`; `NotFound` says which there are."""
    try:
        return KINDS[kind]
    except KeyError:
        raise NotFound(
            f"{kind!r} is no kind of model.{did_you_mean(kind, KINDS)}"
            f" There are: {', '.join(KINDS)}."
        ) from None


__all__ = [
    "KINDS",
    "Address",
    "Model",
    "Part",
    "accounting",
    "calendar",
    "checked",
    "custom",
    "model_of",
    "payments",
    "read_json",
    "write_json",
]

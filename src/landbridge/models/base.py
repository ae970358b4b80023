"""What all unified models share: frozen values with an id, a kind and custom fields."""

from typing import Any, ClassVar

import msgspec


class Part(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """A value inside a model, such as a line or an address; it has no life of its own."""


class Model(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """One unified record. What the provider sent is kept beside it in the store, untouched.

    Two models are equal when all their fields are; `msgspec.structs.replace` makes a changed copy.
    """

    kind: ClassVar[str] = ""
    """The model's name in the store and in feeds, such as `payments.invoice`."""

    id: str | None = None
    """The provider's id of the record; None: it has not been created there yet."""
    extra: dict[str, Any] = {}
    """The tenant's custom fields: JSON values by name."""


class Address(Part, frozen=True, kw_only=True):
    """A postal address, as the provider splits it."""

    line1: str | None = None
    """Street and number, or a post box."""
    line2: str | None = None
    """Floor, building, care of."""
    city: str | None = None
    """City, town or village."""
    region: str | None = None
    """State, province or county."""
    postal_code: str | None = None
    """ZIP or postal code, as text: leading zeros count."""
    country: str | None = None
    """ISO 3166-1 code of two letters where the provider has one, else its word."""

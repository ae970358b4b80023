"""Amounts of money: totals are whole minor units, prices and rates are decimals.

The number of decimals of a currency is ISO 4217's, except where a provider's page says otherwise
(Stripe sends ISK and UGX as if they had two). Nothing here rounds silently: an amount that does
not fit the currency's decimals is refused unless the caller names the rounding.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from landbridge.errors import InvalidInput

_NONE = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF".split()
_THREE = "BHD IQD JOD KWD LYD OMR TND".split()
_FOUR = "CLF UYW".split()
EXPONENTS: Mapping[str, int] = {
    **dict.fromkeys(_NONE, 0),
    **dict.fromkeys(_THREE, 3),
    **dict.fromkeys(_FOUR, 4),
}
"""Decimals of the currencies that have not two (ISO 4217, list one)."""


def exponent(currency: str, exceptions: Mapping[str, int] | None = None) -> int:
    """How many decimals a currency has: 2 for EUR, 0 for JPY, 3 for KWD."""
    code = currency.upper()
    if len(code) != 3 or not code.isascii() or not code.isalpha():
        raise InvalidInput(f"currency: {currency!r} is not a three-letter ISO 4217 code like EUR")
    if exceptions and code in exceptions:
        return exceptions[code]
    return EXPONENTS.get(code, 2)


def to_minor(
    amount: Decimal | str | int,
    currency: str,
    exceptions: Mapping[str, int] | None = None,
    rounding: str | None = None,
) -> int:
    """Minor units of an amount in major units: 12.30 EUR is 1230.

    An amount with more decimals than the currency has is refused with `InvalidInput`, unless
    `rounding` names a rule of the `decimal` module.
    """
    digits = exponent(currency, exceptions)
    try:
        scaled = Decimal(amount).scaleb(digits)
        if not scaled.is_finite():
            raise InvalidOperation
        whole = scaled.to_integral_value(rounding=rounding)
    except InvalidOperation:
        raise InvalidInput(f"amount: {amount!r} is not a decimal number like 12.30") from None
    if rounding is None and whole != scaled:
        raise InvalidInput(
            f"amount: {amount} has more than the {digits} decimals of {currency.upper()};"
            " round it first"
        )
    return int(whole)


def from_minor(minor: int, currency: str, exceptions: Mapping[str, int] | None = None) -> Decimal:
    """The amount in major units, with exactly the currency's decimals: 1230 EUR is 12.30."""
    return Decimal(minor).scaleb(-exponent(currency, exceptions))


@dataclass(frozen=True, kw_only=True, slots=True)
class Money:
    """A whole number of minor units and its currency, for showing to people."""

    minor: int
    currency: str

    def __str__(self) -> str:
        return f"{from_minor(self.minor, self.currency)} {self.currency.upper()}"

"""Rows for money: whole minor units and exact prices, whatever form the provider gives them.

`currency` is the path of the amount's currency, from the record or part that the row is in, or
from the outermost record when `^` stands before it; `^` alone is the `currency` of the outermost
model, where its record does not hold it. `beside` is where that code goes along whenever
the amount is written; it is not read. `exponents` lists the currencies for which the provider
leaves ISO 4217's number of decimals; models always hold ISO 4217's. Nothing of no currency is
nothing; any other amount without a currency is a `RecordError`.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from landbridge.errors import InvalidInput, SpecError
from landbridge.money import exponent, from_minor, to_minor
from landbridge.spec._paths import check_path, getter
from landbridge.spec._scope import Fault, Scope, shape
from landbridge.spec.rows import Access, Row, as_decimal, plain, scalar

__all__ = [
    "added",
    "currency",
    "hundredths",
    "major",
    "major_price",
    "minor",
    "minor_price",
    "minor_priced",
    "negated",
    "priced",
    "signed",
    "times",
]

_NOTHING: Mapping[str, int] = {}


def currency(path: str, *, lower: bool = False) -> Row:
    """An ISO 4217 code, upper-case on our side; `lower` where the provider writes `eur`.

    An empty text is nothing.
    """
    return scalar("currency", path, (str,), _currency, str.lower if lower else None)


def minor(path: str, *, currency: str, exponents: Mapping[str, int] = _NOTHING) -> Row:
    """An amount that the provider sends in whole minor units."""

    def into(found: Any, code: str) -> int:
        if type(found) is not int:
            raise Fault(f"expected whole minor units at {{path}}, found {shape(found)}")
        if code.upper() not in exponents:
            return found
        return to_minor(from_minor(found, code, exponents), code)

    def back(ours: int, code: str) -> int:
        return to_minor(from_minor(ours, code), code, exponents) if code in exponents else ours

    return _amount("minor", path, int, currency, into, back)


def major(
    path: str,
    *,
    currency: str,
    as_text: bool = False,
    exponents: Mapping[str, int] = _NOTHING,
) -> Row:
    """An amount that the provider sends as a decimal in major units (12.30).

    With more or fewer decimals than ISO 4217's it is read all the same; `exponents` says how many
    the provider takes when it is written, and an amount that needs more is a `RecordError`.
    """

    def into(found: Any, code: str) -> int:
        return to_minor(as_decimal(found), code)

    def back(ours: int, code: str) -> Decimal | str:
        amount = from_minor(ours, code)
        if code in exponents:
            digits = exponents[code]
            amount = Decimal(to_minor(amount, code, exponents)).scaleb(-digits)
        return plain(amount) if as_text else amount

    return _amount("major", path, int, currency, into, back)


def major_price(path: str, *, currency: str) -> Row:
    """A price that the provider sends as a decimal in major units, as text (`0.125`)."""

    def into(found: Any, _code: str) -> Decimal:
        return as_decimal(found)

    def back(ours: Decimal, _code: str) -> str:
        return plain(ours)

    return _amount("major_price", path, Decimal, currency, into, back)


def times(path: str, by: str, *, currency: str) -> Row:
    """An amount that the provider does not tell: the price at `path` by the number at `by`.

    Half a minor unit is rounded away from zero. Read only.
    """
    problem = check_path(by)
    if problem:
        raise SpecError(f"times({path!r}): by: {problem}")
    price = major_price(path, currency=currency)
    number, currency_at = getter(by), getter(currency.removeprefix("^"))

    def read(record: Any, scope: Scope) -> Any:
        each, count = price.read(record, scope), number(record)
        if each is None or count is None:
            return None
        code = currency_at(scope.around if currency.startswith("^") else record)
        whole = each * as_decimal(count)
        return to_minor(whole, code, rounding=ROUND_HALF_UP) if whole else 0

    return replace(
        price,
        word="times",
        path="",
        paths=(path, by),
        ours=(int,),
        read=read,
        write=None,
        access=Access.READ,
    )


def negated(row: Row) -> Row:
    """An amount whose sign is the other way round at the provider; read only."""

    def read(record: Any, scope: Scope) -> Any:
        found = row.read(record, scope)
        return None if found is None else -found

    return replace(row, word="negated", read=read, write=None, access=Access.READ)


def added(*rows: Row) -> Row:
    """The sum of amounts of one currency; nothing where the first is nothing. Read only."""
    if not rows:
        raise SpecError("added(): name at least one amount")

    def read(record: Any, scope: Scope) -> Any:
        found = [row.read(record, scope) for row in rows]
        return None if found[0] is None else sum(each or 0 for each in found)

    paths = tuple(path for row in rows for path in row.paths or (row.path,))
    return replace(
        rows[0], word="added", path="", paths=paths, read=read, write=None, access=Access.READ
    )


def hundredths(path: str) -> Row:
    """An amount in major units of a currency that the record does not name, as hundredths of it."""

    def into(found: Any) -> int:
        cents = as_decimal(found).scaleb(2)
        if cents != int(cents):
            raise Fault("more than two decimals at {path}")
        return int(cents)

    return scalar("hundredths", path, (int,), into, lambda ours: Decimal(ours).scaleb(-2))


def minor_price(path: str, *, currency: str, exponents: Mapping[str, int] = _NOTHING) -> Row:
    """A price that the provider sends as a decimal in minor units, as text (`12.5` cents)."""

    def into(found: Any, code: str) -> Decimal:
        return as_decimal(found).scaleb(-exponent(code, exponents))

    def back(ours: Decimal, code: str) -> str:
        return plain(ours.scaleb(exponent(code, exponents)))

    return _amount("minor_price", path, Decimal, currency, into, back)


def priced(
    path: str,
    *,
    currency: str,
    value: str = "amount",
    code: str = "code",
    exponents: Mapping[str, int] | None = None,
    lower: bool = False,
) -> Row:
    """A price in an object with its currency: `{"amount": "9.50", "code": "CAD"}`.

    Written as it is read; without the currency where the model around it has none. `value` and
    `code` are the provider's names of the two. It is in major units, or with `exponents` in minor
    ones as `minor_price`. `lower` where the provider writes `cad`.
    """
    inner = f"{path}.{value}"
    place = currency.removeprefix("^")
    problem = check_path(place)
    if problem:
        raise SpecError(f"priced({path!r}): currency: {problem}")
    row = scalar("priced", path, (Decimal,), as_decimal)
    price = major_price(inner, currency=currency)
    if exponents is not None:
        price = minor_price(inner, currency=currency, exponents=exponents)

    def back(ours: Any, told: Any, scope: Scope) -> Any:
        if ours is None:
            return {value: None}
        if exponents is None and type(told) is not str:
            return {value: plain(ours)}
        assert price.write is not None
        amount = price.write(ours, told, scope)
        return {value: amount, code: told.lower() if lower else told}

    read = (
        price.read
        if exponents is not None
        else scalar("priced", inner, (Decimal,), as_decimal).read
    )
    paths = (inner, f"{path}.{code}")
    return replace(row, read=read, write=back, currency=currency, paths=paths)


def minor_priced(path: str, *, currency: str, value: str = "amount", code: str = "currency") -> Row:
    """A price in whole minor units, in an object with its currency:
    `{"amount": 950, "currency": "CAD"}`.

    Read by that currency, written by the model's; a price of more decimals than the currency has is
    a `RecordError`. `value` and `code` are the provider's names of the two.
    """
    inner, told_at = f"{path}.{value}", f"{path}.{code}"

    def into(found: Any, told: str) -> Decimal:
        if type(found) is not int:
            raise Fault(f"expected whole minor units at {{path}}, found {shape(found)}")
        return from_minor(found, told)

    row = _amount("minor_priced", inner, Decimal, told_at, into, to_minor)
    back = row.write
    assert back is not None

    def write(price: Any, told: Any, scope: Scope) -> Any:
        return {value: back(price, told, scope), code: None if price is None else told}

    problem = "" if currency == "^" else check_path(currency.removeprefix("^"))
    if problem:
        raise SpecError(f"minor_priced({path!r}): currency: {problem}")
    return replace(row, path=path, write=write, currency=currency, paths=(inner, told_at))


def signed(amount: Row, *, by: str, plus: str, minus: str) -> Row:
    """An amount that the provider sends without a sign, and a word at `by` that says which.

    `signed(major("Amount", currency="^Currency"), by="PostingType", plus="Debit", minus="Credit")`.
    """
    word = scalar("signed", by, (str,), _unused)

    def read(record: Any, scope: Scope) -> Any:
        found = amount.read(record, scope)
        told = None if found is None else word.read(record, scope)
        if found is not None and told not in (plus, minus):
            raise Fault(f"{{path}} has no sign: neither {plus} nor {minus} at {by}")
        return -found if told == minus and found else found

    def write(value: Any, code: Any, scope: Scope) -> Any:
        assert amount.write is not None
        size = None if value is None else amount.write(abs(value), code, scope)
        return {amount.path: size, by: None if value is None else minus if value < 0 else plus}

    paths = (amount.path, by)
    return replace(amount, word="signed", path="", paths=paths, read=read, write=write)


def _amount(
    word: str,
    path: str,
    ours: type,
    currency: str,
    into: Callable[[Any, str], Any],
    back: Callable[[Any, str], Any],
) -> Row:
    place = currency.removeprefix("^")
    problem = "" if currency == "^" else check_path(place)
    if problem:
        raise SpecError(f"{word}({path!r}): currency: {problem}")
    outermost = currency.startswith("^")
    amount_at, currency_at = getter(path), getter(place)

    def read(record: Any, scope: Scope) -> Any:
        found = amount_at(record)
        if found is None:
            return None
        code = currency_at(scope.around if outermost else record)
        if type(code) is str:
            return _converted(into, found, code)
        if found == 0:
            return ours(0)
        raise Fault(f"an amount at {{path}} without a currency at {place}")

    def write(value: Any, code: Any, _scope: Scope) -> Any:
        if value is None:
            return None
        if type(code) is str:
            return _converted(back, value, code)
        raise Fault("an amount without a currency: set the currency too")

    row = scalar(word, path, (ours,), _unused)
    return replace(row, read=read, write=write, currency=currency)


def _converted(convert: Callable[[Any, str], Any], value: Any, code: str) -> Any:
    try:
        return convert(value, code)
    except InvalidInput as error:
        raise Fault(f"{{path}}: {error}") from None


def _unused(found: Any) -> Any:
    return found


def _currency(found: Any) -> str | None:
    if found == "":
        return None
    if type(found) is str and len(found) == 3 and found.isascii() and found.isalpha():
        return found.upper()
    raise Fault(f"expected a currency code like EUR at {{path}}, found {shape(found)}")

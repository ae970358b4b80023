"""Parts of two kinds in one list: each is read, written and refused as what it is."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from landbridge.errors import RecordError, SpecError
from landbridge.models.accounting import Expense, Line
from landbridge.spec import (
    Mapped,
    constant,
    currency,
    date,
    decimal,
    many,
    map_either,
    map_to,
    text,
)

ITEM = map_to(Line, item=text("Item.Ref"), quantity=decimal("Item.Qty"))
ACCOUNT = map_to(Line, account=text("Account.Ref"), description=text("Account.Text"))
EITHER = map_either("Type", by="item", given={"I": ITEM}, otherwise={"A": ACCOUNT})
MAPS: Mapped[Expense] = map_to(
    Expense,
    currency=currency("Currency"),
    spent_on=date("Date"),
    lines=many("Lines", EITHER, where={"Type": ["A", "I"]}),
)
HEAD: dict[str, Any] = {"Currency": "USD", "Date": "2026-11-27"}


def test_each_part_is_read_and_written_as_its_kind() -> None:
    item = {"Type": "I", "Item": {"Ref": "7", "Qty": 2}}
    account = {"Type": "A", "Account": {"Ref": "600", "Text": "taxi"}}
    ours = MAPS.read({**HEAD, "Lines": [item, {"Type": "Sum"}, account]})
    assert ours.lines == (
        Line(item="7", quantity=Decimal(2)),
        Line(account="600", description="taxi"),
    )
    sent = MAPS.write(ours)["Lines"]
    assert sent == [{**item, "Item": {"Ref": "7", "Qty": Decimal(2)}}, account]
    # What a kind has no place for is not sent, and not said to be.
    both = Line(item="7", description="of the item")
    assert EITHER.chosen(both).sent == {"item", "quantity"}
    assert EITHER.chosen(Line(quantity=Decimal(2))).sent == {"account", "description"}
    paths = {"Type", "Item.Ref", "Item.Qty", "Account.Ref", "Account.Text"}
    assert set(EITHER.owned_paths) == set(EITHER.written) == paths


def test_another_word_parks_the_record_and_a_wrong_table_is_refused() -> None:
    maps = map_to(
        Expense, currency=currency("Currency"), spent_on=date("Date"), lines=many("Lines", EITHER)
    )
    with pytest.raises(RecordError, match="the word at Type is none of I, A"):
        maps.read({**HEAD, "Lines": [{"Type": "Sum"}]})
    other: Mapped[Any] = map_to(Expense, currency=constant("USD"), spent_on=date("Date"))
    for given, otherwise, by, told in [
        ({"I": ITEM}, {"I": ACCOUNT}, "item", "two words and one model"),
        ({"I": ITEM}, {"A": other}, "item", "two words and one model"),
        ({"I": ITEM, "J": ITEM}, {"A": ACCOUNT}, "item", "name one word each"),
        ({"I": ITEM}, {"A": ACCOUNT}, "account", "no row for 'account'"),
    ]:
        with pytest.raises(SpecError, match=told):
            map_either("Type", by=by, given=given, otherwise=otherwise)

"""What a tenant added to a page: checked like the page, read and written with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import pytest

from landbridge.errors import NotFound, RecordError, SpecError, UnmappedCode
from landbridge.models import Model, read_json, write_json
from landbridge.models.custom import CustomRecord
from landbridge.providers import get
from landbridge.spec import CUSTOM_WORDS, CustomField, CustomObject, Mapped, Provider, overlaid

RECORD: Mapping[str, Any] = {
    "id": "cus_1",
    "created": 1_700_000_000,
    "email": "a@b.example",
    "metadata": {"colour": "red"},
    "invoice_settings": {"footer": "Thanks"},
    "sheet": {
        "text": "a", "texts": ["a", "b"], "integer": 7, "decimal": "1.50", "flag": True,
        "date": "2026-11-22", "instant": "2026-11-22T10:00:00Z", "unix": 1_700_000_000,
        "json": {"a": [1]},
    },
    "list": [{"id": 7, "value": "seven"}, {"id": 8, "value": "eight"}],
    "grade": "A",
}  # fmt: skip


def laid(*fields: CustomField, objects: Sequence[CustomObject] = (), on: str = "customer") -> Any:
    page = overlaid(get("stripe"), objects=objects, fields={on: fields}, model=CustomRecord)
    mapped = page.resource(on).maps
    assert mapped is not None
    return mapped


def edited(model: Model, **extra: Any) -> Any:
    return msgspec.structs.replace(model, extra={**model.extra, **extra})


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"pth": "x"}, "Did you mean 'path'?"),
        ({"path": ""}, "is no path"),
        ({"path": "x", "word": "txt"}, "Did you mean 'text'?"),
        ({"path": "x", "access": "raed"}, "Did you mean 'read'?"),
        ({"path": "x", "word": "integer", "words": {"A": "a"}}, "go with the word text"),
        ({"path": "x", "where": {"id": 7}}, "give both"),
        ({"path": "x", "where": {"id": 7}, "value": "value"}, 'set access to "read"'),
        ({"path": "x", "word": "json"}, 'set access to "read"'),
        ({"path": "email"}, "email is written by Customer's own mapping"),
        ({"path": "metadata.tier"}, "metadata is written by Customer's own mapping"),
    ],
)
def test_a_field_is_checked_like_a_page(facts: dict[str, Any], said: str) -> None:
    with pytest.raises(SpecError, match=said.replace("?", r"\?")):
        laid(CustomField(name="tier", **facts))


def test_two_fields_write_no_place_together_and_share_no_name() -> None:
    one = CustomField(name="a", path="sheet")
    with pytest.raises(SpecError, match="sheet is written by the custom field 'a'"):
        laid(one, CustomField(name="b", path="sheet.text"))
    with pytest.raises(SpecError, match="two custom fields are called 'a'"):
        laid(one, CustomField(name="a", path="other"))


def test_a_resource_that_there_is_not_is_named() -> None:
    field = CustomField(name="tier", path="tier")
    with pytest.raises(NotFound, match="Did you mean 'customer'"):
        overlaid(get("stripe"), objects=[], fields={"custmer": [field]}, model=CustomRecord)


@pytest.mark.parametrize("word", CUSTOM_WORDS)
def test_values_are_json_and_come_back_as_they_were(word: str) -> None:
    access = "read" if word == "json" else "both"
    mapped = laid(CustomField(name="own", path=f"sheet.{word}", word=word, access=access))
    model = mapped.read(RECORD)
    assert model.extra["own"] is not None
    stored = read_json(type(model), write_json(model))
    assert stored == model
    assert mapped.write(stored, base=model) == {}
    if access == "both":
        written = mapped.write(stored, base=edited(model, own=None))
        assert mapped.read(mapped.apply(RECORD, written)) == model


def test_only_what_differs_is_written_and_the_rest_stays() -> None:
    mapped = laid(CustomField(name="footer", path="invoice_settings.footer"))
    model = mapped.read(RECORD)
    assert model.extra == {"colour": "red", "footer": "Thanks"}
    assert mapped.write(edited(model, footer="Bye"), base=model) == {
        "invoice_settings": {"footer": "Bye"}
    }
    assert mapped.write(edited(model, colour="blue"), base=model) == {
        "metadata": {"colour": "blue"}
    }
    assert mapped.write(edited(model, footer=None), base=model) == {
        "invoice_settings": {"footer": None}
    }


def test_words_stand_for_ours_and_others_are_refused() -> None:
    mapped = laid(CustomField(name="grade", path="grade", words={"A": "gold", "B": "tin"}))
    model = mapped.read(RECORD)
    assert model.extra["grade"] == "gold"
    assert mapped.write(edited(model, grade="tin"), base=model) == {"grade": "B"}
    with pytest.raises(RecordError, match=r"Customer.extra.grade: .*'C' at grade is none of A, B"):
        mapped.read({**RECORD, "grade": "C"})


def test_an_item_of_a_list_is_found_by_what_it_says() -> None:
    found = CustomField(name="own", path="list", where={"id": 8}, value="value", access="read")
    assert laid(found).read(RECORD).extra["own"] == "eight"


def test_access_is_kept() -> None:
    reads = laid(CustomField(name="footer", path="invoice_settings.footer", access="read"))
    model = reads.read(RECORD)
    assert reads.write(edited(model, footer="Bye"), base=model) == {}
    makes = laid(CustomField(name="footer", path="invoice_settings.footer", access="create"))
    assert makes.write(model)["invoice_settings"] == {"footer": "Thanks"}
    with pytest.raises(RecordError, match=r"extra\.footer: .* make a new one"):
        makes.write(edited(model, footer="Bye"), base=model)


def test_what_is_wrong_with_a_value_names_its_field() -> None:
    mapped = laid(CustomField(name="age", path="sheet.integer", word="integer"))
    model = mapped.read(RECORD)
    with pytest.raises(RecordError, match=r"Customer\.extra\.age: expected a whole number"):
        mapped.read({**RECORD, "sheet": {"integer": "seven"}})
    with pytest.raises(RecordError, match=r"Customer\.extra\.age: expected a whole number"):
        mapped.write(edited(model, age="seven"), base=model)
    with pytest.raises(RecordError, match=r"Customer\.extra\.age: no object on the way"):
        mapped.read({**RECORD, "sheet": 7})


def test_a_name_that_nothing_writes_is_refused_with_the_nearest() -> None:
    field = CustomField(name="tier", path="CustomTier")
    page = overlaid(get("xero"), objects=[], fields={"Contacts": [field]}, model=CustomRecord)
    mapped: Any = page.resource("Contacts").maps
    model = mapped.read({"ContactID": "c-1", "Name": "Ada", "CustomTier": "gold"})
    assert mapped.write(edited(model, tier="tin"), base=model) == {"CustomTier": "tin"}
    with pytest.raises(RecordError, match=r"no custom field of this name\. Did you mean 'tier'"):
        mapped.write(edited(model, teir="tin"), base=model)


def test_the_fingerprint_follows_the_fields() -> None:
    plain: Any = get("stripe").resource("customer").maps
    tier = CustomField(name="tier", path="tier")
    letters = [
        plain.fingerprint,
        laid(tier).fingerprint,
        laid(CustomField(name="tier", path="other")).fingerprint,
        laid(tier, CustomField(name="age", path="age")).fingerprint,
    ]
    assert len(set(letters)) == 4
    assert laid(tier).fingerprint == laid(CustomField(name="tier", path="tier")).fingerprint


def car(**facts: Any) -> Provider:
    made = CustomObject(name="car", **{"path": "/v1/cars", "like": "customer", **facts})
    return overlaid(get("stripe"), objects=[made], fields={}, model=CustomRecord)


def test_an_object_is_listed_and_written_as_the_one_that_it_is_like() -> None:
    seats = CustomField(name="seats", path="seats", word="integer")
    made = CustomObject(name="car", path="/v1/cars", like="customer", free="properties")
    page = overlaid(get("stripe"), objects=[made], fields={"car": [seats]}, model=CustomRecord)
    resource, like = page.resource("car"), page.resource("customer")
    assert (resource.page, resource.records) == (like.page, like.records)
    assert resource.create is not None
    assert resource.delete is not None
    assert (resource.one, resource.create.path) == ("/v1/cars/{id}", "/v1/cars")
    assert resource.delete.path == "/v1/cars/{id}"
    mapped: Mapped[Any] | None = resource.maps
    assert mapped is not None
    model = mapped.read({"id": 7, "seats": 4, "properties": {"colour": "red"}})
    assert model == CustomRecord(id="7", object="car", extra={"colour": "red", "seats": 4})
    assert mapped.write(edited(model, colour="blue", seats=5), base=model) == {
        "seats": 5,
        "properties": {"colour": "blue"},
    }


def test_an_object_that_writes_nothing_is_only_read_and_deleted() -> None:
    resource = car().resource("car")
    assert (resource.create, resource.update) == (None, None)
    assert resource.delete is not None


@pytest.mark.parametrize(
    ("facts", "error", "said"),
    [
        ({"like": "custmer"}, NotFound, "Did you mean 'customer'"),
        ({"path": "cars"}, SpecError, "is no path template"),
        ({"path": "/v1/{id}"}, SpecError, "give the list's"),
        ({"kye": "id"}, SpecError, "Did you mean 'key'"),
    ],
)
def test_an_object_is_checked_like_a_page(
    facts: dict[str, Any], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        car(**facts)


def test_an_object_takes_no_name_of_the_page() -> None:
    made = CustomObject(name="invoice", path="/v1/own", like="customer")
    with pytest.raises(SpecError, match="has a resource of this name"):
        overlaid(get("stripe"), objects=[made], fields={}, model=CustomRecord)


def coded(**tables: Mapping[str, str]) -> Mapped[Any]:
    page = overlaid(get("xero"), objects=[], fields={}, model=CustomRecord, codes=tables)
    mapped = page.resource("Invoices").maps
    assert mapped is not None
    return mapped


INVOICE: Mapping[str, Any] = {
    "InvoiceID": "i-1",
    "Type": "ACCREC",
    "Status": "DRAFT",
    "Date": "2026-11-22",
    "CurrencyCode": "EUR",
    "Contact": {"ContactID": "c-1"},
    "LineItems": [{"LineItemID": "l-1", "AccountCode": "200", "TaxType": "OUTPUT"}],
}


def test_codes_are_read_and_written_by_the_tenants_words() -> None:
    mapped = coded(accounts={"200": "sales", "260": "interest"})
    model = mapped.read(INVOICE)
    assert (model.lines[0].account, model.lines[0].tax) == ("sales", "OUTPUT")
    line = msgspec.structs.replace(model.lines[0], account="interest")
    written = mapped.write(msgspec.structs.replace(model, lines=(line,)), base=model)
    assert written["LineItems"][0]["AccountCode"] == "260"
    with pytest.raises(UnmappedCode, match="'200' has no counterpart in the code table 'accounts'"):
        coded(accounts={"260": "interest"}).read(INVOICE)


def test_the_fingerprint_follows_the_lines_that_a_mapping_uses() -> None:
    plain: Any = get("xero").resource("Invoices").maps
    one, other = coded(accounts={"200": "sales"}), coded(accounts={"200": "services"})
    assert len({plain.fingerprint, one.fingerprint, other.fingerprint}) == 3
    page = overlaid(
        get("xero"), objects=[], fields={}, model=CustomRecord, codes={"accounts": {"1": "a"}}
    )
    assert page.resource("Contacts").reading == get("xero").resource("Contacts").reading


def test_a_table_that_the_page_has_not_is_named() -> None:
    with pytest.raises(SpecError, match="Did you mean 'accounts'"):
        coded(acounts={"200": "sales"})

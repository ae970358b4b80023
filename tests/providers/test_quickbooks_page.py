"""QuickBooks' page against Intuit's own schema: what it names, asks and sends."""

from __future__ import annotations

import json
from collections.abc import Generator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from landbridge.engine.sort import notices, resource_of
from landbridge.errors import Conflict, RecordError, Refused, Throttled
from landbridge.formats.canonical import canonical
from landbridge.models.accounting import DocumentStatus, Invoice, JournalEntry, Line
from landbridge.protocols import Page, Place, fetch, pull, write
from landbridge.providers.quickbooks import quickbooks
from landbridge.providers.quickbooks.mapping import settled
from landbridge.resilience import expect
from landbridge.spec import OAuth2, OnePage, Resource, capabilities, find, grade
from landbridge.wire import Request, Response
from tests.providers.pages import answer, led, mapping
from tests.providers.records import records
from tests.specs.quickbooks import document as specs
from tests.specs.quickbooks.document import Document

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
PLACE = Place(base=quickbooks.base.replace("{account}", "9341"))
RESOURCES = [pytest.param(resource, id=resource.name) for resource in quickbooks.resources]
WRITTEN = [one for one in quickbooks.resources if one.create]
TIME = "2026-11-27T04:00:00-08:00"


@pytest.fixture(scope="module")
def document() -> Document:
    return specs.quickbooks()


def run(
    document: Document, conversation: Generator[Any, Any, Any], answers: list[Any]
) -> tuple[list[Request], list[Page], Any]:
    """Leads a conversation; requests and answers are held against the schema."""

    def path(request: Request) -> str:
        return request.url.removeprefix(PLACE.base)

    def wrong(request: Request) -> list[str]:
        return document.refused(request.method, path(request), dict(request.query), request.body)

    made, pages, found = led(conversation, answers, wrong=wrong)
    for request, value in zip(made, answers, strict=True):
        assert document.misanswered(path(request), 200, canonical(value)) == []
    return made, pages, found


@pytest.mark.parametrize("resource", RESOURCES)
def test_every_path_of_a_mapping_is_in_intuits_schema(
    document: Document, resource: Resource
) -> None:
    assert resource.maps is not None
    paths = [resource.key, resource.subject, resource.deleted, resource.version]
    owned = [*paths, *resource.maps.owned_paths]
    wrong = [path for path in owned if path and not document.has(resource.name, path)]
    listed = ["Line"] if resource.name in ("BillPayment", "Payment") else []
    assert wrong == listed  # a list, read by itself
    assert not document.has(resource.name, "NoSuchField")
    if resource.blank:
        assert document.wrong_object(resource.name, resource.blank) == []
        assert find(resource.blank, resource.version)


@pytest.mark.parametrize("resource", RESOURCES)
def test_every_request_of_a_pull_is_one_that_quickbooks_takes(
    document: Document, resource: Resource
) -> None:
    def listed(*keys: str) -> dict[str, Any]:
        found = {resource.name: [{"Id": key} for key in keys]} if keys else {}
        return {"QueryResponse": found, "time": TIME}

    def changed(*keys: str) -> dict[str, Any]:
        return {"CDCResponse": [{"QueryResponse": [listed(*keys)["QueryResponse"]]}], "time": TIME}

    once = isinstance(resource.page, OnePage)
    answers = [listed("1", "2")] if once else [listed("1", "2"), listed("1", "2"), changed("3")]
    made, pages, _ = run(document, pull(quickbooks, resource, PLACE, None, NOW), answers)
    expected = ["1", "2"] if once else ["1", "2", "3"]
    assert [one.key for page in pages for one in page.records] == expected
    if not once:
        text = dict(made[0].query)["query"]
        assert f"ORDERBY Id STARTPOSITION 1 MAXRESULTS {1000}" in text
        # Lists of what is never deleted show inactive entities too.
        lasting = not any("deleted" in topic for topic in resource.deletes)
        assert ("Active IN (true, false)" in text) == lasting
    one = {resource.name: {"Id": "1"}, "time": TIME}
    if resource.one:
        _, _, found = run(document, fetch(quickbooks, resource, PLACE, "1"), [one])
        assert found.key == "1"


@pytest.mark.parametrize("resource", WRITTEN, ids=lambda resource: resource.name)
@settings(max_examples=8)
@given(data=st.data())
def test_what_is_sent_is_what_quickbooks_takes(resource: Resource, data: st.DataObject) -> None:
    document, mapped = specs.quickbooks(), resource.maps
    assert mapped is not None
    value, other = (
        data.draw(records(quickbooks, resource)),
        data.draw(records(quickbooks, resource)),
    )
    value = {**value, "SyncToken": "4"}
    base, wanted = mapped.read(value), mapped.read(other)
    told = {resource.name: {"Id": "1", "SyncToken": "5"}, "time": TIME}
    create = write(quickbooks, resource, PLACE, "create", "", mapped.write(base), None, "int_1")
    (made,), _, _ = run(document, create, [told])
    assert dict(made.query) == {"requestid": "int_1"}
    if resource.update is None:
        return
    changes = mapped.write(replace(wanted, id=base.id, **kept(resource, base)), base=base)
    raw = canonical(value)
    update = write(quickbooks, resource, PLACE, "update", value["Id"], changes, raw, "int_2")
    (made,), _, written = run(document, update, [told])
    sent = json.loads(made.body)
    assert (sent["Id"], sent["SyncToken"], sent["sparse"]) == (value["Id"], "4", True)
    assert written.version == "5"
    if resource.delete:
        gone = {resource.name: {"Id": "1", "status": "Deleted"}, "time": TIME}
        delete = write(quickbooks, resource, PLACE, "delete", value["Id"], {}, raw, "int_3")
        (made,), _, _ = run(document, delete, [gone])
        assert dict(made.query) == {"operation": "delete", "requestid": "int_3"}


def kept(resource: Resource, base: Any) -> dict[str, Any]:
    """The fields of a record that cannot change once it is there."""
    names = {"currency", "paid_by"} | ({"type"} if resource.name == "Account" else set())
    names = (names | {"name"}) & set(base.__struct_fields__)
    return {name: getattr(base, name) for name in names}


def invoice(**more: Any) -> dict[str, Any]:
    head = {"Id": "1", "TxnDate": "2026-11-27", "CustomerRef": {"value": "3"}}
    money = {"CurrencyRef": {"value": "USD"}, "TotalAmt": 24.6, "Balance": 24.6}
    return {**head, **money, **more}


def read(name: str, value: dict[str, Any]) -> Any:
    mapped = mapping(quickbooks, name)
    return mapped.read(value)


def test_where_a_document_stands_is_known_by_its_amounts() -> None:
    states: list[tuple[dict[str, Any], DocumentStatus]] = [
        ({}, DocumentStatus.OPEN),
        ({"Balance": 0}, DocumentStatus.PAID),
        ({"Balance": 0, "TotalAmt": 0, "PrivateNote": "Voided - by mistake"}, DocumentStatus.VOID),
        ({"Balance": 0, "TotalAmt": 0}, DocumentStatus.PAID),
        ({"PrivateNote": "Voided"}, DocumentStatus.OPEN),  # anybody may write so
    ]
    for facts, expected in states:
        assert read("Invoice", invoice(**facts)).status is expected, facts
    bare = {name: value for name, value in invoice().items() if name != "CurrencyRef"}
    with pytest.raises(RecordError, match=r"currency: nothing at CurrencyRef\.value"):
        read("Invoice", bare)


def test_only_lines_that_sell_are_lines_and_the_others_stay() -> None:
    detail = {"ItemRef": {"value": "1"}, "ServiceDate": "2026-11-01"}
    sold = {"Id": "1", "Amount": 5, "DetailType": "SalesItemLineDetail"}
    off = {"Id": "2", "Amount": 1, "DetailType": "DiscountLineDetail"}
    sums = {"Amount": 5, "DetailType": "SubTotalLineDetail", "SubTotalLineDetail": {}}
    value = invoice(Line=[{**sold, "SalesItemLineDetail": detail}, off, sums])
    ours: Invoice = read("Invoice", value)
    assert [(line.id, line.item, line.amount) for line in ours.lines] == [("1", "1", 500)]
    mapped = mapping(quickbooks, "Invoice")
    more = replace(ours, lines=(*ours.lines, Line(amount=700, item="2")))
    after = mapped.apply(value, mapped.write(more, base=ours))["Line"]
    assert after[0] == value["Line"][0]
    assert after[1] == {
        "Amount": Decimal("7.00"),
        "DetailType": "SalesItemLineDetail",
        "SalesItemLineDetail": {"ItemRef": {"value": "2"}},
    }
    assert after[2:] == [off]


def test_a_journal_says_debit_and_credit_by_a_sign() -> None:
    def line(key: str, side: str) -> dict[str, Any]:
        detail = {"PostingType": side, "AccountRef": {"value": "7"}}
        named = {"Id": key, "Amount": 10.5, "DetailType": "JournalEntryLineDetail"}
        return {**named, "JournalEntryLineDetail": detail}

    value: dict[str, Any] = {"Id": "1", "TxnDate": "2026-11-27"}
    value["CurrencyRef"] = {"value": "USD"}
    value["Line"] = [line("0", "Debit"), line("1", "Credit")]
    ours: JournalEntry = read("JournalEntry", value)
    assert [each.amount for each in ours.lines] == [1050, -1050]
    mapped = mapping(quickbooks, "JournalEntry")
    turned = tuple(replace(each, amount=-each.amount) for each in ours.lines)
    sent = mapped.write(replace(ours, lines=turned), base=ours)["Line"]
    assert [each["JournalEntryLineDetail"]["PostingType"] for each in sent] == ["Credit", "Debit"]
    value["Line"] = [line("0", "Neither")]
    with pytest.raises(RecordError, match="neither Debit nor Credit"):
        read("JournalEntry", value)


def test_a_payment_of_several_invoices_names_none() -> None:
    lines = [{"LinkedTxn": [{"TxnId": key, "TxnType": "Invoice"}]} for key in ("7", "8")]
    assert settled("Invoice")({"Line": lines}) is None
    assert settled("Invoice")({"Line": lines[:1]}) == "7"
    assert settled("Bill")({"Line": lines[:1]}) is None
    assert settled("Invoice")({}) is None


def test_events_come_as_an_array_of_cloud_events() -> None:
    hook = quickbooks.webhook
    assert hook is not None
    event = {
        "specversion": "1.0",
        "id": "88cd52aa",
        "source": "intuit.dsnBgbseACLLRZNxo2dfc4evmEJdxde58xeeYcZliOU=",
        "type": "qbo.invoice.created.v1",
        "time": "2026-09-10T21:31:25.179550Z",
        "intuitentityid": "1234",
        "intuitaccountid": "310687",
        "data": {},
    }
    gone = {**event, "id": "2", "type": "qbo.payment.deleted.v1"}
    found = notices(hook, json.dumps([event, gone]).encode())
    assert [(one.key, one.account) for one in found] == [("1234", "310687")] * 2
    told = [resource_of(quickbooks, one.topic) for one in found]
    assert [(one and one.name, what) for one, what in told] == [
        ("Invoice", "pull"),
        ("Payment", "delete"),
    ]
    assert resource_of(quickbooks, "qbo.term.created.v1") == (None, "ignored")


def test_events_of_the_older_form_are_read_too() -> None:
    hook = quickbooks.webhook
    assert hook is not None
    stamp = "2026-06-01T10:00:00.000-07:00"
    changed = {"name": "Invoice", "id": "12", "operation": "Update", "lastUpdated": stamp}
    deleted = {"name": "Bill", "id": "7", "operation": "Delete", "lastUpdated": stamp}
    body = {
        "eventNotifications": [
            {"realmId": "1", "dataChangeEvent": {"entities": [changed, deleted]}},
            {"realmId": "2", "dataChangeEvent": {"entities": [changed]}},
        ]
    }
    found = notices(hook, json.dumps(body).encode())
    assert [(one.key, one.account) for one in found] == [("12", "1"), ("7", "1"), ("12", "2")]
    assert len({one.vendor_id for one in found}) == 3
    assert found[0].occurred_at == datetime(2026, 6, 1, 17, tzinfo=UTC)
    told = [resource_of(quickbooks, one.topic) for one in found]
    assert [(one and one.name, what) for one, what in told[:2]] == [
        ("Invoice", "pull"),
        ("Bill", "delete"),
    ]
    odd_ones: list[dict[str, Any]] = [{"eventNotifications": 1}, {"eventNotifications": [7]}, {}]
    for odd in odd_ones:
        with pytest.raises(RecordError, match="names no topic at type"):
            notices(hook, json.dumps(odd).encode())


def test_refusals_are_read_from_intuits_shapes(document: Document) -> None:
    def faulty(code: str, status: int, element: str = "") -> Response:
        error = {"Message": "So it is", "Detail": "in detail", "code": code}
        more = {"element": element} if element else {}
        fault = {"Error": [{**error, **more}], "type": "ValidationFault"}
        told = answer({"Fault": fault, "time": TIME}, status)
        assert document.misanswered("/invoice", status, told.body) == []
        return told

    request = Request(method="POST", url=f"{PLACE.base}/invoice")
    for status in (200, 400):
        with pytest.raises(Refused, match=r"6240\): So it is: in detail") as refused:
            expect(quickbooks, request, faulty("6240", status, "DisplayName"))
        assert list(refused.value.problems) == ["DisplayName"]
        with pytest.raises(Conflict):
            expect(quickbooks, request, faulty("5010", status))
    with pytest.raises(Throttled):
        expect(quickbooks, request, faulty("003001", 400))
    with pytest.raises(Throttled):
        expect(quickbooks, request, Response(status=429))


def test_the_consent_and_the_grade_are_what_the_page_says() -> None:
    auth = quickbooks.auth
    assert isinstance(auth, OAuth2)
    assert list(auth.scopes) == ["com.intuit.quickbooks.accounting"]
    assert (auth.pkce, auth.refresh_rotates, auth.account_param) == (False, True, "realmId")
    assert grade(quickbooks).name == "gold"
    table = {one.resource: one for one in capabilities(quickbooks)}
    assert (table["Invoice"].incremental, table["Invoice"].deletes) == ("changes", "changes")
    assert (table["TaxCode"].incremental, table["TaxCode"].webhooks) == ("", False)
    assert quickbooks.sandbox["base"].startswith("https://sandbox-quickbooks.api.intuit.com/")

"""FreshBooks's page against its saved type descriptions: what it names, asks and sends."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import partial
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from landbridge import signing
from landbridge.errors import Forged, RecordError, Refused, Throttled
from landbridge.formats.canonical import canonical
from landbridge.models.accounting import (
    Contact,
    DocumentStatus,
    Expense,
    Invoice,
    Line,
    Payment,
    TaxRate,
)
from landbridge.protocols import Place, fetch, pull, write
from landbridge.protocols.accounts import identify_all
from landbridge.providers.freshbooks import freshbooks
from landbridge.resilience import expect
from landbridge.spec import OAuth2, Resource
from landbridge.wire import Headers, Request
from tests.providers.pages import answer, asked_scopes, edited, led, mapping
from tests.providers.records import FRESHBOOKS_MODELS, records
from tests.specs.freshbooks.document import ADDRESSES
from tests.specs.freshbooks.document import freshbooks as document

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
BASE = "https://api.freshbooks.com/accounting/account/ABC123"
PLACE = Place(base=BASE)
RESOURCES = [pytest.param(resource, id=resource.name) for resource in freshbooks.resources]
WRITTEN = [one for one in freshbooks.resources if one.create]


def wrong(request: Request) -> list[str]:
    """What the descriptions say against a request of ours."""
    path = request.url.removeprefix(BASE)
    return document().refused(request.method, path, dict(request.query), request.body)


run = partial(led, wrong=wrong)


@pytest.mark.parametrize("resource", RESOURCES)
def test_every_path_of_a_mapping_is_described(resource: Resource) -> None:
    model = FRESHBOOKS_MODELS[resource.name]
    paths = [resource.key, resource.subject, resource.deleted, resource.marker]
    paths += list(resource.maps.owned_paths) if resource.maps else []
    assert [path for path in paths if path and not document().has(model, path)] == []
    assert not document().has(model, "no_such_field")
    at, one, told = ADDRESSES[resource.records.rpartition(".")[2]]
    assert (resource.path, told) == (at, model)
    if resource.one:
        assert (resource.one, resource.envelope) == (f"{at}/{{id}}", f"response.result.{one}")


@pytest.mark.parametrize("resource", RESOURCES)
def test_every_request_of_a_pull_is_one_that_freshbooks_takes(resource: Resource) -> None:
    def listing(*keys: int, pages: int = 1) -> dict[str, Any]:
        name = resource.records.rpartition(".")[2]
        found = [{resource.key: key} for key in keys]
        return {"response": {"result": {name: found, "page": 1, "pages": pages}}}

    follows = [listing(1), listing(3), listing(4)] if resource.since else []
    answers = [listing(*range(1, 101), pages=2), listing(100, 101, pages=2), *follows]
    made, pages, _ = run(pull(freshbooks, resource, PLACE, None, NOW), answers)
    assert len({one.key for page in pages for one in page.records}) == 101
    queries = [dict(one.query) for one in made]
    assert {one["per_page"] for one in queries[:1]} == {"100"}
    if resource.since:
        assert [one.get("search[vis_state]") for one in queries[2:]] == [None, "1", "2"]
        assert queries[2]["search[updated_min]"] == "2026-11-25"  # no Date: a day less
    if resource.one:
        (name,) = [resource.envelope.rpartition(".")[2]]
        fetched = {"response": {"result": {name: {resource.key: 7, "vis_state": 0}}}}
        (asked,), _, found = run(fetch(freshbooks, resource, PLACE, "7"), [fetched])
        assert found.key == "7"
        assert dict(asked.query) == ({"include[]": "lines"} if resource.query else {})


@pytest.mark.parametrize("resource", WRITTEN, ids=lambda resource: resource.name)
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_every_write_is_one_that_freshbooks_takes(resource: Resource, data: st.DataObject) -> None:
    mapped = resource.maps
    assert mapped is not None
    value = data.draw(records(freshbooks, resource))
    model = mapped.read(value)
    other = mapped.read(data.draw(records(freshbooks, resource)))
    changed = mapped.write(edited(mapped, model, other), base=model)
    shown = {"response": {"result": {resource.name: {resource.key: 9}}}}
    assert resource.create is not None
    around = resource.create.envelope
    writes = [("create", mapped.write(model))] + [("update", changed)] * bool(resource.update)
    for action, changes in writes:
        base = canonical(value) if action == "update" else None
        conversation = write(freshbooks, resource, PLACE, action, "9", changes, base, "int_7")
        (request,), _, left = run(conversation, [shown])
        sent = json.loads(request.body)[around]
        if resource.marker:
            assert (sent.get(resource.marker) == "int_7") == (action == "create")
        assert request.method == ("POST" if action == "create" else "PUT")
        assert left.key == "9"
    conversation = write(freshbooks, resource, PLACE, "delete", "9", {}, None, "int_7")
    (request,), _, left = run(conversation, [shown])
    if resource.name == "tax":
        assert (request.method, request.body) == ("DELETE", b"")
    else:
        assert json.loads(request.body) == {around: {"vis_state": 1}}
    assert left.raw is None


@pytest.mark.parametrize("resource", WRITTEN, ids=lambda resource: resource.name)
def test_a_blank_is_what_freshbooks_could_answer(resource: Resource) -> None:
    assert resource.maps is not None
    assert resource.blank
    assert document().wrong(FRESHBOOKS_MODELS[resource.name], resource.blank) == []
    assert resource.maps.read(resource.blank)


def test_a_credit_note_is_read_by_either_word() -> None:
    note = freshbooks.resource("credit_note")
    for word in ("credit_notes", "credit_note"):
        told = {"response": {"result": {word: {"id": 5}}}}
        _, _, found = run(fetch(freshbooks, note, PLACE, "5"), [told])
        assert found.key == "5"
    with pytest.raises(Refused, match=r"nothing at response\.result\.credit_notes"):
        run(fetch(freshbooks, note, PLACE, "5"), [{"response": {"result": {"other": {}}}}])


def test_an_expense_is_written_as_its_only_line() -> None:
    mapped = mapping(freshbooks, "expense")
    line = Line(amount=11_300, account="8", tax="HST 13")
    spent = Expense(currency="CAD", spent_on=date(2026, 3, 1), reference="Staples", lines=(line,))
    made = mapped.write(spent)
    assert made == {
        "amount": {"amount": "113.00", "code": "CAD"},
        "date": "2026-03-01",
        "vendor": "Staples",
        "categoryid": 8,
        "taxName1": "HST",
        "taxPercent1": "13",
    }
    dearer = msgspec.structs.replace(line, amount=20_000)
    changed = mapped.write(msgspec.structs.replace(spent, lines=(dearer,)), base=spent)
    assert changed == {"amount": {"amount": "200.00"}}
    with pytest.raises(RecordError, match="lines: the provider takes one, and these are 2"):
        mapped.write(msgspec.structs.replace(spent, lines=(line, line)))


def test_an_update_of_a_line_keeps_the_tax_that_no_row_owns() -> None:
    mapped = mapping(freshbooks, "invoice")
    line = {"lineid": "1", "name": "a", "qty": "1", "taxName2": "PST", "taxAmount2": "7"}
    value = {
        "id": 9,
        "customerid": 4,
        "v3_status": "sent",
        "currency_code": "CAD",
        "create_date": "2026-03-01",
        "notes": "Thank you",
        "lines": [{**line, "unit_cost": {"amount": "5.00", "code": "CAD"}}],
    }
    model = mapped.read(value)
    twice = msgspec.structs.replace(model.lines[0], quantity=Decimal(2))
    changes = mapped.write(msgspec.structs.replace(model, lines=(twice,)), base=model)
    conversation = write(
        freshbooks,
        freshbooks.resource("invoice"),
        PLACE,
        "update",
        "9",
        changes,
        canonical(value),
        "int_7",
    )
    (request,), _, _ = run(conversation, [{"response": {"result": {"invoice": value}}}])
    (sent,) = json.loads(request.body)["invoice"]["lines"]
    assert (sent["qty"], sent["taxName2"], sent["taxAmount2"]) == ("2", "PST", "7")
    assert list(json.loads(request.body)["invoice"]) == ["lines"]


def test_the_businesses_are_those_with_an_account() -> None:
    me = document().examples["auth_me_response"]
    assert freshbooks.accounts is not None
    conversation = identify_all(freshbooks, PLACE, answer={}, redirect={})
    asked = next(conversation)
    assert asked.full_url == "https://api.freshbooks.com/auth/api/v1/users/me"
    me["response"]["business_memberships"][1]["business"]["account_id"] = None
    with pytest.raises(StopIteration) as end:
        conversation.send(answer(me))
    (only,) = end.value.value
    assert (only.id, only.name) == ("ABC123", "Commonwealth of Independent Systems")


def test_the_scopes_say_why_and_each_is_asked_by_something() -> None:
    auth = freshbooks.auth
    assert isinstance(auth, OAuth2)
    assert asked_scopes(freshbooks) == set(auth.scopes)
    assert (auth.pkce, auth.refresh_rotates, auth.client) == (True, True, "post")


def test_refusals_are_read_from_freshbooks_shapes() -> None:
    shown = document().examples
    request = Request(method="PUT", url=f"{BASE}/users/clients/1")
    with pytest.raises(Refused, match=r"Client not found\.") as refused:
        expect(freshbooks, request, answer(shown["get_client_response__not_found"], 422))
    assert (refused.value.problems, refused.value.code) == ({"userid": "Client not found."}, "1012")
    told = shown["create_callback_response__validation_error"]
    with pytest.raises(Refused, match="semantic errors"):
        expect(freshbooks, request, answer(told, 422))
    slow = {"response": {"errors": [{"errno": 429, "message": "slow down"}]}}
    with pytest.raises(Throttled):
        expect(freshbooks, request, answer(slow, 400))


def test_a_callback_is_signed_over_its_fields_as_json() -> None:
    hook = freshbooks.webhook
    assert hook is not None
    body = (
        b"name=invoice.create&object_id=1234567&account_id=6BApk&business_id=6543"
        b"&identity_id=1234&user_id=1"
    )
    # By hand: Python's json.dumps of the fields, HMAC-SHA256 with the key "verifier-1", base64.
    right = "zzjv7UyYON1Nh/Blir0SWKGfFfjlcUkxHVsUbQd6dTU="
    scheme = signing.scheme_of(hook.signature)
    signing.accept(scheme, ["verifier-1"], Headers({hook.signature.place: right}), body, NOW)
    with pytest.raises(Forged):
        signing.accept(scheme, ["verifier-2"], Headers({hook.signature.place: right}), body, NOW)


def test_freshbooks_own_clients_are_read() -> None:
    shown = document().examples["list_clients_response"]["response"]["result"]["clients"]
    mapped = mapping(freshbooks, "client")
    read = [mapped.read(one) for one in shown]
    first = read[0]
    assert isinstance(first, Contact)
    assert (first.id, first.name, first.first_name) == ("12345", "American Cyanamid", "Gordon")
    assert first.billing_address is not None
    assert (first.billing_address.region, first.delivery_address) == ("ON", None)
    assert first.updated_at == datetime(2020, 11, 1, 18, 11, 10, tzinfo=UTC)
    bare = mapped.read({**shown[0], "organization": ""})
    assert bare.name == "Gordon Shumway"
    assert mapped.read({"id": 5, "vis_state": 0}).name == "Client 5"


def test_amounts_taxes_and_states_are_read() -> None:
    cad = {"amount": "113.00", "code": "CAD"}
    invoice = mapping(freshbooks, "invoice").read(
        {
            "id": 1,
            "customerid": 2,
            "v3_status": "deposit-paid",
            "currency_code": "CAD",
            "create_date": "2026-03-01",
            "amount": cad,
            "lines": [{"name": "a", "taxName1": "HST", "taxAmount1": "13"}],
        }
    )
    assert isinstance(invoice, Invoice)
    assert (invoice.status, invoice.total) == (DocumentStatus.OPEN, 11_300)
    tax = mapping(freshbooks, "tax").read({"id": 3, "name": "HST", "amount": "13"})
    assert isinstance(tax, TaxRate)
    assert (tax.code, invoice.lines) == ("HST 13", (Line(item="a", tax="HST 13"),))
    spent = {"id": 4, "vis_state": 0, "amount": cad, "date": "2026-03-01", "categoryid": 8}
    expense = mapping(freshbooks, "expense").read(
        {**spent, "taxAmount1": {"amount": "13", "code": "CAD"}}
    )
    assert isinstance(expense, Expense)
    assert (expense.lines[0].account, expense.lines[0].tax_amount) == ("8", 1_300)
    paid = Payment(invoice="12", currency="CAD", amount=5, paid_on=date(2026, 3, 1))
    assert mapping(freshbooks, "payment").write(paid) == {
        "invoiceid": 12,
        "amount": {"amount": "0.05", "code": "CAD"},
        "date": "2026-03-01",
    }

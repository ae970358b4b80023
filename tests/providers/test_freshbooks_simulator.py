"""The FreshBooks simulator against the saved type descriptions, and its OAuth server's rules."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from landbridge.testing import freshbooks
from landbridge.testing.freshbooks.webhooks import sign
from landbridge.testing.pytest_plugin import FreshBooksSimulator, WebhookReceiver
from tests.providers import visiting
from tests.specs.freshbooks.document import ADDRESSES
from tests.specs.freshbooks.document import freshbooks as document

OBJECTS = (
    "clients invoices payments expenses taxes billable_items credit_notes bills bill_vendors"
    " bill_payments journal_entries"
).split()
SCOPES = " ".join(f"user:{name}:{way}" for name in OBJECTS for way in ("read", "write"))


class Visitor(visiting.Visitor):
    """An app that talks to the simulator; each call is held against the descriptions."""

    authorize = "/oauth/authorize"
    scopes = SCOPES

    def __init__(self, sim: FreshBooksSimulator):
        super().__init__(sim)
        self.sim = sim
        self.account = next(iter(sim.simulator.books))

    def token(self, **form: str) -> httpx2.Response:
        ours = {"client_id": self.sim.client_id, "client_secret": self.sim.client_secret}
        return self.http.post("/auth/oauth/token", data={**ours, **form})

    def call(self, method: str, path: str, sent: Any = None, **params: Any) -> httpx2.Response:
        at = f"/accounting/account/{self.account}{path}"
        answer = self.http.request(method, at, json=sent, headers=self.bearer, params=params)
        if answer.status_code == 200:
            assert document().misanswered(path, answer.content) == []
            told = {name: str(value) for name, value in params.items()}
            body = answer.request.read()
            assert document().refused(method, path, told, body) == []
        return answer

    def result(self, method: str, path: str, sent: Any = None, **params: Any) -> Any:
        answer = self.call(method, path, sent, **params)
        assert answer.status_code == 200, answer.text
        return answer.json()["response"]["result"]

    def errno(self, method: str, path: str, sent: Any = None, **params: Any) -> int:
        return self.call(method, path, sent, **params).json()["response"]["errors"][0]["errno"]  # type: ignore[no-any-return]

    def events(self, method: str, path: str = "", sent: Any = None) -> httpx2.Response:
        at = f"/events/account/{self.account}/events/callbacks{path}"
        return self.http.request(method, at, json=sent, headers=self.bearer)


@pytest.fixture
def freshbooks_settings() -> freshbooks.Settings:
    """Few records: a simulator is made for each test."""
    few = freshbooks.Amounts(clients=3, items=1, invoices=18, payments=2, expenses=2, bills=2)
    return freshbooks.Settings(amounts=few)


@pytest.fixture
def visitor(freshbooks_simulator: FreshBooksSimulator) -> Iterator[Visitor]:
    made = Visitor(freshbooks_simulator)
    with made.http:
        yield made


def test_every_list_and_record_is_as_described(visitor: Visitor) -> None:
    visitor.connect()
    for name, (path, one, model) in ADDRESSES.items():
        listed = visitor.result("GET", path)[name]
        assert listed, name
        missing = set(document().models[model]) - set(listed[0]) - {"lines"}
        assert missing <= {"id"}, name
        if one:
            key = {"bill_vendors": "vendorid", "categories": "categoryid"}.get(name, "id")
            assert visitor.result("GET", f"{path}/{listed[0][key]}")[one] == listed[0]
            assert visitor.call("GET", f"{path}/1").status_code == 404


def test_lists_have_pages_states_days_and_lines_where_asked(visitor: Visitor) -> None:
    visitor.connect()
    first = visitor.result("GET", "/invoices/invoices")
    assert (first["per_page"], first["total"], len(first["invoices"])) == (15, 18, 15)
    assert "lines" not in first["invoices"][0]
    asked = {"page": 2, "per_page": 10, "include[]": "lines"}
    second = visitor.result("GET", "/invoices/invoices", **asked)
    assert (second["per_page"], second["pages"], len(second["invoices"])) == (10, 2, 8)
    assert visitor.result("GET", "/invoices/invoices", per_page=500)["per_page"] == 100
    assert second["invoices"][0]["lines"]
    key = first["invoices"][0]["id"]
    gone = visitor.result("PUT", f"/invoices/invoices/{key}", {"invoice": {"vis_state": 1}})
    assert gone["invoice"]["vis_state"] == 1
    assert visitor.result("GET", "/invoices/invoices")["total"] == 17
    deleted = visitor.result("GET", "/invoices/invoices", **{"search[vis_state]": 1})
    assert [one["id"] for one in deleted["invoices"]] == [key]
    later = {"search[updated_min]": "2099-01-01"}
    assert visitor.result("GET", "/users/clients", **later)["clients"] == []
    assert visitor.errno("GET", "/items/items", **later) == 1023


def test_a_code_counts_once_and_refresh_tokens_rotate_at_once(visitor: Visitor) -> None:
    assert visitor.consent(scope="user:everything:read")["error"] == "invalid_scope"
    visitor.sim.control.post("consent", mode="deny")
    assert visitor.consent() == {"error": "access_denied", "state": "s1"}
    visitor.sim.control.post("consent", mode="allow")
    code = visitor.consent()["code"]
    assert visitor.exchange(code, "wrong" * 10).json()["error"] == "invalid_grant"
    assert visitor.exchange(code).status_code == 400
    visitor.connect()
    first = visitor.tokens["refresh_token"]
    assert (visitor.tokens["expires_in"], visitor.tokens["token_type"]) == (43_200, "Bearer")
    second = visitor.refresh(first).json()["refresh_token"]
    assert visitor.refresh(first).json()["error"] == "invalid_grant"
    assert visitor.refresh(second).status_code == 200
    visitor.connect()
    other = visitor.tokens["refresh_token"]
    visitor.connect()  # a new consent ends the refresh token before it
    assert visitor.refresh(other).status_code == 400
    assert visitor.token(grant_type="refresh_token", client_secret="x").status_code == 401


def test_tokens_end_by_time_and_by_revocation(visitor: Visitor) -> None:
    visitor.connect()
    visitor.sim.control.advance(43_201)
    late = visitor.call("GET", "/users/clients")
    assert (late.status_code, late.json()["error"]) == (401, "unauthenticated")
    visitor.connect()
    told = {"token": visitor.tokens["refresh_token"], "client_id": visitor.sim.client_id}
    assert visitor.http.post("/auth/oauth/revoke", data=told).json() == {}
    assert visitor.call("GET", "/users/clients").status_code == 401
    assert visitor.refresh(told["token"]).status_code == 400


def test_the_person_is_in_businesses_and_one_has_no_account(visitor: Visitor) -> None:
    visitor.connect(scope="user:clients:read")
    me = visitor.http.get("/auth/api/v1/users/me", headers=visitor.bearer).json()["response"]
    accounts = [one["business"]["account_id"] for one in me["business_memberships"]]
    assert accounts == [*visitor.sim.simulator.books, None]
    assert visitor.call("GET", "/users/clients").status_code == 200
    assert visitor.errno("GET", "/invoices/invoices") == 1003
    assert visitor.errno("POST", "/users/clients", {"client": {"organization": "x"}}) == 1003
    visitor.account = "439000"  # a business's number is no account
    assert visitor.call("GET", "/users/clients").status_code == 404


def test_an_invoice_is_reckoned_paid_and_kept_from_wrong_changes(visitor: Visitor) -> None:
    visitor.connect()
    client = visitor.result("GET", "/users/clients")["clients"][0]["id"]
    cost = {"amount": "10.005", "code": "CAD"}
    line = {"name": "x", "qty": "2", "unit_cost": cost, "taxName1": "HST", "taxAmount1": "13"}
    sent = {"customerid": client, "create_date": "2026-11-01", "lines": [line]}
    sent["invoice_number"] = "N1"
    lines = {"include[]": "lines"}
    made = visitor.result("POST", "/invoices/invoices", {"invoice": sent}, **lines)["invoice"]
    assert (made["v3_status"], made["amount"]["amount"]) == ("draft", "22.61")
    assert made["lines"][0]["amount"]["amount"] == "20.01"
    assert visitor.errno("POST", "/invoices/invoices", {"invoice": sent}) == 1029
    for wrong, errno in (({"customerid": 1}, 1012), ({"create_date": "soon"}, 1004)):
        told = {"invoice": {**sent, "invoice_number": "N2", **wrong}}
        assert visitor.errno("POST", "/invoices/invoices", told) == errno
    assert visitor.errno("POST", "/invoices/invoices", {"invoice": {}}) == 1001
    assert visitor.errno("POST", "/invoices/invoices", {"bill": {}}) == 1005
    part = {"amount": {"amount": "2.61", "code": "CAD"}, "date": "2026-11-02"}
    paid = {"payment": {"invoiceid": made["id"], **part}}
    first = visitor.result("POST", "/payments/payments", paid)["payment"]
    path = f"/invoices/invoices/{made['id']}"
    assert visitor.result("GET", path)["invoice"]["v3_status"] == "partial"
    rest = {**paid["payment"], "amount": {"amount": "20", "code": "CAD"}}
    visitor.result("POST", "/payments/payments", {"payment": rest})
    assert visitor.result("GET", path)["invoice"]["v3_status"] == "paid"
    gone = {"payment": {"vis_state": 1}}
    visitor.result("PUT", f"/payments/payments/{first['id']}", gone)
    assert visitor.result("GET", path)["invoice"]["outstanding"]["amount"] == "2.61"
    renamed = visitor.result("PUT", path, {"invoice": {"po_number": "P"}})["invoice"]
    assert (renamed["po_number"], renamed["invoice_number"]) == ("P", "N1")


def test_what_is_bought_and_named_is_kept_by_its_rules(visitor: Visitor) -> None:
    visitor.connect()
    category = visitor.result("GET", "/expenses/categories")["categories"][0]["categoryid"]
    vendor = visitor.result("POST", "/bill_vendors/bill_vendors", VENDOR)["bill_vendor"]
    cost = {"amount": "20.00", "code": "CAD"}
    line = {"categoryid": category, "quantity": "2", "unit_cost": cost}
    line |= {"description": "x", "tax_name1": "HST", "tax_percent1": "13"}
    sent = {"vendorid": vendor["vendorid"], "issue_date": "2026-11-01", "lines": [line]}
    made = visitor.result("POST", "/bills/bills", {"bill": sent}, **{"include[]": "lines"})["bill"]
    assert (made["total_amount"]["amount"], made["status"]) == ("45.20", "unpaid")
    assert made["lines"][0]["tax_amount1"]["amount"] == "5.20"
    path = f"/bills/bills/{made['id']}"
    assert visitor.errno("PUT", path, {"bill": {"bill_number": "9"}}) == 1038
    assert visitor.errno("POST", "/bills/bills", {"bill": {**sent, "vendorid": 1}}) == 1012
    part = {"billid": made["id"], "amount": {"amount": "5.20", "code": "CAD"}}
    paid = {"bill_payment": {**part, "paid_date": "2026-11-02", "payment_type": "Cash"}}
    told = visitor.result("POST", "/bill_payments/bill_payments", paid)["bill_payment"]
    assert visitor.result("GET", path)["bill"]["status"] == "partial"
    gone = {"bill_payment": {"vis_state": 1}}
    visitor.result("PUT", f"/bill_payments/bill_payments/{told['id']}", gone)
    assert visitor.result("GET", path)["bill"]["outstanding"]["amount"] == "45.20"

    spent = {"amount": {"amount": "11.30", "code": "CAD"}, "categoryid": category, "staffid": 1}
    spent |= {"date": "2026-11-03", "taxName1": "HST", "taxPercent1": "13"}
    kept = visitor.result("POST", "/expenses/expenses", {"expense": spent})["expense"]
    assert kept["taxAmount1"] == {"amount": "1.30", "code": "CAD"}
    for wrong, errno in (({"staffid": None}, 1001), ({"categoryid": 1}, 1012)):
        told = {"expense": {**spent, **wrong}}
        assert visitor.errno("POST", "/expenses/expenses", told) == errno

    item = {"name": "Advice", "unit_cost": {"amount": "99.995"}}
    new = visitor.result("POST", "/items/items", {"item": item})["item"]
    assert new["unit_cost"] == {"amount": "99.995", "code": "CAD"}
    dear = {"item": {**item, "unit_cost": {"amount": "-1"}}}
    assert visitor.errno("POST", "/items/items", dear) == 1025
    tax = {"tax": {"name": "QST", "amount": "9.975"}}
    key = visitor.result("POST", "/taxes/taxes", tax)["tax"]["id"]
    assert visitor.errno("POST", "/taxes/taxes", tax) == 1026
    assert visitor.errno("POST", "/taxes/taxes", {"tax": {"name": "y", "amount": "101"}}) == 1018
    assert visitor.call("DELETE", f"/taxes/taxes/{key}").status_code == 204
    assert visitor.errno("DELETE", f"/taxes/taxes/{key}") == 1012
    assert visitor.call("DELETE", path).status_code == 405

    client = visitor.result("GET", "/users/clients")["clients"][0]["id"]
    line = {"name": "x", "qty": "1", "unit_cost": cost, "taxName1": "HST", "taxAmount1": "13"}
    note = {"clientid": client, "create_date": "2026-11-04", "lines": [line]}
    at = "/credit_notes/credit_notes"
    made = visitor.result("POST", at, {"credit_notes": note})["credit_notes"]
    assert (made["amount"]["amount"], made["credit_type"]) == ("22.60", "goodwill")
    assert visitor.errno("POST", at, {"credit_note": note}) == 1005


VENDOR = {"bill_vendor": {"vendor_name": "Paper & Sons"}}


def test_calls_are_counted_by_the_minute(visitor: Visitor) -> None:
    visitor.connect()
    visitor.sim.control.post("limits", minute=1)
    assert visitor.call("GET", "/taxes/taxes").headers["X-RateLimit-Remaining"] == "0"
    met = visitor.call("GET", "/taxes/taxes")
    assert (met.status_code, met.json()["response"]["errors"][0]["errno"]) == (429, 429)
    visitor.sim.control.advance(float(met.headers["Retry-After"]))
    assert visitor.call("GET", "/taxes/taxes").status_code == 200


def test_faults_are_committed_in_freshbooks_manner(visitor: Visitor) -> None:
    visitor.connect()
    visitor.sim.control.fault("status", status=429, path="*/taxes")
    assert visitor.call("GET", "/taxes/taxes").headers["Retry-After"] == "1"
    visitor.sim.control.fault("status", status=503, path="*/clients", method="POST", after=True)
    sent = {"client": {"organization": "Made all the same"}}
    assert visitor.call("POST", "/users/clients", sent).status_code == 503
    named = [one["organization"] for one in visitor.result("GET", "/users/clients")["clients"]]
    assert "Made all the same" in named
    visitor.sim.control.fault("empty", path="*/clients")
    assert visitor.result("GET", "/users/clients")["clients"] == []
    visitor.sim.control.fault("drop", path="/auth/oauth/token", after=True)
    with pytest.raises(httpx2.RemoteProtocolError):
        visitor.refresh(visitor.tokens["refresh_token"])
    assert visitor.refresh(visitor.tokens["refresh_token"]).status_code == 400  # it was used


def test_a_callback_counts_when_its_code_came_back(
    visitor: Visitor, webhook_receiver: WebhookReceiver
) -> None:
    visitor.connect()
    url, _ = webhook_receiver.hook("books")
    sent = {"callback": {"event": "client", "uri": url}}
    made = visitor.events("POST", sent=sent).json()["response"]["result"]["callback"]
    shown = document().examples["get_callback_response"]["response"]["result"]["callback"]
    assert (set(made), made["verified"]) == (set(shown), False)
    assert visitor.events("POST", sent=sent).status_code == 422
    wrong = visitor.events("POST", sent={"callback": {"event": "client.jump", "uri": "x"}})
    assert (
        wrong.json()["details"]
        == document().examples["create_callback_response__validation_error"]["details"]
    )
    key = made["callbackid"]
    assert visitor.events("PUT", f"/{key}", {"callback": {"verifier": "x"}}).status_code == 422
    code = visitor.sim.simulator.dispatcher.callbacks[key].code
    right = visitor.events("PUT", f"/{key}", {"callback": {"verifier": code}})
    assert right.json()["response"]["result"]["callback"]["verified"]
    assert len(visitor.events("GET").json()["response"]["result"]["callbacks"]) == 1
    assert visitor.events("GET", "/1").json()["errno"] == 404
    assert visitor.events("DELETE", f"/{key}").status_code == 204
    assert visitor.events("GET", f"/{key}").status_code == 404


def test_a_signature_is_over_the_fields_as_json() -> None:
    fields = {"name": "invoice.create", "object_id": "1234567", "account_id": "é"}
    signed = '{"name": "invoice.create", "object_id": "1234567", "account_id": "\\u00e9"}'
    assert json.loads(signed) == fields
    digest = hmac.new(b"code", signed.encode(), hashlib.sha256).digest()
    assert sign(fields, "code") == base64.b64encode(digest).decode()

"""The Xero simulator against Xero's own OpenAPI document, and the rules of its OAuth server."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from landbridge.testing.pytest_plugin import XeroSimulator
from tests.providers import visiting
from tests.specs.documents import Document
from tests.specs.xero.document import xero

SCOPES = (
    "offline_access accounting.settings accounting.contacts accounting.invoices"
    " accounting.payments accounting.banktransactions.read accounting.manualjournals"
)
KINDS = (
    "Accounts TaxRates Contacts Items Invoices CreditNotes Payments BankTransactions"
    " ManualJournals Organisation"
).split()
API = "/api.xro/2.0"


class Visitor(visiting.Visitor):
    """An app that talks to the simulator; each call of the API is held against the document."""

    authorize = "/identity/connect/authorize"
    scopes = SCOPES

    def __init__(self, sim: XeroSimulator):
        super().__init__(sim)
        self.sim = sim
        self.document: Document = xero()
        self.tenant = next(iter(sim.simulator.books))

    def token(self, **form: str) -> httpx2.Response:
        return self.http.post("/connect/token", data=form, auth=self.client)

    def call(self, method: str, path: str, *, sent: Any = None, **more: Any) -> httpx2.Response:
        headers = {
            **self.bearer,
            "Xero-Tenant-Id": self.tenant,
            **more.pop("headers", {}),
        }
        answer = self.http.request(method, API + path, json=sent, headers=headers, **more)
        if answer.status_code in (200, 400):
            problems = self.document.misanswered(method, path, answer.status_code, answer.content)
            assert problems == []
            asked = {name: str(value) for name, value in more.get("params", {}).items()}
            body = answer.request.read()
            assert self.document.refused(method, path, asked, headers, body) == []
        return answer


@pytest.fixture
def visitor(xero_simulator: XeroSimulator) -> Iterator[Visitor]:
    made = Visitor(xero_simulator)
    with made.http:
        yield made


@pytest.mark.parametrize("kind", KINDS)
def test_every_list_and_record_is_as_xeros_document_says(visitor: Visitor, kind: str) -> None:
    visitor.connect()
    name = "Organisations" if kind == "Organisation" else kind
    listed = visitor.call("GET", f"/{kind}").json()[name]
    assert listed
    if kind != "Organisation":
        key = {"TaxRates": "TaxType"}.get(kind, f"{kind.removesuffix('s')}ID")
        one = visitor.call("GET", f"/{kind}/{listed[0][key]}").json()[name]
        assert one == [listed[0]]
        assert visitor.call("GET", f"/{kind}/nothing").status_code == 404


def test_pages_have_counts_and_the_header_asks_for_changes(visitor: Visitor) -> None:
    visitor.connect()
    asked = {"page": 2, "pageSize": 50, "order": "InvoiceID"}
    told = visitor.call("GET", "/Invoices", params=asked).json()
    assert told["pagination"] == {"page": 2, "pageSize": 50, "pageCount": 3, "itemCount": 130}
    keys = [one["InvoiceID"] for one in told["Invoices"]]
    assert keys == sorted(keys)
    since = {"If-Modified-Since": "2099-01-01T00:00:00"}
    assert visitor.call("GET", "/Invoices", headers=since).json()["Invoices"] == []


def test_the_consent_demands_pkce_and_tells_of_a_denial(visitor: Visitor) -> None:
    assert visitor.consent(code_challenge="")["error"] == "invalid_request"
    assert visitor.consent(code_challenge_method="plain")["error"] == "invalid_request"
    assert visitor.consent(scope="accounting.everything")["error"] == "invalid_scope"
    visitor.sim.control.post("consent", mode="deny")
    assert visitor.consent() == {"error": "access_denied", "state": "s1"}
    visitor.sim.control.post("consent", mode="page")
    with pytest.raises(AssertionError, match="Allow access"):
        visitor.consent()


def test_a_code_counts_once_and_with_its_verifier(visitor: Visitor) -> None:
    code = visitor.consent()["code"]
    assert visitor.exchange(code, "wrong" * 10).json() == {"error": "invalid_grant"}
    code = visitor.consent()["code"]
    tokens = visitor.exchange(code).json()
    assert (tokens["expires_in"], tokens["token_type"]) == (1800, "Bearer")
    assert visitor.exchange(code).status_code == 400
    assert visitor.refresh(tokens["refresh_token"]).status_code == 400  # the code was stolen
    late = visitor.consent()["code"]
    visitor.sim.control.advance(301)
    assert visitor.exchange(late).status_code == 400


def test_refresh_tokens_rotate_with_half_an_hour_to_ask_again(visitor: Visitor) -> None:
    visitor.connect()
    first = visitor.tokens["refresh_token"]
    second = visitor.refresh(first).json()["refresh_token"]
    assert second != first
    visitor.sim.control.advance(1700)
    third = visitor.refresh(first)
    assert third.status_code == 200
    assert visitor.refresh(second).status_code == 200
    visitor.sim.control.advance(200)
    assert visitor.refresh(first).json() == {"error": "invalid_grant"}
    assert visitor.refresh(third.json()["refresh_token"]).status_code == 400  # reuse ends it all
    visitor.connect()
    visitor.sim.control.advance(61 * 86_400)
    assert visitor.refresh(visitor.tokens["refresh_token"]).status_code == 400


def test_tokens_end_by_time_and_by_revocation(visitor: Visitor) -> None:
    visitor.connect()
    visitor.sim.control.advance(1801)
    late = visitor.call("GET", "/Organisation")
    assert (late.status_code, late.json()["Detail"]) == (401, "TokenExpired: token expired")
    visitor.connect()
    pair = (visitor.sim.client_id, visitor.sim.client_secret)
    told = {"token": visitor.tokens["refresh_token"]}
    assert visitor.http.post("/connect/revocation", data=told, auth=pair).status_code == 200
    assert visitor.call("GET", "/Organisation").status_code == 401
    assert visitor.refresh(visitor.tokens["refresh_token"]).status_code == 400
    wrong = visitor.http.post("/connect/token", data={}, auth=(visitor.sim.client_id, "x"))
    assert wrong.json() == {"error": "invalid_client"}


def test_the_organisations_of_a_grant_are_listed_and_can_leave(visitor: Visitor) -> None:
    visitor.sim.control.post("consent", mode="allow", organisations=[visitor.tenant])
    visitor.connect()
    bearer = {"Authorization": f"Bearer {visitor.tokens['access_token']}"}
    answer = visitor.http.get("/connections", headers=bearer)
    assert visitor.document.misanswered("GET", "/connections", 200, answer.content) == []
    (one,) = answer.json()
    assert (one["tenantId"], one["tenantType"]) == (visitor.tenant, "ORGANISATION")
    other = list(visitor.sim.simulator.books)[1]
    refused = visitor.call("GET", "/Organisation", headers={"Xero-Tenant-Id": other})
    assert (refused.status_code, refused.json()["Detail"]) == (403, "AuthenticationUnsuccessful")
    gone = visitor.http.delete(f"/connections/{one['id']}", headers=bearer)
    assert gone.status_code == 204
    assert visitor.call("GET", "/Organisation").status_code == 403


def test_a_scope_that_was_not_granted_is_missed(visitor: Visitor) -> None:
    visitor.connect(scope="offline_access accounting.contacts.read")
    assert visitor.call("GET", "/Contacts").status_code == 200
    assert visitor.call("GET", "/Invoices").status_code == 401
    sent = {"Contacts": [{"Name": "x"}]}
    assert visitor.call("PUT", "/Contacts", sent=sent).status_code == 401


def test_quotas_are_told_and_kept(visitor: Visitor) -> None:
    visitor.connect()
    visitor.sim.control.post("limits", minute=2)
    first = visitor.call("GET", "/Organisation")
    assert first.headers["X-MinLimit-Remaining"] == "1"
    assert first.headers["X-DayLimit-Remaining"] == "4999"
    visitor.call("GET", "/Organisation")
    met = visitor.call("GET", "/Organisation")
    assert (met.status_code, met.headers["X-Rate-Limit-Problem"]) == (429, "minute")
    visitor.sim.control.advance(float(met.headers["Retry-After"]))
    assert visitor.call("GET", "/Organisation").status_code == 200
    visitor.sim.control.post("limits", minute=60, day=1)
    assert visitor.call("GET", "/Items").headers["X-Rate-Limit-Problem"] == "day"
    visitor.sim.control.post("limits", day=5000, concurrent=0)
    assert "Retry-After" not in visitor.call("GET", "/Items").headers


def test_an_invoice_is_reckoned_paid_and_kept_from_wrong_changes(visitor: Visitor) -> None:
    visitor.connect()
    alone = {"summarizeErrors": "false"}
    contact = visitor.call("GET", "/Contacts").json()["Contacts"][0]
    line = {"Description": "x", "Quantity": 2, "UnitAmount": 10.005, "AccountCode": "200"}
    sent = {
        "Type": "ACCREC",
        "Contact": {"ContactID": contact["ContactID"]},
        "LineItems": [{**line, "TaxType": "OUTPUT2"}],
        "Status": "AUTHORISED",
        "DueDate": "2026-12-24",
    }
    key = {"Idempotency-Key": "k1"}
    body = {"Invoices": [sent]}
    made = visitor.call("PUT", "/Invoices", sent=body, headers=key, params=alone).json()
    again = visitor.call("PUT", "/Invoices", sent=body, headers=key, params=alone).json()
    assert made == again
    (invoice,) = made["Invoices"]
    assert [invoice[name] for name in ("SubTotal", "TotalTax", "Total")] == [20.01, 3.0, 23.01]
    untold = {"Invoices": [{**sent, "LineItems": [{**line, "TaxType": "NOPE"}]}]}
    refused = visitor.call("PUT", "/Invoices", sent=untold, params=alone).json()["Invoices"][0]
    assert "TaxType code 'NOPE'" in refused["ValidationErrors"][0]["Message"]
    wrong = {"Invoices": [{**sent, "Contact": {}}]}
    other = visitor.call("PUT", "/Invoices", sent=wrong, headers=key, params=alone)
    assert other.status_code == 400
    refused = visitor.call("PUT", "/Invoices", sent=wrong, params=alone).json()["Invoices"][0]
    assert refused["StatusAttributeString"] == "ERROR"
    summed = visitor.call("PUT", "/Invoices", sent=wrong)
    assert (summed.status_code, summed.json()["Type"]) == (400, "ValidationException")
    bank = next(
        one for one in visitor.call("GET", "/Accounts").json()["Accounts"] if one["Type"] == "BANK"
    )
    pay = {"Invoice": {"InvoiceID": invoice["InvoiceID"]}, "Amount": 24.0, "Date": "2026-12-01"}
    pay["Account"] = {"AccountID": bank["AccountID"]}
    much = visitor.call("PUT", "/Payments", sent={"Payments": [pay]}, params=alone).json()
    assert "exceeds" in much["Payments"][0]["ValidationErrors"][0]["Message"]
    done = visitor.call("PUT", "/Payments", sent={"Payments": [{**pay, "Amount": 23.01}]}).json()
    path = f"/Invoices/{invoice['InvoiceID']}"
    assert visitor.call("GET", path).json()["Invoices"][0]["Status"] == "PAID"
    void = {"Invoices": [{"Status": "VOIDED"}]}
    assert visitor.call("POST", path, sent=void).status_code == 400
    payment = f"/Payments/{done['Payments'][0]['PaymentID']}"
    gone = visitor.call("POST", payment, sent={"Status": "DELETED"}).json()["Payments"][0]
    assert gone["Status"] == "DELETED"
    voided = visitor.call("POST", path, sent=void).json()["Invoices"][0]
    assert (voided["Status"], voided["AmountDue"]) == ("VOIDED", 0)


def problem(visitor: Visitor, method: str, path: str, sent: Any) -> str:
    """Why a write is refused."""
    answer = visitor.call(method, path, sent=sent)
    assert answer.status_code == 400, answer.text
    return str(answer.json()["Elements"][0]["ValidationErrors"][0]["Message"])


def test_items_and_accounts_are_kept_by_their_rules(visitor: Visitor) -> None:
    visitor.connect()
    sold = {"UnitPrice": 9.5, "AccountCode": "200", "TaxType": "OUTPUT2"}
    item = {"Code": "NEW", "Name": "New", "SalesDetails": sold}
    (made,) = visitor.call("PUT", "/Items", sent={"Items": [item]}).json()["Items"]
    assert (made["IsSold"], made["SalesDetails"]["UnitPrice"]) == (True, 9.5)
    path = f"/Items/{made['ItemID']}"
    dearer = {"Items": [{"Code": "NEW", "SalesDetails": {"UnitPrice": 10}}]}
    (now,) = visitor.call("POST", path, sent=dearer).json()["Items"]
    assert now["SalesDetails"] == {**sold, "UnitPrice": 10}
    assert "already exists" in problem(visitor, "PUT", "/Items", {"Items": [item]})
    account = {"Code": "477", "Name": "Salaries", "Type": "EXPENSE"}
    (kept,) = visitor.call("PUT", "/Accounts", sent=account).json()["Accounts"]
    assert (kept["Class"], kept["Status"]) == ("EXPENSE", "ACTIVE")
    assert "already exists" in problem(visitor, "PUT", "/Accounts", account)
    assert "Type must be" in problem(visitor, "PUT", "/Accounts", {"Code": "9", "Name": "x"})
    path = f"/Accounts/{kept['AccountID']}"
    archived = {"Accounts": [{"Status": "ARCHIVED"}]}
    (left,) = visitor.call("POST", path, sent=archived).json()["Accounts"]
    assert left["Status"] == "ARCHIVED"
    other = {"Accounts": [{"Type": "BANK"}]}
    assert "type of this account" in problem(visitor, "POST", path, other)


def test_a_tax_rate_is_reckoned_from_its_components(visitor: Visitor) -> None:
    visitor.connect()
    parts = [
        {"Name": "GST", "Rate": 5, "IsCompound": False},
        {"Name": "QST", "Rate": 10, "IsCompound": True},
    ]
    rate = {"Name": "Quebec", "TaxComponents": parts}
    (made,) = visitor.call("PUT", "/TaxRates", sent={"TaxRates": [rate]}).json()["TaxRates"]
    assert (made["TaxType"], made["EffectiveRate"]) == ("TAX001", 15.5)
    assert "exists already" in problem(visitor, "PUT", "/TaxRates", {"TaxRates": [rate]})
    less = {"TaxRates": [{"TaxType": "TAX001", "Name": "Quebec", "TaxComponents": parts[:1]}]}
    (now,) = visitor.call("POST", "/TaxRates", sent=less).json()["TaxRates"]
    assert (now["TaxType"], now["EffectiveRate"]) == ("TAX001", 5)
    bare = {"TaxRates": [{"Name": "Nothing"}]}
    assert "at least one" in problem(visitor, "PUT", "/TaxRates", bare)


def test_credit_notes_and_journals_are_kept_by_their_rules(visitor: Visitor) -> None:
    visitor.connect()
    contact = visitor.call("GET", "/Contacts").json()["Contacts"][0]["ContactID"]
    line = {"Description": "x", "Quantity": 1, "UnitAmount": 20, "AccountCode": "200"}
    note = {"Type": "ACCRECCREDIT", "Contact": {"ContactID": contact}, "Status": "AUTHORISED"}
    whole = {**note, "LineItems": [{**line, "TaxType": "OUTPUT2"}], "Date": "2026-11-20"}
    (made,) = visitor.call("PUT", "/CreditNotes", sent={"CreditNotes": [whole]}).json()[
        "CreditNotes"
    ]
    assert [made[name] for name in ("SubTotal", "Total", "RemainingCredit")] == [20, 23, 23]
    path = f"/CreditNotes/{made['CreditNoteID']}"
    void = {"CreditNotes": [{"Status": "VOIDED"}]}
    assert visitor.call("POST", path, sent=void).json()["CreditNotes"][0]["Status"] == "VOIDED"
    assert "not of valid status" in problem(visitor, "POST", path, void)
    untyped = {"CreditNotes": [{"Contact": {"ContactID": contact}}]}
    assert "type must be" in problem(visitor, "PUT", "/CreditNotes", untyped)
    sides = [{"LineAmount": 10, "AccountCode": "400"}, {"LineAmount": -10, "AccountCode": "200"}]
    journal = {"Narration": "Accrual", "JournalLines": sides, "Date": "2026-11-20"}
    sent = {"ManualJournals": [journal]}
    (kept,) = visitor.call("PUT", "/ManualJournals", sent=sent).json()["ManualJournals"]
    assert (kept["Status"], len(kept["JournalLines"])) == ("DRAFT", 2)
    path = f"/ManualJournals/{kept['ManualJournalID']}"
    lame = {"ManualJournals": [{"Narration": "x", "JournalLines": sides[:1]}]}
    assert "debits must equal" in problem(visitor, "POST", path, lame)
    wrong = [{**sides[0], "AccountCode": "nowhere"}]
    lame = {"ManualJournals": [{"Narration": "x", "JournalLines": wrong}]}
    assert "not a valid code" in problem(visitor, "POST", path, lame)
    nameless = {"ManualJournals": [{"Narration": "", "JournalLines": sides}]}
    assert "narration" in problem(visitor, "PUT", "/ManualJournals", nameless)
    gone = {"ManualJournals": [{"Narration": "x", "Status": "VOIDED"}]}
    assert visitor.call("POST", path, sent=gone).status_code == 200
    assert "not of valid status" in problem(visitor, "POST", path, gone)


def test_faults_are_committed_in_xeros_manner(visitor: Visitor) -> None:
    visitor.connect()
    visitor.sim.control.fault("status", status=429, path="*/Items")
    assert visitor.call("GET", "/Items").headers["X-Rate-Limit-Problem"] == "minute"
    visitor.sim.control.fault("drop", path="/connect/token", after=True)
    with pytest.raises(httpx2.RemoteProtocolError):
        visitor.refresh(visitor.tokens["refresh_token"])
    assert visitor.refresh(visitor.tokens["refresh_token"]).status_code == 200
    visitor.sim.control.fault("empty", path="*/Contacts")
    listed = visitor.call("GET", "/Contacts", params={"page": 1}).json()
    assert (listed["Contacts"], listed["pagination"]["itemCount"]) == ([], 0)

"""The QuickBooks simulator against Intuit's own schema, and the rules of its OAuth server."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx2
import pytest

from landbridge.testing import quickbooks as simulated
from landbridge.testing.pytest_plugin import QuickBooksSimulator, WebhookReceiver
from tests.plain import PLAIN
from tests.specs.quickbooks.document import ENTITIES, Document, quickbooks

SCOPE = "com.intuit.quickbooks.accounting"
REDIRECT = "https://app.example/back"


class Visitor:
    """An app that talks to the simulator; each call of the API is held against the schema."""

    def __init__(self, sim: QuickBooksSimulator):
        self.sim = sim
        self.document: Document = quickbooks()
        self.http = httpx2.Client(base_url=sim.url, trust_env=False, verify=PLAIN)
        self.tokens: dict[str, Any] = {}
        self.realm = next(iter(sim.simulator.books))

    def consent(self, **more: str) -> dict[str, str]:
        """The parameters with which the browser comes back."""
        asked = {
            "response_type": "code",
            "client_id": self.sim.client_id,
            "redirect_uri": REDIRECT,
            "scope": SCOPE,
            "state": "s1",
            **more,
        }
        answer = self.http.get("/connect/oauth2", params=asked)
        assert answer.status_code == 302, answer.text
        return dict(parse_qsl(urlsplit(answer.headers["location"]).query))

    def exchange(self, form: dict[str, str]) -> httpx2.Response:
        pair = (self.sim.client_id, self.sim.client_secret)
        return self.http.post("/oauth2/v1/tokens/bearer", data=form, auth=pair)

    def connect(self) -> None:
        code = self.consent()["code"]
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": REDIRECT}
        self.tokens = self.exchange(form).json()

    def refresh(self, token: str) -> httpx2.Response:
        return self.exchange({"grant_type": "refresh_token", "refresh_token": token})

    def call(self, method: str, path: str, sent: Any = None, **params: str) -> httpx2.Response:
        headers = {
            "Authorization": f"Bearer {self.tokens['access_token']}",
            "Accept": "application/json",
        }
        answer = self.http.request(
            method, f"/v3/company/{self.realm}{path}", json=sent, headers=headers, params=params
        )
        if answer.status_code not in (401, 403):
            wrong = self.document.misanswered(path, answer.status_code, answer.content)
            assert wrong == [], (path, wrong)
        return answer

    def query(self, text: str) -> Any:
        return self.call("GET", "/query", query=text).json().get("QueryResponse")

    def refused(self, method: str, path: str, sent: Any = None, **params: str) -> str:
        """The code of a fault."""
        answer = self.call(method, path, sent, **params)
        assert answer.status_code == 400, answer.text
        code: str = answer.json()["Fault"]["Error"][0]["code"]
        return code


@pytest.fixture
def visitor(quickbooks_simulator: QuickBooksSimulator) -> Iterator[Visitor]:
    one = Visitor(quickbooks_simulator)
    one.connect()
    yield one
    one.http.close()


def test_every_entity_and_answer_is_one_of_intuits_schema(visitor: Visitor) -> None:
    for kind in ENTITIES:
        found = visitor.query(f"SELECT * FROM {kind} MAXRESULTS 1000")[kind]
        assert found, kind
        one = visitor.call("GET", f"/{kind.lower()}/{found[0]['Id']}").json()
        assert one[kind] == found[0]
    about = visitor.call("GET", f"/companyinfo/{visitor.realm}").json()
    assert about["CompanyInfo"]["CompanyName"] == "Sandbox Company_US_1"
    assert visitor.refused("GET", "/customer/999") == "610"
    assert visitor.document.misanswered("/query", 200, b'{"QueryResponse": {"Invoice": []}}')


def test_statements_are_read_as_intuit_has_them(visitor: Visitor) -> None:
    assert visitor.query("SELECT COUNT(*) FROM Invoice") == {"totalCount": 60}
    assert len(visitor.query("SELECT * FROM Invoice MAXRESULTS 7")["Invoice"]) == 7
    page = visitor.query("SELECT * FROM Invoice ORDERBY Id STARTPOSITION 59 MAXRESULTS 1000")
    assert ([one["Id"] for one in page["Invoice"]], page["startPosition"]) == (["59", "60"], 59)
    assert visitor.query("SELECT * FROM Invoice STARTPOSITION 61 MAXRESULTS 5") == {}
    shown = visitor.query("SELECT * FROM Customer MAXRESULTS 1000")["Customer"]
    every = visitor.query("SELECT * FROM Customer WHERE Active IN (true, false)")["Customer"]
    assert (len(shown), len(every)) == (22, 25)
    visitor.sim.control.advance(60)
    visitor.sim.control.patch("objects/Invoice/40", set={"PrivateNote": "it's \\ new"})
    late = "SELECT * FROM Invoice WHERE MetaData.LastUpdatedTime >= '{}' AND Balance > '0'"
    stamp = visitor.call("GET", "/invoice/40").json()["Invoice"]["MetaData"]["LastUpdatedTime"]
    assert [one["Id"] for one in visitor.query(late.format(stamp))["Invoice"]] == ["40"]
    like = "SELECT * FROM Invoice WHERE PrivateNote LIKE 'it\\'s%'"
    assert [one["Id"] for one in visitor.query(like)["Invoice"]] == ["40"]
    for wrong in ("SELECT FROM Invoice", "SELECT * FROM Invoice WHERE a OR b", "SELECT * FROM Pet"):
        assert visitor.refused("GET", "/query", query=wrong) == "4000"
    too_many = "SELECT * FROM Invoice MAXRESULTS 1001"
    assert visitor.refused("GET", "/query", query=too_many) == "4001"


def test_changes_are_told_with_what_was_deleted(visitor: Visitor) -> None:
    control = visitor.sim.control
    control.advance(10)
    since = visitor.call("GET", "/invoice/1").json()["time"]
    control.advance(10)
    control.patch("objects/Customer/3", set={"GivenName": "Zoe"})
    control.delete("objects/Invoice/40")
    answer = visitor.call(
        "GET", "/cdc", entities="Customer,Invoice,Bill", changedSince=since
    ).json()
    ((customers, invoices, bills),) = [one["QueryResponse"] for one in answer["CDCResponse"]]
    assert [one["GivenName"] for one in customers["Customer"]] == ["Zoe"]
    assert [(one["Id"], one["status"]) for one in invoices["Invoice"]] == [("40", "Deleted")]
    assert bills == {}
    asked = {"entities": "TaxCode", "changedSince": since}
    assert visitor.refused("GET", "/cdc", **asked) == "2010"
    old = {"entities": "Invoice", "changedSince": "2020-01-01T00:00:00Z"}
    assert visitor.refused("GET", "/cdc", **old) == "2010"


def test_a_stale_version_is_refused_and_a_part_leaves_the_rest(visitor: Visitor) -> None:
    before = visitor.call("GET", "/customer/2").json()["Customer"]
    named = {"Id": "2", "SyncToken": before["SyncToken"]}
    part = {**named, "sparse": True, "GivenName": "Bo"}
    after = visitor.call("POST", "/customer", part).json()["Customer"]
    assert (after["GivenName"], after["FamilyName"]) == ("Bo", before["FamilyName"])
    assert after["SyncToken"] == str(int(before["SyncToken"]) + 1)
    assert visitor.refused("POST", "/customer", part) == "5010"
    assert visitor.refused("POST", "/customer", {"Id": "2", "GivenName": "x"}) == "2020"
    whole = {**named, "SyncToken": after["SyncToken"], "DisplayName": before["DisplayName"]}
    bare = visitor.call("POST", "/customer", whole).json()["Customer"]
    assert "FamilyName" not in bare
    taken = {"DisplayName": before["DisplayName"]}
    assert visitor.refused("POST", "/customer", taken) == "6240"
    assert visitor.refused("POST", "/customer", {"DisplayName": "a:b"}) == "2040"
    assert visitor.refused("POST", "/customer", whole, operation="delete") == "500"


def sale(**more: Any) -> dict[str, Any]:
    detail = {"ItemRef": {"value": "1"}, "Qty": 2, "UnitPrice": 10.25, "TaxCodeRef": {"value": "1"}}
    line = {"Amount": 20.5, "DetailType": "SalesItemLineDetail", "SalesItemLineDetail": detail}
    return {"CustomerRef": {"value": "1"}, "Line": [{**line, **more}]}


def test_an_invoice_is_reckoned_paid_voided_and_deleted(visitor: Visitor) -> None:
    made = visitor.call("POST", "/invoice", sale(), requestid="r1").json()["Invoice"]
    again = visitor.call("POST", "/invoice", sale(), requestid="r1").json()["Invoice"]
    assert made == again
    assert (made["TxnTaxDetail"], made["TotalAmt"], made["Balance"]) == (
        {"TotalTax": 4.1},
        24.6,
        24.6,
    )
    assert [one["DetailType"] for one in made["Line"]][-1] == "SubTotalLineDetail"
    assert visitor.refused("POST", "/invoice", sale(Amount=20)) == "6070"
    assert visitor.refused("POST", "/invoice", {**sale(), "Line": made["Line"]}) == "2010"
    assert visitor.refused("POST", "/invoice", {**sale(), "DocNumber": made["DocNumber"]}) == "6140"
    assert visitor.refused("POST", "/invoice", {**sale(), "CustomerRef": {"value": "x"}}) == "2500"
    taxed = sale()
    taxed["Line"][0]["SalesItemLineDetail"]["TaxCodeRef"] = {"value": "nope"}
    assert visitor.refused("POST", "/invoice", taxed) == "2500"
    linked = [{"TxnId": made["Id"], "TxnType": "Invoice"}]
    pay = {"CustomerRef": {"value": "1"}, "TotalAmt": 24.6}
    pay["Line"] = [{"Amount": 24.6, "LinkedTxn": linked}]
    payment = visitor.call("POST", "/payment", pay).json()["Payment"]
    path = f"/invoice/{made['Id']}"
    assert visitor.call("GET", path).json()["Invoice"]["Balance"] == 0
    assert visitor.refused("POST", "/payment", pay) == "6000"
    gone = visitor.call("POST", "/payment", payment, operation="delete").json()["Payment"]
    assert gone["status"] == "Deleted"
    invoice = visitor.call("GET", path).json()["Invoice"]
    assert invoice["Balance"] == 24.6
    void = visitor.call("POST", "/invoice", invoice, operation="void").json()["Invoice"]
    assert (void["TotalAmt"], void["PrivateNote"]) == (0, "Voided")
    visitor.call("POST", "/invoice", void, operation="delete")
    assert visitor.refused("GET", path) == "610"


def test_a_journal_has_to_balance(visitor: Visitor) -> None:
    journal = visitor.call("GET", "/journalentry/1").json()["JournalEntry"]
    journal["Line"][0]["Amount"] += 1
    assert visitor.refused("POST", "/journalentry", journal) == "6000"


def test_refresh_tokens_roll_and_end(visitor: Visitor) -> None:
    first = visitor.tokens["refresh_token"]
    second = visitor.refresh(first).json()["refresh_token"]
    assert second != first
    assert visitor.refresh(first).json() == {"error": "invalid_grant"}
    visitor.sim.control.advance(99 * 86_400)
    third = visitor.refresh(second).json()["refresh_token"]
    visitor.sim.control.advance(101 * 86_400)
    assert visitor.refresh(third).status_code == 400
    visitor.connect()
    visitor.sim.control.advance(3601)
    late = visitor.call("GET", "/invoice/1")
    assert (late.status_code, "fault" in late.json()) == (401, True)
    token = {"token": visitor.refresh(visitor.tokens["refresh_token"]).json()["refresh_token"]}
    pair = (visitor.sim.client_id, visitor.sim.client_secret)
    revoke = "/v2/oauth2/tokens/revoke"
    assert visitor.http.post(revoke, json=token, auth=pair).status_code == 200
    assert visitor.refresh(token["token"]).status_code == 400


@pytest.mark.parametrize("quickbooks_settings", [simulated.Settings(rotates_after=86_400)])
def test_a_refresh_token_may_stay_the_same_for_a_day(visitor: Visitor) -> None:
    first = visitor.tokens["refresh_token"]
    assert visitor.refresh(first).json()["refresh_token"] == first
    visitor.sim.control.advance(86_401)
    assert visitor.refresh(first).json()["refresh_token"] != first


def test_a_consent_is_for_one_company_and_can_be_denied(visitor: Visitor) -> None:
    other = list(visitor.sim.simulator.books)[1]
    visitor.sim.control.post("consent", mode="allow", company=other)
    assert visitor.consent()["realmId"] == other
    visitor.sim.control.post("consent", mode="deny")
    assert visitor.consent() == {"error": "access_denied", "state": "s1"}
    assert visitor.consent(scope="everything")["error"] == "invalid_scope"
    visitor.realm = other
    assert visitor.call("GET", "/invoice/1").status_code == 403


def test_quotas_and_faults_are_answered_in_intuits_manner(visitor: Visitor) -> None:
    control = visitor.sim.control
    control.post("limits", minute=1)
    visitor.call("GET", "/invoice/1")
    met = visitor.call("GET", "/invoice/1")
    assert (met.status_code, met.json()["Fault"]["Error"][0]["code"]) == (429, "3001")
    assert "Retry-After" not in met.headers
    control.post("limits", minute=500)
    control.fault("status", status=500, path="*/invoice", after=True)
    failed = visitor.call("POST", "/invoice", sale(), requestid="r9")
    assert (failed.status_code, failed.json()["Fault"]["type"]) == (500, "SystemFault")
    assert len(visitor.query("SELECT * FROM Invoice MAXRESULTS 1000")["Invoice"]) == 61
    control.post("faults/status", status=200)
    answer = visitor.call("GET", "/invoice/999")
    assert (answer.status_code, answer.json()["Fault"]["Error"][0]["code"]) == (200, "610")
    control.fault("empty", path="*/query")
    assert visitor.query("SELECT * FROM Invoice") == {}


def test_webhooks_are_signed_and_come_as_an_array(
    visitor: Visitor, webhook_receiver: WebhookReceiver
) -> None:
    control = visitor.sim.control
    control.post("webhooks/register", url=f"{webhook_receiver.url}/hook/none", token="verifier")
    control.post("webhooks/mode", mode="hold")
    control.patch("objects/Customer/1", set={"GivenName": "A"})
    control.delete("objects/Invoice/59")
    assert control.post("webhooks/release", times=2) == {"sent": 4}
    control.until(lambda it: len(sent(it)) >= 2)
    (body, signature), again = sent(control)[:2]
    assert again == (body, signature)
    events = json.loads(body)
    assert [one["type"] for one in events] == ["qbo.customer.updated.v1", "qbo.invoice.deleted.v1"]
    assert {one["intuitaccountid"] for one in events} == {visitor.realm}
    whole = hmac.new(b"verifier", body.encode(), hashlib.sha256).digest()
    assert signature == base64.b64encode(whole).decode()


def sent(control: Any) -> list[tuple[str, str]]:
    told = [one for one in control.journal() if one["kind"] == "webhook"]
    return [(one["body"], one["signature"]) for one in told]

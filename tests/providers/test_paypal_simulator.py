"""The simulated PayPal by itself: tokens, keys, faults, both shapes of what is unsure."""

from __future__ import annotations

import json
from typing import Any

import httpx2
import pytest

from landbridge.engine.sort import notices
from landbridge.providers.paypal import paypal
from landbridge.testing.paypal import CLIENT, SECRET, Amounts, Settings, Simulator
from landbridge.testing.paypal.wire import stamp
from landbridge.testing.pytest_plugin import PayPalSimulator
from landbridge.testing.running import in_thread
from tests.plain import PLAIN
from tests.specs.paypal import document

FEW = Amounts(invoices=3, products=2, plans=1, subscriptions=1, captures=2, refunds=0, movements=8)
JSON = {"Content-Type": "application/json"}


@pytest.fixture
def paypal_settings() -> Settings:
    return Settings(amounts=FEW, rows=3)


def token(http: httpx2.Client, sim: PayPalSimulator, **wrong: str) -> httpx2.Response:
    pair = (sim.client_id, wrong.get("secret", sim.client_secret))
    form = {"grant_type": wrong.get("grant_type", "client_credentials")}
    return http.post("/v1/oauth2/token", data=form, auth=pair)


def signed_in(http: httpx2.Client, sim: PayPalSimulator) -> dict[str, str]:
    return {"Authorization": f"Bearer {token(http, sim).json()['access_token']}", **JSON}


def test_tokens_keys_and_faults(paypal_simulator: PayPalSimulator) -> None:
    sim = paypal_simulator
    with httpx2.Client(base_url=sim.url, trust_env=False, verify=PLAIN) as http:
        assert token(http, sim, secret="x").json()["error"] == "invalid_client"
        assert token(http, sim, grant_type="password").status_code == 400
        assert http.get("/v2/invoicing/invoices").json()["name"] == "AUTHENTICATION_FAILURE"
        head = signed_in(http, sim)
        assert len(http.get("/v2/invoicing/invoices", headers=head).json()["items"]) == 3

        # A key is one effect, and a repetition tells the latest state.
        capture = next(iter(sim.simulator.account.kept["capture"]))
        path, once = f"/v2/payments/captures/{capture}/refund", {**head, "PayPal-Request-Id": "k1"}
        sim.control.fault("status", status=503, path=path, after=True)
        assert http.post(path, headers=once, json={}).status_code == 503
        first, second = (http.post(path, headers=once, json={}).json()["id"] for _ in range(2))
        assert first == second
        assert len(sim.simulator.account.kept["refund"]) == 1
        other = http.post(path, headers={**head, "PayPal-Request-Id": "k2"}, json={})
        assert other.json()["details"][0]["issue"] == "CAPTURE_FULLY_REFUNDED"

        sim.control.fault("status", status=429, path="/v1/catalogs/*")
        refused = http.get("/v1/catalogs/products", headers=head)
        assert (refused.status_code, refused.json()["name"]) == (429, "RATE_LIMIT_REACHED")
        assert document.paypal().wrong_object("notifications_webhooks.error", refused.content) == []
        now, path = sim.simulator.stage.clock.now(), "/v1/reporting/transactions"
        for days, name in ((32, "INVALID_REQUEST"), (30, "RESULTSET_TOO_LARGE")):
            ranged = {"start_date": stamp(now - days * 86_400), "end_date": stamp(now)}
            assert http.get(path, headers=head, params=ranged).json()["name"] == name
        sim.control.advance(28_801)
        assert http.get("/v1/billing/plans", headers=head).status_code == 401


def test_webhooks_are_held_lost_and_sent_twice(paypal_simulator: PayPalSimulator) -> None:
    sim = paypal_simulator
    sim.control.post("webhooks/register", url=f"{sim.url}/nowhere")
    sim.control.post("webhooks/mode", mode="hold")
    sim.control.post("objects/capture", amount="3.00")
    sim.control.post("webhooks/mode", mode="lose")
    sim.control.post("objects/capture", amount="4.00")
    assert sim.control.post("webhooks/release", times=2) == {"sent": 2}
    sim.control.until(
        lambda control: sum(one["kind"] == "webhook" for one in control.journal()) >= 2
    )
    sent = [one["body"] for one in sim.control.journal() if one["kind"] == "webhook"]
    assert len({json.loads(body)["id"] for body in sent}) == 1
    assert document.paypal().wrong_object("notifications_webhooks.event", sent[0].encode()) == []


@pytest.mark.parametrize("wrapped", [True, False])
def test_each_event_names_its_record_to_the_page(wrapped: bool) -> None:
    simulator = Simulator(Settings(amounts=FEW, wrapped=wrapped))
    with (
        in_thread(simulator.app) as url,
        httpx2.Client(base_url=url, trust_env=False, verify=PLAIN) as http,
    ):
        for kind in ("invoice", "capture", "subscription", "dispute", "payout"):
            asked: dict[str, Any] = (
                {"detail": {"currency_code": "EUR"}} if kind == "invoice" else {}
            )
            assert http.post(f"/_sim/objects/{kind}", json=asked).status_code == 200
    assert paypal.webhook is not None
    for event in simulator.account.events:
        notice, *_ = notices(paypal.webhook, json.dumps(event).encode())
        kinds = {"invoices": "invoice", "payouts": "payout"}
        about = str(kinds.get(event["resource_type"], event["resource_type"]))
        assert notice.key in simulator.account.kept[about]


def test_a_new_invoice_is_told_by_its_link_where_the_vendor_wants_it_so() -> None:
    simulator = Simulator(Settings(amounts=FEW, minimal=True))
    with (
        in_thread(simulator.app) as url,
        httpx2.Client(base_url=url, trust_env=False, verify=PLAIN) as http,
    ):
        form = {"grant_type": "client_credentials"}
        given = http.post("/v1/oauth2/token", data=form, auth=(CLIENT, SECRET)).json()
        bearer = {"Authorization": f"Bearer {given['access_token']}"}
        head = {**JSON, **bearer, "Prefer": "return=representation"}
        asked = {"detail": {"currency_code": "EUR"}, "items": []}
        made = http.post("/v2/invoicing/invoices", headers=head, json=asked)
        assert made.status_code == 201
        assert made.json()["href"].rpartition("/")[2] in simulator.account.kept["invoice"]

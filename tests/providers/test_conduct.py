"""How simulators behave badly when they are told to, whoever calls."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import httpx2
import pytest

from landbridge.errors import SettingsError
from landbridge.testing import Conduct, Fault, stripe
from landbridge.testing.control import Control
from landbridge.testing.pytest_plugin import (
    PayPalSimulator,
    StripeSimulator,
    WebhookReceiver,
    conduct_of,
)
from landbridge.testing.running import in_thread
from tests.plain import PLAIN


def called(sim: StripeSimulator, times: int) -> list[httpx2.Response]:
    with httpx2.Client(base_url=sim.url, trust_env=False, verify=PLAIN) as http:
        return [http.get("/v1/customers", auth=(sim.key, "")) for _ in range(times)]


@pytest.mark.simulator(quota="3/h")
def test_a_call_above_the_quota_waits_for_the_next_window(
    stripe_simulator: StripeSimulator,
) -> None:
    answers = called(stripe_simulator, 4)
    assert [one.status_code for one in answers] == [200, 200, 200, 429]
    wait = int(answers[-1].headers["retry-after"])
    assert 0 < wait <= 3601
    assert "error" in answers[-1].json()  # in the vendor's own words
    stripe_simulator.control.advance(wait)
    assert called(stripe_simulator, 1)[0].status_code == 200


@pytest.mark.simulator(faults=[Fault(kind="status", status=503, every=3, times=None, skip=1)])
def test_each_third_call_behind_the_first_fails(stripe_simulator: StripeSimulator) -> None:
    answers = called(stripe_simulator, 8)
    assert [one.status_code for one in answers] == [200, 200, 200, 503, 200, 200, 503, 200]
    assert stripe_simulator.control.fault("drop", every=2)
    told = stripe_simulator.control.get("faults")["faults"]
    assert [(one["every"], one["times"]) for one in told] == [(3, None), (2, None)]


@pytest.mark.simulator(token_life=60)
def test_an_access_token_ends_when_it_is_told_to(paypal_simulator: PayPalSimulator) -> None:
    sim = paypal_simulator
    with httpx2.Client(base_url=sim.url, trust_env=False, verify=PLAIN) as http:
        asked = {"grant_type": "client_credentials"}
        sign_in = (sim.client_id, sim.client_secret)
        told = http.post("/v1/oauth2/token", data=asked, auth=sign_in).json()
        head = {"authorization": f"Bearer {told['access_token']}"}
        assert told["expires_in"] == 60
        assert http.get("/v2/invoicing/invoices", headers=head).status_code == 200
        sim.control.advance(61)
        assert http.get("/v2/invoicing/invoices", headers=head).status_code == 401


@pytest.mark.parametrize(("duplicate", "sent"), [(1.0, 2), (0.0, 1)])
def test_webhooks_come_late_and_twice(
    webhook_receiver: WebhookReceiver, duplicate: float, sent: int
) -> None:
    url, _ = webhook_receiver.hook("theirs")
    settings = stripe.Settings(
        conduct=Conduct(late=0.3, duplicate=duplicate), webhook_url=url, webhook_retries=()
    )
    simulator = stripe.Simulator(settings)
    with in_thread(simulator.app) as here, Control(here) as control:
        began = time.time()
        control.post("objects/customers", name="Ada")

        def told(control: Control) -> list[dict[str, Any]]:
            return [one for one in control.journal() if one["kind"] == "webhook"]

        control.until(lambda c: not c.get("webhooks")["waiting"])
        tries = told(control)
        assert [one["type"] for one in tries] == ["customer.created"] * sent
        assert all(one["at"] >= began + 0.3 for one in tries)
    simulator.stage.journal.close()


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("quota", "ten", "quota: 'ten' is not calls for a time, such as 10/s"),
        ("late", -1, "late: -1 is no number of seconds"),
        ("duplicate", 2, "duplicate: 2 is no share"),
        ("token_life", 0, "token_life: 0 is no number of seconds from 1 on"),
    ],
)
def test_what_makes_no_sense_is_named(field: str, value: Any, told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        replace(Conduct(), **{field: value})


def test_a_marker_with_an_unknown_word_says_which_there_are() -> None:
    marker = pytest.mark.simulator(qota="1/s").mark
    with pytest.raises(SettingsError, match=r"takes faults, quota, late, .* not qota"):
        conduct_of(marker)

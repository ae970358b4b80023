"""The Stripe simulator, driven by Stripe's own SDK, each answer held against Stripe's own spec."""

import json
from collections.abc import Iterator, Mapping
from decimal import Decimal
from operator import attrgetter
from typing import Any
from urllib.parse import urlsplit

import pytest
import stripe
from stripe import StripeClient

from landbridge.testing.pytest_plugin import StripeSimulator, WebhookReceiver
from landbridge.testing.stripe import Amounts, Settings
from landbridge.testing.stripe.world import KINDS
from tests.specs import openapi


class CheckingClient(stripe.RequestsClient):
    """Stripe's HTTP client, which also checks every response against Stripe's spec."""

    def __init__(self) -> None:
        super().__init__()
        self.problems: list[str] = []
        self.checked = 0

    def request(  # type: ignore[override]  # so does the class we inherit from
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None,
        post_data: Any = None,
    ) -> tuple[bytes, int, Mapping[str, str]]:
        content, status, answered = super().request(method, url, headers, post_data)
        self.checked += 1
        path = urlsplit(url).path
        self.problems += openapi.stripe().check(method.upper(), path, status, content)
        return content, status, answered


@pytest.fixture
def stripe_settings() -> Settings:
    return Settings(amounts=Amounts(customers=120, invoices=90), webhook_retries=(0.05, 0.05))


@pytest.fixture
def http() -> Iterator[CheckingClient]:
    client = CheckingClient()
    yield client
    client.close()  # type: ignore[no-untyped-call]
    assert client.problems == []


@pytest.fixture
def sdk(stripe_simulator: StripeSimulator, http: CheckingClient) -> StripeClient:
    return StripeClient(
        stripe_simulator.key,
        base_addresses={"api": stripe_simulator.url},
        http_client=http,
        max_network_retries=0,
    )


def refused(call: Any) -> stripe.StripeError:
    with pytest.raises(stripe.StripeError) as caught:
        call()
    return caught.value


def headers_of(answered: stripe.StripeObject) -> Mapping[str, str]:
    assert answered.last_response is not None
    return answered.last_response.headers or {}


def wrong(**params: object) -> Any:
    """Parameters that the SDK's own types would not let through."""
    return params


def code_of(error: stripe.StripeError) -> str | None:
    """The code in the body: the SDK does not copy it into every kind of error."""
    assert isinstance(error.json_body, dict)
    code: str | None = error.json_body["error"].get("code")
    return code


def all_ids(service: Any, **params: Any) -> list[str]:
    return [each.id for each in service.list({"limit": 37, **params}).auto_paging_iter()]


# -- reading


def test_every_list_and_every_object_is_what_the_spec_says(
    sdk: StripeClient, stripe_simulator: StripeSimulator, http: CheckingClient
) -> None:
    services = {name: attrgetter(_service(name))(sdk.v1) for name in KINDS}
    sdk.v1.webhook_endpoints.create({"url": "http://127.0.0.1:9/", "enabled_events": ["*"]})
    for name, service in services.items():
        params = {"status": "all"} if name == "subscriptions" else {}
        stored = stripe_simulator.control.objects(name)
        listed = all_ids(service, **params)
        assert sorted(listed) == sorted(stored)
        assert len(listed) > 0, name
        for object_id in listed[:5]:
            assert service.retrieve(object_id).id == object_id
    assert sdk.v1.accounts.retrieve_current().id == stripe_simulator.simulator.world.account["id"]
    assert http.checked > 40


def _service(name: str) -> str:
    named = {"invoiceitems": "invoice_items", "checkout_sessions": "checkout.sessions"}
    return named.get(name, name)


def test_an_account_holds_what_integrations_stumble_over(
    stripe_simulator: StripeSimulator,
) -> None:
    control = stripe_simulator.control
    invoices = control.objects("invoices").values()
    assert {each["status"] for each in invoices} == {
        "draft",
        "open",
        "paid",
        "uncollectible",
        "void",
    }
    assert {"usd", "jpy", "kwd"} <= {each["currency"] for each in invoices}
    assert any(len(each["lines"]["data"]) > 10 for each in invoices)
    assert any(each["status"] == "paid" and each["total"] == 0 for each in invoices)
    assert any(each["amount_paid_off_stripe"] > 0 for each in invoices)
    behaviors = {tax["tax_behavior"] for each in invoices for tax in each["total_taxes"]}
    assert behaviors == {"inclusive", "exclusive"}
    assert all(each["amount_due"] % 10 == 0 for each in invoices if each["currency"] == "kwd")
    customers = control.objects("customers")
    assert any(each["customer"] not in customers for each in invoices)
    refunds = control.objects("refunds").values()
    charges = control.objects("charges")
    whole = {charges[each["charge"]]["refunded"] for each in refunds}
    assert whole == {True, False}


def test_an_invoices_sums_agree_with_its_lines_and_payments(
    stripe_simulator: StripeSimulator,
) -> None:
    control = stripe_simulator.control
    charges = control.objects("charges").values()
    for invoice in control.objects("invoices").values():
        lines = invoice["lines"]["data"]
        subtotal = sum(line["amount"] for line in lines)
        exclusive = sum(
            tax["amount"]
            for line in lines
            for tax in line["taxes"]
            if tax["tax_behavior"] == "exclusive"
        )
        assert invoice["subtotal"] == subtotal
        assert invoice["total"] == subtotal + exclusive
        assert invoice["amount_remaining"] == invoice["amount_due"] - invoice["amount_paid"]
    for transaction in control.objects("balance_transactions").values():
        assert transaction["net"] == transaction["amount"] - transaction["fee"]
    for charge in charges:
        refunded = sum(
            each["amount"]
            for each in control.objects("refunds").values()
            if each["charge"] == charge["id"]
        )
        assert charge["amount_refunded"] == refunded
        assert (charge["balance_transaction"] is None) == (charge["status"] == "failed")


def test_the_same_seed_makes_the_same_account() -> None:
    from landbridge.testing.stripe import Simulator

    def content(seed: int) -> list[dict[str, Any]]:
        simulator = Simulator(Settings(seed=seed, base=lambda: 1_800_000_000.0))
        return list(simulator.world.collections["invoices"].items.values())

    assert content(1) == content(1)
    assert content(1) != content(2)


def test_lists_are_newest_first_and_page_both_ways(sdk: StripeClient) -> None:
    newest = sdk.v1.customers.list({"limit": 100})
    stamps = [each.created for each in newest.data]
    assert stamps == sorted(stamps, reverse=True)
    assert newest.has_more
    assert newest.url == "/v1/customers"
    tenth = newest.data[9].id
    after = sdk.v1.customers.list({"limit": 5, "starting_after": tenth})
    assert [each.id for each in after.data] == [each.id for each in newest.data[10:15]]
    before = sdk.v1.customers.list({"limit": 5, "ending_before": tenth})
    assert [each.id for each in before.data] == [each.id for each in newest.data[4:9]]
    assert before.has_more
    first = sdk.v1.customers.list({"limit": 50, "ending_before": tenth})
    assert [each.id for each in first.data] == [each.id for each in newest.data[:9]]
    assert not first.has_more


def test_a_cursor_may_name_a_deleted_object_but_not_an_unknown_one(sdk: StripeClient) -> None:
    listed = [each.id for each in sdk.v1.customers.list({"limit": 4}).data]
    sdk.v1.customers.delete(listed[1])
    after = sdk.v1.customers.list({"limit": 2, "starting_after": listed[1]})
    assert [each.id for each in after.data] == listed[2:4]
    error = refused(lambda: sdk.v1.customers.list({"starting_after": "cus_unknown"}))
    assert (error.http_status, error.code) == (400, "resource_missing")


def test_created_bounds_are_exact(sdk: StripeClient) -> None:
    stamp = sdk.v1.invoices.list({"limit": 60}).data[-1].created
    everything = all_ids(sdk.v1.invoices)
    newer = all_ids(sdk.v1.invoices, created={"gt": stamp})
    at_least = all_ids(sdk.v1.invoices, created={"gte": stamp})
    older = all_ids(sdk.v1.invoices, created={"lt": stamp})
    at_most = all_ids(sdk.v1.invoices, created={"lte": stamp})
    exactly = all_ids(sdk.v1.invoices, created=stamp)
    assert newer + at_most == everything
    assert at_least + older == everything
    assert [each for each in at_least if each not in newer] == exactly != []


def test_subscriptions_leave_out_the_canceled_unless_asked(sdk: StripeClient) -> None:
    usual = {each.status for each in sdk.v1.subscriptions.list({"limit": 100}).data}
    every = sdk.v1.subscriptions.list({"limit": 100, "status": "all"}).data
    ended = sdk.v1.subscriptions.list({"limit": 100, "status": "ended"}).data
    assert "canceled" not in usual
    assert {each.status for each in every} == usual | {"canceled"}
    assert {each.status for each in ended} == {"canceled", "incomplete_expired"}


def test_an_invoice_shows_ten_lines_and_pages_the_rest(
    sdk: StripeClient, stripe_simulator: StripeSimulator
) -> None:
    stored = stripe_simulator.control.objects("invoices").values()
    long = next(each for each in stored if len(each["lines"]["data"]) > 10)
    ids = [line["id"] for line in long["lines"]["data"]]
    shown = sdk.v1.invoices.retrieve(long["id"])
    assert [line.id for line in shown.lines.data] == ids[:10]
    assert shown.lines.has_more
    paged = sdk.v1.invoices.line_items.list(long["id"], {"limit": 5})
    assert [line.id for line in paged.auto_paging_iter()] == ids
    back = sdk.v1.invoices.line_items.list(long["id"], {"limit": 3, "ending_before": ids[5]})
    assert [line.id for line in back.data] == ids[2:5]


def test_expansion_puts_objects_in_the_place_of_ids(sdk: StripeClient) -> None:
    paid = sdk.v1.invoices.list({"status": "paid", "limit": 50}).data
    charged = next(each for each in paid if each.amount_paid and not each.amount_paid_off_stripe)
    expand = [
        "customer",
        "payments.data.payment.payment_intent.latest_charge.balance_transaction",
        "lines.data.pricing.price_details.price",
    ]
    error = refused(lambda: sdk.v1.invoices.retrieve(charged.id, {"expand": expand}))
    assert "4 levels" in str(error)
    invoice = sdk.v1.invoices.retrieve(
        charged.id, {"expand": ["customer", "payments.data.payment.payment_intent"]}
    )
    assert isinstance(invoice.customer, stripe.Customer)
    assert invoice.payments is not None
    intent = invoice.payments.data[0].payment.payment_intent
    assert isinstance(intent, stripe.PaymentIntent)
    listed = sdk.v1.charges.list({"limit": 3, "expand": ["data.balance_transaction"]})
    assert listed.data[0].balance_transaction is None or isinstance(
        listed.data[0].balance_transaction, stripe.BalanceTransaction
    )
    error = refused(lambda: sdk.v1.invoices.retrieve(charged.id, {"expand": ["nonsense"]}))
    assert error.http_status == 400


def test_events_reach_back_thirty_days_and_filter_by_type(
    sdk: StripeClient, stripe_simulator: StripeSimulator
) -> None:
    customer = sdk.v1.customers.create({"name": "Kept"})
    sdk.v1.customers.update(customer.id, {"name": "Renamed"})
    newest = sdk.v1.events.list({"types": ["customer.created", "customer.updated"], "limit": 2})
    assert [each.type for each in newest.data] == ["customer.updated", "customer.created"]
    assert newest.data[0].data["previous_attributes"].to_dict() == {"name": "Kept"}
    assert newest.data[0].data["object"]["name"] == "Renamed"
    assert newest.data[0].request is not None
    assert newest.data[0].request.id is not None
    assert {each.type for each in sdk.v1.events.list({"type": "invoice.*"}).data} <= {
        "invoice.created",
        "invoice.finalized",
        "invoice.paid",
        "invoice.voided",
        "invoice.marked_uncollectible",
    }
    stripe_simulator.control.advance(31 * 86_400)
    assert sdk.v1.events.list({}).data == []


# -- refusals


def test_refusals_have_the_vendors_shape(sdk: StripeClient) -> None:
    cases = [
        (lambda: sdk.v1.customers.retrieve("cus_none"), 404, "resource_missing", "id"),
        (lambda: sdk.v1.customers.create(wrong(nme="x")), 400, "parameter_unknown", "nme"),
        (lambda: sdk.v1.products.create(wrong()), 400, "parameter_missing", "name"),
        (lambda: sdk.v1.customers.list({"limit": 101}), 400, "parameter_invalid_integer", "limit"),
        (
            lambda: sdk.v1.customers.create(wrong(balance="much")),
            400,
            "parameter_invalid_integer",
            "balance",
        ),
        (
            lambda: sdk.v1.invoices.create({"customer": "cus_none"}),
            400,
            "resource_missing",
            "customer",
        ),
        (
            lambda: sdk.v1.invoices.create(wrong(customer="x", collection_method="beg")),
            400,
            None,
            "collection_method",
        ),
        (
            lambda: sdk.v1.refunds.create(wrong(charge="ch_none", amount="")),
            400,
            "parameter_invalid_empty",
            "amount",
        ),
    ]
    for call, status, code, param in cases:
        error = refused(call)
        assert isinstance(error, stripe.InvalidRequestError)
        assert (error.http_status, error.code, error.param) == (status, code, param)
        assert error.request_id


def test_keys_are_checked(stripe_simulator: StripeSimulator, http: CheckingClient) -> None:
    def client(key: str) -> StripeClient:
        base: Any = {"api": stripe_simulator.url}
        return StripeClient(key, base_addresses=base, http_client=http, max_network_retries=0)

    wrong = refused(lambda: client("sk_test_wrong").v1.customers.list({}))
    assert isinstance(wrong, stripe.AuthenticationError)
    assert "sk_test_wrong" not in str(wrong)
    stripe_simulator.control.post("keys", accept=["sk_test_rolled"])
    assert isinstance(
        refused(lambda: client(stripe_simulator.key).v1.customers.list({})),
        stripe.AuthenticationError,
    )
    assert client("sk_test_rolled").v1.customers.list({}).data != []


def test_another_account_is_refused(sdk: StripeClient) -> None:
    error = refused(lambda: sdk.v1.customers.list({}, {"stripe_account": "acct_other"}))
    assert isinstance(error, stripe.PermissionError)


# -- writing


def test_a_customer_from_create_to_delete(sdk: StripeClient) -> None:
    made = sdk.v1.customers.create(
        {
            "name": "Ada Ångström & Söhne",
            "address": {"line1": "Street 1", "country": "DE"},
            "metadata": {"crm id": "7", "note": "a=b&c"},
        }
    )
    assert made.name == "Ada Ångström & Söhne"
    assert made.address is not None
    assert (made.address.country, made.address.city) == ("DE", None)
    changed = sdk.v1.customers.update(
        made.id, {"metadata": {"note": "", "new": "1"}, "phone": "+49", "email": ""}
    )
    assert changed.metadata is not None
    assert changed.metadata.to_dict() == {"crm id": "7", "new": "1"}
    assert (changed.phone, changed.email) == ("+49", None)
    cleared = sdk.v1.customers.update(made.id, {"metadata": ""}).metadata
    assert cleared is not None
    assert cleared.to_dict() == {}
    assert sdk.v1.customers.delete(made.id).deleted
    gone = sdk.v1.customers.retrieve(made.id)
    assert gone.deleted
    assert made.id not in all_ids(sdk.v1.customers)
    assert refused(lambda: sdk.v1.customers.update(made.id, {"name": "x"})).http_status == 404


def test_products_and_prices(sdk: StripeClient) -> None:
    product = sdk.v1.products.create(
        {"name": "Seat", "default_price_data": {"currency": "EUR", "unit_amount": 1200}}
    )
    assert product.default_price is not None
    price = sdk.v1.prices.retrieve(str(product.default_price))
    assert (price.currency, price.unit_amount, price.type) == ("eur", 1200, "one_time")
    fine = sdk.v1.prices.create(
        {
            "currency": "usd",
            "product": product.id,
            "unit_amount_decimal": Decimal("0.05"),
            "recurring": {"interval": "month"},
        }
    )
    assert (fine.unit_amount, str(fine.unit_amount_decimal)) == (None, "0.05")
    assert sdk.v1.prices.update(fine.id, {"active": False}).active is False
    assert refused(lambda: sdk.v1.products.delete(product.id)).http_status == 400
    lone = sdk.v1.products.create({"name": "Lone", "id": "sku-1"})
    assert lone.id == "sku-1"
    assert sdk.v1.products.delete("sku-1").deleted


def test_an_invoice_from_draft_to_refund(
    sdk: StripeClient, stripe_simulator: StripeSimulator
) -> None:
    rate = sdk.v1.tax_rates.create({"display_name": "VAT", "percentage": 19.0, "inclusive": False})
    customer = sdk.v1.customers.create({"name": "Payer", "email": "p@example.com"})
    draft = sdk.v1.invoices.create(
        {
            "customer": customer.id,
            "currency": "eur",
            "collection_method": "send_invoice",
            "days_until_due": 14,
            "default_tax_rates": [rate.id],
            "metadata": {"intent": "1"},
        }
    )
    assert (draft.status, draft.number, draft.total) == ("draft", None, 0)
    item = sdk.v1.invoice_items.create(
        {"customer": customer.id, "invoice": draft.id, "amount": 1050, "description": "Work"}
    )
    sdk.v1.invoices.add_lines(
        draft.id,
        {
            "lines": [
                {
                    "price_data": {
                        "currency": "eur",
                        "unit_amount": 333,
                        "product_data": {"name": "Part"},
                    },
                    "quantity": 3,
                }
            ]
        },
    )
    filled = sdk.v1.invoices.retrieve(draft.id)
    assert [line.amount for line in filled.lines.data] == [1050, 999]
    assert filled.total == 2049 + 200 + 190  # 199.5 and 189.81, each line rounded
    sdk.v1.invoice_items.delete(item.id)
    assert sdk.v1.invoices.retrieve(draft.id).subtotal == 999
    opened = sdk.v1.invoices.finalize_invoice(draft.id)
    assert opened.status == "open"
    assert opened.number is not None
    assert opened.number.endswith("-0001")
    assert refused(lambda: sdk.v1.invoices.delete(draft.id)).code == "invoice_not_editable"
    error = refused(lambda: sdk.v1.invoices.update(draft.id, {"due_date": 1}))
    assert error.code == "invoice_not_editable"
    sdk.v1.invoices.send_invoice(draft.id)
    declined = refused(
        lambda: sdk.v1.invoices.pay(draft.id, {"payment_method": "pm_card_chargeDeclined"})
    )
    assert isinstance(declined, stripe.CardError)
    paid = sdk.v1.invoices.pay(draft.id, {"payment_method": "pm_card_visa"})
    assert (paid.status, paid.amount_remaining, paid.attempt_count) == ("paid", 0, 2)
    payment = sdk.v1.invoice_payments.list(
        {"invoice": draft.id, "expand": ["data.payment.payment_intent"]}
    )
    intent = payment.data[0].payment.payment_intent
    assert isinstance(intent, stripe.PaymentIntent)
    refund = sdk.v1.refunds.create({"payment_intent": intent.id, "amount": 100})
    charge = sdk.v1.charges.retrieve(str(refund.charge), {"expand": ["refunds"]})
    assert (charge.amount_refunded, charge.refunded) == (100, False)
    assert charge.refunds is not None
    assert [each.id for each in charge.refunds.data] == [refund.id]
    error = refused(lambda: sdk.v1.refunds.create({"charge": charge.id, "amount": 0}))
    assert isinstance(error, stripe.InvalidRequestError)
    assert (error.code, error.param) == ("parameter_invalid_integer", "amount")
    sdk.v1.refunds.create({"charge": charge.id})
    error = refused(lambda: sdk.v1.refunds.create({"charge": charge.id}))
    assert error.code == "charge_already_refunded"
    told = [each["type"] for each in stripe_simulator.control.objects("events").values()]
    assert told[told.index("invoice.finalized") :][:1] == ["invoice.finalized"]
    for expected in (
        "invoice.created",
        "invoiceitem.created",
        "invoiceitem.deleted",
        "invoice.updated",
        "invoice.finalized",
        "invoice.sent",
        "invoice.payment_failed",
        "invoice.paid",
        "invoice.payment_succeeded",
        "invoice_payment.paid",
        "payment_intent.payment_failed",
        "payment_intent.succeeded",
        "charge.failed",
        "charge.succeeded",
        "charge.refunded",
        "refund.created",
    ):
        assert expected in told


def test_an_invoice_can_be_voided_written_off_or_deleted(sdk: StripeClient) -> None:
    customer = sdk.v1.customers.create({"name": "Never pays"})

    def opened() -> str:
        draft = sdk.v1.invoices.create({"customer": customer.id, "currency": "kwd"})
        sdk.v1.invoice_items.create({"customer": customer.id, "invoice": draft.id, "amount": 990})
        return sdk.v1.invoices.finalize_invoice(draft.id).id

    first, second, third = opened(), opened(), opened()
    assert sdk.v1.invoices.void_invoice(first).status == "void"
    assert refused(lambda: sdk.v1.invoices.pay(first)).http_status == 400
    assert sdk.v1.invoices.mark_uncollectible(second).status == "uncollectible"
    assert sdk.v1.invoices.pay(second, {"paid_out_of_band": True}).amount_paid_off_stripe == 990
    error = refused(lambda: sdk.v1.invoices.pay(third))
    assert error.http_status == 400
    draft = sdk.v1.invoices.create({"customer": customer.id})
    assert sdk.v1.invoices.delete(draft.id).deleted
    assert refused(lambda: sdk.v1.invoices.retrieve(draft.id)).code == "resource_missing"
    error = refused(
        lambda: sdk.v1.invoice_items.create(
            {"customer": customer.id, "amount": 995, "currency": "kwd"}
        )
    )
    assert "last digit" in str(error)


def test_pending_items_come_onto_the_next_invoice_when_asked(sdk: StripeClient) -> None:
    customer = sdk.v1.customers.create({})
    sdk.v1.invoice_items.create({"customer": customer.id, "amount": 500, "currency": "usd"})
    usual = sdk.v1.invoices.create({"customer": customer.id})
    assert usual.total == 0
    asked = sdk.v1.invoices.create(
        {"customer": customer.id, "pending_invoice_items_behavior": "include"}
    )
    assert asked.total == 500


# -- idempotency and faults


def options(key: str) -> Any:
    return {"idempotency_key": key}


def test_a_key_gives_the_first_answer_again(sdk: StripeClient) -> None:
    first = sdk.v1.customers.create({"name": "Once"}, options("k1"))
    again = sdk.v1.customers.create({"name": "Once"}, options("k1"))
    assert first.id == again.id
    assert "Idempotent-Replayed" not in headers_of(first)
    assert headers_of(again)["Idempotent-Replayed"] == "true"
    for call in (
        lambda: sdk.v1.customers.create({"name": "Other"}, options("k1")),
        lambda: sdk.v1.products.create({"name": "Once"}, options("k1")),
    ):
        error = refused(call)
        assert isinstance(error, stripe.IdempotencyError)
        assert error.http_status == 400


def test_parameters_that_were_refused_do_not_use_a_key_up(sdk: StripeClient) -> None:
    refused(lambda: sdk.v1.customers.create(wrong(balance="x"), options("k2")))
    assert sdk.v1.customers.create({"name": "Now right"}, options("k2")).name == "Now right"


def test_a_key_is_forgotten_after_a_day(
    sdk: StripeClient, stripe_simulator: StripeSimulator
) -> None:
    first = sdk.v1.customers.create({"name": "Once"}, options("k3"))
    stripe_simulator.control.advance(86_401)
    assert sdk.v1.customers.create({"name": "Once"}, options("k3")).id != first.id


def test_a_key_in_use_is_a_conflict(sdk: StripeClient, stripe_simulator: StripeSimulator) -> None:
    from concurrent.futures import ThreadPoolExecutor

    stripe_simulator.control.fault("delay", path="/v1/customers", method="POST", seconds=1.0)
    with ThreadPoolExecutor(2) as pool:
        slow = pool.submit(sdk.v1.customers.create, {"name": "A"}, options("k4"))
        stripe_simulator.control.until(lambda c: bool(c.get("faults")["faults"][0]["done"]))
        error = refused(lambda: sdk.v1.customers.create({"name": "A"}, options("k4")))
        assert (error.http_status, code_of(error)) == (409, "idempotency_key_in_use")
        assert slow.result().name == "A"


def test_a_dropped_answer_is_recovered_by_the_key(
    sdk: StripeClient, stripe_simulator: StripeSimulator
) -> None:
    control = stripe_simulator.control
    before = control.get("objects")["customers"]["objects"]
    control.fault("drop", path="/v1/customers", method="POST", after=True)
    error = refused(lambda: sdk.v1.customers.create({"name": "Lost"}, options("k5")))
    assert isinstance(error, stripe.APIConnectionError)
    assert control.get("objects")["customers"]["objects"] == before + 1
    found = sdk.v1.customers.create({"name": "Lost"}, options("k5"))
    assert headers_of(found)["Idempotent-Replayed"] == "true"
    assert control.get("objects")["customers"]["objects"] == before + 1


def test_a_500_after_the_commit_is_what_the_key_gives_again(
    sdk: StripeClient, stripe_simulator: StripeSimulator
) -> None:
    control = stripe_simulator.control
    before = control.get("objects")["customers"]["objects"]
    control.fault("status", status=500, path="/v1/customers", after=True)
    for _ in range(2):
        error = refused(lambda: sdk.v1.customers.create({"name": "Torn"}, options("k6")))
        assert error.http_status == 500
    assert control.get("objects")["customers"]["objects"] == before + 1


def test_faults_hit_the_requests_they_name_and_no_others(
    sdk: StripeClient, stripe_simulator: StripeSimulator
) -> None:
    control = stripe_simulator.control
    control.fault("status", status=429, path="/v1/invoices*", times=2, headers={"Retry-After": "1"})
    assert sdk.v1.customers.list({}).data != []
    for _ in range(2):
        error = refused(lambda: sdk.v1.invoices.list({}))
        assert (error.http_status, code_of(error)) == (429, "rate_limit")
        assert (error.headers or {})["Retry-After"] == "1"
    assert sdk.v1.invoices.list({}).data != []
    control.fault("status", status=500, path="/v1/customers", method="POST")
    count = control.get("objects")["customers"]["objects"]
    assert refused(lambda: sdk.v1.customers.create({}, options("k7"))).http_status == 500
    assert control.get("objects")["customers"]["objects"] == count
    sdk.v1.customers.create({}, options("k7"))
    control.fault("empty", path="/v1/customers", skip=1, times=None)
    assert sdk.v1.customers.list({}).data != []
    emptied = sdk.v1.customers.list({})
    assert (emptied.data, emptied.has_more) == ([], False)
    assert control.clear_faults() > 0
    assert sdk.v1.customers.list({}).data != []


def test_a_truncated_page_is_no_json(
    stripe_simulator: StripeSimulator, sdk: StripeClient, http: CheckingClient
) -> None:
    stripe_simulator.control.fault("truncate", path="/v1/customers")
    assert isinstance(refused(lambda: sdk.v1.customers.list({})), stripe.APIError)
    assert len(http.problems) == 1
    assert "not JSON" in http.problems.pop()


def test_the_journal_has_every_request(
    sdk: StripeClient, stripe_simulator: StripeSimulator
) -> None:
    made = sdk.v1.customers.create({"name": "Seen", "metadata": {"a": "b"}}, options("k8"))
    sdk.v1.customers.create({"name": "Seen", "metadata": {"a": "b"}}, options("k8"))
    first, second = stripe_simulator.control.journal(method="POST", path="/v1/customers")
    assert first["params"] == {"name": "Seen", "metadata": {"a": "b"}}
    assert first["request_id"] == headers_of(made)["Request-Id"]
    assert (first["idempotency_key"], first["status"], first["replayed"]) == ("k8", 200, False)
    assert second["replayed"]
    assert stripe_simulator.control.journal(after=second["seq"]) == []


# -- the other side


def test_the_other_side_changes_deletes_and_restores(
    sdk: StripeClient, stripe_simulator: StripeSimulator, http: CheckingClient
) -> None:
    control = stripe_simulator.control
    one = sdk.v1.customers.list({}).data[0].id
    control.patch(f"objects/customers/{one}", set={"name": "Theirs", "metadata.x": "1"})
    assert sdk.v1.customers.retrieve(one).name == "Theirs"
    newest = sdk.v1.events.list({"limit": 1}).data[0]
    assert (newest.type, newest.data["object"]["id"]) == ("customer.updated", one)
    assert newest.request is not None
    assert newest.request.id is None
    count = control.get("objects")["events"]["objects"]
    invoice = sdk.v1.invoices.list({}).data[0].id
    control.delete(f"objects/invoices/{invoice}", event="false")
    assert refused(lambda: sdk.v1.invoices.retrieve(invoice)).http_status == 404
    control.post(f"objects/invoices/{invoice}/restore?event=false")
    assert sdk.v1.invoices.retrieve(invoice).id == invoice
    assert control.get("objects")["events"]["objects"] == count
    made = control.post("objects/customers", name="Made by them")
    assert sdk.v1.customers.retrieve(made["id"]).name == "Made by them"
    spoilt = control.patch(f"objects/invoices/{invoice}", event=False, set={"currency": None})
    assert spoilt["before"]["currency"] is not None
    assert sdk.v1.invoices.retrieve(invoice).currency is None
    assert len(http.problems) == 1
    http.problems.clear()


def test_churn_changes_what_it_says(stripe_simulator: StripeSimulator, sdk: StripeClient) -> None:
    control = stripe_simulator.control
    before = control.get("objects")["events"]["objects"]
    done = control.post("churn", count=60, seed=7)["done"]
    assert len(done) == 60
    assert len({each["did"] for each in done}) >= 8
    assert control.get("objects")["events"]["objects"] - before >= 60
    for name in ("customers", "invoices", "charges", "refunds", "payment_intents", "events"):
        all_ids(getattr(sdk.v1, name))


def test_a_wrong_control_call_says_what_is_wrong(stripe_simulator: StripeSimulator) -> None:
    from landbridge.errors import InvalidInput

    control = stripe_simulator.control
    for call, sentence in (
        (lambda: control.fault("explode"), "fault: Invalid enum value 'explode'"),
        (lambda: control.fault("drop", pth="/x"), "unknown field `pth`"),
        (lambda: control.get("objects/cats"), "'cats' is none of"),
        (lambda: control.post("nothing"), "GET /_sim lists them"),
        (lambda: control.post("webhooks/mode", mode="fast"), "none of send, hold, lose"),
        (lambda: control.advance(-1), "only runs ahead"),
    ):
        with pytest.raises(InvalidInput) as caught:
            call()
        assert sentence in str(caught.value)
    routes = control.get("")
    assert all(each["does"] for each in routes)


# -- webhooks


@pytest.fixture
def hook(webhook_receiver: WebhookReceiver) -> str:
    """An address that keeps what it gets and answers 200 to anything."""
    return f"{webhook_receiver.url}/raw/stripe"


def deliveries(receiver: WebhookReceiver) -> list[dict[str, Any]]:
    return receiver.control.journal(path="/raw/*")


def drained(simulator: StripeSimulator) -> None:
    simulator.control.until(lambda control: control.get("webhooks")["waiting"] == 0)


def verify(delivery: dict[str, Any], secret: str) -> None:
    stripe.WebhookSignature.verify_header(
        delivery["body"], delivery["headers"]["stripe-signature"], secret, tolerance=300
    )


def test_events_are_sent_signed_so_that_the_sdk_believes_them(
    sdk: StripeClient,
    stripe_simulator: StripeSimulator,
    webhook_receiver: WebhookReceiver,
    hook: str,
) -> None:
    endpoint = sdk.v1.webhook_endpoints.create(
        {"url": hook, "enabled_events": ["customer.created", "customer.deleted"]}
    )
    secret = str(endpoint.secret)
    assert getattr(sdk.v1.webhook_endpoints.retrieve(endpoint.id), "secret", None) is None
    customer = sdk.v1.customers.create({"name": "Told ümlaut"})
    sdk.v1.customers.update(customer.id, {"name": "Not told"})
    sdk.v1.customers.delete(customer.id)
    drained(stripe_simulator)
    created, deleted = deliveries(webhook_receiver)
    for each in (created, deleted):
        verify(each, secret)
        event = stripe.Webhook.construct_event(
            each["body"], each["headers"]["stripe-signature"], secret
        )
        assert openapi.stripe().check_object("event", event.to_dict()) == []
        assert event.data["object"]["id"] == customer.id
    assert sdk.v1.events.list({"limit": 1}).data[0].pending_webhooks == 0
    with pytest.raises(stripe.SignatureVerificationError):
        verify(created, "whsec_other")


def test_a_try_without_2xx_is_repeated_and_signed_anew(
    sdk: StripeClient,
    stripe_simulator: StripeSimulator,
    webhook_receiver: WebhookReceiver,
    hook: str,
) -> None:
    url = f"{hook}?first=503,500"
    secret = str(sdk.v1.webhook_endpoints.create({"url": url, "enabled_events": ["*"]}).secret)
    sdk.v1.customers.create({})
    drained(stripe_simulator)
    tries = deliveries(webhook_receiver)
    assert [each["status"] for each in tries] == [503, 500, 200]
    assert len({each["body"] for each in tries}) == 1
    for each in tries:
        verify(each, secret)
    sent = [each for each in stripe_simulator.control.journal() if each["kind"] == "webhook"]
    assert [each["tries"] for each in sent] == [1, 2, 3]


def test_webhooks_can_be_forged_old_altered_and_repeated(
    sdk: StripeClient,
    stripe_simulator: StripeSimulator,
    webhook_receiver: WebhookReceiver,
    hook: str,
) -> None:
    control = stripe_simulator.control
    secret = str(sdk.v1.webhook_endpoints.create({"url": hook, "enabled_events": ["*"]}).secret)
    sdk.v1.customers.create({"name": "Real"})
    drained(stripe_simulator)
    event = sdk.v1.events.list({"limit": 1}).data[0].id
    for asked in (
        {"signature": "forged"},
        {"signature": "missing"},
        {"signature": "malformed"},
        {"signature": "v0"},
        {"age": 301},
        {"body": "reserialised"},
        {"body": "tampered"},
    ):
        seen = len(deliveries(webhook_receiver))
        tries = control.post("webhooks/send", event=event, **asked)["tries"]
        assert [each["status"] for each in tries] == [200]
        bad = deliveries(webhook_receiver)[seen]
        with pytest.raises((stripe.SignatureVerificationError, KeyError)):
            verify(bad, secret)
    seen = len(deliveries(webhook_receiver))
    control.post("webhooks/send", event=event, times=3, age=299)
    good = deliveries(webhook_receiver)[seen:]
    assert len(good) == 3
    for each in good:
        verify(each, secret)


def test_webhooks_can_be_held_reordered_and_lost(
    sdk: StripeClient,
    stripe_simulator: StripeSimulator,
    webhook_receiver: WebhookReceiver,
    hook: str,
) -> None:
    control = stripe_simulator.control
    sdk.v1.webhook_endpoints.create({"url": hook, "enabled_events": ["customer.created"]})
    control.post("webhooks/mode", mode="hold")
    names = [str(sdk.v1.customers.create({"name": str(i)}).name) for i in range(5)]
    assert control.get("webhooks") == {"mode": "hold", "waiting": 5}
    assert deliveries(webhook_receiver) == []
    released = control.post("webhooks/release", order="reversed", times=2)["released"]
    drained(stripe_simulator)
    assert released == 10
    got = [
        json.loads(each["body"])["data"]["object"]["name"] for each in deliveries(webhook_receiver)
    ]
    assert sorted(got) == sorted(names * 2)
    control.post("webhooks/mode", mode="lose")
    lost = sdk.v1.customers.create({"name": "Unheard"})
    drained(stripe_simulator)
    assert len(deliveries(webhook_receiver)) == 10
    told = sdk.v1.events.list({"limit": 1}).data[0]
    assert told.data["object"]["id"] == lost.id


def test_a_rolling_secret_signs_twice(
    sdk: StripeClient,
    stripe_simulator: StripeSimulator,
    webhook_receiver: WebhookReceiver,
    hook: str,
) -> None:
    control = stripe_simulator.control
    endpoint = sdk.v1.webhook_endpoints.create({"url": hook, "enabled_events": ["*"]})
    old = str(endpoint.secret)
    new = control.post("webhooks/roll", endpoint=endpoint.id)["secret"]
    sdk.v1.customers.create({})
    drained(stripe_simulator)
    during = deliveries(webhook_receiver)[-1]
    verify(during, old)
    verify(during, new)
    control.post("webhooks/retire", endpoint=endpoint.id)
    sdk.v1.customers.create({})
    drained(stripe_simulator)
    verify(deliveries(webhook_receiver)[-1], new)
    with pytest.raises(stripe.SignatureVerificationError):
        verify(deliveries(webhook_receiver)[-1], old)
    assert sdk.v1.webhook_endpoints.delete(endpoint.id).deleted
    before = len(deliveries(webhook_receiver))
    sdk.v1.customers.create({})
    drained(stripe_simulator)
    assert len(deliveries(webhook_receiver)) == before

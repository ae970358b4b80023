"""Which kind a vendor's event is of: by its topic and what is in it, the first meaning counts."""

import json
from dataclasses import replace
from typing import Any

import pytest

from landbridge import providers
from landbridge.engine.sort import notices
from landbridge.errors import SpecError
from landbridge.spec import EVENT_KINDS, Means, TimestampedHmac, Webhook, kind_of

MEANINGS = [
    Means(
        kind="payment.succeeded",
        topics=["payment.*"],
        when={"object.status": ["DONE", "SETTLED"], "object.held": "false"},
    ),
    Means(kind="payment.failed", topics=["payment.updated"], when={"object.retry": ""}),
    Means(kind="dispute.opened", topics=["dispute.created", "complaint"]),
]


BESIDE = Means(
    kind="invoice.paid",
    topics=["paid"],
    when={"lines[].state": ["done", "given"]},
    about="subscription.id",
    of="subscription",
)


def test_one_event_may_tell_of_another_record_too() -> None:
    page = webhook(BESIDE, Means(kind="payment.succeeded", topics=["paid"]))

    def told(**event: Any) -> list[tuple[str, str, str, str]]:
        body = json.dumps({"id": "e1", "type": "paid", **event}).encode()
        return [(one.vendor_id, one.kind, one.of, one.key) for one in notices(page, body)]

    own = ("e1", "payment.succeeded", "", "e1")
    whose = {"id": "sub_1"}
    both = [own, ("e1/invoice.paid", "invoice.paid", "subscription", "sub_1")]
    lines = [{"state": "done"}, {"state": "given"}]
    assert told(subscription=whose, lines=lines) == both
    assert told(lines=lines) == [own]  # it names none
    assert told(subscription=whose, lines=[]) == [own]
    assert told(subscription=whose, lines=[*lines, {"state": "asked"}]) == [own]
    assert kind_of([BESIDE], "paid", {"subscription": whose, "lines": lines}) == ""


def test_a_meaning_is_about_a_record_of_the_page() -> None:
    with pytest.raises(SpecError, match=r"invoice.paid, about: a path needs its resource in `of`"):
        Means(kind="invoice.paid", topics=["paid"], about="subscription.id")
    with pytest.raises(SpecError, match=r"invoice.paid, by: there is no path in `about`"):
        Means(kind="invoice.paid", topics=["paid"], by="order")
    paypal = providers.get("paypal")
    assert paypal.webhook is not None
    telling = replace(paypal.webhook, kinds=[replace(BESIDE, of="subscripton")])
    with pytest.raises(SpecError, match=r"'paypal', invoice.paid is about 'subscripton'.*'subscri"):
        replace(paypal, webhook=telling)


@pytest.mark.parametrize(
    ("topic", "there", "kind"),
    [
        ("payment.created", {"status": "DONE", "held": False}, "payment.succeeded"),
        ("payment.updated", {"status": "SETTLED", "held": False}, "payment.succeeded"),
        ("payment.updated", {"status": "DONE", "held": True, "retry": 1}, ""),
        ("payment.updated", {"status": "DONE"}, "payment.failed"),
        ("payment.created", {"status": "DONE"}, ""),
        ("payment.a.b", {"status": "DONE", "held": False}, ""),
        ("complaint", None, "dispute.opened"),
        ("complaints", None, ""),
    ],
)
def test_an_event_is_of_the_first_kind_that_holds(topic: str, there: Any, kind: str) -> None:
    assert kind_of(MEANINGS, topic, {"object": there}) == kind


def webhook(*kinds: Means) -> Webhook:
    return Webhook(
        signature=TimestampedHmac(header="S"), id="id", topic="type", object_key="id", kinds=kinds
    )


def test_mistakes_are_one_sentence_at_import() -> None:
    with pytest.raises(SpecError, match=r"'invoice.payed' is none of .* mean 'invoice.paid'"):
        Means(kind="invoice.payed", topics=["invoice.paid"])
    with pytest.raises(SpecError, match=r"Means invoice.paid, topics: it is empty"):
        Means(kind="invoice.paid", topics=[])
    with pytest.raises(SpecError, match=r"Means invoice.paid, when: no word for a.b"):
        Means(kind="invoice.paid", topics=["paid"], when={"a.b": []})
    with pytest.raises(SpecError, match=r"Means invoice.paid, when: .*'a..b'"):
        Means(kind="invoice.paid", topics=["paid"], when={"a..b": "x"})
    with pytest.raises(SpecError, match=r"kinds: invoice.paid is never told by done: payment.succ"):
        webhook(
            Means(kind="payment.succeeded", topics=["done"]),
            Means(kind="invoice.paid", topics=["done"], when={"a": "b"}),
        )
    webhook(  # a condition first leaves the rest to the next
        Means(kind="invoice.paid", topics=["done"], when={"a": "b"}),
        Means(kind="payment.succeeded", topics=["done"]),
    )


@pytest.mark.parametrize(
    ("topic", "there", "kind"),
    [
        ("invoice.paid", {}, "invoice.paid"),
        ("invoice.payment_succeeded", {}, ""),  # the same payment again
        ("payment_intent.succeeded", {}, "payment.succeeded"),
        ("charge.succeeded", {"payment_intent": "pi_1", "captured": True}, ""),
        ("charge.succeeded", {"payment_intent": None, "captured": True}, "payment.succeeded"),
        ("charge.succeeded", {"payment_intent": None, "captured": False}, ""),
        ("charge.failed", {"payment_intent": "pi_1"}, ""),
        ("charge.refunded", {"payment_intent": "pi_1"}, "payment.refunded"),
        ("customer.subscription.deleted", {}, "subscription.canceled"),
        ("charge.dispute.created", {}, "dispute.opened"),
    ],
)
def test_stripe_says_each_thing_by_one_event(topic: str, there: Any, kind: str) -> None:
    page = providers.get("stripe").webhook
    assert page is not None
    told = json.dumps({"id": "evt_1", "type": topic, "data": {"object": there}}).encode()
    assert [notice.kind for notice in notices(page, told)] == [kind]


def test_every_kind_says_what_holds() -> None:
    assert all(meaning.endswith(".") for meaning in EVENT_KINDS.values())
    assert {means.kind for means in providers.get("stripe").webhook.kinds} == set(EVENT_KINDS)  # type: ignore[union-attr]

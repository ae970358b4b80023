"""Seeds pages to pay on, disputes and payouts."""

from __future__ import annotations

from landbridge.testing.stripe.checkout import new_item, new_session
from landbridge.testing.stripe.disputes import new_dispute, new_payout
from landbridge.testing.stripe.seed_ground import DAY, Ground

_ENDS = ("complete", "expired", "open")


def sessions(ground: Ground, count: int) -> None:
    """Pages that led to a payment, that were left, and that are open."""
    prices = ground.prices.get(("one_time", "usd"), [])
    products = ground.world.collections["products"].items
    paid = [
        each
        for each in ground.world.collections["payment_intents"].items.values()
        if each["status"] == "succeeded"
    ]
    for index in range(count if prices else 0):
        status = _ENDS[index % len(_ENDS)]
        created = ground.now - (60 if status == "open" else (index + 2) * DAY)
        price = prices[index % len(prices)]
        items = [new_item(ground.world, price, index + 1, products[price["product"]]["name"])]
        session = new_session(ground.world, items, mode="payment", created=created)
        session |= {"success_url": "https://shop.example/thanks", "status": status}
        if status != "open":
            session["url"] = None
        if status == "complete" and paid:
            intent = paid[index % len(paid)]
            session |= {"payment_intent": intent["id"], "customer": intent["customer"]}
            session["payment_status"] = "paid"
        ground.world.collections["checkout_sessions"].add(session)
        if status != "open":
            word = "completed" if status == "complete" else "expired"
            ground.happened.append((created + 60, f"checkout.session.{word}", session))


def disputes(ground: Ground, count: int) -> None:
    """Disputes over charges that were paid."""
    charges = [each for each in ground.world.collections["charges"].items.values() if each["paid"]]
    for charge in charges[:count]:
        at = min(charge["created"] + 3 * DAY, ground.now)
        ground.add(
            "disputes", new_dispute(ground.world, charge, created=at), "charge.dispute.created"
        )


def payouts(ground: Ground, count: int) -> None:
    """What went to the bank, a week apart."""
    for index in range(count):
        at = ground.now - (count - index) * 7 * DAY
        amount = 100_000 + index * 10
        ground.add("payouts", new_payout(ground.world, amount=amount, currency="usd", created=at))

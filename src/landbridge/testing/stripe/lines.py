"""What an invoice bills: its lines, their taxes and sums, and the invoice items behind them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from landbridge.testing.stripe.catalog import create_price, create_product, merged
from landbridge.testing.stripe.payments import check_amount, rounded
from landbridge.testing.stripe.problems import Problem, conflict, missing
from landbridge.testing.stripe.vendor import plain
from landbridge.testing.stripe.world import Obj, World, copied


def new_line(
    world: World,
    invoice: Obj,
    *,
    amount: int,
    description: str | None,
    rates: list[Obj],
    price: Obj | None = None,
    quantity: Decimal = Decimal(1),
    unit: str | None = None,
    metadata: dict[str, str] | None = None,
    period: dict[str, int] | None = None,
    parent: dict[str, Any] | None = None,
) -> Obj:
    """A line of an invoice with its taxes, not yet on it."""
    line = plain("line_item") | {"id": world.new_id("il"), "invoice": invoice["id"]}
    details = None if price is None else {"price": price["id"], "product": price["product"]}
    pricing = {"type": "price_details", "unit_amount_decimal": unit or str(amount)}
    line |= {
        "amount": amount,
        "currency": invoice["currency"],
        "description": description,
        "metadata": metadata or {},
        "parent": parent,
        "period": period or {"start": invoice["created"], "end": invoice["created"]},
        "pricing": pricing if details is None else pricing | {"price_details": details},
        "quantity": int(quantity),
        "quantity_decimal": f"{quantity:f}",
        "subtotal": amount,
        "taxes": [_tax(amount, invoice["currency"], rate) for rate in rates],
    }
    return line


def _tax(amount: int, currency: str, rate: Obj) -> dict[str, Any]:
    share = Decimal(str(rate["percentage"])) / 100
    if rate["inclusive"]:
        taxable = rounded(Decimal(amount) / (1 + share), currency)
        tax = amount - taxable
    else:
        taxable, tax = amount, rounded(Decimal(amount) * share, currency)
    return {
        "amount": tax,
        "tax_behavior": "inclusive" if rate["inclusive"] else "exclusive",
        "tax_rate_details": {"tax_rate": rate["id"]},
        "taxability_reason": "not_available",
        "taxable_amount": taxable,
        "type": "tax_rate_details",
    }


def retotal(invoice: Obj) -> None:
    """Sums the lines up; the invoice's taxes are the sums of its lines' rounded taxes."""
    lines = invoice["lines"]["data"]
    taxes: dict[str, dict[str, Any]] = {}
    for line in lines:
        for tax in line["taxes"]:
            rate = tax["tax_rate_details"]["tax_rate"]
            kept = taxes.setdefault(rate, tax | {"amount": 0, "taxable_amount": 0})
            kept["amount"] += tax["amount"]
            kept["taxable_amount"] += tax["taxable_amount"]
    subtotal = sum(line["amount"] for line in lines)
    by_behavior = {
        each: sum(tax["amount"] for tax in taxes.values() if tax["tax_behavior"] == each)
        for each in ("exclusive", "inclusive")
    }
    total = subtotal + by_behavior["exclusive"]
    invoice |= {
        "subtotal": subtotal,
        "subtotal_excluding_tax": subtotal - by_behavior["inclusive"],
        "total": total,
        "total_excluding_tax": total - sum(by_behavior.values()),
        "total_taxes": list(taxes.values()),
        "amount_due": max(total, 0),
        "amount_remaining": max(total, 0) - invoice["amount_paid"],
    }


def pending_items(world: World, customer: str, currency: str) -> list[Obj]:
    """The customer's items that are on no invoice yet."""
    return [
        each
        for each in world.collections["invoiceitems"].items.values()
        if each["customer"] == customer and each["invoice"] is None and each["currency"] == currency
    ]


def create_item(world: World, params: dict[str, Any]) -> Obj:
    """POST /v1/invoiceitems, for a draft invoice or pending for the customer's next one."""
    invoice = None
    if params.get("invoice") is not None:
        invoice = _draft(world, params["invoice"], "invoice")
    customer_id = params.get("customer")
    if customer_id is None and invoice is not None:
        customer_id = invoice["customer"]
    if customer_id is None:
        raise missing("customer")
    customer = world.get("customers", customer_id, "customer", status=400)
    if invoice is not None and invoice["customer"] != customer_id:
        raise Problem("The invoice belongs to another customer.", param="invoice")
    currency = invoice["currency"] if invoice is not None else customer["currency"]
    charged = _charged(world, params, currency)
    item = new_item(world, params, charged, customer=customer_id, invoice=invoice)
    world.add("invoiceitems", item)
    if invoice is not None:
        with world.changing(invoice, "invoice.updated"):
            invoice["lines"]["data"].append(line_of(world, invoice, item))
            retotal(invoice)
    return item


def delete_item(world: World, item_id: str) -> Obj:
    """DELETE /v1/invoiceitems/{invoiceitem}: pending ones and those on a draft."""
    item = world.get("invoiceitems", item_id)
    if item["invoice"] is not None:
        invoice = _draft(world, item["invoice"], "invoice")
        with world.changing(invoice, "invoice.updated"):
            invoice["lines"]["data"] = [
                line
                for line in invoice["lines"]["data"]
                if (line["parent"] or {}).get("invoice_item_details", {}).get("invoice_item")
                != item_id
            ]
            retotal(invoice)
    world.collections["invoiceitems"].remove(item_id)
    world.event("invoiceitem.deleted", item)
    return {"id": item_id, "object": "invoiceitem", "deleted": True}


def add_lines(world: World, invoice_id: str, params: dict[str, Any]) -> Obj:
    """POST /v1/invoices/{invoice}/add_lines: one invoice item per line."""
    invoice = _draft(world, invoice_id)
    items = [
        new_item(
            world,
            line,
            _charged(world, line, invoice["currency"]),
            customer=invoice["customer"],
            invoice=invoice,
        )
        for line in params["lines"] or []
    ]
    with world.changing(invoice, "invoice.updated"):
        invoice["metadata"] = merged(invoice["metadata"], params.get("invoice_metadata", {}))
        for item in items:
            world.add("invoiceitems", item)
            invoice["lines"]["data"].append(line_of(world, invoice, item))
        retotal(invoice)
    return invoice


def _draft(world: World, invoice_id: str, param: str | None = None) -> Obj:
    status = 404 if param is None else 400
    invoice = world.get("invoices", invoice_id, param or "invoice", status=status)
    if invoice["status"] != "draft":
        raise conflict("This invoice is no longer editable.", "invoice_not_editable")
    return invoice


def _charged(world: World, params: dict[str, Any], currency: str | None) -> dict[str, Any]:
    """Amount, unit and price of what an item or a line bills."""
    quantity = Decimal(params.get("quantity_decimal") or params.get("quantity", 1))
    price = _price(world, params)
    currency = params.get("currency") or (price and price["currency"]) or currency
    currency = currency or world.account["default_currency"]
    if price is not None:
        unit = price["unit_amount_decimal"]
        if price["currency"] != currency:
            message = f"The price is in {price['currency']}, the invoice in {currency}."
            raise Problem(message, param="pricing[price]")
    elif params.get("unit_amount_decimal") is not None:
        unit = params["unit_amount_decimal"]
    elif params.get("amount") is not None:
        check_amount(params["amount"], currency)
        return {
            "amount": params["amount"],
            "currency": currency,
            "price": None,
            "quantity": Decimal(1),
            "unit": str(params["amount"]),
        }
    else:
        raise missing("amount")
    amount = rounded(Decimal(unit) * quantity, currency)
    return {
        "amount": amount,
        "currency": currency,
        "price": price,
        "quantity": quantity,
        "unit": unit,
    }


def _price(world: World, params: dict[str, Any]) -> Obj | None:
    if params.get("pricing") is not None and params["pricing"].get("price") is not None:
        price_id = params["pricing"]["price"]
        return world.get("prices", price_id, "pricing[price]", status=400)
    asked = params.get("price_data")
    if asked is None:
        return None
    asked = {key: value for key, value in asked.items() if key != "tax_behavior"}
    if asked.get("product_data") is not None:
        asked["product"] = create_product(world, asked.pop("product_data"))["id"]
    return create_price(world, asked)


def new_item(
    world: World,
    params: dict[str, Any],
    charged: dict[str, Any],
    *,
    customer: str,
    invoice: Obj | None,
    at: int | None = None,
) -> Obj:
    """An invoice item, not yet added; without an invoice it waits for the customer's next."""
    now = world.now() if at is None else at
    price = charged["price"]
    details = None if price is None else {"price": price["id"], "product": price["product"]}
    pricing = {"type": "price_details", "unit_amount_decimal": charged["unit"]}
    rates = params.get("tax_rates")
    found = [world.get("tax_rates", each, "tax_rates", status=400) for each in rates or []]
    return world.fresh(
        "invoiceitems",
        amount=charged["amount"],
        net_amount=charged["amount"],
        currency=charged["currency"],
        customer=customer,
        date=now,
        description=params.get("description"),
        discountable=params.get("discountable", True),
        invoice=invoice and invoice["id"],
        metadata=merged({}, params.get("metadata", {})),
        period=params.get("period") or {"start": now, "end": now},
        pricing=pricing if details is None else pricing | {"price_details": details},
        quantity=int(charged["quantity"]),
        quantity_decimal=f"{charged['quantity']:f}",
        tax_rates=[copied(each) for each in found],
    )


def line_of(world: World, invoice: Obj, item: Obj) -> Obj:
    """The line that an invoice item becomes."""
    price_id = item["pricing"].get("price_details", {}).get("price")
    return new_line(
        world,
        invoice,
        amount=item["amount"],
        description=item["description"],
        rates=item["tax_rates"] or invoice["default_tax_rates"],
        price=world.collections["prices"].items.get(price_id),
        quantity=Decimal(item["quantity_decimal"]),
        unit=item["pricing"]["unit_amount_decimal"],
        metadata=item["metadata"],
        period=item["period"],
        parent={
            "invoice_item_details": {
                "invoice_item": item["id"],
                "proration": False,
                "proration_details": None,
                "subscription": None,
            },
            "subscription_item_details": None,
            "type": "invoice_item_details",
        },
    )

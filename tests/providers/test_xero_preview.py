"""Documents to Xero: previewed, proved before they are sent, compared after; right to the cent."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import date
from decimal import Decimal
from typing import Any

import httpx2
import pytest
from msgspec.structs import replace

from landbridge import Landbridge, ids
from landbridge.engine.proof import prove, readings
from landbridge.engine.replay import discard
from landbridge.errors import InvalidInput, OutcomeUnknown, PostedOtherwise, Refused
from landbridge.models import write_json
from landbridge.models.accounting import (
    CreditNote,
    Direction,
    DocumentStatus,
    EntryStatus,
    Invoice,
    JournalEntry,
    JournalLine,
    Line,
    TaxMode,
)
from landbridge.money import Money
from landbridge.providers.quickbooks import quickbooks
from landbridge.spec import Rounding
from landbridge.store import intents, parked
from landbridge.store.connections import Connection
from landbridge.testing import xero
from landbridge.testing.pytest_plugin import XeroSimulator
from landbridge.vault import new_key
from tests.cli.conftest import Cli
from tests.engine.conftest import free
from tests.plain import PLAIN
from tests.providers.test_xero_held import NONE
from tests.providers.through import connected

KEY = new_key()
PRICES = [Decimal(price) for price in ("25.06", "25.61", "25.63")]
"""Of Xero's own page about rounding: tax is 11.44 by the line, 11.45 by the document."""


@pytest.fixture
def xero_settings() -> xero.Settings:
    return xero.Settings(amounts=NONE, limits=xero.Limits(minute=2_000))


@pytest.fixture
async def books(
    database_url: str, xero_simulator: XeroSimulator
) -> AsyncIterator[tuple[Landbridge, Connection]]:
    bridge = Landbridge.from_env(database_url=database_url, key=KEY, allow_networks="127.0.0.0/8")
    sim = xero_simulator
    async with bridge:
        to = (await connected(bridge, "xero", sim, writes=["CreditNotes", "Invoices"]))[
            "Demo Company (NZ)"
        ]
        await bridge.pull(to, ["TaxRates", "Organisation"])
        yield bridge, to


def invoice(sim: XeroSimulator, to: Connection, *lines: Line, **more: Any) -> Invoice:
    plain: dict[str, Any] = {
        "contact": next(iter(sim.control.objects("Contacts", tenant=to.account))),
        "direction": Direction.SALE,
        "status": DocumentStatus.OPEN,
        "currency": "NZD",
        "issued_on": date(2026, 11, 27),
        "due_on": date(2026, 12, 27),
        "lines": lines or tuple(line(price) for price in PRICES),
    }
    return Invoice(**{**plain, **more})


def line(price: Decimal | int, **more: Any) -> Line:
    return Line(**{"unit_price": Decimal(price), "account": "200", "tax": "OUTPUT2", **more})


def sent(sim: XeroSimulator) -> int:
    return len(sim.control.journal(method="PUT")) + len(
        [one for one in sim.control.journal(method="POST") if "Invoices" in one["path"]]
    )


async def test_what_is_previewed_is_what_is_posted(
    books: tuple[Landbridge, Connection], xero_simulator: XeroSimulator
) -> None:
    bridge, to = books
    api = bridge.api(to)
    discounted = line(Decimal("33.3333"), quantity=Decimal(3), discount=Decimal("7.5"))
    cases = [
        invoice(xero_simulator, to),
        invoice(xero_simulator, to, tax_mode=TaxMode.INCLUSIVE),
        invoice(xero_simulator, to, discounted, tax_mode=TaxMode.EXCLUSIVE),
        invoice(xero_simulator, to, discounted, tax_mode=TaxMode.INCLUSIVE),
        invoice(xero_simulator, to, discounted, tax_mode=TaxMode.NONE),
        invoice(xero_simulator, to, line(2000, quantity=Decimal(3)), currency="JPY"),
        invoice(xero_simulator, to, line(Decimal("1.234")), currency="KWD"),
    ]
    for document in cases:
        shown = await api.preview(document, resource="Invoices")
        assert shown.totals is not None
        before = sent(xero_simulator)
        made = await api.create(document, resource="Invoices")
        assert sent(xero_simulator) == before + 1
        there = (made.subtotal, made.tax, made.total)
        assert (shown.totals.subtotal, shown.totals.tax, shown.totals.total) == there
        for reckoned, posted in zip(shown.totals.lines, made.lines, strict=True):
            assert (reckoned.amount, reckoned.tax) == (posted.amount, posted.tax_amount)
    shown = await api.preview(cases[0])
    assert (shown.action, shown.body["CurrencyCode"]) == ("create", "NZD")
    assert shown.in_books == Money(minor=8774, currency="NZD")
    assert shown.rule == "tax is rounded for each line, half up"
    foreign = await api.preview(replace(cases[0], currency="USD", exchange_rate=Decimal(2)))
    assert foreign.unsent == []
    assert foreign.in_books == Money(minor=17_548, currency="NZD")


async def test_a_given_rate_is_sent_and_is_there(
    books: tuple[Landbridge, Connection], xero_simulator: XeroSimulator
) -> None:
    bridge, to = books
    api = bridge.api(to)
    for currency, price, rate, worth in [
        ("USD", "25.06", "1.64", 4726),
        ("JPY", "2000", "0.0108", 2484),
        ("KWD", "1.230", "5.4321", 766),
    ]:
        document = invoice(
            xero_simulator,
            to,
            line(Decimal(price)),
            currency=currency,
            exchange_rate=Decimal(rate),
        )
        shown = await api.preview(document, resource="Invoices")
        assert shown.in_books == Money(minor=worth, currency="NZD")
        made = await api.create(document, resource="Invoices")
        assert shown.totals is not None
        assert (made.total, made.exchange_rate) == (shown.totals.total, Decimal(rate))


async def test_credit_notes_are_proved_and_compared_as_invoices_are(
    books: tuple[Landbridge, Connection], xero_simulator: XeroSimulator
) -> None:
    bridge, to = books
    api, document = bridge.api(to), invoice(xero_simulator, to)
    names = set(CreditNote.__struct_fields__)
    same = names & set(document.__struct_fields__)
    note = CreditNote(**{**{name: getattr(document, name) for name in same}, "total": 8774})
    for mode, total in ((TaxMode.EXCLUSIVE, 8774), (TaxMode.INCLUSIVE, 7630)):
        made = await api.create(replace(note, tax_mode=mode, total=total), resource="CreditNotes")
        assert (made.total, made.remaining) == (total, total)
    before = sent(xero_simulator)
    with pytest.raises(Refused, match=r"total: the document says 87\.75 NZD, .* 87\.74 NZD"):
        await api.create(replace(note, total=8775), resource="CreditNotes")
    assert sent(xero_simulator) == before
    path = f"/_sim/objects/TaxRates/OUTPUT2?tenant={to.account}"
    async with httpx2.AsyncClient(base_url=xero_simulator.url, trust_env=False) as http:
        await http.patch(path, json={"set": {"EffectiveRate": 20}})
    with pytest.raises(PostedOtherwise, match=r"total: 91.56 NZD was posted, not 87.74 NZD"):
        await api.create(note, resource="CreditNotes")


async def test_a_document_that_says_something_else_is_refused_with_the_numbers(
    books: tuple[Landbridge, Connection], xero_simulator: XeroSimulator
) -> None:
    bridge, to = books
    ten = line(10)
    thousand = line(Decimal("0.00005"), quantity=Decimal(1000), amount=5)
    for lines, more, field, numbers in [
        ((), {"total": 8775}, "total", ("87.75", "87.74")),
        ((), {"tax": 1145}, "tax", ("11.45", "11.44")),
        ([replace(ten, amount=1001)], {}, "lines[0].amount", ("10.01", "10.00")),
        ([replace(ten, tax_amount=149)], {}, "lines[0].tax_amount", ("1.49", "1.50")),
        # Xero is not sent amounts, and keeps four decimals of a price.
        ([Line(amount=1000, tax="OUTPUT2")], {}, "total", ("11.50", "0.00")),
        ([thousand], {}, "lines[0].amount", ("0.05", "0.10")),
    ]:
        document = invoice(xero_simulator, to, *lines, **more)
        shown = await bridge.api(to).preview(document)
        with pytest.raises(Refused, match=r"nothing was sent\. .*for each line") as refused:
            await bridge.api(to).create(document)
        assert refused.value.problems[field] == (
            f"the document says {numbers[0]} NZD, Xero would post {numbers[1]} NZD"
        )
        assert shown.problems == refused.value.problems
    assert sent(xero_simulator) == 0


async def test_new_lines_need_not_fit_old_totals_but_new_totals_have_to_fit(
    books: tuple[Landbridge, Connection], xero_simulator: XeroSimulator
) -> None:
    bridge, to = books
    api = bridge.api(to)
    made = await api.create(invoice(xero_simulator, to))
    assert made.total == 8774
    dearer = replace(made.lines[0], unit_price=Decimal(100))
    changed = replace(made, lines=(dearer, *made.lines[1:]))
    with pytest.raises(Refused, match=r"total: the document says 1.00 NZD, .* 173.92 NZD"):
        await api.update(replace(changed, total=100))
    after = await api.update(changed)
    assert after.total == 17392
    assert (await api.preview(replace(after, reference="later"))).totals is None


async def test_what_was_posted_otherwise_is_told_and_kept(
    books: tuple[Landbridge, Connection], xero_simulator: XeroSimulator
) -> None:
    """The rates that were pulled are not those of the books any more."""
    bridge, to = books
    api, name = bridge.api(to), ids.new("int")
    path = f"/_sim/objects/TaxRates/OUTPUT2?tenant={to.account}"
    async with httpx2.AsyncClient(
        base_url=xero_simulator.url, trust_env=False, verify=PLAIN
    ) as http:
        answer = await http.patch(path, json={"set": {"EffectiveRate": 20}})
    assert answer.status_code == 200
    before = sent(xero_simulator)
    with pytest.raises(
        PostedOtherwise, match=r"total: 91.56 NZD was posted, not 87.74 NZD"
    ) as told:
        await api.create(invoice(xero_simulator, to), intent=name)
    assert sent(xero_simulator) == before + 1
    assert told.value.problems["tax"] == "15.26 NZD was posted, not 11.44 NZD"
    kept = await intents.one(bridge.db, environment="test", tenant="acme", id=name)
    assert kept is not None
    assert (kept.state, kept.key, kept.problems) == ("done", told.value.key, told.value.problems)
    (stopped,) = await parked.every(bridge.db, environment="test", what="push")
    assert "it was posted, and otherwise than was reckoned" in stopped.reason
    with pytest.raises(InvalidInput, match="it was posted already"):
        await bridge.replay(stopped)
    await discard(bridge.db, stopped)
    assert await parked.every(bridge.db, environment="test", what="push") == []
    again = await intents.one(bridge.db, environment="test", tenant="acme", id=name)
    assert again is not None
    assert again.state == "done"


async def test_what_may_have_been_posted_is_not_refused_any_more(
    books: tuple[Landbridge, Connection], xero_simulator: XeroSimulator
) -> None:
    """The answer of the first try is lost, and by the second one the rates are others."""
    bridge, to = books
    name = ids.new("int")
    document = invoice(xero_simulator, to, total=8774)
    xero_simulator.control.fault("drop", path="*/Invoices", after=True, times=None)
    with pytest.raises(OutcomeUnknown):
        await bridge.api(to).create(document, intent=name)
    xero_simulator.control.clear_faults()
    path = f"/_sim/objects/TaxRates/OUTPUT2?tenant={to.account}"
    async with httpx2.AsyncClient(
        base_url=xero_simulator.url, trust_env=False, verify=PLAIN
    ) as http:
        await http.patch(path, json={"set": {"EffectiveRate": 20}})
    await bridge.pull(to, ["TaxRates"])
    tried = await intents.one(bridge.db, environment="test", tenant="acme", id=name)
    assert tried is not None
    done = await bridge._open.pusher.run(tried, hold=free)
    assert done.state == "done"
    assert len(xero_simulator.control.objects("Invoices", tenant=to.account)) == 1


async def test_readings_that_the_page_leaves_open_are_all_taken_to_be_possible(
    books: tuple[Landbridge, Connection], xero_simulator: XeroSimulator
) -> None:
    bridge, to = books
    half = line(Decimal("0.30"), quantity=Decimal(1), tax="OUTPUT2")  # 15 % are 4.5 cents
    for total in (34, 35):
        shown = await bridge.api(to).preview(invoice(xero_simulator, to, half, total=total))
        assert shown.problems == {}
    shown = await bridge.api(to).preview(invoice(xero_simulator, to, half, total=36))
    assert shown.problems == {"total": "the document says 0.36 NZD, Xero would post 0.35 NZD"}
    every = readings(Rounding(per="document", half="even", unsure=["per", "half"]))
    assert [(one.per, one.half) for one in every] == [
        ("document", "even"),
        ("document", "up"),
        ("line", "even"),
        ("line", "up"),
    ]


async def test_the_command_shows_it_and_says_what_would_be_refused(
    books: tuple[Landbridge, Connection],
    xero_simulator: XeroSimulator,
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    _, to = books
    cli = Cli(monkeypatch, capsys)
    cli.environment = {
        "LANDBRIDGE_DATABASE_URL": database_url,
        "LANDBRIDGE_KEY": KEY,
        "LANDBRIDGE_ALLOW_NETWORKS": "127.0.0.0/8",
    }

    async def shown(document: Invoice, *words: str) -> Any:
        given = json.dumps(write_json(document))
        return await asyncio.to_thread(cli, "preview", to.id, "Invoices", *words, stdin=given)

    document = invoice(xero_simulator, to)
    told = await shown(document, "--json")
    assert told.status == 0, told.err
    assert told.json["totals"]["total"] == 8774
    assert told.json["in_books"] == {"minor": 8774, "currency": "NZD"}
    lines = (await shown(document)).out
    assert "87.74 NZD" in lines
    assert "tax is rounded for each line, half up" in lines
    refused = await shown(replace(document, total=8775), "--json")
    assert refused.status == 1
    assert refused.json["problems"] == {
        "total": "the document says 87.75 NZD, Xero would post 87.74 NZD"
    }
    assert sent(xero_simulator) == 0


async def test_an_entry_that_does_not_balance_is_refused_with_the_numbers(
    books: tuple[Landbridge, Connection],
) -> None:
    bridge, to = books
    debit = JournalLine(account="1", amount=10_000)
    credit = JournalLine(account="2", amount=-9_999)
    entry = JournalEntry(
        status=EntryStatus.POSTED,
        currency="USD",
        posted_on=date(2026, 11, 27),
        lines=(debit, credit),
    )
    resource = quickbooks.resource("JournalEntry")
    with pytest.raises(Refused, match=r"the debits are 0\.01 USD more than the credits") as refused:
        await prove(bridge.db, quickbooks, to, resource, entry, None)
    assert set(refused.value.problems) == {"lines"}
    even = replace(entry, lines=(debit, replace(credit, amount=-10_000)))
    assert await prove(bridge.db, quickbooks, to, resource, even, None) is None
    renamed = replace(entry, narration="of old")
    assert await prove(bridge.db, quickbooks, to, resource, renamed, entry) is None

"""A tenant's code tables with Xero: suggested, confirmed, and what waits for a line."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from landbridge import Code, Landbridge
from landbridge.errors import NotFound
from landbridge.testing import xero
from landbridge.testing.pytest_plugin import XeroSimulator
from tests.cli.conftest import Cli, bare_cli, cli
from tests.providers.through import connected, consented

__all__ = ["bare_cli", "cli"]

FEW = xero.Amounts(
    contacts=2,
    items=0,
    invoices=6,
    payments=0,
    credit_notes=0,
    bank_transactions=0,
    manual_journals=1,
)
OURS = """
from decimal import Decimal
from landbridge import Code, Landbridge

bridge = Landbridge.from_env()
bridge.codes("accounts", [
    Code(code="sales", name="Sales", category="revenue"),
    Code(code="ads", name="Advertisements", category="expense"),
    Code(code="rent", name="Rent", category="expense"),
])
bridge.codes("tax_rates", [Code(code="gst", name="GST on sales", rate=Decimal(15), country="NZ")])
"""


@pytest.fixture
def xero_settings() -> xero.Settings:
    """Small books, and enough calls for a hurried test."""
    return xero.Settings(amounts=FEW, limits=xero.Limits(minute=2_000))


@pytest.fixture
def books(cli: Cli, xero_simulator: XeroSimulator) -> dict[str, str]:
    """The ids of two connections of one tenant by their account's name; nothing was pulled."""
    return asyncio.run(_connected(cli, xero_simulator))


@pytest.fixture
def app(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The application's own bridge, as `--app` names it."""
    name = f"app_{request.node.name.partition('[')[0]}"
    (tmp_path / f"{name}.py").write_text(OURS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    return f"{name}:bridge"


async def _connected(cli: Cli, sim: XeroSimulator) -> dict[str, str]:
    async with Landbridge.from_env(**settings(cli)) as bridge:
        found = await connected(bridge, "xero", sim, writes=["Invoices"])
    return {name: one.id for name, one in found.items()}


def settings(cli: Cli) -> dict[str, Any]:
    """The command's settings, as a bridge takes them."""
    return {
        name.removeprefix("LANDBRIDGE_").lower(): value for name, value in cli.environment.items()
    }


def by_code(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {row["ours"]: row for row in rows}


def test_suggestions_are_shown_and_set_only_when_they_are_confirmed(
    cli: Cli, books: dict[str, str], app: str
) -> None:
    demo = books["Demo Company (NZ)"]
    wrong = cli("codes", "suggest", demo, "accounts", "--app", app)
    assert wrong.status == 1
    assert f"landbridge pull {demo} Accounts" in wrong.err
    assert "Did you mean 'accounts'" in cli("codes", "suggest", demo, "acounts", "--app", app).err
    cli.ok("pull", demo, "Accounts", "TaxRates", "Organisation", "Invoices", "ManualJournals")

    told = by_code(cli.ok("codes", "suggest", demo, "--app", app, "--json").json["suggestions"])
    assert {ours: row["theirs"] for ours, row in told.items()} == {
        "sales": "200", "ads": "400", "rent": None, "gst": "OUTPUT2",
    }  # fmt: skip
    assert "the rate is the same (15 %); both are for sales" in told["gst"]["reason"]
    assert not any(row["confirmed"] for row in told.values())
    assert cli.ok("codes", "list", demo, "--json").json["codes"] == []
    unasked = cli("codes", "suggest", demo, "--app", app, "--confirm", "0.8")
    assert unasked.status == 2
    assert "OUTPUT2" in unasked.out, "it is shown before it is set"
    assert "--yes" in unasked.err
    assert cli.ok("codes", "list", demo, "--json").json["codes"] == []

    done = cli.ok(
        "codes", "suggest", demo, "--app", app, "--confirm", "0.6", "--yes", "--json"
    ).json["suggestions"]
    assert {row["ours"] for row in done if row["confirmed"]} == {"sales", "ads", "gst"}
    lines = cli.ok("codes", "list", demo, "--json").json["codes"]
    assert {(row["table"], row["theirs"], row["ours"]) for row in lines} == {
        ("accounts", "200", "sales"), ("accounts", "400", "ads"), ("tax_rates", "OUTPUT2", "gst"),
    }  # fmt: skip
    left = cli.ok("codes", "suggest", demo, "--app", app, "--json").json["suggestions"]
    assert [row["ours"] for row in left] == ["rent"]


def test_what_lacks_a_line_is_named_with_what_waits_for_it(
    cli: Cli, books: dict[str, str], app: str
) -> None:
    demo = books["Demo Company (NZ)"]
    cli.ok("pull", demo, "Accounts", "Invoices", "ManualJournals")
    clean = cli.ok("codes", "check", demo)
    assert clean.out.strip() == "every code has a line, and nothing waits for one"
    cli.ok("codes", "set", demo, "accounts", "400=ads", "--anyway")
    cli.ok("codes", "set", demo, "tax_rates", "INPUT2=gst_in", "--anyway")
    cli.ok("remap", demo, "Invoices", "ManualJournals")
    rows = cli.ok("codes", "check", demo, "--app", app, "--json").json["codes"]
    told = [(row["table"], row["whose"], row["code"], row["records"]) for row in rows]
    assert told == [
        ("accounts", "ours", "rent", 0),
        ("accounts", "ours", "sales", 0),
        ("accounts", "theirs", "200", 6),
        ("tax_rates", "ours", "gst", 0),
        ("tax_rates", "theirs", "OUTPUT2", 5),
    ]
    assert "OUTPUT2" in cli.ok("codes", "check", demo).out
    cli.ok("codes", "set", demo, "accounts", "200=sales", "--anyway")
    cli.ok("codes", "set", demo, "tax_rates", "OUTPUT2=gst")
    cli.ok("remap", demo, "Invoices", "ManualJournals")
    rows = cli.ok("codes", "check", demo, "--app", app, "--json").json["codes"]
    assert [row["code"] for row in rows] == ["rent"]


async def test_lines_elsewhere_are_history_and_other_tenants_only_counted(
    cli: Cli, xero_simulator: XeroSimulator
) -> None:
    sim = xero_simulator
    async with Landbridge.from_env(**settings(cli)) as bridge:
        await bridge.set_client("xero", client_id=sim.client_id, client_secret=sim.client_secret)
        mine = await consented(bridge, "xero", sim.settings)
        demo, coffee = mine["Demo Company (NZ)"], mine["Kiwi Coffee"]
        await bridge.pull(demo, ["Accounts"])
        for tenant in ("other", "third"):
            theirs = (await consented(bridge, "xero", sim.settings, tenant=tenant))["Kiwi Coffee"]
            await bridge.custom.set_codes(theirs, "accounts", {"310": "materials"})
        assert await bridge.custom.suggest_codes(demo, "accounts") == [], "theirs are not shown"
        await bridge.custom.set_codes(coffee, "accounts", {"400": "posters"})
        (one,) = await bridge.custom.suggest_codes(demo, "accounts")
        assert one.ours == Code(code="posters"), "undeclared: a word of the tenant's own"
    declares = Landbridge.from_env(**settings(cli))
    own = [Code(code=each, category="expense") for each in ("materials", "posters")]
    declares.codes("accounts", own)
    async with declares as bridge:
        first, second = await bridge.custom.suggest_codes(demo, "accounts")
        assert first.theirs is not None
        assert (first.theirs.code, first.reason.split("; ")[-1]) == ("310", "2 others confirmed it")
        assert second.theirs is not None
        assert second.theirs.code == "400"
        assert second.reason.endswith("it was confirmed in 1 other connection")
        with pytest.raises(NotFound, match="xero has no code table 'account'"):
            await bridge.custom.suggest_codes(demo, "account")

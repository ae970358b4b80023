"""Suggested codes: what speaks for one, what rules it out, and when nothing is suggested."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from landbridge import Landbridge
from landbridge.engine.suggest import LEAST, Code, Seen, Suggestion, likeness, suggest
from landbridge.errors import SpecError

SALES = Code(code="200", name="Sales", category="revenue", type="REVENUE")
OTHER = Code(code="260", name="Other Revenue", category="revenue", type="REVENUE")
BANK = Code(code="090", name="Business Bank Account", category="asset", type="BANK")
DEBTORS = Code(code="610", name="Accounts Receivable", category="asset", type="CURRENT")
OUT = Code(code="OUTPUT2", name="15% GST on Income", rate=Decimal(15), country="NZ")
IN = Code(code="INPUT2", name="15% GST on Expenses", rate=Decimal("15.00"), country="NZ")
ZERO = Code(code="ZERO", name="Zero Rated", rate=Decimal(0), country="NZ")
CHART, TAXES = [SALES, OTHER, BANK, DEBTORS], [OUT, IN, ZERO]


def only(ours: Code, *theirs: Code, **more: object) -> Suggestion:
    (found,) = suggest([ours], theirs, **more)  # type: ignore[arg-type]  # as each test gives them
    return found


def test_kind_and_name_lead_to_an_account_and_the_reason_says_so() -> None:
    found = only(Code(code="sales", name="Sales of goods", category="revenue"), *CHART)
    assert found.theirs == SALES
    assert LEAST <= found.score < 1
    assert found.reason.startswith("the kind is the same (revenue)")


def test_a_type_says_more_than_a_name() -> None:
    asked = Code(code="till", name="Accounts", category="asset", type="bank")
    assert likeness(asked.name, DEBTORS.name) > likeness(asked.name, BANK.name)
    assert only(asked, *CHART).theirs == BANK


def test_a_rate_says_more_than_a_name() -> None:
    asked = Code(code="z", name="GST, zero, income", rate=Decimal(0))
    assert likeness(asked.name, OUT.name) > likeness(asked.name, ZERO.name)
    found = only(asked, *TAXES)
    assert found.theirs == ZERO
    assert found.reason.startswith("the rate is the same (0 %)")


@pytest.mark.parametrize(
    ("asked", "theirs"),
    [
        (Code(code="gst", name="GST 15%", rate=Decimal(15), use="sale"), OUT),
        (Code(code="gst", name="GST on purchases", rate=Decimal("15.0")), IN),
        (Code(code="gst", name="GST on sales", rate=Decimal(15)), OUT),
    ],
)
def test_what_a_tax_is_for_tells_two_of_one_rate_apart(asked: Code, theirs: Code) -> None:
    assert only(asked, *TAXES).theirs == theirs


@pytest.mark.parametrize(
    "asked",
    [
        Code(code="OUTPUT2", name="15% GST on Income", rate=Decimal("12.5")),
        Code(code="OUTPUT2", name="15% GST on Income", rate=Decimal(15), country="AU"),
    ],
)
def test_another_rate_or_country_is_never_the_same(asked: Code) -> None:
    found = only(asked, OUT)
    assert (found.theirs, found.score) == (None, 0.0)
    assert found.reason == "no free code of the provider agrees with it"


def test_a_low_score_is_no_suggestion_and_names_the_nearest() -> None:
    found = only(Code(code="rent", name="Rent", category="revenue"), *CHART)
    assert found.theirs is None
    assert 0 < found.score < LEAST
    assert found.reason.startswith("nothing is near enough; the nearest is ")
    assert only(Code(code="rent", name="Rent", category="revenue"), SALES, least=0.2).theirs


def test_a_tie_is_no_suggestion() -> None:
    twins = [Code(code=each, name="Sales", category="revenue") for each in ("201", "202")]
    found = only(Code(code="sales", name="Sales", category="revenue"), *twins)
    assert found.theirs is None
    assert found.reason == "201 (Sales) and 202 (Sales) fit equally"


def test_one_of_theirs_goes_to_the_better_of_two_and_to_neither_of_equals() -> None:
    better = Code(code="sales", name="Sales", category="revenue")
    worse = Code(code="web", name="Web sales", category="revenue")
    first, second = suggest([worse, better], [SALES])
    assert (first.theirs, second.theirs) == (None, SALES)
    assert first.reason == "200 (Sales) fits sales (Sales) as well or better"
    same = [Code(code=each, name="Sales", category="revenue") for each in "ab"]
    assert [one.theirs for one in suggest(same, [SALES])] == [None, None]


def test_lines_that_are_there_are_left_alone() -> None:
    asked = [Code(code="sales", name="Sales"), Code(code="more", name="Sales")]
    found = suggest(asked, CHART, lines={"200": "sales"})
    assert [one.ours.code for one in found] == ["more"]
    assert found[0].theirs is None


def test_what_others_confirmed_counts_from_two_tenants_on() -> None:
    asked = Code(code="turnover", category="revenue")
    assert only(asked, *CHART).theirs is None
    own = only(asked, *CHART, history={("260", "turnover"): Seen(own=2)})
    assert own.theirs == OTHER
    assert own.reason.endswith("it was confirmed in 2 other connections")
    assert only(asked, *CHART, history={("260", "turnover"): Seen(others=1)}).theirs is None
    many = only(asked, *CHART, history={("260", "turnover"): Seen(others=3)})
    assert many.theirs == OTHER
    assert many.reason.endswith("3 others confirmed it")


WORDS = st.text("abc é", max_size=6)
CODES = st.builds(
    Code,
    code=st.text("abc12", min_size=1, max_size=3),
    name=WORDS,
    category=st.sampled_from(["", "revenue", "asset"]),
    rate=st.sampled_from([None, Decimal(0), Decimal(5), Decimal("5.0")]),
    country=st.sampled_from(["", "NZ", "DE"]),
)
DISTINCT = st.lists(CODES, max_size=5, unique_by=lambda one: one.code)


@given(ours=DISTINCT, theirs=DISTINCT)
def test_laws(ours: list[Code], theirs: list[Code]) -> None:
    found = suggest(ours, theirs)
    assert [one.ours for one in found] == ours
    assert suggest(ours, theirs[::-1]) == found, "the order of theirs counts"
    taken = [one.theirs.code for one in found if one.theirs]
    assert len(taken) == len(set(taken))
    for one in found:
        assert 0 <= one.score <= 1
        assert one.reason
        if one.theirs is not None:
            assert one.score >= LEAST
            for name in ("category", "country", "rate"):
                mine, other = getattr(one.ours, name), getattr(one.theirs, name)
                assert mine in ("", None) or other in ("", None) or mine == other


@given(one=WORDS, other=WORDS)
def test_likeness_goes_both_ways(one: str, other: str) -> None:
    assert likeness(one, other) == likeness(other, one)
    assert 0 <= likeness(one, other) <= 1


def test_case_accents_and_the_order_of_words_do_not_count() -> None:
    assert likeness("Vente à l'étranger", "ETRANGER, vente A l") == 1.0
    assert likeness("Sales", "") == 0.0


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"code": ""}, "code: it is empty"),
        ({"code": "a", "category": "revenu"}, "Did you mean 'revenue'"),
        ({"code": "a", "use": "sales"}, "Did you mean 'sale'"),
        ({"code": "a", "rate": 15.0}, "rate: give a Decimal"),
        ({"code": "a", "country": "nz"}, "country: 'nz' is no code such as NZ"),
    ],
)
def test_a_code_that_is_none_is_refused(facts: dict[str, object], said: str) -> None:
    with pytest.raises(SpecError, match=said):
        Code(**facts)  # type: ignore[arg-type]  # wrong on purpose


def test_a_table_is_declared_once_and_each_code_in_it() -> None:
    bridge = Landbridge.from_env()
    with pytest.raises(SpecError, match="'accounts' has 'sales' twice"):
        bridge.codes("accounts", [Code(code="sales"), Code(code="sales")])
    with pytest.raises(SpecError, match="'accounts' has no codes"):
        bridge.codes("accounts", [])
    bridge.codes("accounts", [Code(code="sales")])
    with pytest.raises(SpecError, match="'accounts' is declared already"):
        bridge.codes("accounts", [Code(code="rent")])

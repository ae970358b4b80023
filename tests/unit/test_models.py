import ast
import inspect
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from landbridge.errors import InvalidInput, NotFound
from landbridge.models import (
    KINDS,
    Model,
    Part,
    accounting,
    base,
    calendar,
    model_of,
    payments,
    read_json,
    write_json,
)
from landbridge.models.calendar import Moment

INVOICE = accounting.Invoice(
    id="243216c5",
    contact="eaa28f49",
    status=accounting.DocumentStatus.OPEN,
    currency="EUR",
    issued_on=date(2026, 3, 1),
    lines=(accounting.Line(description="Work", unit_price=Decimal("0.1250"), amount=1230),),
    updated_at=datetime(2026, 3, 1, 9, 30, tzinfo=UTC),
    extra={"project": "north"},
)


def local(text: str) -> datetime:
    return datetime.fromisoformat(text)


def structs() -> list[type[msgspec.Struct]]:
    return [
        member
        for module in (base, payments, accounting, calendar)
        for member in vars(module).values()
        if isinstance(member, type)
        and issubclass(member, Model | Part)
        and member.__module__ == module.__name__
    ]


@pytest.mark.parametrize("model", structs(), ids=lambda model: model.__qualname__)
def test_every_field_of_every_model_is_documented(model: type[msgspec.Struct]) -> None:
    body = ast.parse(inspect.getsource(model)).body[0]
    assert isinstance(body, ast.ClassDef)
    assert ast.get_docstring(body)
    for here, after in zip(body.body, [*body.body[1:], None], strict=True):
        if isinstance(here, ast.AnnAssign) and "ClassVar" not in ast.unparse(here.annotation):
            assert isinstance(after, ast.Expr), ast.unparse(here)
            assert isinstance(after.value, ast.Constant), ast.unparse(here)


def test_every_model_is_registered_under_its_own_kind() -> None:
    assert len({model.kind for model in KINDS.values()}) == len(KINDS)
    for kind, model in KINDS.items():
        assert kind.split(".")[0] == model.__module__.rpartition(".")[2]
        assert model_of(kind) is model
    assert model_of("payments.invoice") is not model_of("accounting.invoice")


def test_an_unknown_kind_is_answered_with_the_nearest() -> None:
    with pytest.raises(NotFound, match=r"'payments.invoce' is no kind .* 'payments.invoice'"):
        model_of("payments.invoce")


def test_models_are_frozen_and_compare_by_value() -> None:
    again = msgspec.structs.replace(INVOICE, number="7")
    assert again != INVOICE
    assert msgspec.structs.replace(again, number=None) == INVOICE
    with pytest.raises(AttributeError):
        INVOICE.number = "8"  # type: ignore[misc]


def test_json_holds_what_is_set_and_comes_back_equal() -> None:
    plain = write_json(INVOICE)
    assert plain == {
        "contact": "eaa28f49",
        "currency": "EUR",
        "extra": {"project": "north"},
        "id": "243216c5",
        "issued_on": "2026-03-01",
        "lines": [{"amount": 1230, "description": "Work", "unit_price": "0.1250"}],
        "status": "open",
        "updated_at": "2026-03-01T09:30:00Z",
    }
    assert list(plain) == sorted(plain)
    assert read_json(accounting.Invoice, plain) == INVOICE
    assert read_json(accounting.Invoice, msgspec.json.encode(plain)) == INVOICE


def test_a_calendar_event_comes_back_equal() -> None:
    start = Moment(local=local("2026-03-29T02:30"), zone="Europe/Vienna")
    event = calendar.Event(
        start=start,
        recurrence=calendar.Recurrence(
            rules=("FREQ=DAILY",), excluded=(Moment(day=date(2026, 4, 1)),)
        ),
        reminders=(calendar.Reminder(before=timedelta(minutes=15)),),
        overrides=(calendar.Override(original=start, start=start, title="moved"),),
    )
    assert read_json(calendar.Event, msgspec.json.encode(write_json(event))) == event


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"curency": "EUR"}, "accounting.invoice has no field 'curency'. Did you mean 'currency'?"),
        ({"lines": [{"amont": 1}]}, "accounting.invoice.lines[0] has no field 'amont'. Did you"),
        ({"status": "opened"}, "accounting.invoice: status: 'opened' is none of draft, open"),
        ({"lines": [{"amount": "1"}]}, "lines[0].amount: Expected `int | null`, got `str`"),
        ({"issued_on": "1 March"}, "accounting.invoice: issued_on: Invalid RFC3339"),
    ],
)
def test_bad_json_is_refused_with_the_field_at_fault(change: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        read_json(accounting.Invoice, write_json(INVOICE) | change)
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [(b"[1]", "expected a JSON object, found a list"), ("{", "not JSON"), (b"{}", "missing")],
)
def test_text_that_is_no_model_is_refused(text: bytes | str, sentence: str) -> None:
    with pytest.raises(InvalidInput, match=sentence):
        read_json(payments.Invoice, text)


def test_a_moment_is_one_thing() -> None:
    for wrong in (
        {},
        {"day": date(2026, 1, 1), "local": local("2026-01-01T00:00")},
        {"day": date(2026, 1, 1), "zone": "Europe/Vienna"},
        {"local": datetime(2026, 1, 1, tzinfo=UTC)},
    ):
        with pytest.raises(InvalidInput):
            Moment(**wrong)


def test_a_moment_in_a_gap_takes_the_offset_before_it_and_a_repeated_one_is_the_first() -> None:
    gap = Moment(local=local("2026-03-29T02:30"), zone="Europe/Vienna").instant()
    twice = Moment(local=local("2026-10-25T02:30"), zone="Europe/Vienna").instant()
    assert gap is not None
    assert twice is not None
    assert gap.utcoffset() == timedelta(hours=1)
    assert twice.utcoffset() == timedelta(hours=2)
    assert Moment(day=date(2026, 1, 1)).instant() is None
    assert Moment(local=local("2026-01-01T00:00")).instant() is None
    with pytest.raises(InvalidInput, match="'Mars/Base' is not an IANA time zone"):
        Moment(local=local("2026-01-01T00:00"), zone="Mars/Base").instant()

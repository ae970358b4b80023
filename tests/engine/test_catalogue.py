"""The catalogue of events: what may be declared, what fits, and what older versions get."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal, NotRequired, TypedDict

import msgspec
import pydantic
import pytest

from landbridge.clock import FakeClock
from landbridge.engine.catalogue import (
    BUILT_IN,
    Catalogue,
    EventType,
    Version,
    body_for,
    built_in,
    packed,
    unpacked,
)
from landbridge.engine.emit import prepare
from landbridge.errors import InvalidInput, PayloadTooLarge, SpecError
from landbridge.models.payments import Customer

NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)


class Kind(Enum):
    CARD = "card"


class Line(msgspec.Struct):
    amount: int
    kind: Kind = Kind.CARD


class Paid(msgspec.Struct):
    id: str
    lines: list[Line] = []
    at: datetime | None = None
    rate: Decimal = Decimal(0)


class Closed(msgspec.Struct, forbid_unknown_fields=True):
    id: str


@dataclass
class PaidClass:
    id: str
    lines: list[Line]


class PaidDict(TypedDict):
    id: str
    lines: NotRequired[list[Line]]


class PaidPydantic(pydantic.BaseModel):
    id: str
    lines: list[dict[str, int]] = pydantic.Field(default=[], alias="orderLines")


class Limits(msgspec.Struct):
    count: Annotated[int, msgspec.Meta(ge=1)] = 1
    word: Literal["a", "b"] = "a"


SCHEMA = {
    "type": "object",
    "required": ["id"],
    "properties": {
        "id": {"type": "string"},
        "at": {"type": "string", "format": "date-time"},
        "lines": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["amount"],
                "properties": {"amount": {"type": "integer"}},
                "additionalProperties": False,
            },
        },
    },
}


def declared(model: Any, **more: Any) -> EventType:
    return EventType(type="invoice.paid", description="Paid in full.", model=model, **more)


def binds(data: object, model: Any = Paid, **more: Any) -> dict[str, Any]:
    catalogue = model if isinstance(model, Catalogue) else Catalogue([declared(model)])
    options: dict[str, Any] = {"event_type": "invoice.paid"} | more
    _, _, made = prepare(
        options.pop("event_type"),
        data,
        environment="test",
        tenant="acme",
        catalogue=catalogue,
        clock=FakeClock(NOON),
        **options,
    )
    return made


def sent(data: object, model: Any = Paid, **more: Any) -> Any:
    return json.loads(binds(data, model, **more)["payload"])["data"]


# What fits


@pytest.mark.parametrize("model", [Paid, PaidClass, PaidDict, PaidPydantic, SCHEMA])
def test_data_that_fits_its_model_is_emitted(model: Any) -> None:
    lines = "orderLines" if model is PaidPydantic else "lines"
    read = sent({"id": "in_1", lines: [{"amount": 3}]}, model)
    assert (read["id"], read[lines][0]["amount"]) == ("in_1", 3)


@pytest.mark.parametrize("model", [Paid, PaidClass, PaidDict, SCHEMA])
@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"id": "a", "lines": [{"amount": 1}, {"amount": "canary"}]}, r"data\.lines\[1\]\.amount:"),
        ({"id": "a", "lines": [{"amount": 1}, {}]}, r"data\.lines\[1\]\.amount: it is missing$"),
        ({"lines": []}, r"data\.id: it is missing$"),
        ({"id": 7, "lines": []}, r"data\.id: it is "),
        ({"id": "a", "lines": "canary"}, r"data\.lines: it is "),
        ([], r"data: it is "),
        ("canary", r"data: it is "),
    ],
)
def test_data_that_does_not_is_refused_by_the_path_of_its_field(
    model: Any, data: object, said: str
) -> None:
    with pytest.raises(InvalidInput, match=said) as caught:
        binds(data, model)
    assert "canary" not in str(caught.value)


def test_a_pydantic_model_names_the_field_by_its_alias() -> None:
    with pytest.raises(InvalidInput, match=r"data\.orderLines\[0\]\.amount: input should be") as e:
        binds({"id": "a", "orderLines": [{"amount": "canary"}]}, PaidPydantic)
    assert "canary" not in str(e.value)
    with pytest.raises(InvalidInput, match=r"data\.id: field required"):
        binds({}, PaidPydantic)


@pytest.mark.parametrize(
    ("data", "model", "said"),
    [
        ({"count": 0}, Limits, r"data\.count: expected `int` >= 1"),
        ({"word": "canary"}, Limits, r"data\.word: it is none of the values that the model"),
        ({"id": "a", "lines": [{"amount": 1, "kind": "canary"}]}, Paid, r"data\.lines\[0\]\.kind:"),
        ({"id": "a", "other": "canary"}, Closed, r"data\.other: the model has no such field"),
        ({"id": "a", "at": "canary"}, SCHEMA, r'data\.at: it is not a "date-time"'),
        ({"id": "a", "lines": [{"amount": 1, "o": "canary"}]}, SCHEMA, r"data\.lines\[0\]: addit"),
        (b"canary", Paid, r"data: it is bytes, and invoice\.paid is declared with a model"),
    ],
)
def test_no_refusal_repeats_the_data(data: object, model: Any, said: str) -> None:
    with pytest.raises(InvalidInput, match=said) as caught:
        binds(data, model)
    assert "canary" not in str(caught.value)


def test_what_a_class_does_not_declare_is_not_sent() -> None:
    assert sent({"id": "a", "secret": "x"}, PaidDict) == {"id": "a"}
    assert "secret" not in sent({"id": "a", "secret": "x"}, Paid)
    assert "secret" not in sent({"id": "a", "secret": "x"}, PaidPydantic)
    assert sent({"id": "a", "more": "x"}, SCHEMA) == {"id": "a", "more": "x"}


def test_an_instance_of_the_model_is_taken_as_it_is() -> None:
    paid = Paid(id="a", lines=[Line(amount=1)], at=NOON, rate=Decimal("1.50"))
    assert sent(paid) == {
        "id": "a",
        "lines": [{"amount": 1, "kind": "card"}],
        "at": "2026-07-01T12:00:00Z",
        "rate": "1.50",
    }
    catalogue = Catalogue([declared(Paid)])
    assert catalogue.render("invoice.paid", NOON, paid) is not None
    assert sent(PaidPydantic(id="a"), PaidPydantic) == {"id": "a", "orderLines": []}
    assert sent(PaidClass(id="a", lines=[]), PaidClass) == {"id": "a", "lines": []}


def test_an_object_of_another_class_is_read_by_its_attributes() -> None:
    assert sent(PaidClass(id="a", lines=[Line(amount=1)]), Paid)["lines"][0]["amount"] == 1
    assert sent(Customer(id="cus_1", name="Ann"), Closed) == {"id": "cus_1"}
    assert sent(Closed(id="a"), SCHEMA) == {"id": "a"}
    assert sent(Closed(id="a"), PaidPydantic) == {"id": "a", "orderLines": []}


def test_data_that_holds_itself_is_refused() -> None:
    loop: dict[str, Any] = {"id": "a"}
    loop["lines"] = [loop]
    for model in (SCHEMA, None):
        with pytest.raises(InvalidInput, match="nested too deep, or it holds itself"):
            binds(loop, model)


def test_without_a_model_anything_goes_bytes_too() -> None:
    assert sent({"any": 1}, None) == {"any": 1}
    assert binds(b"<a/>", None, content_type="text/xml")["payload"] == b"<a/>"
    with pytest.raises(InvalidInput, match="data: it is str"):
        binds("text", None)


# Which types there are


def test_an_unknown_type_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(InvalidInput, match=r"'invoice\.payd' is not in .* mean 'invoice\.paid'\?"):
        binds({"id": "a"}, event_type="invoice.payd")


def test_while_nothing_is_declared_every_type_may_be_emitted() -> None:
    assert sent({"x": 1}, Catalogue(), event_type="whatever.happens") == {"x": 1}
    assert not Catalogue()


def test_the_built_in_types_are_in_every_catalogue() -> None:
    names = ["endpoint.failing", "endpoint.disabled", "webhook.gap"]
    assert [each.type for each in Catalogue()] == names
    assert [each.type for each in Catalogue([declared(Paid)])] == [*names, "invoice.paid"]
    assert [each.type for each in built_in()] == names
    assert Catalogue([declared(Paid)]).stored()[0].type == "invoice.paid"
    with pytest.raises(SpecError, match=r"webhook\.gap: it is declared twice"):
        Catalogue([EventType(type="webhook.gap", description="Mine.")])


# Declaring


def halved(paid: Paid) -> Closed:
    return Closed(id=paid.id)


OLDER = Version(since="2026-01-01", model=Closed, down=halved)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (declared(7), "model: int is nothing that data can be held against; give a msgspec"),
        (declared("Paid"), "model: str is nothing"),
        (declared(Paid(id="a")), "model: Paid is nothing"),
        (declared(object), "model: object is nothing"),
        (declared({"type": "objekt"}), "model: it is no JSON Schema"),
        (declared({"$ref": "https://x.example/s"}), "model: it is no JSON Schema: .* not part of"),
        (EventType(type="Invoice", description="x"), "type: 'Invoice' is not lower-case"),
        (EventType(type="a.b", description=" "), "a.b: description: it is empty"),
        (declared(Paid, examples=[{"id": 1}]), r"paid: examples\[0\]\.id: it is int, str is"),
        (declared(Paid, examples=[{"id": "a"}, 3]), r"examples\[1\]: it is int"),
        (declared(Paid, since="2026-1-1"), "since: '2026-1-1' is not a date such as"),
        (declared(Paid, older=[OLDER]), "since: '' is not a date"),
        (declared(Paid, since="2026-01-01", older=[OLDER]), "two versions hold from the same"),
        (declared(Paid, since="2025-01-01", older=[OLDER]), "2025-01-01 is before 2026-01-01"),
        (declared(None, since="2026-02-01", older=[OLDER]), "model: there is none"),
        (declared(Paid, schedule=[]), "schedule: 0 waits; give 1 to 100"),
        (declared(Paid, schedule=[timedelta(0)]), "schedule: .* is no positive timedelta"),
        ("invoice.paid", "events: str is no EventType"),
    ],
)
def test_a_wrong_declaration_is_refused(wrong: Any, said: str) -> None:
    with pytest.raises(SpecError, match=said):
        Catalogue([wrong])


def test_examples_are_tried_in_the_older_versions_too() -> None:
    def broken(_paid: Paid) -> object:
        return {"nothing": 1}

    older = Version(since="2026-01-01", model=Closed, down=broken)
    with pytest.raises(SpecError, match=r"examples\[0\]\.nothing: the model .*, in its version of"):
        Catalogue([declared(Paid, since="2026-02-01", older=[older], examples=[{"id": "a"}])])
    failing = Version(since="2026-01-01", model=Closed, down=lambda paid: paid.number)
    with pytest.raises(SpecError, match=r"examples\[0\]: AttributeError"):
        Catalogue([declared(Paid, since="2026-02-01", older=[failing], examples=[{"id": "a"}])])


def test_a_type_that_is_declared_twice_is_refused_and_none_of_them_added() -> None:
    catalogue = Catalogue()
    with pytest.raises(SpecError, match=r"invoice\.paid: it is declared twice"):
        catalogue.declare([declared(Paid), declared(Closed)])
    assert not catalogue


def test_what_is_stored_tells_all_to_those_without_the_code() -> None:
    wait = timedelta(seconds=5)
    [stored] = Catalogue(
        [
            declared(
                PaidPydantic,
                since="2026-02-01",
                examples=[{"id": "a", "orderLines": [{"amount": 1}]}],
                schedule=[wait],
                older=[OLDER],
            )
        ]
    ).stored()
    newest, oldest = stored.versions
    assert (newest["since"], oldest["since"]) == ("2026-02-01", "2026-01-01")
    assert newest["examples"] == [{"id": "a", "orderLines": [{"amount": 1}]}]
    assert "orderLines" in newest["schema"]["properties"]
    assert (oldest["examples"], stored.schedule) == ([], (wait,))


# Versions

TOTAL = Version(since="2026-03-01", model=SCHEMA, down=lambda paid: {"id": paid.id, "lines": []})
FIRST = Version(since="2026-01-01", model=Closed, down=lambda data: Closed(id=data["id"]))
THREE = Catalogue([declared(Paid, since="2026-06-01", older=[FIRST, TOTAL])])


def test_every_version_is_rendered_at_once_with_one_timestamp() -> None:
    made = binds({"id": "a", "lines": [{"amount": 1}]}, THREE)
    assert made["schema_version"] == 3
    assert list(unpacked(made["older"])) == ["2026-06-01", "2026-03-01", "2026-01-01"]
    frame = b'{"type":"invoice.paid","timestamp":"2026-07-01T12:00:00Z","data":'
    assert unpacked(made["older"]) == {
        "2026-06-01": b"",
        "2026-03-01": frame + b'{"id":"a","lines":[]}}',
        "2026-01-01": frame + b'{"id":"a"}}',
    }


@pytest.mark.parametrize(
    ("api_version", "chosen"),
    [
        ("", "2026-06-01"),
        ("2026-06-01", "2026-06-01"),
        ("2027-01-01", "2026-06-01"),
        ("2026-05-31", "2026-03-01"),
        ("2026-03-01", "2026-03-01"),
        ("2026-02-28", "2026-01-01"),
        ("2026-01-01", "2026-01-01"),
        ("2020-01-01", "2026-01-01"),
    ],
)
def test_an_endpoint_gets_the_newest_version_that_held_at_its_date(
    api_version: str, chosen: str
) -> None:
    bodies = [("2026-06-01", b"newest"), ("2026-03-01", b"middle"), ("2026-01-01", b"oldest")]
    body = body_for(b"newest", packed(bodies), api_version)
    assert body == dict(bodies)[chosen]


def test_a_type_of_one_version_keeps_nothing_beside_its_payload() -> None:
    assert binds({"id": "a"})["older"] is None
    assert body_for(b"newest", None, "2020-01-01") == b"newest"
    assert unpacked(None) == {}


def test_the_number_of_the_version_is_the_catalogues() -> None:
    assert binds({"id": "a"}, THREE, schema_version=3)["schema_version"] == 3
    with pytest.raises(InvalidInput, match=r"schema_version: by the catalogue .* is at 3"):
        binds({"id": "a"}, THREE, schema_version=1)


def test_a_version_that_cannot_be_made_from_this_data_says_which() -> None:
    older = Version(since="2026-01-01", model=Closed, down=lambda paid: {"id": paid.at})
    catalogue = Catalogue([declared(Paid, since="2026-02-01", older=[older])])
    with pytest.raises(
        InvalidInput, match=r"data\.id: it is null, str is .* version of 2026-01-01"
    ):
        binds({"id": "a"}, catalogue)
    failing = Version(since="2026-01-01", model=Closed, down=lambda paid: paid.number)
    catalogue = Catalogue([declared(Paid, since="2026-02-01", older=[failing])])
    with pytest.raises(AttributeError) as caught:
        binds({"id": "a"}, catalogue)
    assert caught.value.__notes__ == [
        "while invoice.paid was turned into its version of 2026-01-01"
    ]


def test_an_older_body_above_the_cap_is_refused_like_the_newest() -> None:
    long = Version(since="2026-01-01", model=Closed, down=lambda _paid: Closed(id="x" * 2000))
    catalogue = Catalogue([declared(Paid, since="2026-02-01", older=[long])])
    with pytest.raises(PayloadTooLarge, match="by_reference=True"):
        binds({"id": "a"}, catalogue, limit=1024)


def test_the_notices_that_we_emit_fit_their_own_declarations() -> None:
    told: dict[str, Any] = {
        "endpoint": "end_1", "url": "https://x.example", "since": NOON, "failures": 3,
        "error": "HTTP 500",
    }  # fmt: skip
    replay = {"endpoint": "end_1", "since": NOON}
    disabled = {"disabled_at": NOON, "reason": "it failed", "replay": replay}
    span = {"from": "2026-07-01T00:00:00Z", "until": "2026-07-01T01:00:00Z"}
    gap = {"connection": "con_1", "provider": "stripe", "count": 2, **span}
    catalogue = Catalogue([declared(Paid)])
    for each, data in zip(
        BUILT_IN, [told | {"disable_at": None}, told | disabled, gap], strict=True
    ):
        assert sent(data, catalogue, event_type=each.type) == json.loads(msgspec.json.encode(data))

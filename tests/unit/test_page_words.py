"""Words of the notation that accounting pages need: what they read, write, ask and refuse."""

from __future__ import annotations

import json
from collections.abc import Generator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl

import pytest
from msgspec.structs import replace as changed

from landbridge import ids
from landbridge.engine.connect import base_of
from landbridge.engine.sort import notices
from landbridge.errors import RecordError, Refused, SpecError, UnmappedCode
from landbridge.models.accounting import Contact, DocumentStatus, Expense, Invoice, Line
from landbridge.models.base import Address
from landbridge.protocols import Page, Place, fetch, find_marked, pull, write
from landbridge.resilience import classify
from landbridge.resilience.outcome import Refusal
from landbridge.spec import (
    Accounts,
    ApiKey,
    Context,
    Errors,
    Field,
    Marked,
    PageNumber,
    Provider,
    Resource,
    SinceParam,
    Webhook,
    Write,
    capabilities,
    constant,
    copied,
    currency,
    date,
    decimal,
    hmac_base64,
    instant,
    itself,
    lookup,
    major,
    many,
    map_from,
    map_to,
    one_of,
    priced,
    read_only,
    ref,
    spread,
    text,
)
from landbridge.wire import Headers, Request, Response

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
street = map_to(Address, line1=text("p_street", blank=True), city=text("p_city", blank=True))
person = map_to(
    Contact,
    id=read_only(text("id", number=True)),
    name=text("organization"),
    phone=text("phone", blank=True),
    billing_address=spread(street),
    active=read_only(one_of("vis_state", {0: True, 2: False})),
    updated_at=read_only(instant("updated", zone="America/New_York")),
)
line = map_to(
    Line,
    description=text("name"),
    unit_price=priced("unit_cost", currency="^code"),
    tax=copied("taxName1", "taxAmount1", table="tax_rates"),
)
paper = map_to(
    Invoice,
    id=read_only(text("id", number=True)),
    contact=ref("customerid", to="client", number=True),
    status=constant(DocumentStatus.OPEN),
    currency=currency("code"),
    issued_on=date("create_date"),
    lines=many("lines", line),
)
CLIENT = Resource(
    name="client",
    path="/clients",
    records="result.clients",
    key="id",
    page=PageNumber(count="result.pages", size_param="per_page", size=2),
    query={"include": "lines"},
    since=SinceParam(
        param="min", form="day", overlap=timedelta(days=1), also=[{"vis": "1"}, {"vis": "2"}]
    ),
    one="/clients/{id}",
    one_query={"include": "lines"},
    envelope="result.client",
    deleted="vis_state",
    deleted_words=["1"],
    create=Write(path="/clients", envelope="client", listed=False),
    update=Write(path="/clients/{id}", method="PUT", envelope="client", listed=False, partial=True),
    delete=Write(
        path="/clients/{id}",
        method="PUT",
        envelope="client",
        listed=False,
        sends={"vis_state": 1},
    ),
    marker="note",
    marked=Marked(query={"min": "{day}"}),
    maps=person,
)
BOOKS = Provider(
    slug="books",
    name="Books",
    docs="https://books.example/docs",
    checked="2026-11-27",
    base="https://books.example/account/{account}",
    auth=ApiKey(fields=[Field(name="key", label="Key", secret=True)]),
    accounts=Accounts(base="https://books.example", path="/me", id="id", list="all"),
    resources=[CLIENT],
)
PLACE = Place(base="https://books.example/account/A1")


def reply(body: Any, status: int = 200) -> Response:
    head = Headers({"Date": "Fri, 27 Nov 2026 12:00:00 GMT", "content-type": "application/json"})
    return Response(status=status, headers=head, body=json.dumps(body).encode())


def shown(*clients: dict[str, Any], pages: int = 1) -> Response:
    return reply({"result": {"clients": list(clients), "pages": pages}})


def led(
    conversation: Generator[Any, Any, Any], answers: list[Response]
) -> tuple[list[Request], list[Page], Any]:
    asked: list[Request] = []
    pages: list[Page] = []
    waiting, answer = iter(answers), None
    while True:
        try:
            step = conversation.send(answer)
        except StopIteration as end:
            assert next(waiting, None) is None
            return asked, pages, end.value
        answer = None
        if isinstance(step, Page):
            pages.append(step)
        else:
            asked.append(step)
            answer = next(waiting)


def test_a_price_is_an_object_with_its_currency() -> None:
    value = {
        "id": 1,
        "customerid": 7,
        "code": "CAD",
        "create_date": "2026-03-01",
        "lines": [{"name": "a", "unit_cost": {"amount": "9.50", "code": "CAD"}, "own": 1}],
    }
    model = paper.read(value)
    assert (model.id, model.contact, model.lines[0].unit_price) == ("1", "7", Decimal("9.50"))
    dearer = replace_line(model, unit_price=Decimal("10.25"))
    (told,) = paper.write(dearer, base=model)["lines"]
    assert told["unit_cost"] == {"amount": "10.25", "code": "CAD"}
    assert paper.apply(value, {"lines": [told]})["lines"][0]["own"] == 1
    assert paper.write(replace_line(model, unit_price=None), base=model)["lines"] == [
        {"name": "a", "unit_cost": {"amount": None}}
    ]
    with pytest.raises(RecordError, match=r"Invoice\.lines"):
        paper.read({**value, "lines": [{"unit_cost": {"amount": "much", "code": "CAD"}}]})


def replace_line(model: Any, **more: Any) -> Any:
    return changed(model, lines=(changed(model.lines[0], **more),))


def test_a_tax_is_copied_by_its_name_and_percentage() -> None:
    value = {"name": "a", "taxName1": "HST", "taxAmount1": "13.00"}
    assert line.read(value).tax == "HST 13"
    assert line.read({"taxName1": "", "taxAmount1": "0"}).tax is None
    assert line.read({"taxName1": "GST at home", "taxAmount1": 10}).tax == "GST at home 10"
    assert line.write(Line(tax="QST 9.975")) == {"taxName1": "QST", "taxAmount1": "9.975"}
    context = Context(codes={"tax_rates": {"HST 13": "full"}})
    assert line.read(value, context).tax == "full"
    assert line.write(Line(tax="full"), context=context) == {"taxName1": "HST", "taxAmount1": "13"}
    with pytest.raises(UnmappedCode):
        line.write(Line(tax="half"), context=context)
    with pytest.raises(RecordError, match="is no tax like"):
        line.write(Line(tax="HST"))


def test_an_address_lies_in_the_record_itself() -> None:
    value = {"id": 1, "organization": "A", "vis_state": 2, "p_street": "1 High St", "p_city": ""}
    model = person.read(value)
    assert (model.billing_address, model.active) == (Address(line1="1 High St"), False)
    moved = person.write(with_(model, billing_address=Address(city="Ayr")), base=model)
    assert moved == {"p_street": "", "p_city": "Ayr"}
    gone = person.write(with_(model, billing_address=None), base=model)
    assert gone == {"p_street": ""}
    assert person.read(person.apply(value, gone)).billing_address is None
    assert person.write(with_(model, phone="1"), base=model) == {"phone": "1"}


def with_(model: Any, **more: Any) -> Any:
    return changed(model, **more)


def test_numbers_are_ids_and_words() -> None:
    value = {"id": "12", "organization": "A", "vis_state": 0, "updated": "2026-07-01 23:30:00"}
    model = person.read(value)
    assert (model.id, model.active) == ("12", True)
    assert model.updated_at == datetime(2026, 7, 2, 3, 30, tzinfo=UTC)
    assert person.read({**value, "updated": "2026-01-01 23:30:00"}).updated_at == datetime(
        2026, 1, 2, 4, 30, tzinfo=UTC
    )
    with pytest.raises(RecordError, match="is none of 0, 2"):
        person.read({**value, "vis_state": 9})
    made = paper.write(
        Invoice(contact="7", status=DocumentStatus.OPEN, currency="CAD", issued_on=NOW.date())
    )
    assert made["customerid"] == 7
    odd = text("id", number=True)
    assert odd.write is not None
    assert odd.write("007", None, None) == "007"  # type: ignore[arg-type]


def test_an_expense_is_its_own_line() -> None:
    inner = map_from(
        Line,
        description=text("notes"),
        account=lookup("categoryid", table="accounts", number=True),
        amount=major("amount.amount", currency="amount.code"),
    )
    mapped = map_from(
        Expense,
        account=text("accountid", number=True),
        currency=currency("amount.code"),
        spent_on=date("date"),
        lines=itself(inner),
    )
    value = {
        "accountid": 4,
        "categoryid": 99,
        "notes": "pens",
        "date": "2026-02-03",
        "amount": {"amount": "12.30", "code": "CAD"},
    }
    (only,) = mapped.read(value).lines
    assert (only.account, only.amount, only.description) == ("99", 1230, "pens")
    assert mapped.write(mapped.read(value)) == {}


def test_a_word_of_another_type_is_refused_when_the_page_is_read() -> None:
    with pytest.raises(SpecError, match="holds Line, but the row gives Address"):
        map_from(Invoice, lines=itself(map_from(Address, line1=text("a"))))
    with pytest.raises(SpecError, match="SinceParam, form"):
        SinceParam(param="min", form="daily")
    with pytest.raises(SpecError, match="SinceParam, overlap"):
        SinceParam(param="min", form="day")
    with pytest.raises(SpecError, match="no value has the hole"):
        Marked(query={"min": "yesterday"})
    with pytest.raises(SpecError, match="no path"):
        priced("unit_cost", currency="^a b")


def test_what_changed_is_asked_for_in_every_list() -> None:
    asked, pages, _ = led(
        pull(BOOKS, CLIENT, PLACE, None, NOW),
        [shown({"id": 1}), shown({"id": 1}), shown({"id": 2, "vis_state": 1}), shown({"id": 3})],
    )
    queries = [dict(one.query) for one in asked]
    assert [(one.get("min"), one.get("vis")) for one in queries] == [
        (None, None),
        ("2026-11-26", None),
        (None, "1"),
        (None, "2"),
    ]
    assert [one["include"] for one in queries] == ["lines"] * 4
    assert [(one.key, one.deleted) for page in pages for one in page.records] == [
        ("1", False),
        ("1", False),
        ("2", True),
        ("3", False),
    ]
    # From then on only what changed is asked for, and time moves on behind the last list alone.
    cursor = pages[-1].cursor
    assert [page.cursor["since"] for page in pages[:-1]] == [pages[0].cursor["since"]] * 3
    later = NOW + timedelta(days=3)
    asked, pages, _ = led(
        pull(BOOKS, CLIENT, PLACE, cursor, later), [shown({"id": 1}), shown(), shown()]
    )
    assert [dict(one.query)["min"] for one in asked] == ["2026-11-26"] * 3
    # A pull that stopped between two lists goes on with the next one.
    asked, _, _ = led(pull(BOOKS, CLIENT, PLACE, pages[0].cursor, later), [shown(), shown()])
    assert [dict(one.query)["vis"] for one in asked] == ["1", "2"]
    assert (capability := capabilities(BOOKS)[0]).incremental == "since"
    assert capability.deletes == "status"


def test_a_list_that_does_not_take_the_parameter_is_read_whole() -> None:
    assert isinstance(CLIENT.since, SinceParam)
    unsure = replace(CLIENT, since=replace(CLIENT.since, unsure=True, also=()))
    cursor = {"since": int(NOW.timestamp()), "seen": {}}
    no = reply({"message": "no such filter"}, 422)
    asked, pages, _ = led(pull(BOOKS, unsure, PLACE, cursor, NOW), [no, shown({"id": 1})])
    assert ["min" in dict(one.query) for one in asked] == [True, False]
    assert pages[-1].listed_all
    with pytest.raises(Refused):
        led(pull(BOOKS, CLIENT, PLACE, cursor, NOW), [no])


@pytest.mark.parametrize(
    ("form", "told"), [("unix", "1795780740"), ("iso", "2026-11-27T11:59:00Z")]
)
def test_an_instant_is_asked_for_in_the_providers_form(form: str, told: str) -> None:
    other = replace(CLIENT, since=SinceParam(param="min", form=form))
    cursor = {"since": int(NOW.timestamp()), "seen": {}}
    asked, _, _ = led(pull(BOOKS, other, PLACE, cursor, NOW), [shown({"id": 1})])
    assert dict(asked[0].query)["min"] == told


def test_one_record_goes_and_comes_in_an_object() -> None:
    one = {"result": {"client": {"id": 5, "vis_state": 0}}}
    asked, _, found = led(fetch(BOOKS, CLIENT, PLACE, "5"), [reply(one)])
    assert found.key == "5"
    assert dict(asked[0].query) == {"include": "lines"}
    gone = {"result": {"client": {"id": 5, "vis_state": 1}}}
    assert led(fetch(BOOKS, CLIENT, PLACE, "5"), [reply(gone)])[2] is None
    base = json.dumps({"id": 5, "note": "theirs", "address": {"a": 1}, "own": 2}).encode()
    changes = {"address": {"b": 2}, "organization": "B"}
    conversation = write(BOOKS, CLIENT, PLACE, "update", "5", changes, base, "int_7")
    (request,), _, left = led(conversation, [reply(one)])
    assert json.loads(request.body) == {
        "client": {"address": {"a": 1, "b": 2}, "organization": "B"}
    }
    assert left.key == "5"
    conversation = write(BOOKS, CLIENT, PLACE, "create", "", {"fname": "A"}, None, "int_7")
    (request,), _, _ = led(conversation, [reply(one)])
    assert json.loads(request.body) == {"client": {"fname": "A", "note": "int_7"}}
    conversation = write(BOOKS, CLIENT, PLACE, "delete", "5", {}, base, "int_7")
    (request,), _, _ = led(conversation, [reply(one)])
    assert (request.method, json.loads(request.body)) == ("PUT", {"client": {"vis_state": 1}})


def test_a_change_says_again_what_the_vendor_always_wants() -> None:
    assert CLIENT.update is not None
    saying = replace(CLIENT, update=replace(CLIENT.update, repeats=["currency_code"]))
    base = json.dumps({"id": 5, "currency_code": "CAD", "own": 2}).encode()
    one = {"result": {"client": {"id": 5}}}
    conversation = write(BOOKS, saying, PLACE, "update", "5", {"fname": "A"}, base, "int_7")
    (request,), _, _ = led(conversation, [reply(one)])
    assert json.loads(request.body) == {"client": {"currency_code": "CAD", "fname": "A"}}
    conversation = write(BOOKS, saying, PLACE, "update", "5", {"currency_code": "X"}, base, "int_7")
    (request,), _, _ = led(conversation, [reply(one)])
    assert json.loads(request.body) == {"client": {"currency_code": "X"}}


def test_a_marker_is_looked_for_page_by_page_since_the_day_before() -> None:
    intent = ids.make("int", int(NOW.timestamp() * 1000), 7)
    mine = {"id": 9, "note": intent}
    answers = [shown({"id": 1}, {"id": 2}, pages=2), shown(mine, pages=2)]
    asked, _, found = led(find_marked(BOOKS, CLIENT, PLACE, intent), answers)
    assert found.key == "9"
    assert [dict(one.query)["page"] for one in asked] == ["1", "2"]
    assert {dict(one.query)["min"] for one in asked} == {"2026-11-26"}
    assert led(find_marked(BOOKS, CLIENT, PLACE, intent), [shown({"id": 1})])[2] is None
    no = reply({"message": "no such filter"}, 422)
    asked, _, found = led(find_marked(BOOKS, CLIENT, PLACE, intent), [no, shown(mine)])
    assert found.key == "9"
    assert "min" not in dict(asked[1].query)


def test_the_account_is_in_the_address() -> None:
    assert base_of(BOOKS, {}, "A/1") == "https://books.example/account/A%2F1"
    assert base_of(BOOKS, {}) == "https://books.example/account/{account}"
    moved = {"base": "http://127.0.0.1:1/x/{account}"}
    assert base_of(BOOKS, moved, "A1") == "http://127.0.0.1:1/x/A1"


def test_a_refusal_is_read_out_of_a_list() -> None:
    errors = Errors(
        code="response.errors[].errno",
        field="response.errors[].field",
        details="response.errors[].message",
        stale=["1011"],
    )
    told = {"errno": 1012, "field": "userid", "message": "Client not found."}
    request = Request(method="POST", url="https://books.example/clients")
    outcome = classify(errors, request, reply({"response": {"errors": [{}, told]}}, 422), None)
    assert isinstance(outcome, Refusal)
    assert outcome.problems == {"userid": "Client not found."}
    assert outcome.reply.code == "1012"
    stale = classify(errors, request, reply({"response": {"errors": [{"errno": 1011}]}}, 422), None)
    assert type(stale).__name__ == "Stale"
    flag = classify(errors, request, reply({"response": {"errors": [{"errno": True}]}}, 422), None)
    assert isinstance(flag, Refusal)
    assert flag.reply.code == ""


def test_a_webhook_may_be_a_form() -> None:
    hook = Webhook(
        signature=hmac_base64("X-Sig", signs="{form}"),
        form=True,
        id="",
        topic="name",
        object_key="object_id",
        account="account_id",
    )
    body = b"name=invoice.create&object_id=12&account_id=A1&user_id="
    (notice,) = notices(hook, body)
    assert (notice.topic, notice.key, notice.account) == ("invoice.create", "12", "A1")
    assert notice.vendor_id.startswith("digest:")
    assert dict(parse_qsl(body.decode()))["name"] == "invoice.create"
    for wrong in (b"", b"\xff=1", b"&".join([b"a=1"] * 1001)):
        with pytest.raises(RecordError, match="no form"):
            notices(hook, wrong)
    with pytest.raises(SpecError, match="a form is one event"):
        replace(hook, events="events")


def test_quantities_stay_as_they_are() -> None:
    assert map_to(Line, quantity=decimal("qty", as_text=True)).write(Line(quantity=Decimal(2))) == {
        "qty": "2"
    }


def test_a_state_may_be_set_elsewhere_than_it_is_shown() -> None:
    open_, draft = DocumentStatus.OPEN, DocumentStatus.DRAFT
    words = {"draft": draft, "sent": open_, "late": open_, "paid": DocumentStatus.PAID}
    row = one_of(
        "state",
        words,
        never=[DocumentStatus.VOID],
        sent_at="status",
        sent_as={draft: 1, open_: 2},
    )
    rows = {"contact": text("c"), "currency": currency("code"), "issued_on": date("on")}
    mapped = map_to(Invoice, status=row, **rows)
    value = {"state": "late", "status": 9, "c": "1", "code": "CAD", "on": "2026-03-01"}
    model = mapped.read(value)
    assert (model.status, mapped.write(model, base=model)) == (open_, {})
    changes = mapped.write(changed(model, status=draft), base=model)
    assert changes == {"status": 1}
    assert mapped.apply(value, changes)["state"] == "draft"
    assert mapped.apply(value, {"c": "2"})["state"] == "late"
    with pytest.raises(RecordError, match="no word for 'paid' at status"):
        mapped.write(changed(model, status=DocumentStatus.PAID), base=model)

"""Xero's page against Xero's own OpenAPI document: what it names, asks and sends."""

from __future__ import annotations

from collections.abc import Generator
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from landbridge.errors import ReconnectRequired, Refused
from landbridge.formats.canonical import canonical
from landbridge.models.accounting import Contact, Direction, DocumentStatus, Invoice
from landbridge.protocols import Page, Place, fetch, pull, write
from landbridge.providers.xero import xero
from landbridge.providers.xero.mapping import rate
from landbridge.resilience import expect
from landbridge.spec import OAuth2, PageNumber, Resource, SinceHeader
from landbridge.wire import Request
from tests.providers.pages import answer, asked_scopes, edited, led, mapping
from tests.providers.records import XERO_SCHEMAS, records
from tests.specs.documents import Document
from tests.specs.xero import document as specs

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
PLACE = Place(base=xero.base)
RESOURCES = [pytest.param(resource, id=resource.name) for resource in xero.resources]
WRITTEN = [one for one in xero.resources if one.create or one.update]
ACCOUNT = {"xero-tenant-id": "t-1"}  # what the client adds


@pytest.fixture(scope="module")
def document() -> Document:
    return specs.xero()


def wrong(document: Document, request: Request) -> list[str]:
    """What Xero's document says against a request of ours."""
    headers = dict(request.headers.pairs()) | ACCOUNT
    path = request.url.removeprefix(xero.base)
    return document.refused(request.method, path, dict(request.query), headers, request.body)


def run(
    document: Document, conversation: Generator[Any, Any, Any], answers: list[Any]
) -> tuple[list[Request], list[Page], Any]:
    """Leads a conversation; each request is held against the document before it is answered."""
    return led(conversation, answers, wrong=partial(wrong, document))


@pytest.mark.parametrize("resource", RESOURCES)
def test_every_path_of_a_mapping_is_in_xeros_document(
    document: Document, resource: Resource
) -> None:
    schema = document.schema(XERO_SCHEMAS[resource.name])
    assert resource.maps is not None
    paths = [resource.key, resource.subject, resource.deleted, *resource.maps.owned_paths]
    assert [path for path in paths if path and not document.has(schema, path)] == []
    assert not document.has(schema, "NoSuchField")


@pytest.mark.parametrize("resource", RESOURCES)
def test_every_address_of_a_resource_is_in_xeros_document(
    document: Document, resource: Resource
) -> None:
    listed = document.answer("GET", resource.path)
    assert document.has(listed, f"{resource.records}[].{resource.key}")
    if isinstance(resource.page, PageNumber):
        assert document.has(listed, resource.page.count)
    if resource.one:
        one = document.answer("GET", resource.one.replace("{id}", "x"))
        assert document.has(one, f"{resource.envelope}[].{resource.key}")
    asked = document.operation("GET", resource.path)
    assert asked is not None
    headers = [each["name"] for each in asked["parameters"] if each["in"] == "header"]
    assert isinstance(resource.since, SinceHeader) <= ("If-Modified-Since" in headers)
    for step in (resource.create, resource.update, resource.delete):
        if step:
            told = document.operation(step.method, step.path.replace("{id}", "x"))
            assert told is not None
            assert resource.idempotency in [each["name"] for each in told["parameters"]]


@pytest.mark.parametrize("resource", RESOURCES)
def test_every_request_of_a_pull_is_one_that_xero_takes(
    document: Document, resource: Resource
) -> None:
    kind = {name: words[0] for name, words in resource.only.items()}

    def listing(*keys: str, pages: int = 2) -> dict[str, Any]:
        found = [{resource.key: key, **kind} for key in keys]
        return {resource.records: found, "pagination": {"page": 1, "pageCount": pages}}

    paged = isinstance(resource.page, PageNumber)
    answers = [listing("a"), listing("a", "b")] if paged else [listing("a", "b")]
    if resource.since:
        answers.append(listing(pages=1))
    made, pages, _ = run(document, pull(xero, resource, PLACE, None, NOW), answers)
    assert [one.key for page in pages for one in page.records] == ["a", "b"]
    if paged:
        assert [dict(one.query)["page"] for one in made] == ["1", "2", "1"]
        assert {dict(one.query)["order"] for one in made} == {resource.key}
        assert "If-Modified-Since" in made[-1].headers
    if resource.one:
        fetched = {resource.envelope: [{resource.key: "a", **kind}]}
        _, _, found = run(document, fetch(xero, resource, PLACE, "a"), [fetched])
        assert found.key == "a"
        for name in kind:
            other = {resource.envelope: [{resource.key: "a", name: "RECEIVE"}]}
            _, _, found = run(document, fetch(xero, resource, PLACE, "a"), [other])
            assert found is None


@pytest.mark.parametrize("resource", WRITTEN, ids=lambda resource: resource.name)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_every_write_is_one_that_xero_takes(resource: Resource, data: st.DataObject) -> None:
    document = specs.xero()
    mapped = resource.maps
    assert mapped is not None
    value = data.draw(records(xero, resource))
    model = mapped.read(value)
    other = mapped.read(data.draw(records(xero, resource)))
    writes = [("create", mapped.write(model))]
    if resource.update:
        writes += [("update", mapped.write(edited(mapped, model, other), base=model))]
    shown = {resource.envelope: [{resource.key: "x9", "ValidationErrors": []}]}
    for action, changes in writes:
        base = canonical(value) if action == "update" else None
        conversation = write(xero, resource, PLACE, action, "x9", changes, base, "int_7")
        (request,), _, left = run(document, conversation, [shown])
        assert request.headers["Idempotency-Key"] == "int_7"
        assert request.method == ("PUT" if action == "create" else "POST")
        assert left.key == "x9"


def test_a_payment_is_deleted_by_its_status(document: Document) -> None:
    conversation = write(xero, xero.resource("Payments"), PLACE, "delete", "p1", {}, None, "int_7")
    (request,), _, left = run(document, conversation, [{"Payments": []}])
    assert (request.method, request.body, left.raw) == ("POST", b'{"Status":"DELETED"}', None)


def test_the_scopes_say_why_and_each_is_asked_by_something() -> None:
    auth = xero.auth
    assert isinstance(auth, OAuth2)
    assert asked_scopes(xero) == set(auth.scopes)
    assert all(auth.scopes.values())
    assert (auth.pkce, auth.refresh_rotates) == (True, True)


def test_the_webhook_names_what_xeros_document_has(document: Document) -> None:
    hook = xero.webhook
    assert hook is not None
    event = document.schema("WebhookEvent")
    for path in ("eventCategory", "eventType", hook.object_key, hook.account, hook.stamp):
        assert document.has(event, f"events[].{path}"), path
    accounts = xero.accounts
    assert accounts is not None
    for path in (accounts.id, accounts.name, accounts.kind):
        assert document.has(document.schema("Connection"), path)


def test_refusals_are_read_from_xeros_shapes(document: Document) -> None:
    body = {
        "ErrorNumber": 10,
        "Type": "ValidationException",
        "Message": "A validation exception occurred",
        "Elements": [{"ValidationErrors": [{"Message": "Email address must be valid."}]}],
    }
    assert document.wrong_object("Error", canonical(body)) == []
    request = Request(method="POST", url=f"{xero.base}/Contacts/x")
    with pytest.raises(Refused, match=r"exception occurred: Email address must be valid\."):
        expect(xero, request, answer(body, 400))
    gone = {"Title": "Forbidden", "Status": 403, "Detail": "AuthenticationUnsuccessful"}
    with pytest.raises(ReconnectRequired, match="Xero did not accept the credentials"):
        expect(xero, request, answer(gone, 403))
    shown = {"Contacts": [{"ContactID": "0", "ValidationErrors": [{"Message": "No name."}]}]}
    conversation = write(xero, xero.resource("Contacts"), PLACE, "create", "", {}, None, "int_7")
    with pytest.raises(Refused, match=r"No name\."):
        run(document, conversation, [shown])


def test_xeros_own_examples_are_read(document: Document) -> None:
    mapped = mapping(xero, "Invoices")
    model = mapped.read(document.examples["Invoices"][1])
    assert isinstance(model, Invoice)
    assert (model.number, model.total, model.amount_paid) == ("INV-0002", 4600, 4600)
    assert (model.status, model.direction) == (DocumentStatus.PAID, Direction.SALE)
    assert (str(model.issued_on), str(model.due_on)) == ("2018-10-20", "2018-12-30")
    mapped = mapping(xero, "Contacts")
    contact = mapped.read(document.examples["Contacts"][0])
    assert isinstance(contact, Contact)
    assert (contact.name, contact.phone) == ("Katherine Warren", "847-1294")
    assert contact.billing_address is not None
    assert contact.billing_address.postal_code == "94020"
    for resource in xero.resources:
        assert resource.maps is not None
        for shown in specs.shown(resource):
            assert resource.maps.read(shown)


def test_a_rate_is_what_one_unit_is_worth() -> None:
    assert [str(rate({"CurrencyRate": told})) for told in (1, 0.5, "1.25", 0, None)] == [
        "1",
        "2",
        "0.8",
        "None",
        "None",
    ]

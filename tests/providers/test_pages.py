"""What holds for every provider's page."""

import ast
import subprocess
import sys
from dataclasses import replace
from importlib import import_module
from inspect import getsource
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from landbridge import providers
from landbridge.errors import NotFound
from landbridge.models import KINDS
from landbridge.spec import Capability, Grade, capabilities, grade

SLUGS = providers.names()


@pytest.mark.parametrize("slug", SLUGS)
def test_a_page_is_found_under_its_slug(slug: str) -> None:
    page = providers.get(slug)
    assert page.slug == slug
    assert urlsplit(page.docs).scheme == "https"
    assert repr(page) == f"Provider({slug!r})"


@pytest.mark.parametrize("slug", SLUGS)
def test_every_mapping_leads_to_a_registered_model(slug: str) -> None:
    for resource in providers.get(slug).resources:
        if resource.maps:
            assert KINDS[resource.maps.model.kind] is resource.maps.model


@pytest.mark.parametrize("slug", SLUGS)
def test_a_page_says_where_the_codes_of_its_tables_are_listed(slug: str) -> None:
    page = providers.get(slug)
    assert {table for resource in page.resources for table in resource.codes} == page.code_tables


@pytest.mark.parametrize("slug", SLUGS)
def test_a_page_is_short(slug: str) -> None:
    """At most 40 lines about the provider, and 30 about each resource."""
    module = import_module(f"landbridge.providers.{slug}.provider")
    for call in ast.walk(ast.parse(getsource(module))):
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
            continue
        named = {keyword.arg: keyword.value for keyword in call.keywords}
        inner = named.get("resources")
        lines = span(call) - (span(inner) if inner else 0)
        if call.func.id == "Provider":
            assert lines <= 40
        elif "maps" in named:
            assert lines <= 30, ast.unparse(named["maps"])


def span(node: ast.expr) -> int:
    assert node.end_lineno is not None
    return node.end_lineno - node.lineno + 1


def test_an_unknown_provider_is_answered_with_the_nearest() -> None:
    with pytest.raises(NotFound, match=r"there is no provider 'strip'. Did you mean 'stripe'\?"):
        providers.get("strip")
    with pytest.raises(NotFound, match=r"There are: caldav, .*stripe"):
        providers.get("../stripe")


def test_a_page_is_imported_only_when_it_is_asked_for() -> None:
    script = (
        "import sys; from landbridge import providers; providers.names();"
        " print(sorted(m for m in sys.modules if m.startswith('landbridge.providers')));"
        " providers.get('stripe');"
        " print([m for m in sys.modules if m.startswith('landbridge.providers.caldav')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == ["['landbridge.providers']", "[]"]


def test_a_page_has_a_place_of_its_own() -> None:
    for slug in SLUGS:
        folder = Path(providers.__path__[0]) / slug
        assert {"__init__.py", "provider.py", "mapping.py"} <= {
            one.name for one in folder.iterdir()
        }


def test_what_stripe_can_do_is_computed_from_its_page() -> None:
    table = {line.resource: line for line in capabilities(providers.get("stripe"))}
    assert table["invoice"] == Capability(
        resource="invoice",
        model="payments.invoice",
        pull=True,
        incremental="events",
        deletes="events",
        webhooks=True,
        write=("create", "update", "delete"),
        two_way=True,
    )
    assert (table["charge"].deletes, table["charge"].write) == ("never", ())
    assert (table["event"].model, table["event"].incremental) == ("", "created")
    assert table["refund"].two_way
    assert table["subscription"].write == ("create", "update")
    assert (table["payout"].model, table["payout"].incremental) == ("", "events")
    assert grade(providers.get("stripe")) == Grade(name="gold", missing=())


def test_a_grade_says_what_the_next_one_lacks() -> None:
    page = providers.get("stripe")
    poor = replace(page, webhook=None)
    assert grade(poor).name == "silver"
    assert "customer: no webhook tells of it" in grade(poor).missing
    listed = replace(page.resource("product"), since=None, create=None, update=None)
    assert grade(replace(page, resources=[listed])) == Grade(
        name="bronze", missing=("product: changes are only seen by listing everything",)
    )
    assert grade(replace(page, accounts=None)).name == "none"
    assert grade(replace(page, resources=[replace(listed, maps=None)])).missing == (
        "no resource is both listed and mapped",
    )


def test_what_caldav_can_do_is_computed_from_its_page() -> None:
    table = {line.resource: line for line in capabilities(providers.get("caldav"))}
    assert (table["VEVENT"].incremental, table["VEVENT"].deletes) == ("token", "token")
    assert table["VEVENT"].two_way
    assert table["calendar"].deletes == "listing"
    assert grade(providers.get("caldav")).name == "gold"
    assert not table["VEVENT"].webhooks

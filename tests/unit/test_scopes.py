"""Scopes are the union of what is enabled and what is always asked, and each says why."""

from __future__ import annotations

from dataclasses import replace

import pytest

from landbridge.errors import InvalidInput, NotFound, SpecError
from landbridge.providers import get
from landbridge.spec import Asked, asked
from tests.oauth.conftest import LEDGER


def names(*found: Asked) -> list[str]:
    return [one.scope for one in found]


def test_everything_that_can_be_read_is_asked_for_by_default_and_no_write() -> None:
    assert names(*asked(LEDGER)) == ["customers.read", "notes.read", "offline"]


def test_only_what_is_enabled_is_asked_for() -> None:
    assert names(*asked(LEDGER, ["note"])) == ["notes.read", "offline"]


def test_each_scope_says_what_needs_it_and_what_for() -> None:
    found = {one.scope: one for one in asked(LEDGER, ["customer"], ["customer"])}
    assert found["customers.write"].by == ("customer: create",)
    assert found["customers.write"].why == "Writes customers"
    assert found["customers.read"].by == ("customer: read", "customer: create")
    assert found["offline"].by == ("always",)


def test_a_write_alone_also_asks_to_read_what_it_wrote() -> None:
    found = names(*asked(LEDGER, ["note"], ["customer.create"]))
    assert found == ["customers.read", "customers.write", "notes.read", "offline"]


def test_a_provider_with_keys_knows_no_scopes_but_names_are_still_checked() -> None:
    assert asked(get("stripe")) == ()
    with pytest.raises(NotFound, match="invoice"):
        asked(get("stripe"), ["invoic"])


@pytest.mark.parametrize("write", ["customer.update", "note", "customer.create.x"])
def test_a_write_that_the_page_has_not_is_named(write: str) -> None:
    with pytest.raises(InvalidInput, match="writes"):
        asked(LEDGER, [], [write])


def test_a_page_cannot_need_a_scope_that_it_has_no_words_for() -> None:
    resource = replace(LEDGER.resources[1], needs=frozenset({"nots.read"}))
    with pytest.raises(SpecError, match=r"nots\.read"):
        replace(LEDGER, resources=[resource])

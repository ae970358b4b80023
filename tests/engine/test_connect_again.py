"""Typed credentials for a connection that exists: of its own account, or not at all."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from landbridge.client import Client
from landbridge.engine.connect import Connected, connect
from landbridge.errors import ConsentRefused
from landbridge.providers import get
from landbridge.store import connections
from landbridge.store.connections import Connection
from landbridge.store.database import Database
from landbridge.testing import stripe
from landbridge.testing.running import in_thread
from landbridge.vault import Vault


@pytest.fixture
def shops() -> Iterator[tuple[str, str]]:
    """The addresses of two accounts."""
    first, second = (stripe.Simulator(stripe.Settings(seed=seed)).app for seed in (1, 2))
    with in_thread(first) as one, in_thread(second) as other:
        yield one, other


async def test_another_account_is_refused_and_changes_nothing(
    db: Database, vault: Vault, client: Client, shops: tuple[str, str]
) -> None:
    async def at(base: str, again: Connection | None = None) -> Connected:
        return await connect(
            db,
            vault,
            client,
            get("stripe"),
            environment="test",
            tenant="acme",
            credentials={"key": stripe.KEY},
            settings={"base": base},
            again=again,
        )

    before = (await at(shops[0])).connection
    with pytest.raises(ConsentRefused, match="the connection is to") as refused:
        await at(shops[1], before)
    assert refused.value.code == "other_account"
    assert await connections.every(db, environment="test") == [before]
    after = await at(shops[0], before)
    assert (after.connection.id, after.new) == (before.id, False)
    assert after.connection.access_grant != before.access_grant

"""Connect sessions: a token limits a browser to one tenant and some providers, for a while."""

from __future__ import annotations

from typing import Any

import pytest

from landbridge.engine.sessions import (
    ConnectSession,
    Wanted,
    digest_of,
    open_session,
    origin_of,
    session_of,
)
from landbridge.errors import InvalidInput, NotFound
from landbridge.providers import get
from landbridge.store import sessions
from landbridge.store.database import Database
from tests.engine.ailing import At
from tests.engine.conftest import Scene


async def _open(db: Database, **wanted: Any) -> ConnectSession:
    given = {"tenant": "acme", **wanted}
    return await open_session(
        db,
        Wanted(**given),
        environment="test",
        public="https://host.example/landbridge/",
        known=get,
    )


async def test_a_token_finds_its_tenant_and_what_it_may(db: Database) -> None:
    opened = await _open(db, providers=["stripe"], origin="https://app.example", minutes=5)
    assert opened.url == f"https://host.example/landbridge/connect/{opened.token}/"
    found = await session_of(db, opened.token)
    assert found is not None
    assert (found.environment, found.tenant, found.providers) == ("test", "acme", ("stripe",))
    assert found.args["origin"] == "https://app.example"
    assert found.expires_at == opened.expires_at
    assert not found.expired


async def test_the_database_has_only_the_digest(db: Database) -> None:
    opened = await _open(db)
    async with db.transaction() as tx:
        (row,) = await tx.execute("SELECT s::text AS row FROM landbridge.connect_session AS s")
    assert opened.token.removeprefix("lbs_") not in row["row"]
    assert digest_of(opened.token).hex() in row["row"]
    assert opened.token not in repr(opened)


async def test_another_token_finds_nothing(db: Database) -> None:
    opened = await _open(db)
    turned = opened.token[:-1] + ("A" if opened.token[-1] != "A" else "B")
    assert await session_of(db, turned) is None
    assert await session_of(db, "") is None
    assert await session_of(db, f"{opened.token}\n") is None


async def test_it_ends_is_known_for_a_day_and_then_forgotten(db: Database, at: At) -> None:
    opened = await _open(db, minutes=30)
    later = await at("31 minutes")
    found = await session_of(later, opened.token)
    assert found is not None
    assert found.expired
    assert await sessions.forget(later, limit=10) == 0
    next_day = await at("25 hours")
    assert await sessions.forget(next_day, limit=10) == 1
    assert await session_of(db, opened.token) is None


async def test_what_came_of_it_is_kept(db: Database) -> None:
    opened = await _open(db)
    found = await session_of(db, opened.token)
    assert found is not None
    await sessions.settle(db, found, "choosing", offered=[{"id": "con_1"}, {"id": "con_2"}])
    await sessions.settle(db, found, "connected", connected=[{"id": "con_1"}])
    await sessions.settle(db, found, "connected", connected=[{"id": "con_2"}])
    after = await session_of(db, opened.token)
    assert after is not None
    assert (after.state, after.offered) == ("connected", ())
    assert [each["id"] for each in after.connected] == ["con_1", "con_2"]


async def test_reconnecting_takes_all_from_the_connection(db: Database, scene: Scene) -> None:
    connection = await scene.connect("acme", "acct_1", label="main")
    opened = await open_session(
        db,
        Wanted(tenant="acme", connection=connection, providers=["stripe"], label="other"),
        environment="test",
        public="https://host.example",
        known=lambda _slug: None,
    )
    found = await session_of(db, opened.token)
    assert found is not None
    assert (found.connection, found.providers) == (connection.id, ("shop",))
    assert found.args["label"] == "main"
    with pytest.raises(InvalidInput, match="connection: it is of another tenant"):
        await _open(db, tenant="other", connection=connection)


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        ({"tenant": ""}, "tenant: empty"),
        ({"minutes": 0}, "minutes: 0 is not between 1 and 1440"),
        ({"minutes": 1441}, "minutes: 1441"),
        ({"origin": "https://app.example/"}, "origin: 'https://app.example/' is not an origin"),
        ({"origin": "*"}, "is not an origin such as"),
        ({"origin": "https://app.example; script-src *"}, "is not an origin such as"),
        ({"return_to": "javascript:alert(1)"}, "return_to: 'javascript:alert"),
        (
            {"origin": "https://app.example", "return_to": "https://app.example.evil.example/x"},
            "return_to: .* such as https://app.example/settings",
        ),
        ({"texts": {"title": "x" * 501}}, "title: longer than 500"),
    ],
)
async def test_what_is_wrong_is_named(db: Database, wanted: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        await _open(db, **wanted)


async def test_an_unknown_provider_is_refused(db: Database) -> None:
    with pytest.raises(NotFound, match="stripes"):
        await _open(db, providers=["stripes"])


def test_origins_end_where_the_path_begins() -> None:
    assert origin_of("https://app.example/a?b") == "https://app.example"
    assert origin_of("http://127.0.0.1:8700") == "http://127.0.0.1:8700"
    assert origin_of("https://app.example@evil.example/") == ""
    assert origin_of("//app.example") == ""

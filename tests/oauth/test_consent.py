"""Consents against a real authorisation server that requires PKCE and rotates refresh tokens."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, urlsplit

import msgspec
import pytest

from landbridge.engine.app_client import set_client
from landbridge.errors import (
    ConsentRefused,
    InvalidInput,
    OutcomeUnknown,
    SettingsError,
)
from landbridge.store import apps, connections, grants
from landbridge.store.database import Database
from landbridge.store.grants import Grant
from landbridge.store.sql import Sql
from landbridge.store.upkeep import keep_up
from landbridge.vault import Kind
from tests.engine.ailing import At
from tests.oauth.authlib_server import CLIENT_ID, CLIENT_SECRET, Client
from tests.oauth.conftest import REDIRECT, World

EVENTS = Sql(
    "tests.events",
    "SELECT type, payload FROM lb.emitted ORDER BY place",
    across="A test reads all.",
)
WHOLE = Sql("tests.consents", "SELECT * FROM lb.consent", across="A test reads all.")
DUE = Sql(
    "tests.due", "SELECT key FROM lb.due WHERE kind = 'pull' ORDER BY key", across="A test counts."
)


async def told(db: Database) -> list[tuple[str, dict[str, Any]]]:
    return [
        (row["type"], msgspec.json.decode(row["payload"])["data"]) for row in await db.fetch(EVENTS)
    ]


async def grant_of(world: World, connection: connections.Connection) -> Grant:
    found = await grants.one(
        world.db,
        environment=connection.environment,
        tenant=connection.tenant,
        id=connection.access_grant,
    )
    assert found is not None
    return found


async def opened(world: World, grant: Grant) -> tuple[dict[str, str], str]:
    """The refresh token and the access token that a grant holds."""
    whose = {"environment": grant.environment, "tenant": grant.tenant}
    assert grant.secret is not None
    assert grant.access is not None
    secret = await world.vault.open(
        Kind.CREDENTIAL, **whose, place=f"grant/{grant.id}/secret/1", envelope=grant.secret
    )
    access = await world.vault.open(
        Kind.ACCESS, **whose, place=f"grant/{grant.id}/access/1", envelope=grant.access
    )
    return msgspec.json.decode(secret), access.decode()


async def test_a_consent_becomes_a_connection_with_sealed_tokens(world: World) -> None:
    finished = await world.connect(context={"seen": "again"})
    (connected,) = finished.connected
    connection = connected.connection
    assert connected.new
    assert (connection.account, connection.account_name) == ("org-1", "Acme Ltd")
    assert connection.state == "active"
    assert finished.context == {"seen": "again"}
    grant = await grant_of(world, connection)
    secret, access = await opened(world, grant)
    (token,) = world.peer.tokens
    assert secret == {"refresh_token": token.refresh_token}
    assert access == token.access_token
    assert grant.scopes == ("customers.read", "notes.read", "offline")
    assert grant.expires_at is not None
    assert grant.refresh_expires_at is not None
    assert await told(world.db) == [
        (
            "connection.created",
            {
                "connection": connection.id,
                "provider": "ledger",
                "account": "org-1",
                "account_name": "Acme Ltd",
                "owner": "",
                "label": "",
            },
        )
    ]
    assert len(await world.db.fetch(DUE)) == 2


async def test_the_server_saw_pkce_the_exact_redirect_and_only_what_is_needed(
    world: World,
) -> None:
    consent = await world.begin(resources=["customer"])
    query = dict(parse_qsl(urlsplit(consent.url).query))
    assert query["code_challenge_method"] == "S256"
    assert query["redirect_uri"] == REDIRECT
    assert query["scope"].split() == ["customers.read", "offline"]
    assert [(one.scope, one.by) for one in consent.asks] == [
        ("customers.read", ("customer: read",)),
        ("offline", ("always",)),
    ]
    await world.finish(consent)
    (form,) = [form for path, form in world.peer.asked if path == "/token"]
    assert form["redirect_uri"] == REDIRECT
    assert len(form["code_verifier"]) == 43


async def test_writes_are_asked_for_only_when_they_are_named(world: World) -> None:
    consent = await world.begin(resources=["customer"], writes=["customer.create"])
    assert "customers.write" in [one.scope for one in consent.asks]
    with pytest.raises(InvalidInput, match=r"customer\.create"):
        await world.begin(writes=["customer.update"])


async def test_the_database_holds_no_state_no_browser_token_and_no_verifier(world: World) -> None:
    consent = await world.begin()
    state = dict(parse_qsl(urlsplit(consent.url).query))["state"]
    (row,) = await world.db.fetch(WHOLE)
    held = repr(dict(row))
    await world.finish(consent)
    (form,) = [form for path, form in world.peer.asked if path == "/token"]
    for secret in (state, state.split(".")[1], consent.browser_token, form["code_verifier"]):
        assert secret not in held
    assert consent.url not in repr(consent)
    assert consent.browser_token not in repr(consent)


async def test_a_state_is_taken_once(world: World) -> None:
    consent = await world.begin()
    query = await world.back(consent)
    await world.consents.finish("ledger", query, consent.browser_token)
    with pytest.raises(ConsentRefused, match="used already") as caught:
        await world.consents.finish("ledger", query, consent.browser_token)
    assert caught.value.code == "expired_state"
    assert world.peer.counted("/token") == 1


@pytest.mark.parametrize("browser", ["", "another", None])
async def test_a_state_belongs_to_the_browser_it_began_in(
    world: World, browser: str | None
) -> None:
    mine, theirs = await world.begin(), await world.begin("other")
    query = await world.back(mine)
    with pytest.raises(ConsentRefused, match="browser"):
        await world.consents.finish(
            "ledger", query, theirs.browser_token if browser is None else browser
        )
    assert world.peer.counted("/token") == 0
    await world.consents.finish("ledger", query, mine.browser_token)  # it was not used up


async def test_a_state_of_another_environment_is_not_known(world: World) -> None:
    consent = await world.begin()
    query = await world.back(consent)
    for state in (
        query["state"].replace("test.", "live."),
        query["state"][5:],
        "",
        "test.",
        "\x00.a",
    ):
        with pytest.raises(ConsentRefused):
            await world.consents.finish("ledger", {**query, "state": state}, consent.browser_token)


async def test_a_consent_is_over_after_ten_minutes(world: World, at: At) -> None:
    early, late = await world.begin(), await world.begin()
    query = await world.back(late)
    world.consents._db = await at("9 minutes 50 seconds")
    await world.finish(early)
    world.consents._db = await at("10 minutes 10 seconds")
    with pytest.raises(ConsentRefused, match="ten minutes"):
        await world.consents.finish("ledger", query, late.browser_token)


async def test_a_no_is_told_as_a_no_and_ends_the_consent(world: World) -> None:
    world.peer.declines = True
    consent = await world.begin()
    query = await world.back(consent)
    assert query["error"] == "access_denied"
    with pytest.raises(ConsentRefused, match="declined") as caught:
        await world.consents.finish("ledger", query, consent.browser_token)
    assert caught.value.denied
    world.peer.declines = False
    with pytest.raises(ConsentRefused, match="used already"):
        await world.consents.finish("ledger", query, consent.browser_token)
    assert await told(world.db) == []


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"error": "server_error"}, "server_error"),
        ({"error": "<script>"}, "error"),
        ({"code": ""}, "no_code"),
        ({"code": "x" * 5000}, "no_code"),
        ({"code": "made-up"}, "invalid_grant"),
    ],
)
async def test_what_comes_back_wrong_is_refused(
    world: World, more: dict[str, str], code: str
) -> None:
    consent = await world.begin()
    query = {**await world.back(consent), **more}
    with pytest.raises(ConsentRefused) as caught:
        await world.consents.finish("ledger", query, consent.browser_token)
    assert (caught.value.code, caught.value.denied) == (code, False)
    assert "<" not in str(caught.value)


async def test_an_answer_at_another_providers_address_is_refused(world: World) -> None:
    consent = await world.begin()
    query = await world.back(consent)
    with pytest.raises(ConsentRefused, match="other") as caught:
        await world.consents.finish("other", query, consent.browser_token)
    assert caught.value.code == "other_provider"
    assert world.peer.counted("/token") == 0


async def test_a_redirect_that_is_not_registered_is_refused_by_the_server(world: World) -> None:
    world.peer.clients[CLIENT_ID].redirects = (REDIRECT + "/",)
    consent = await world.begin()
    with pytest.raises(AssertionError, match="invalid_request"):
        await world.back(consent)


async def test_without_the_verifier_the_server_gives_nothing(world: World) -> None:
    """The control: the code alone is worth nothing."""
    consent = await world.begin()
    query = await world.back(consent)
    world.turn(pkce=False, pkce_why="to see the server refuse it")
    with pytest.raises(ConsentRefused):
        await world.consents.finish("ledger", query, consent.browser_token)
    assert world.peer.tokens == []


async def test_a_broken_server_is_no_no(world: World) -> None:
    consent = await world.begin()
    query = await world.back(consent)
    world.peer.broken = "/token"
    with pytest.raises(OutcomeUnknown):
        await world.consents.finish("ledger", query, consent.browser_token)


async def test_several_accounts_share_one_grant(world: World) -> None:
    world.peer.accounts += [
        {"id": "org-2", "name": "Beta", "type": "ORGANISATION"},
        {"id": "p-1", "name": "A practice", "type": "PRACTICE"},
    ]
    finished = await world.connect()
    assert [one.connection.account for one in finished.connected] == ["org-1", "org-2"]
    assert len({one.connection.access_grant for one in finished.connected}) == 1
    assert finished.choice == ""


async def test_of_several_accounts_some_are_chosen(world: World) -> None:
    world.peer.accounts += [
        {"id": "org-2", "name": "Beta", "type": "ORGANISATION"},
        {"id": "org-3", "name": "Gamma", "type": "ORGANISATION"},
    ]
    consent = await world.begin(choose=True)
    finished = await world.finish(consent)
    offered = [one.connection for one in finished.connected]
    assert {one.state for one in offered} == {"pending"}
    assert await told(world.db) == []
    assert await world.db.fetch(DUE) == []
    browser = consent.browser_token
    with pytest.raises(ConsentRefused):
        await world.consents.choose(finished.choice, "another browser", [offered[1].id])
    for wrong in ([], ["con_made_up"]):
        with pytest.raises(InvalidInput, match="accounts"):
            await world.consents.choose(finished.choice, browser, wrong)
    (chosen,) = await world.consents.choose(finished.choice, browser, [offered[1].id])
    assert (chosen.connection.account, chosen.connection.state) == ("org-2", "active")
    left = await connections.every(world.db, environment="test")
    assert [(one.account, one.state) for one in left] == [("org-2", "active")]
    assert [kind for kind, _ in await told(world.db)] == ["connection.created"]
    assert len(await world.db.fetch(DUE)) == 2
    with pytest.raises(ConsentRefused):
        await world.consents.choose(finished.choice, browser, [offered[1].id])


async def test_accounts_that_nobody_chose_are_forgotten_and_never_refreshed(
    world: World, at: At
) -> None:
    """One of two consents is chosen from; the accounts of the other wait for an hour."""
    world.peer.accounts.append({"id": "org-2", "name": "Beta", "type": "ORGANISATION"})
    first = await world.begin(choose=True)
    finished = await world.finish(first)
    chosen = finished.connected[0].connection
    await world.consents.choose(finished.choice, first.browser_token, [chosen.id])
    await world.finish(await world.begin("other", choose=True))
    assert "accounts that nobody chose" not in (await keep_up(world.db)).removed
    later = await at("2 hours")
    assert (await keep_up(later)).removed["accounts that nobody chose"] == 2
    left = await connections.every(later, environment="test")
    assert [(one.tenant, one.account) for one in left] == [("acme", chosen.account)]
    async with later.transaction() as tx:
        held = await tx.execute("SELECT id FROM landbridge.access_grant")
    assert [row["id"] for row in held] == [chosen.access_grant]
    assert "accounts that nobody chose" not in (await keep_up(later)).removed


async def test_a_choice_is_no_consent_and_a_consent_no_choice(world: World) -> None:
    world.peer.accounts.append({"id": "org-2", "name": "Beta", "type": "ORGANISATION"})
    first = await world.begin(choose=True)
    finished = await world.finish(first)
    with pytest.raises(ConsentRefused):
        await world.consents.finish(
            "ledger", {"state": finished.choice, "code": "x"}, first.browser_token
        )
    second = await world.begin()
    state = dict(parse_qsl(urlsplit(second.url).query))["state"]
    with pytest.raises(ConsentRefused):
        await world.consents.choose(state, second.browser_token, ["con_x"])


async def test_reconnecting_keeps_the_connection_and_takes_the_new_tokens(world: World) -> None:
    ((first,),) = [(await world.connect(label="till")).connected]
    before = first.connection
    await connections.set_state(world.db, before, "needs_reauth", "refused")
    again = await world.begin(connection=before)
    (second,) = (await world.finish(again)).connected
    after = second.connection
    assert not second.new
    assert (after.id, after.token, after.label) == (before.id, before.token, "till")
    assert (after.state, after.reason) == ("active", "")
    assert after.access_grant != before.access_grant
    _, access = await opened(world, await grant_of(world, after))
    assert access == world.peer.tokens[-1].access_token
    gone = await grants.one(world.db, environment="test", tenant="acme", id=before.access_grant)
    assert gone is None
    assert [kind for kind, _ in await told(world.db)] == ["connection.created"]


async def test_reconnecting_refuses_another_account_and_stores_nothing(world: World) -> None:
    (first,) = (await world.connect()).connected
    world.peer.accounts = [{"id": "org-9", "name": "Wrong Ltd", "type": "ORGANISATION"}]
    with pytest.raises(ConsentRefused, match="Wrong Ltd") as caught:
        await world.finish(await world.begin(connection=first.connection))
    assert caught.value.code == "other_account"
    (left,) = await connections.every(world.db, environment="test")
    assert left == first.connection


async def test_reconnecting_one_account_takes_those_beside_it_along(world: World) -> None:
    world.peer.accounts.append({"id": "org-2", "name": "Beta", "type": "ORGANISATION"})
    one, two = (await world.connect()).connected
    for each in (one, two):
        await connections.set_state(world.db, each.connection, "needs_reauth", "refused")
    done = (await world.finish(await world.begin(connection=two.connection))).connected
    assert [each.connection.id for each in done] == [two.connection.id, one.connection.id]
    assert len({each.connection.access_grant for each in done}) == 1
    assert {each.connection.state for each in done} == {"active"}


async def test_a_grant_that_another_connection_lives_by_is_kept(world: World) -> None:
    world.peer.accounts.append({"id": "org-2", "name": "Beta", "type": "ORGANISATION"})
    one, two = (await world.connect()).connected
    world.peer.accounts.pop()
    await world.connect()  # the first account alone, by a consent of its own
    left = {each.account: each for each in await connections.every(world.db, environment="test")}
    assert left["org-1"].access_grant != one.connection.access_grant
    assert left["org-2"].access_grant == two.connection.access_grant
    await opened(world, await grant_of(world, left["org-2"]))


async def test_enabling_more_asks_for_all_of_it_where_a_consent_replaces(world: World) -> None:
    (first,) = (await world.connect(resources=["customer"])).connected
    consent = await world.begin(connection=first.connection, resources=["note"])
    query = dict(parse_qsl(urlsplit(consent.url).query))
    assert set(query["scope"].split()) == {"notes.read", "offline", "customers.read"}


async def test_enabling_more_asks_for_the_difference_where_consents_add_up(world: World) -> None:
    world.turn(adds_up=True)
    (first,) = (await world.connect(resources=["customer"])).connected
    consent = await world.begin(connection=first.connection, resources=["customer", "note"])
    query = dict(parse_qsl(urlsplit(consent.url).query))
    assert set(query["scope"].split()) == {"notes.read", "offline"}
    (second,) = (await world.finish(consent)).connected
    grant = await grant_of(world, second.connection)
    assert set(grant.scopes) == {"customers.read", "notes.read", "offline"}
    keys = [row["key"] for row in await world.db.fetch(DUE)]
    assert len(keys) == 2


async def test_a_tenants_own_client_goes_before_everyones(world: World) -> None:
    world.peer.clients["theirs"] = Client("theirs", "their-secret", (REDIRECT,))
    own = await set_client(
        world.db,
        world.vault,
        world.page,
        environment="test",
        tenant="acme",
        client_id="theirs",
        client_secret="their-secret",
    )
    (connected,) = (await world.connect()).connected
    assert connected.connection.app == own.id
    assert world.peer.tokens[-1].client_id == "theirs"
    (other,) = (await world.connect("other")).connected
    assert world.peer.tokens[-1].client_id == CLIENT_ID
    assert other.connection.app != own.id
    app = await apps.by_id(world.db, environment="test", id=own.id)
    assert app is not None
    assert b"their-secret" not in (app.client_secret or b"")


async def test_an_app_without_a_client_says_how_to_set_one(world: World) -> None:
    with pytest.raises(SettingsError, match="landbridge apps set ledger"):
        await world.consents.begin("ledger", environment="live", tenant="acme")
    for wrong in ({"client_id": ""}, {"client_secret": ""}, {"client_id": " a"}):
        given = {"client_id": "a", "client_secret": CLIENT_SECRET, **wrong}
        with pytest.raises(InvalidInput, match=next(iter(wrong))) as caught:
            await set_client(
                world.db, world.vault, world.page, environment="test", tenant=None, **given
            )
        assert CLIENT_SECRET not in str(caught.value)


async def test_a_connection_of_another_tenant_is_not_connected_again(world: World) -> None:
    (first,) = (await world.connect()).connected
    with pytest.raises(InvalidInput, match="another tenant"):
        await world.begin("other", connection=first.connection)

"""Tokens of a grant: refreshed once, stored whatever happens, never declared dead by mistake."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from landbridge.engine.disconnect import disconnect
from landbridge.engine.refresh import Refresher
from landbridge.errors import (
    LandbridgeError,
    OutcomeUnknown,
    ReconnectRequired,
    TokenRefused,
    Unreachable,
    WrongKey,
)
from landbridge.measures import TOKEN_REFRESHES, Measures
from landbridge.store import connections, grants, refreshes
from landbridge.store.connections import Connection
from landbridge.store.database import Database
from landbridge.store.grants import Grant
from tests.engine.ailing import At
from tests.oauth.conftest import World
from tests.oauth.gate import Gate, gate

WINDOW = timedelta(minutes=30)


@dataclass
class Ledger:
    """A connection whose access token has ended, and the gate before its server."""

    world: World
    db: Database
    gate: Gate
    connection: Connection
    measures: Measures = field(default_factory=Measures)

    def process(self, **more: Any) -> Refresher:
        """What one process has."""
        return Refresher(
            self.db,
            self.world.vault,
            self.world.client,
            provider=lambda _slug: self.world.page,
            clock=self.world.client.clock,
            measures=self.measures,
            sleep=lambda _seconds: asyncio.sleep(0.01),
            **more,
        )

    async def grant(self) -> Grant:
        found = await grants.one(
            self.db,
            environment="test",
            tenant="acme",
            id=(await self.now()).access_grant,
        )
        assert found is not None
        return found

    async def now(self) -> Connection:
        found = await connections.one(
            self.db, environment="test", tenant="acme", id=self.connection.id
        )
        assert found is not None
        return found

    async def events(self) -> list[str]:
        async with self.db.transaction() as tx:
            rows = await tx.execute("SELECT type FROM landbridge.emitted ORDER BY id")
        return [row["type"] for row in rows if row["type"] != "connection.created"]

    def outcomes(self) -> dict[str, float]:
        return {labels[2]: n for labels, n in self.measures.counts(TOKEN_REFRESHES).items()}


@pytest.fixture
async def ledger(world: World, at: At) -> AsyncIterator[Ledger]:
    finished = await world.connect()
    (made,) = finished.connected
    later = await at("40 minutes")
    async with gate(world.peer.url) as before:
        connection = made.connection
        async with later.transaction() as tx:
            await tx.execute(
                "UPDATE landbridge.connection SET settings = settings || jsonb_build_object("
                "'token', $1::text)",
                f"{before.url}/token",
            )
        found = await connections.one(later, environment="test", tenant="acme", id=connection.id)
        assert found is not None
        yield Ledger(world=world, db=later, gate=before, connection=found)


async def _dies(asked: Awaitable[object]) -> str:
    with pytest.raises(ReconnectRequired) as caught:
        await asked
    return caught.value.reason


async def test_a_valid_token_is_given_without_a_word_to_the_provider(
    ledger: Ledger, world: World
) -> None:
    ledger.db = world.db  # now, not in 40 minutes
    got = await ledger.process().access(ledger.connection)
    assert got.token == world.peer.tokens[-1].access_token
    assert got.version == 1
    assert ledger.gate.posts == 0


async def test_256_callers_of_four_processes_cause_one_post(ledger: Ledger) -> None:
    ledger.gate.delay = lambda: 0.3
    processes = [ledger.process() for _ in range(4)]
    got = await asyncio.gather(*(processes[n % 4].access(ledger.connection) for n in range(256)))
    assert ledger.gate.posts == 1
    assert {each.token for each in got} == {ledger.world.peer.tokens[-1].access_token}
    assert {each.version for each in got} == {2}
    assert await refreshes.one(ledger.db, await ledger.grant()) is None


async def test_the_new_refresh_token_is_used_next(ledger: Ledger) -> None:
    process = ledger.process()
    first = await process.access(ledger.connection)
    second = await process.refused(ledger.connection, first.version)
    assert (first.version, second.version) == (2, 3)
    assert ledger.outcomes() == {"stored": 2}


@pytest.mark.parametrize("column", ["secret", "access"])
async def test_an_envelope_of_an_older_version_that_is_put_back_does_not_open(
    ledger: Ledger, column: str
) -> None:
    """Whoever may write to the database has no token used again that was replaced."""
    before = await ledger.grant()
    await ledger.process().access(ledger.connection)
    async with ledger.db.transaction() as tx:
        await tx.execute(
            f"UPDATE landbridge.access_grant SET {column} = $1 WHERE id = $2",
            getattr(before, column),
            before.id,
        )
    process = ledger.process()
    asked = process.access if column == "access" else partial(process.refused, version=2)
    with pytest.raises(WrongKey, match=r"for another place|moved to another"):
        await asked(ledger.connection)


async def test_a_refresh_without_a_new_refresh_token_keeps_the_old_one(
    ledger: Ledger, world: World
) -> None:
    world.peer.rotates = False
    process = ledger.process()
    for version in (2, 3):
        assert (await process.refused(ledger.connection, version - 1)).version == version
    assert (await ledger.grant()).secret_version == 1


async def test_a_401_for_an_older_version_gets_the_newer_one_without_a_post(
    ledger: Ledger,
) -> None:
    process = ledger.process()
    got = await process.access(ledger.connection)
    assert await process.refused(ledger.connection, got.version - 1) == got
    assert ledger.gate.posts == 1


async def test_a_caller_that_gives_up_does_not_take_the_others_post_with_it(
    ledger: Ledger,
) -> None:
    ledger.gate.always = "slow"
    process = ledger.process()
    first = asyncio.create_task(process.access(ledger.connection))
    await ledger.gate.answered.wait()
    second = asyncio.create_task(process.access(ledger.connection))
    await asyncio.sleep(0.05)
    first.cancel()
    ledger.gate.open.set()
    assert (await second).version == 2
    assert ledger.gate.posts == 1


async def test_a_lost_answer_is_ambiguous_where_nothing_may_be_sent_again(
    ledger: Ledger,
) -> None:
    ledger.gate.plan.append("lose the answer")
    assert await _dies(ledger.process().access(ledger.connection)) == "ambiguous"
    assert ledger.gate.posts == 1
    assert (await ledger.now()).state == "needs_reauth"
    assert await ledger.events() == ["connection.needs_reauth"]
    assert await _dies(ledger.process().access(ledger.connection)) == "ambiguous"
    assert ledger.gate.posts == 1
    assert await ledger.events() == ["connection.needs_reauth"]


async def test_a_lost_request_is_sent_again_within_the_retry_window(ledger: Ledger) -> None:
    ledger.world.turn(refresh_retry_window=WINDOW)
    ledger.gate.plan.append("lose the request")
    got = await ledger.process().access(ledger.connection)
    assert got.version == 2
    assert ledger.gate.posts == 2


async def test_answers_lost_again_and_again_leave_the_intent_to_the_next(ledger: Ledger) -> None:
    ledger.world.turn(refresh_retry_window=WINDOW)
    ledger.gate.plan.extend(["lose the request"] * 3)
    with pytest.raises(OutcomeUnknown):
        await ledger.process().access(ledger.connection)
    assert (await ledger.now()).state == "active"
    assert (await ledger.process().access(ledger.connection)).version == 2


async def test_a_refusal_after_a_lost_answer_is_called_ambiguous(ledger: Ledger) -> None:
    ledger.world.turn(refresh_retry_window=WINDOW)
    ledger.gate.plan.append("lose the answer")
    assert await _dies(ledger.process().access(ledger.connection)) == "ambiguous"
    assert ledger.gate.posts == 2


async def test_an_outage_of_the_provider_kills_no_grant(ledger: Ledger) -> None:
    ledger.gate.plan.extend(["fail"] * 5)
    process = ledger.process()
    for _ in range(5):
        with pytest.raises(OutcomeUnknown):
            await process.access(ledger.connection)
    assert (await process.access(ledger.connection)).version == 2
    assert (await ledger.now()).state == "active"


async def test_a_provider_that_cannot_be_reached_is_asked_again(ledger: Ledger) -> None:
    nowhere = {**ledger.connection.settings, "token": "http://127.0.0.1:9/token"}
    with pytest.raises(Unreachable):
        await ledger.process().access(replace(ledger.connection, settings=nowhere))
    assert (await ledger.process().access(ledger.connection)).version == 2


async def test_a_refused_refresh_token_needs_a_new_consent(ledger: Ledger) -> None:
    for token in ledger.world.peer.tokens:
        token.revoked = True
    assert await _dies(ledger.process().access(ledger.connection)) == "refused"
    assert await ledger.events() == ["connection.needs_reauth"]
    assert (await ledger.grant()).reason == "refused"


async def test_a_client_that_is_refused_kills_no_grant(ledger: Ledger) -> None:
    known = ledger.world.peer.clients.copy()
    ledger.world.peer.clients.clear()
    with pytest.raises(TokenRefused):
        await ledger.process().access(ledger.connection)
    ledger.world.peer.clients.update(known)
    assert (await ledger.process().access(ledger.connection)).version == 2


async def test_nobody_posts_while_a_holder_may_still_be_answered(ledger: Ledger) -> None:
    ledger.gate.always = "slow"
    short = timedelta(milliseconds=100)
    holder = asyncio.create_task(ledger.process(lease=short).access(ledger.connection))
    await ledger.gate.answered.wait()
    other = asyncio.create_task(ledger.process(lease=short).access(ledger.connection))
    await asyncio.sleep(1)  # many leases long
    assert ledger.gate.posts == 1
    ledger.gate.open.set()
    assert (await holder) == (await other)
    assert ledger.gate.posts == 1


async def _silence(ledger: Ledger) -> asyncio.Task[object]:
    """A holder that has stopped in its post: its heartbeats do not come, its lease is over."""
    ledger.gate.always = "slow"
    held: asyncio.Task[object] = asyncio.create_task(
        ledger.process(lease=timedelta(hours=1)).access(ledger.connection)
    )
    await ledger.gate.answered.wait()
    async with ledger.db.transaction() as tx:
        await tx.execute("UPDATE landbridge.refresh_intent SET until = landbridge.now()")
    ledger.gate.always = "pass"
    return held


async def test_a_stopped_holders_late_answer_mends_what_was_ambiguous(ledger: Ledger) -> None:
    held = await _silence(ledger)
    assert await _dies(ledger.process().access(ledger.connection)) == "ambiguous"
    assert ledger.gate.posts == 1
    ledger.gate.open.set()
    await held
    assert (await ledger.now()).state == "active"
    assert (await ledger.process().access(ledger.connection)).version == 2
    assert ledger.gate.posts == 1
    assert ledger.outcomes() == {"ambiguous": 1, "late": 1}


async def test_a_stopped_holder_is_followed_within_the_retry_window(ledger: Ledger) -> None:
    ledger.world.turn(refresh_retry_window=WINDOW)
    for token in ledger.world.peer.tokens:
        token.rotated = False
    held = await _silence(ledger)
    for token in ledger.world.peer.tokens:  # the server keeps its promise of a window
        token.rotated = False
    got = await ledger.process().access(ledger.connection)
    assert got.version == 2
    assert ledger.gate.posts == 2
    ledger.gate.open.set()
    assert await held == got, "the first to be stored stays"


async def test_the_retry_window_ends(ledger: Ledger) -> None:
    ledger.world.turn(refresh_retry_window=WINDOW)
    held = await _silence(ledger)
    async with ledger.db.transaction() as tx:
        await tx.execute(
            "UPDATE landbridge.refresh_intent SET opened_at = opened_at - interval '31 minutes'"
        )
    assert await _dies(ledger.process().access(ledger.connection)) == "ambiguous"
    assert ledger.gate.posts == 1
    ledger.gate.open.set()
    await held


async def test_a_connection_that_is_ended_meanwhile_gets_no_tokens(ledger: Ledger) -> None:
    ledger.gate.always = "slow"
    held = asyncio.create_task(ledger.process().access(ledger.connection))
    await ledger.gate.answered.wait()
    await disconnect(ledger.db, ledger.connection)
    ledger.gate.open.set()
    assert await _dies(held) == "forgotten"
    newest = ledger.world.peer.tokens[-1]
    assert newest.revoked, "tokens that nobody keeps are given back"


async def test_a_consent_that_came_meanwhile_wins(ledger: Ledger) -> None:
    process = ledger.process()
    world = ledger.world
    again = await world.connect(connection=ledger.connection)
    assert again.connected[0].connection.id == ledger.connection.id
    got = await process.access(ledger.connection)  # still names the old grant
    assert got.token in {token.access_token for token in world.peer.tokens}


async def test_no_error_and_no_log_shows_a_token(
    ledger: Ledger, capsys: pytest.CaptureFixture[str]
) -> None:
    ledger.gate.plan.append("lose the answer")
    with pytest.raises(LandbridgeError) as caught:
        await ledger.process().access(ledger.connection)
    shown = capsys.readouterr()
    said = f"{caught.value!r}{caught.value}{shown.out}{shown.err}{await ledger.grant()!r}"
    for token in ledger.world.peer.tokens:
        assert token.access_token not in said
        assert str(token.refresh_token) not in said
    assert "refresh.dead" in shown.out


async def test_a_grant_without_a_refresh_token_expires(ledger: Ledger) -> None:
    async with ledger.db.transaction() as tx:
        await tx.execute("UPDATE landbridge.access_grant SET secret = NULL")
    assert await _dies(ledger.process().access(ledger.connection)) == "expired"
    assert ledger.gate.posts == 0

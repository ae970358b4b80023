"""W28: an emit as the very first statement of a session that then rolls back."""

from __future__ import annotations

from typing import Any

import asyncpg
from sqlalchemy.ext.asyncio import AsyncSession

from landbridge.engine.emit import prepare
from tests.faults.outbound import scene
from tests.rows import RowResult, Trial, row
from tests.store.bindings import BINDINGS, async_engine


@row(
    "W28",
    title="emit as the very first statement, then rollback, for every binding",
    goal="no event; the raw driver beneath a session leaves one",
)
async def first_statement(trial: Trial) -> RowResult:
    """SQLAlchemy begins lazily: a statement that passes it by is committed on its own."""
    rounds = trial.size.pick(small=3, medium=100)
    tried = 0
    async with scene() as stage:
        for number in range(rounds):
            for opened in BINDINGS.values():
                async with opened(stage.url) as session:
                    await session.emit("said")
                    await session.rollback()
                tried += 1
            trial.step(number + 1, rounds)
        left = await _emptied(stage.direct)
        control = {}
        for ending in ("commit", "rollback"):
            await _beneath_the_session(stage.url, ending)
            control[ending] = await _emptied(stage.direct)
    return RowResult(
        value=f"{tried} rolled back over {len(BINDINGS)} bindings: {left} events"
        f" (control: {control['rollback']})",
        holds=left == 0 and tried > 0 and control == {"commit": 1, "rollback": 1},
        detail={"tried": tried, "events": left, "control": control},
    )


async def _beneath_the_session(url: str, ending: str) -> None:
    """The control: the insert runs on the session's raw driver connection."""
    async with AsyncSession(async_engine(url)) as session:
        connection = await session.connection()
        raw: Any = (await connection.get_raw_connection()).driver_connection
        _, statement, binds = prepare("word.said", {}, environment="test", tenant="acme")
        await raw.execute(statement.render("landbridge"), *statement.arguments(binds))
        await (session.commit() if ending == "commit" else session.rollback())


async def _emptied(url: str) -> int:
    """How many events were emitted; they are removed."""
    connection = await asyncpg.connect(url)
    tag = await connection.execute("DELETE FROM landbridge.emitted")
    await connection.close()
    return int(tag.removeprefix("DELETE "))

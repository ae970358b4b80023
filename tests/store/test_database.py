"""The pool: what one user of a connection leaves behind is not the next one's."""

from __future__ import annotations

import pytest

from landbridge.errors import DatabaseUnavailable
from landbridge.store.database import Database

SHOW = "SHOW statement_timeout"


@pytest.mark.parametrize("through", ["execute", "raw", "session"])
async def test_settings_of_a_user_s_statements_end_with_the_transaction(
    database_url: str, through: str
) -> None:
    db = await Database.open(database_url, budget=1)
    change = "SET SESSION statement_timeout = '7s'"
    async with db.transaction() as tx:
        if through == "execute":
            await tx.execute(change)
        elif through == "raw":
            await tx.raw.execute(change)
        else:
            from sqlalchemy import text

            async with tx.session() as session:
                await session.execute(text(change))
    async with db.transaction() as tx:
        (row,) = await tx.execute(SHOW)
    assert row[0] == "0"
    await db.close()


async def test_a_connection_that_cannot_be_cleaned_is_replaced(database_url: str) -> None:
    db = await Database.open(database_url, budget=1)

    async def broken() -> None:
        async with db.transaction() as tx:
            tx.raw.terminate()
            await tx.execute("SELECT 1")

    with pytest.raises(DatabaseUnavailable):
        await broken()
    async with db.transaction() as tx:
        (row,) = await tx.execute("SELECT 1")
    assert row[0] == 1
    await db.close()

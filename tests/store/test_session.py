"""The SQLAlchemy session of a transaction of ours: one fate for both."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import JSON, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from landbridge.store.database import Database


class Base(DeclarativeBase):
    """The user's tables."""


class Paid(Base):
    """A table of the user's."""

    __tablename__ = "paid"
    id: Mapped[int] = mapped_column(primary_key=True)
    invoice: Mapped[str]
    lines: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    notes: Mapped[list[str] | None] = mapped_column(JSON)


@pytest.fixture
async def db(database_url: str) -> AsyncIterator[Database]:
    database = await Database.open(database_url, budget=2)
    async with database.transaction() as tx:
        await tx.execute(
            "CREATE TABLE paid (id serial PRIMARY KEY, invoice text NOT NULL,"
            " lines jsonb, notes json)"
        )
    yield database
    await database.close()


async def paid(db: Database) -> list[str]:
    async with db.transaction() as tx:
        rows = await tx.execute("SELECT invoice FROM paid ORDER BY id")
        return [row["invoice"] for row in rows]


async def test_what_the_session_writes_is_committed_with_the_transaction(db: Database) -> None:
    for number in range(6):  # more often than the pool has connections
        async with db.transaction() as tx:
            async with tx.session() as session:
                session.add(Paid(invoice=f"in_{number}"))
            await tx.execute("INSERT INTO paid (invoice) VALUES ('raw')")
            async with tx.session() as session:
                found = await session.scalars(select(Paid.invoice).order_by(Paid.id.desc()))
                assert found.first() == "raw"
    assert len(await paid(db)) == 12


async def test_what_the_session_committed_is_undone_with_the_transaction(db: Database) -> None:
    async def fails() -> None:
        async with db.transaction() as tx:
            async with tx.session() as session:
                session.add(Paid(invoice="in_1"))
                await session.commit()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await fails()
    assert await paid(db) == []


async def test_what_the_session_rolls_back_leaves_the_rest_alone(db: Database) -> None:
    async with db.transaction() as tx:
        await tx.execute("INSERT INTO paid (invoice) VALUES ('kept')")
        async with tx.session() as session:
            session.add(Paid(invoice="dropped"))
            await session.flush()
            await session.rollback()
    assert await paid(db) == ["kept"]


async def test_json_is_decoded_for_the_session_alone(db: Database) -> None:
    """What SQLAlchemy would set on a connection stays on it, and ours go back to the pool."""
    json = "SELECT lines, notes FROM paid"
    async with db.transaction() as tx:
        async with tx.session() as session:
            session.add(Paid(invoice="in_1", lines={"a": [1]}, notes=["é"]))
            await session.flush()
            assert await session.scalar(select(Paid.lines["a"])) == [1]
            within = await tx.execute(json)
        async with tx.session() as session:
            read = (await session.scalars(select(Paid))).one()
            assert (read.lines, read.notes) == ({"a": [1]}, ["é"])
        after = await tx.execute(json)
    for rows in (within, after):
        assert [dict(row) for row in rows] == [{"lines": '{"a": [1]}', "notes": '["\\u00e9"]'}]

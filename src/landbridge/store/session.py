"""An SQLAlchemy session inside a transaction of ours, for handlers that speak ORM."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession


class _Lent:
    """A driver's connection that its borrower cannot close."""

    def __init__(self, connection: Any):
        self._lender = connection

    def __getattr__(self, name: str) -> Any:
        return getattr(self._lender, name)

    async def close(self, *_: object, **__: object) -> None:
        """Leaves it open: it goes back to the pool with our transaction."""

    def terminate(self) -> None:
        """Leaves it open."""


@asynccontextmanager
async def session(connection: Any) -> AsyncIterator[AsyncSession]:
    """An AsyncSession on the connection of an open transaction; flushed at the end of the block.

    Its begin and commit are a savepoint inside that transaction, so what it writes is committed,
    or undone, together with ours. JSON columns are Python values where SQLAlchemy knows their type,
    and text in a bare `text()` statement.
    """
    from sqlalchemy.dialects import registry  # noqa: PLC0415 - 0.2 s
    from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine  # noqa: PLC0415
    from sqlalchemy.pool import NullPool  # noqa: PLC0415

    async def lend(*_: object, **__: object) -> _Lent:
        return _Lent(connection)

    registry.register("postgresql.landbridge_lent", "landbridge.store.session_dialect", "Lent")
    engine = create_async_engine(
        "postgresql+landbridge_lent://?prepared_statement_cache_size=0",
        async_creator=lend,
        poolclass=NullPool,
    )
    async with AsyncSession(engine, expire_on_commit=False) as made:
        yield made
        await made.commit()

"""SQLAlchemy's dialect for a connection that is only lent to it."""

from __future__ import annotations

from typing import Any

from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg


class Lent(PGDialect_asyncpg):
    """asyncpg's dialect that changes nothing on the connection.

    The usual one gives each connection its own decoders for json and jsonb, and they would stay
    when the connection is back in our pool: statements of ours would meet dicts where text was.
    Here SQLAlchemy decodes the columns whose type it knows by itself.
    """

    supports_statement_cache = True
    supports_native_json_deserialization = False

    def on_connect(self) -> Any:
        """None: there is nothing to set."""
        return None

"""The part of migrating that needs Alembic and SQLAlchemy, which take a second to import."""

from __future__ import annotations

import io
from importlib.resources import files

import asyncpg
from alembic import command, context
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from landbridge.store.database import addressed, unavailable
from landbridge.store.migrate import CURRENT, THERE, after
from landbridge.store.sql import in_schema

_HOME = "landbridge.store:migrations"
_LOCK = 0x4C42_0001


async def upgrade(url: str, schema: str) -> list[str]:
    """Applies what is missing, alone: who comes at the same time waits and finds nothing to do."""

    async def connect() -> asyncpg.Connection:
        with unavailable(), addressed():
            return await asyncpg.connect(url, timeout=10, statement_cache_size=0)

    engine = create_async_engine("postgresql+asyncpg://", async_creator=connect, poolclass=NullPool)
    try:
        async with engine.connect() as connection:
            applied: list[str] = await connection.run_sync(_upgrade, schema)
            return applied
    finally:
        await engine.dispose()


def _upgrade(connection: Connection, schema: str) -> list[str]:
    connection.execute(text("SET LOCAL lock_timeout = '5s'"))
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
    there = connection.scalar(text(THERE.format(schema=schema)))
    todo = after(connection.scalar(text(CURRENT.format(schema=schema))) if there else None)
    if not todo:
        return []
    connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {schema}"))
    config = _config(schema)
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
    connection.commit()
    return todo


def offline(schema: str, out: io.StringIO) -> None:
    """Writes the statements of every migration, without connecting."""
    command.upgrade(_config(schema, out), "head", sql=True)


def statements(name: str, migration: MigrationContext) -> list[str]:
    """The statements of an SQL file beside the migrations, in the installation's schema."""
    script = files("landbridge.store").joinpath("migrations", "versions", name).read_text()
    body = "\n".join(line for line in script.splitlines() if not line.startswith("--"))
    parts = [part.strip() for part in body.split("\n\n")]
    return [in_schema(part, migration.opts["version_table_schema"]) for part in parts if part]


def run() -> None:
    """What Alembic's env.py does: online on the connection that `upgrade` opened, else as text."""
    config = context.config
    schema = config.attributes["schema"]
    common = {"version_table": "migration", "version_table_schema": schema}
    if context.is_offline_mode():
        context.configure(
            dialect_name="postgresql", output_buffer=config.attributes["out"], **common
        )
    else:
        context.configure(connection=config.attributes["connection"], **common)
    with context.begin_transaction():
        context.run_migrations()


def _config(schema: str, out: io.StringIO | None = None) -> Config:
    config = Config(output_buffer=out)
    config.set_main_option("script_location", _HOME)
    config.set_main_option("path_separator", "os")
    config.attributes["schema"] = schema
    config.attributes["out"] = out
    return config

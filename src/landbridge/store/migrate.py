"""Brings the database's schema up to date, tells what is missing, or prints the SQL for a DBA."""

from __future__ import annotations

import io
import re
from importlib.resources import files
from typing import Any

import asyncpg
from alembic import command, context
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from landbridge.errors import SettingsError
from landbridge.store.database import unavailable
from landbridge.store.sql import checked_schema, in_schema

_HOME = "landbridge.store:migrations"
_LOCK = 0x4C42_0001
_ROLE = re.compile(r"[a-z_][a-z0-9_]{0,62}")


def head() -> str:
    """The revision that this version of the package works with."""
    revision = ScriptDirectory.from_config(_config("landbridge")).get_current_head()
    assert revision is not None
    return revision


async def upgrade(url: str, schema: str = "landbridge") -> list[str]:
    """Migrates to `head()` and gives the revisions that were applied; none when all was there.

    Several callers at once are safe: one migrates, the others wait. A migration that cannot get
    its locks within five seconds gives up rather than block the application's queries.
    """
    async with _Connected(url) as connection:
        applied: list[str] = await connection.run_sync(_upgrade, checked_schema(schema))
        return applied


async def pending(url: str, schema: str = "landbridge") -> list[str]:
    """The revisions that `upgrade` would apply, oldest first."""
    async with _Connected(url) as connection:
        missing: list[str] = await connection.run_sync(_pending, checked_schema(schema))
        return missing


def sql(schema: str = "landbridge", app_role: str = "") -> str:
    """Every statement of every migration as text, without connecting.

    With `app_role` it ends with the GRANTs that let that role run Landbridge without owning
    anything.
    """
    out = io.StringIO()
    config = _config(checked_schema(schema), out)
    out.write(f"CREATE SCHEMA IF NOT EXISTS {schema};\n\nSET lock_timeout = '5s';\n\n")
    command.upgrade(config, "head", sql=True)
    if app_role:
        out.write(grants(schema, app_role))
    return out.getvalue()


def grants(schema: str, app_role: str) -> str:
    """The GRANTs for a role that runs the application and owns nothing."""
    if not _ROLE.fullmatch(app_role):
        raise SettingsError(f"--app-role: {app_role!r} is not a plain lower-case role name")
    return "\n".join(
        [
            "",
            f"GRANT USAGE ON SCHEMA {schema} TO {app_role};",
            f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {app_role};",
            f"GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA {schema} TO {app_role};",
            f"GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA {schema} TO {app_role};",
            (
                f"ALTER DEFAULT PRIVILEGES IN SCHEMA {schema}"
                f" GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {app_role};"
            ),
            "",
        ]
    )


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


class _Connected:
    def __init__(self, url: str):
        async def connect() -> asyncpg.Connection:
            with unavailable():
                return await asyncpg.connect(url, timeout=10, statement_cache_size=0)

        self._engine = create_async_engine(
            "postgresql+asyncpg://", async_creator=connect, poolclass=NullPool
        )

    async def __aenter__(self) -> Any:
        self._connection = await self._engine.connect()
        return self._connection

    async def __aexit__(self, *_: object) -> None:
        await self._connection.close()
        await self._engine.dispose()


def _upgrade(connection: Connection, schema: str) -> list[str]:
    connection.execute(text("SET LOCAL lock_timeout = '5s'"))
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
    todo = _pending(connection, schema)
    if not todo:
        return []
    connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {schema}"))
    config = _config(schema)
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
    connection.commit()
    return todo


def _pending(connection: Connection, schema: str) -> list[str]:
    scripts = ScriptDirectory.from_config(_config(schema))
    there = connection.scalar(
        text("SELECT to_regclass(:name) IS NOT NULL"), {"name": f"{schema}.migration"}
    )
    current = None
    if there:
        current = connection.scalar(text(f"SELECT version_num FROM {schema}.migration"))
    known = [script.revision for script in scripts.walk_revisions()][::-1]
    if current is None:
        return known
    if current not in known:
        raise SettingsError(
            f"the database is at migration {current!r}, which this version of Landbridge does not"
            " know: it was migrated by a newer one; upgrade the package"
        )
    return known[known.index(current) + 1 :]

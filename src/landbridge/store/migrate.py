"""Brings the database's schema up to date, tells what is missing, or prints the SQL for a DBA."""

from __future__ import annotations

import io
import re
from importlib.resources import files

import asyncpg

from landbridge.errors import SettingsError
from landbridge.store.database import addressed, unavailable
from landbridge.store.sql import checked_schema

THERE = "SELECT to_regclass('{schema}.migration') IS NOT NULL"
CURRENT = "SELECT version_num FROM {schema}.migration"
_ROLE = re.compile(r"[a-z_][a-z0-9_]{0,62}")


def revisions() -> list[str]:
    """Every revision that this version of the package knows, oldest first: `0001` and so on."""
    found = files("landbridge.store").joinpath("migrations", "versions").iterdir()
    names = [each.name for each in found if re.fullmatch(r"\d{4}_\w+\.py", each.name)]
    return sorted(name[:4] for name in names)


def head() -> str:
    """The revision that this version of the package works with."""
    return revisions()[-1]


async def upgrade(url: str, schema: str = "landbridge") -> list[str]:
    """Migrates to `head()` and gives the revisions that were applied; none when all was there.

    Several callers at once are safe: one migrates, the others wait. A migration that cannot get
    its locks within five seconds gives up rather than block the application's queries.
    """
    if not await pending(url, schema):
        return []
    from landbridge.store import _alembic  # noqa: PLC0415 - a second; rarely is there something

    return await _alembic.upgrade(url, schema)


async def pending(url: str, schema: str = "landbridge") -> list[str]:
    """The revisions that `upgrade` would apply, oldest first."""
    schema = checked_schema(schema)
    with unavailable(), addressed():
        connection = await asyncpg.connect(url, timeout=10, statement_cache_size=0)
        try:
            there = await connection.fetchval(THERE.format(schema=schema))
            current = await connection.fetchval(CURRENT.format(schema=schema)) if there else None
        finally:
            await connection.close()
    return after(current)


def after(current: str | None) -> list[str]:
    """The revisions that come after this one, all when there is none; SettingsError: unknown."""
    known = revisions()
    if current is None:
        return known
    if current not in known:
        raise SettingsError(
            f"the database is at migration {current!r}, which this version of Landbridge does not"
            " know: it was migrated by a newer one; upgrade the package"
        )
    return known[known.index(current) + 1 :]


def sql(schema: str = "landbridge", app_role: str = "") -> str:
    """Every statement of every migration as text, without connecting.

    With `app_role` it ends with the GRANTs that let that role run Landbridge without owning
    anything.
    """
    from landbridge.store import _alembic  # noqa: PLC0415 - see `upgrade`

    out = io.StringIO()
    out.write(
        f"CREATE SCHEMA IF NOT EXISTS {checked_schema(schema)};\n\nSET lock_timeout = '5s';\n\n"
    )
    _alembic.offline(schema, out)
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

"""docs/reference/settings.md: every LANDBRIDGE_... variable."""

from __future__ import annotations

from landbridge.app import settings
from landbridge.app.settings import Settings
from tests.reference._markdown import code, field_notes, page, table

_HEAD = """
Settings are environment variables, read once when a bridge is made, and checked then: a wrong
one is a `SettingsError` that names it. `Landbridge.from_env(pool=5)` sets one from code; it
stands above the environment. Secrets among them are never printed.

Only two matter at the start: without `LANDBRIDGE_DATABASE_URL` the embedded server is used, and
with it `LANDBRIDGE_KEY` (or `LANDBRIDGE_KEY_FILE`) is needed.
"""


def settings_page() -> str:
    """The page."""
    notes = field_notes(settings)["Settings"]
    rows = []
    for name, field in Settings.model_fields.items():
        variable = field.alias or f"LANDBRIDGE_{name.upper()}"
        default = "" if field.default in ("", None) else field.default
        rows.append([code(variable), code(default), notes.get(name, "")])
    return page("Settings", _HEAD, table(["variable", "default", "what it does"], rows))

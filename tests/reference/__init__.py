"""The pages of the documentation that are written from the code: `python -m tests.reference`.

Each page is a pure function of the package: settings, commands, errors, tables, unified models and
the providers' pages. Without an argument the command writes those that are stale and says which.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tests.reference._cli import cli_page
from tests.reference._errors import errors_page
from tests.reference._metrics import metrics_page
from tests.reference._models import models_page
from tests.reference._providers import provider_pages
from tests.reference._schema import schema_page
from tests.reference._settings import settings_page
from tests.reference._sign_in import sign_in_page

_DOCS = Path(__file__).parents[2] / "docs"

__all__ = ["pages", "stale", "write"]


def pages() -> Mapping[Path, str]:
    """Every generated page by its path."""
    found = {
        _DOCS / "reference/settings.md": settings_page(),
        _DOCS / "reference/cli.md": cli_page(),
        _DOCS / "reference/errors.md": errors_page(),
        _DOCS / "reference/metrics.md": metrics_page(),
        _DOCS / "reference/models.md": models_page(),
        _DOCS / "reference/schema.md": schema_page(),
        _DOCS / "reference/sign-in.md": sign_in_page(),
    }
    providers = {_DOCS / "providers" / name: text for name, text in provider_pages().items()}
    return found | providers


def stale() -> list[str]:
    """The pages that are not as the code is now, and those of providers that are gone."""
    wanted = pages()
    wrong = [path for path, text in wanted.items() if not path.exists() or path.read_text() != text]
    wrong += [path for path in sorted((_DOCS / "providers").glob("*.md")) if path not in wanted]
    return [str(path.relative_to(_DOCS.parent)) for path in wrong]


def write() -> list[str]:
    """Writes the stale pages and removes those of providers that are gone; which these were."""
    wanted = pages()
    done = stale()
    for name in done:
        path = _DOCS.parent / name
        if path in wanted:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(wanted[path])
        else:
            path.unlink()
    return done

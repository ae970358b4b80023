"""What the page asks a person for, and where an app points it, each in its shape."""

from __future__ import annotations

import re
from collections.abc import Mapping

from landbridge.errors import InvalidInput, did_you_mean
from landbridge.spec import Auth, Field, Provider, has_lines


def checked_settings(
    page: Provider, settings: Mapping[str, object], fields: Mapping[str, str]
) -> dict[str, str]:
    """The settings and the typed fields together, each in its shape.

    InvalidInput for a field that the page has not, and for one that is missing or misshapen.
    """
    wanted = {field.name: field for field in page.auth.fields}
    for name in fields:
        if name not in wanted:
            raise InvalidInput(
                f"{name}: {page.name} has no such field.{did_you_mean(name, list(wanted))}"
            )
    together = texts_of(settings)
    together |= {name: text.strip() for name, text in fields.items()}
    for field in wanted.values():
        check_field(page.auth, field, together.get(field.name, ""))
    return together


def texts_of(settings: Mapping[str, object]) -> dict[str, str]:
    """The settings that are text: those that may stand in an address."""
    return {name: text for name, text in settings.items() if isinstance(text, str)}


def check_field(auth: Auth, field: Field, value: str) -> None:
    """Raises InvalidInput unless a value has the shape that the page says."""
    named = f"{field.label} ({field.hint})" if field.hint else field.label
    line = "".join(value.splitlines()) if has_lines(auth, field) else value
    if not value.strip() or any(ord(letter) < 32 for letter in line):
        raise InvalidInput(f"{field.name}: {named} is missing")
    if field.pattern and not re.fullmatch(field.pattern, value):
        raise InvalidInput(f"{field.name}: this is not {named}")

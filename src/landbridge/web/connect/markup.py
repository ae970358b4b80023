"""HTML as values: what is put in is escaped, unless it is markup itself."""

from __future__ import annotations

from html import escape


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


Part = str | Markup | None

_VOID = {"input", "link", "meta"}


def tag(name: str, /, *parts: Part, **attributes: str | bool | None) -> Markup:
    """An element. Attributes that are None or False are left out, True has no value.

    `class_` and `for_` stand for the words that Python keeps, `aria_label` for `aria-label`.
    """
    given = []
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        word = key.rstrip("_").replace("_", "-")
        given.append(f" {word}" if value is True else f' {word}="{escape(value)}"')
    opened = f"<{name}{''.join(given)}>"
    if name in _VOID:
        return Markup(opened)
    return Markup(f"{opened}{joined(*parts)}</{name}>")


def joined(*parts: Part) -> Markup:
    """Parts one after the other."""
    return Markup(
        "".join(
            part if isinstance(part, Markup) else escape(part) for part in parts if part is not None
        )
    )

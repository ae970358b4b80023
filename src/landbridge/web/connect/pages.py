"""The pages: each a function from what is known to HTML."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from landbridge.spec import Field, OAuth2, Provider, has_lines
from landbridge.web.connect.markup import Markup, joined, tag
from landbridge.web.connect.texts import TEXTS

_MANY = 7
"""Services from which on a search is worth its place."""


@dataclass(frozen=True, kw_only=True)
class Scene:
    """What every page is told: whose it is, how it speaks, and where it is.

    `root` leads to where the assets are, `here` to the session's first page. Both are relative,
    so that no page holds the session's token.
    """

    texts: Mapping[str, str] = field(default_factory=dict)
    name: str = ""
    origin: str = ""
    return_to: str = ""
    root: str = "../"
    here: str = "./"

    def say(self, key: str, **holes: str) -> str:
        """A text, with its holes filled."""
        return self.texts.get(key, TEXTS[key]).format(**{"app": self.name, "provider": "", **holes})


def choose(scene: Scene, providers: Sequence[Provider]) -> Markup:
    """The services to choose from."""
    rows = [
        tag(
            "li",
            tag(
                "a",
                _tile(each),
                tag("span", each.name, class_="name"),
                tag("span", "\u203a", class_="go", aria_hidden="true"),
                href=f"to/{each.slug}",
                class_="row",
            ),
        )
        for each in providers
    ]
    lead = "choose_lead_named" if scene.name else "choose_lead"
    search = tag(
        "div",
        tag("label", scene.say("search"), for_="search", class_="unseen"),
        tag(
            "input",
            id="search",
            type="search",
            placeholder=scene.say("search"),
            autocomplete="off",
            aria_controls="services",
        ),
        tag(
            "p", "", id="found", class_="lead", role="status", data_none=scene.say("nothing_found")
        ),
        class_="field search",
        hidden=True,
    )
    return page(
        scene,
        scene.say("choose_title"),
        tag("p", scene.say(lead if rows else "nothing_offered"), class_="lead"),
        search if len(rows) >= _MANY else None,
        tag("ul", *rows, class_="rows", id="services") if rows else None,
    )


def form(
    scene: Scene,
    provider: Provider,
    fields: Sequence[Field],
    *,
    again: bool,
    alone: bool,
    state: str = "open",
    given: Mapping[str, str] | None = None,
    problems: Mapping[str, str] | None = None,
    asks: Sequence[str] = (),
) -> Markup:
    """The page of one service: what has to be typed in, or the way to its consent.

    `problems` are by field; under "" stands what is about all of them. Secret values that were
    sent before are not shown again.
    """
    wrong = problems or {}
    consents = isinstance(provider.auth, OAuth2)
    lead = "reconnect_lead" if again else "consent_lead" if consents else "typed_lead"
    button = scene.say("consent_button" if consents else "connect_button", provider=provider.name)
    alert = tag(
        "p",
        wrong.get("") or scene.say("problem"),
        class_="alert",
        role="alert",
        id="problem",
        tabindex="-1",
    )
    return page(
        scene,
        scene.say("reconnect_title" if again else "connect_title", provider=provider.name),
        tag("p", scene.say(lead, provider=provider.name), class_="lead"),
        alert if wrong else None,
        tag(
            "form",
            *[_input(provider, each, (given or {}).get(each.name, ""), wrong) for each in fields],
            _asked(scene, asks) if asks else None,
            tag(
                "button",
                button,
                type="submit",
                class_="main",
                data_busy=scene.say("busy"),
            ),
            tag("p", "", class_="lead", role="status", id="told"),
            method="post",
            novalidate=True,
            data_consents=consents,
            data_state=state,
            data_waiting=scene.say("waiting", provider=provider.name),
        ),
        tag("p", scene.say("private"), class_="note") if fields else None,
        None if alone else tag("a", scene.say("back"), href=scene.here, class_="quiet"),
        tile=provider,
    )


def accounts(
    scene: Scene, provider: Provider, found: Sequence[tuple[str, str]], *, problem: str = ""
) -> Markup:
    """The accounts behind one consent, as id and name, to choose from."""
    boxes = [
        tag(
            "li",
            tag(
                "label",
                tag("input", type="checkbox", name="account", value=key, checked=True),
                tag("span", name, class_="name"),
                class_="row",
            ),
        )
        for key, name in found
    ]
    return page(
        scene,
        scene.say("accounts_title"),
        tag("p", scene.say("accounts_lead", provider=provider.name), class_="lead", id="lead"),
        tag("p", problem, class_="alert", role="alert", tabindex="-1", id="problem")
        if problem
        else None,
        tag(
            "form",
            tag("fieldset", tag("ul", *boxes, class_="rows"), aria_labelledby="title"),
            tag(
                "button",
                scene.say("accounts_button"),
                type="submit",
                class_="main",
                data_busy=scene.say("busy"),
            ),
            method="post",
        ),
        tile=provider,
    )


def done(
    scene: Scene,
    provider: str,
    connected: Sequence[Mapping[str, Any]],
    *,
    more: bool,
    match: bool = False,
) -> Markup:
    """What was connected. `more`: the session allows others; `match`: there are codes to match."""
    names = [str(each["account_name"]) for each in connected]
    return page(
        scene,
        scene.say("done_title", provider=provider),
        tag("ul", *[tag("li", each) for each in names], class_="names"),
        None if scene.return_to else tag("p", scene.say("done_lead"), class_="lead"),
        *[
            tag("a", _match(scene, each, connected), href=f"codes/{each['id']}", class_="quiet")
            for each in connected
            if match
        ],
        way_back(scene),
        tag("a", scene.say("another"), href=scene.here, class_="quiet") if more else None,
        mark="good",
        tells={"type": "landbridge:connected", "connections": list(connected)},
    )


def ended(scene: Scene, kind: str, *, lead: str = "", again: str = "", **holes: str) -> Markup:
    """A page that says why nothing goes on: denied, failed, expired, unknown or away.

    `again` is where another try begins.
    """
    text = lead or scene.say(f"{kind}_lead", **holes)
    return page(
        scene,
        scene.say(f"{kind}_title", **holes),
        tag("p", text, class_="lead", role="alert"),
        tag("a", scene.say("again_button"), href=again, class_="button main") if again else None,
        way_back(scene, quiet=bool(again)),
        mark="bad",
        tells={"type": f"landbridge:{kind}", "message": text},
    )


def page(
    scene: Scene,
    title: str,
    *parts: Markup | None,
    tile: Provider | None = None,
    mark: str = "",
    tells: Mapping[str, Any] | None = None,
) -> Markup:
    """A whole page. `tells` is what the application that opened it is told."""
    signs = {"good": "✓", "bad": "!"}
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", f"{title} · {scene.name}" if scene.name else title),
        tag("link", rel="stylesheet", href=f"{scene.root}page.css"),
        tag("script", src=f"{scene.root}page.js", defer=True),
    )
    body = tag(
        "body",
        tag(
            "main",
            tag("p", scene.name, class_="app") if scene.name else None,
            tag(
                "header",
                _tile(tile) if tile else None,
                tag("span", signs[mark], class_=f"mark {mark}", aria_hidden="true")
                if mark
                else None,
                tag("h1", title, tabindex="-1", id="title"),
            ),
            *parts,
        ),
        data_origin=scene.origin or None,
        data_here=scene.here,
        data_tells=json.dumps(tells) if tells else None,
        data_show=scene.say("show"),
        data_hide=scene.say("hide"),
    )
    html = tag("html", head, body, lang=scene.say("lang"), dir=scene.say("dir"))
    return joined(Markup("<!doctype html>"), html)


def _match(scene: Scene, each: Mapping[str, Any], connected: Sequence[Mapping[str, Any]]) -> str:
    """The words of the way to an account's codes; with its name where there are several."""
    words = scene.say("codes_link")
    return f"{words}: {each['account_name']}" if len(connected) > 1 else words


def way_back(scene: Scene, *, quiet: bool = False) -> Markup:
    """The way to where the person came from."""
    style = "quiet" if quiet else "button main"
    if scene.return_to:
        words = "return_button" if scene.name else "return_button_unnamed"
        return tag("a", scene.say(words), href=scene.return_to, class_=style, data_return=True)
    return tag(
        "button", scene.say("close_button"), type="button", id="close", class_=style, hidden=True
    )


def _input(provider: Provider, each: Field, value: str, problems: Mapping[str, str]) -> Markup:
    problem, name = problems.get(each.name, ""), f"field-{each.name}"
    about = " ".join(
        [*([f"{name}-hint"] if each.hint else []), *([f"{name}-problem"] if problem else [])]
    )
    common: dict[str, str | bool | None] = {
        "id": name,
        "name": each.name,
        "required": True,
        "autocomplete": "off",
        "autocapitalize": "off",
        "spellcheck": "false",
        "aria_describedby": about or None,
        "aria_invalid": "true" if problem else None,
    }
    if has_lines(provider.auth, each):
        control = tag("textarea", "" if each.secret else value, rows="6", **common)
    elif each.secret:
        control = tag(
            "span", tag("input", type="password", **common), class_="secret", data_secret=True
        )
    else:
        control = tag("input", type="text", value=value, **common)
    return tag(
        "div",
        tag("label", each.label, for_=name),
        control,
        tag("p", each.hint, class_="hint", id=f"{name}-hint") if each.hint else None,
        tag("p", problem, class_="wrong", id=f"{name}-problem") if problem else None,
        class_="field",
    )


def _asked(scene: Scene, asks: Sequence[str]) -> Markup:
    return tag(
        "section",
        tag("h2", scene.say("consent_asks")),
        tag("ul", *[tag("li", each) for each in asks]),
        class_="asks",
    )


def _tile(provider: Provider) -> Markup:
    hue = sum(ord(letter) * (place + 7) for place, letter in enumerate(provider.slug)) % 6
    return tag("span", provider.name[:1], class_=f"tile hue{hue}", aria_hidden="true")

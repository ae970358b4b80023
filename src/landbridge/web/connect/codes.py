"""The page on which a tenant's person matches codes: what is suggested is confirmed there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from landbridge.engine.codes import Matching
from landbridge.engine.suggest import Code, Suggestion
from landbridge.spec import Provider
from landbridge.web.connect.markup import Markup, tag
from landbridge.web.connect.pages import Scene, page, way_back
from landbridge.web.connect.texts import TEXTS


def match(
    scene: Scene,
    provider: Provider,
    open_ones: Sequence[Matching],
    *,
    given: Mapping[str, str] | None = None,
    problem: str = "",
    kept: bool = False,
) -> Markup:
    """Our codes without a line, each with a choice of the provider's.

    What is suggested is chosen at first, with the reason beside it; `given` is what was chosen
    before there was a `problem`. `kept`: some were confirmed just now.
    """
    read = [each for each in open_ones if each.suggestions]
    return page(
        scene,
        scene.say("codes_title", provider=provider.name),
        tag("p", scene.say("codes_kept"), class_="lead", role="status") if kept else None,
        tag("p", scene.say("codes_lead", provider=provider.name), class_="lead") if read else None,
        tag("p", problem, class_="alert", role="alert", tabindex="-1", id="problem")
        if problem
        else None,
        tag(
            "form",
            *[_table(scene, each, given) for each in read],
            tag(
                "button",
                scene.say("codes_button"),
                type="submit",
                class_="main",
                data_busy=scene.say("codes_button"),
            ),
            method="post",
        )
        if read
        else None,
        None if len(read) == len(open_ones) else _unread(scene, provider),
        way_back(scene, quiet=True),
        tile=provider,
    )


def matched(scene: Scene) -> Markup:
    """That there is nothing left to match."""
    return page(
        scene,
        scene.say("codes_done_title"),
        tag("p", scene.say("codes_done_lead"), class_="lead"),
        way_back(scene),
        mark="good",
    )


def chosen(matching: Matching, form: Mapping[str, str]) -> dict[str, str]:
    """What a form chose, ours to theirs; only codes that were offered."""
    offered = {one.code for one in matching.theirs}
    pairs = {
        one.ours.code: form.get(_field(matching.table, one), "") for one in matching.suggestions
    }
    return {ours: theirs for ours, theirs in pairs.items() if theirs in offered}


def _unread(scene: Scene, provider: Provider) -> Markup:
    return tag(
        "p",
        scene.say("codes_unread", provider=provider.name),
        " ",
        tag("a", scene.say("codes_again"), href="?"),
        class_="lead",
        role="status",
    )


def _table(scene: Scene, matching: Matching, given: Mapping[str, str] | None) -> Markup:
    key = f"codes_{matching.table}"
    words = matching.table.replace("_", " ")
    return tag(
        "fieldset",
        tag("legend", scene.say(key) if key in TEXTS else words),
        *[
            _choice(scene, matching, one, given, key=f"{matching.table}-{place}")
            for place, one in enumerate(matching.suggestions)
        ],
        class_="codes",
    )


def _choice(
    scene: Scene,
    matching: Matching,
    one: Suggestion,
    given: Mapping[str, str] | None,
    *,
    key: str,
) -> Markup:
    name = _field(matching.table, one)
    wanted = one.theirs.code if one.theirs else ""
    if given is not None:
        wanted = given.get(name, "")
    options = [tag("option", scene.say("codes_skip"), value="")]
    options += [
        tag("option", _called(each), value=each.code, selected=each.code == wanted)
        for each in matching.theirs
    ]
    why = f"{scene.say('codes_suggested')}: {one.reason}" if one.theirs else one.reason
    return tag(
        "div",
        tag("label", one.ours.name or one.ours.code, for_=key),
        tag("select", *options, id=key, name=name, aria_describedby=f"{key}-hint"),
        tag("p", why, class_="hint", id=f"{key}-hint"),
        class_="field",
    )


def _called(each: Code) -> str:
    return f"{each.code} \u00b7 {each.name}" if each.name else each.code


def _field(table: str, one: Suggestion) -> str:
    return f"{table}.{one.ours.code}"

"""`landbridge providers` and `landbridge provider show`: what can be connected, and its facts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from landbridge.cli.session import AsJson, noun

if TYPE_CHECKING:
    from collections.abc import Sequence

    from landbridge.spec import Means, Quota
    from landbridge.spec.capability import Capability
    from landbridge.spec.provider import Provider

provider = noun("Facts about one provider.")


def providers(as_json: AsJson = False) -> None:
    """List the providers that can be connected, and how far each goes.

    The table is computed from the providers' pages. The grade says how complete a page is: bronze
    reads, silver also follows changes and deletions, gold can also repeat every write safely.
    """
    from landbridge import providers as pages
    from landbridge.cli.output import print_rows

    rows = [summary(pages.get(slug)) for slug in pages.names()]
    columns = ["provider", "grade", "resources", "incremental", "webhooks", "writes", "two_way"]
    print_rows("providers", rows, columns, as_json=as_json)


@provider.command()
def show(
    name: Annotated[str, typer.Argument(help="One of those that `landbridge providers` lists.")],
    as_json: AsJson = False,
) -> None:
    """Show a provider's page: how to sign in, its resources, limits and webhooks."""
    from landbridge.cli.output import print_facts, print_json, print_rows
    from landbridge.cli.usage import find_provider

    facts = describe(find_provider(name))
    if as_json:
        print_json(facts)
        return
    single = {key: value for key, value in facts.items() if not isinstance(value, list | dict)}
    print_facts(single, as_json=False)
    columns = ["field", "label", "secret", "hint"]
    _section("to connect")
    print_rows("fields", facts["fields"], columns, as_json=False)
    _section("resources")
    columns = [
        "resource",
        "model",
        "pull",
        "incremental",
        "deletes",
        "webhooks",
        "write",
        "two_way",
    ]
    print_rows("resources", facts["resources"], columns, as_json=False)
    _section("limits")
    print_rows("limits", facts["limits"], ["limit", "scope", "environment"], as_json=False)
    if facts["webhook"]:
        _section("webhooks")
        print_facts(facts["webhook"], as_json=False)
    if facts["kinds"]:
        _section("what its events mean")
        print_rows("kinds", facts["kinds"], ["kind", "topics", "when", "about"], as_json=False)
    if facts["notes"]:
        _section("to know")
        for sentence in facts["notes"]:
            typer.echo(f"- {sentence}")
    if facts["missing"]:
        _section(f"what the next grade after {facts['grade']} lacks")
        for sentence in facts["missing"]:
            typer.echo(f"- {sentence}")


def summary(page: Provider) -> dict[str, Any]:
    """A provider in one row."""
    from landbridge.spec.capability import capabilities, grade

    table = capabilities(page)
    return {
        "provider": page.slug,
        "name": page.name,
        "grade": grade(page).name,
        "resources": sum(line.pull for line in table),
        "incremental": sum(bool(line.incremental) for line in table),
        "webhooks": sum(line.webhooks for line in table),
        "writes": sum(bool(line.write) for line in table),
        "two_way": sum(line.two_way for line in table),
        "docs": page.docs,
        "checked": page.checked,
    }


def describe(page: Provider) -> dict[str, Any]:
    """Everything about a provider that a person asks before connecting it, in plain values."""
    from landbridge.spec.capability import capabilities, grade
    from landbridge.spec.entry import entry

    graded = grade(page)
    return {
        "provider": page.slug,
        "name": page.name,
        "grade": graded.name,
        "base": page.base,
        "signs_in_by": entry(page).by,
        "pkce": entry(page).pkce,
        "calls_at_once": page.parallel,
        "docs": page.docs,
        "checked": page.checked,
        "fields": [
            {
                "field": field.name,
                "label": field.label,
                "secret": field.secret,
                "hint": field.hint,
            }
            for field in page.auth.fields
        ],
        "resources": [_resource(line) for line in capabilities(page)],
        "limits": [_limit(quota) for quota in page.quotas],
        "rounding": _rounding(page),
        "webhook": _webhook(page),
        "kinds": [_kind(means) for means in page.webhook.kinds] if page.webhook else [],
        "notes": list(page.notes),
        "missing": list(graded.missing),
    }


def _rounding(page: Provider) -> str:
    """How amounts of documents are rounded, in words; empty: nobody knows."""
    rule = page.rounding
    if rule is None:
        return ""
    words = [f"taxes for each {rule.per}", f"halves {rule.half}"]
    words = [
        f"{each} (unsure)" if name in rule.unsure else each
        for name, each in zip(("per", "half"), words, strict=True)
    ]
    if rule.decimals is not None:
        words.append(f"amounts to at most {rule.decimals} decimals")
    if rule.prices is not None:
        words.append(f"unit prices to {rule.prices}")
    return ", ".join(words)


def _resource(line: Capability) -> dict[str, Any]:
    return {
        "resource": line.resource,
        "model": line.model,
        "pull": line.pull,
        "incremental": line.incremental,
        "deletes": line.deletes,
        "webhooks": line.webhooks,
        "write": list(line.write),
        "two_way": line.two_way,
    }


def _limit(quota: Quota) -> dict[str, Any]:
    span = f"{quota.limit} a {quota.per}" if quota.per else f"{quota.limit} at once"
    return {"limit": span, "scope": quota.scope, "environment": quota.environment or "all"}


def _webhook(page: Provider) -> dict[str, Any] | None:
    if page.webhook is None:
        return None
    signature = page.webhook.signature
    window = signature.window
    return {
        "signed_in": signature.place,
        "scheme": type(signature).__name__,
        "accepted_for": "any time" if window is None else f"{int(window.total_seconds())} s",
        "routed_by": page.webhook.account or "the address",
        "largest_body": f"{page.webhook.max_body} bytes",
    }


def _kind(means: Means) -> dict[str, Any]:
    def said(words: str | Sequence[str]) -> str:
        return " or ".join([words] if isinstance(words, str) else words) or "nothing"

    return {
        "kind": means.kind,
        "topics": ", ".join(means.topics),
        "when": " and ".join(f"{path} is {said(words)}" for path, words in means.when.items()),
        "about": _other(means),
    }


def _other(means: Means) -> str:
    """The other record that an event is about, in words; empty: there is none."""
    if not means.about:
        return ""
    which = f"whose {means.by} is at" if means.by else "at"
    return f"also, the {means.of} {which} {means.about}"


def _section(title: str) -> None:
    typer.echo(f"\n{title}")

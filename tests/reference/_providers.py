"""docs/providers/*.md: what each provider's page says, for who connects it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta

from landbridge import providers
from landbridge.cli.providers import describe, summary
from landbridge.spec import EVENT_KINDS, CodeSentBack, Provider, Resource
from tests.reference._markdown import code, flat, page, table

_HEAD = """
Each page here is computed from the provider's page of facts in `src/landbridge/providers`;
`landbridge providers` and `landbridge provider show NAME` print the same. How to add one:
[write a provider](../howto/write-a-provider.md).

The grade is computed too. **bronze**: lists and maps something, knows whose account it is,
reads refusals. **silver**: every mapped resource is followed without listing all of it.
**gold**: the provider tells of changes by itself or by a token, and every write can be repeated
without doing it twice.
"""


def provider_pages() -> Mapping[str, str]:
    """Every page by its file name, the list of all among them."""
    pages = [providers.get(slug) for slug in providers.names()]
    rows = [
        [
            f"[{each.name}]({each.slug}.md)",
            *(
                summary(each)[name]
                for name in ("grade", "resources", "incremental", "webhooks", "writes", "two_way")
            ),
            each.checked,
        ]
        for each in pages
    ]
    heads = ["provider", "grade", "pulled", "incremental", "webhooks", "written", "two-way"]
    parts = [table([*heads, "checked"], rows), "## What events mean", _KINDS, _kinds(pages)]
    index = page("Providers", _HEAD, *parts)
    return {"README.md": index} | {f"{each.slug}.md": _page(each) for each in pages}


_KINDS = """
Webhooks speak each vendor's own language. What an event means is its **kind**, which is the same at
every provider. A handler, `@bridge.on_received("payment.succeeded")`, is called for each event of
its kinds ([access by subscription](../howto/subscription-access.md)); `landbridge inbox kinds`
lists them, and `landbridge inbox list --kind payment.succeeded` the events. A vendor may tell of
one thing more than once; what is to be done once is done once per record. An event with (if) is of
the kind only under a condition, which the provider's page has. One that tells of another record too
comes twice: of its own kind, and of that one with the record's id as its `key`.
"""


def _kinds(pages: Sequence[Provider]) -> str:
    """Which event of which vendor becomes which kind."""
    telling = [each for each in pages if each.webhook and each.webhook.kinds]
    rows = [
        [code(kind), meaning, *(_told(each, kind) for each in telling)]
        for kind, meaning in EVENT_KINDS.items()
    ]
    return table(["kind", "what holds then", *(each.name for each in telling)], rows)


def _told(provider: Provider, kind: str) -> str:
    meanings = provider.webhook.kinds if provider.webhook else ()
    told = [
        code(topic) + (" (if)" if means.when or means.about else "")
        for means in meanings
        if means.kind == kind
        for topic in means.topics
    ]
    return ", ".join(dict.fromkeys(told))


def _page(provider: Provider) -> str:
    facts = describe(provider)
    parts = [
        f"Held against [the vendor's documentation]({provider.docs}) on {provider.checked}. Grade:"
        f" **{facts['grade']}**."
        + "".join(f"\nThe next grade lacks: {sentence}." for sentence in facts["missing"]),
        "## Connecting",
        f"Signs in by {facts['signs_in_by']}:",
        table(
            ["field", "", "secret", "hint"],
            [[code(f["field"]), f["label"], _yes(f["secret"]), f["hint"]] for f in facts["fields"]],
        ),
        f"```console no-run\n$ landbridge connect {provider.slug} --tenant acme\n```",
        "## Resources",
        table(
            ["resource", "model", "pulled", "changes by", "deletions by", "webhooks", "writes"],
            [
                [
                    code(line["resource"]),
                    code(line["model"]) or "raw only",
                    _yes(line["pull"]),
                    line["incremental"] or "listing",
                    line["deletes"],
                    _yes(line["webhooks"]),
                    ", ".join(line["write"]),
                ]
                for line in facts["resources"]
            ],
        ),
        *_notes(provider),
        "## Limits",
        table(
            ["calls", "counted for each", "environment"],
            [[each["limit"], each["scope"], each["environment"]] for each in facts["limits"]],
        )
        if facts["limits"]
        else "The provider states none.",
        f"At most {facts['calls_at_once']} calls at once for a connection.",
        *([f"Documents are rounded so: {facts['rounding']}."] if facts["rounding"] else []),
        *_found_again(provider),
        *_webhooks(provider, facts),
        *(part for resource in provider.resources for part in _mapping(resource)),
    ]
    return page(provider.name, *parts)


def _notes(provider: Provider) -> Iterator[str]:
    if provider.notes:
        yield "## To know"
        yield "\n".join(f"- {note}" for note in provider.notes)


def _found_again(provider: Provider) -> Iterator[str]:
    """Where a creation carries its intent, for providers that know no idempotency keys."""
    rows = [
        [code(one.name), code(one.marker), int(one.marked.within.total_seconds() // 60)]
        for one in provider.resources
        if one.marked and not one.idempotency
    ]
    kept = provider.idempotency_kept
    if rows or kept is not None:
        yield "## Writing once"
    if kept is not None:
        yield (
            f"Idempotency keys are remembered for {_span(kept)} at least. A creation that may have"
            " happened longer ago is not sent again: it ends as `unknown`, for you to look there."
        )
    if rows:
        yield (
            "These take no idempotency keys. A new record carries the intent's id; after a try that"
            " was cut off it is looked for by that, and sent again only once a list would show it."
        )
        yield table(["resource", "the intent is in", "a list may be late by (minutes)"], rows)


def _span(span: timedelta) -> str:
    minutes = int(span.total_seconds()) // 60
    return f"{minutes // 60} hours" if minutes % 60 == 0 else f"{minutes} minutes"


def _webhooks(provider: Provider, facts: Mapping[str, object]) -> Iterator[str]:
    webhook = facts["webhook"]
    if not isinstance(webhook, dict):
        yield "## Webhooks\n\nIt sends none: changes are found by pulling."
        return
    yield "## Webhooks"
    if provider.webhook and isinstance(provider.webhook.handshake, CodeSentBack):
        yield (
            "`landbridge connections subscribe ID` tells the provider of every event and the"
            " address. The codes that it posts there are sent back, and sign from then on."
        )
    else:
        yield (
            "Give the provider the address that `landbridge connections show ID` prints, then tell"
            " us the secret that it shows: `landbridge connections secret ID`."
        )
    rows = [[name.replace("_", " "), value] for name, value in webhook.items()]
    yield table(["", ""], rows)
    kinds = facts["kinds"]
    if isinstance(kinds, list) and kinds:
        yield "What its events mean; the first line that holds counts."
        yield table(
            ["kind", "events", "when"],
            [
                [
                    code(each["kind"]),
                    each["topics"],
                    " ".join(filter(None, (each["when"], each["about"]))),
                ]
                for each in kinds
            ],
        )


def _mapping(resource: Resource) -> Iterator[str]:
    if resource.maps is None:
        return
    yield f"## {code(resource.name)} as {code(resource.maps.model.kind)}"
    yield flat(resource.maps.model.__doc__)
    yield table(
        ["ours", "theirs", "read as", "direction", ""],
        [
            [code(line.ours), code(line.theirs), line.word, line.access.value, line.note]
            for line in resource.maps.fields
        ],
    )


def _yes(value: object) -> str:
    return "yes" if value else ""

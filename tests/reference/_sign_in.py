"""docs/reference/sign-in.md: how one signs in to each provider, and what its consents ask for."""

from __future__ import annotations

from landbridge import providers
from landbridge.spec import asked, entry
from tests.reference._markdown import code, page, table

_HEAD = """
Computed from the providers' pages of facts. PKCE (RFC 7636, S256) is sent always where the provider
takes it, for clients with a secret too; where there is none, the table says why.
"""

_SCOPES = """
What a consent asks for when everything that can be pulled is enabled. `landbridge scopes NAME` says
why each is asked; writes are asked for only when they are enabled.
"""


def sign_in_page() -> str:
    """The page: one row a provider, and the scopes of those that have any."""
    pages = [providers.get(slug) for slug in providers.names()]
    rows = []
    for each in pages:
        how = entry(each)
        name = f"[{each.name}](../providers/{each.slug}.md)"
        rows.append([name, how.by, how.pkce, how.accounts, how.tokens, how.revocation])
    heads = ["provider", "signs in by", "PKCE", "accounts", "tokens", "revoked on disconnecting"]
    scopes = [
        [each.name, code(one.scope), one.why, ", ".join(one.by)]
        for each in pages
        for one in asked(each)
    ]
    parts = [table(heads, rows)]
    if scopes:
        parts += ["## Scopes", _SCOPES.strip()]
        parts.append(table(["provider", "scope", "what for", "needed by"], scopes))
    return page("Signing in", _HEAD, *parts)

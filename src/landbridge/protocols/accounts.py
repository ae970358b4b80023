"""Which accounts a consent opens: one, or several behind one grant (Xero's organisations)."""

from collections.abc import Generator, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from landbridge.errors import InvalidInput
from landbridge.protocols._answers import pluck, text_at
from landbridge.protocols._calls import call
from landbridge.protocols.rest import identify
from landbridge.protocols.values import Account, Place
from landbridge.resilience import expect
from landbridge.spec import Accounts, Provider
from landbridge.wire import Request, Response


def identify_all(
    provider: Provider,
    place: Place,
    *,
    answer: Mapping[str, Any],
    redirect: Mapping[str, str],
) -> Generator[Request, Response, tuple[Account, ...]]:
    """The accounts behind a grant, in the provider's order and each once.

    `answer` is the token's, `redirect` the parameters with which the browser came back: where the
    page says that one of them names the account, that one is kept. InvalidInput when none can be
    connected.
    """
    accounts = provider.accounts
    if accounts is not None and accounts.list is not None:
        return (yield from _listed(provider, accounts, place))
    param = getattr(provider.auth, "account_param", "")
    named = redirect.get(param, "") if param else ""
    if accounts is not None and accounts.token_id:
        named = text_at(answer, accounts.token_id) or ""
    if named and (accounts is None or not accounts.path):
        return (Account(id=named, name=named, live=None),)
    if named and accounts is not None:
        account = quote(named, safe="")
        place = replace(place, base=place.base.replace("{account}", account))
        path = accounts.path.replace("{account}", account)
        provider = replace(provider, accounts=replace(accounts, path=path))
    found: Account = yield from identify(provider, place)
    if named:
        found = Account(id=named, name=found.name, live=found.live, settings=found.settings)
    return (found,)


def _listed(
    provider: Provider, accounts: Accounts, place: Place
) -> Generator[Request, Response, tuple[Account, ...]]:
    base = place.settings.get("accounts") or accounts.base or place.base
    request = call(provider, Place(base=base.rstrip("/")), "GET", accounts.path)
    response = yield request
    expect(provider, request, response)
    items = pluck(provider, response, accounts.list or "", list[dict[str, Any]]) or []
    found: dict[str, Account] = {}
    for item in items:
        kind = text_at(item, accounts.kind) if accounts.kind else None
        named = text_at(item, accounts.id)
        if named is None or (accounts.kinds and kind not in accounts.kinds):
            continue
        name = text_at(item, accounts.name) if accounts.name else None
        live = item.get(accounts.live) if accounts.live else None
        found.setdefault(
            named,
            Account(id=named, name=name or named, live=live if isinstance(live, bool) else None),
        )
    if not found:
        raise InvalidInput(
            f"account: {provider.name} names no account that can be connected; choose one there"
        )
    return tuple(found.values())

"""How one signs in is computed from a page, PKCE and its absence too."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from landbridge.errors import SpecError
from landbridge.providers import get
from landbridge.spec import OAuth2, entry
from tests.oauth.conftest import LEDGER


def test_a_consent_says_pkce_accounts_tokens_and_revocation() -> None:
    how = entry(LEDGER)
    assert (how.by, how.pkce, how.accounts) == ("OAuth 2 in a browser", "S256", "several")
    assert how.tokens == "access 30 min, refresh 60 d, rotates"
    assert how.revocation == "yes"


def test_where_there_is_no_pkce_the_page_has_to_say_why() -> None:
    assert isinstance(LEDGER.auth, OAuth2)
    auth = replace(LEDGER.auth, pkce=False, pkce_why="no parameter for it", revoke="")
    how = entry(replace(LEDGER, auth=auth))
    assert (how.pkce, how.revocation) == ("none: no parameter for it", "no address for it")
    with pytest.raises(SpecError, match="pkce_why"):
        replace(LEDGER.auth, pkce=False)


def test_tokens_without_a_refresh_and_those_kept_alive_by_use() -> None:
    assert isinstance(LEDGER.auth, OAuth2)
    none = replace(LEDGER.auth, refreshes=False, access_lives=timedelta(hours=2))
    assert entry(replace(LEDGER, auth=none)).tokens == "access 2 h, no refresh"
    idle = replace(LEDGER.auth, refresh_idle=True, refresh_rotates=False)
    words = "access 30 min, refresh 60 d, anew with each use"
    assert entry(replace(LEDGER, auth=idle)).tokens == words


def test_typed_credentials_redirect_nobody() -> None:
    assert entry(get("stripe")).by == "an API key"
    assert entry(get("caldav")).by == "HTTP Basic"
    assert entry(get("stripe")).pkce == "not needed: nobody is redirected"

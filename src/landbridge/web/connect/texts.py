"""What the pages say, in English; an application may say it otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from landbridge.errors import InvalidInput, did_you_mean

TEXTS: Mapping[str, str] = MappingProxyType(
    {
        "lang": "en",
        "dir": "ltr",
        "choose_title": "Connect an account",
        "choose_lead": "Choose the service that you want to connect.",
        "choose_lead_named": "Choose the service that you want to connect to {app}.",
        "search": "Search services",
        "nothing_found": "No service has this name.",
        "nothing_offered": "There is nothing to connect here.",
        "connect_title": "Connect {provider}",
        "reconnect_title": "Reconnect {provider}",
        "reconnect_lead": "The connection has to be renewed. Everything that was set up stays.",
        "typed_lead": "Enter your access to {provider}.",
        "consent_lead": "You go on to {provider}, sign in there and allow the access.",
        "consent_asks": "What is asked for",
        "connect_button": "Connect",
        "consent_button": "Continue to {provider}",
        "waiting": "Go on in the window of {provider}.",
        "busy": "Connecting ...",
        "show": "Show",
        "hide": "Hide",
        "back": "Back",
        "private": "What you enter is encrypted, and never shown again.",
        "accounts_title": "Choose accounts",
        "accounts_lead": "{provider} gives access to several. Which of them should be connected?",
        "accounts_button": "Connect these",
        "accounts_none": "Choose at least one.",
        "done_title": "{provider} is connected",
        "done_lead": "You can close this page.",
        "codes_link": "Match accounts and taxes",
        "codes_title": "Match codes of {provider}",
        "codes_lead": "Choose what each of these is called at {provider}. What is likely is chosen"
        " already: look at it, then confirm.",
        "codes_accounts": "Ledger accounts",
        "codes_tax_rates": "Taxes",
        "codes_suggested": "Suggested",
        "codes_skip": "Not now",
        "codes_twice": "The same is chosen twice. Choose each of them once.",
        "codes_kept": "Your choice is kept. These are still open.",
        "codes_unread": "{provider} is still being read. Look again in a minute.",
        "codes_again": "Look again",
        "codes_button": "Confirm",
        "codes_done_title": "All codes are matched",
        "codes_done_lead": "What waited for them goes on now.",
        "return_button": "Return to {app}",
        "return_button_unnamed": "Return",
        "close_button": "Close",
        "another": "Connect another",
        "denied_title": "Nothing was connected",
        "denied_lead": "The access was not allowed at {provider}. You can try again at any time.",
        "failed_title": "This did not work",
        "failed_lead": "Nothing was connected. Please try again.",
        "again_button": "Try again",
        "problem": "Please check what you entered.",
        "missing": "This is missing.",
        "wrong_shape": "This is not in the right form.",
        "refused": "{provider} did not accept this. Check it and try again.",
        "unreachable": "{provider} does not answer at present. Try again in a few minutes.",
        "other_account": "This is another account than the one that was connected before.",
        "stale": "This step took too long, or was done before. Please begin again.",
        "expired_title": "This page is no longer valid",
        "expired_lead": "Go back to where you came from, and open it again from there.",
        "unknown_title": "There is nothing here",
        "unknown_lead": "The address is incomplete, or no longer valid.",
        "away_title": "Not available at present",
        "away_lead": "Please try again in a few minutes.",
    }
)


def checked_texts(given: Mapping[str, str]) -> dict[str, str]:
    """The texts, if each is one of ours and names only what ours names.

    InvalidInput says which one is not.
    """
    for name, text in given.items():
        if name not in TEXTS:
            raise InvalidInput(f"texts: there is no {name!r}.{did_you_mean(name, TEXTS)}")
        try:
            text.format(provider="", app="")
        except (LookupError, ValueError, AttributeError):
            raise InvalidInput(
                f"texts, {name}: {text!r} may hold {{provider}} and {{app}}, and no other braces"
            ) from None
    return dict(given)

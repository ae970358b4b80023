"""The address at which a person consents (RFC 6749 section 4.1.1, with PKCE)."""

from collections.abc import Mapping, Sequence
from urllib.parse import quote, urlencode

from landbridge.errors import InvalidInput
from landbridge.oauth.addresses import addresses
from landbridge.spec import OAuth2


def authorize_url(
    auth: OAuth2,
    *,
    client_id: str,
    redirect_uri: str,
    scopes: Sequence[str],
    state: str,
    challenge: str = "",
    settings: Mapping[str, str] | None = None,
) -> str:
    """Where to send the browser. `settings` fill the holes of the page's address.

    With PKCE a `challenge` is needed; where the page says that there is none, it is left out.
    """
    query = {
        **auth.params,
        "response_type": "code",
        "client_id": client_id,
        "redirect_uri": redirect_uri,
        "state": state,
    }
    if scopes:
        query["scope"] = auth.separator.join(scopes)
    if auth.pkce:
        if not challenge:
            raise InvalidInput("challenge: missing; the provider's page asks for PKCE")
        query |= {"code_challenge": challenge, "code_challenge_method": "S256"}
    address = addresses(auth, settings or {}).authorize
    joint = "&" if "?" in address else "?"
    return address + joint + urlencode(query, quote_via=quote)

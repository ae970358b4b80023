"""Conversations with a token's address: each one request, its answer, and what that means.

Errors of all of them: TokenRefused (`.code`, `.dead`) for a no; Throttled for a 429; OutcomeUnknown
where the provider may have used up the code or the refresh token without our getting its answer;
Unreachable where asking again costs nothing.
"""

import re
from base64 import b64encode
from collections.abc import Generator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote, quote_plus, urlencode

import msgspec

from landbridge.errors import InvalidInput, OutcomeUnknown, Throttled, TokenRefused, Unreachable
from landbridge.oauth.addresses import addresses
from landbridge.oauth.assertion import assertion
from landbridge.oauth.values import AppClient, Revocation, Tokens
from landbridge.spec import ClientCredentials, JwtBearer, OAuth2, find, gathered
from landbridge.wire import Headers, Request, Response

JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
"""RFC 7523 section 2.1."""

_CODE = re.compile(r"[\x20-\x21\x23-\x5b\x5d-\x7e]{1,100}")
"""RFC 6749 section 5.2: what an error code may consist of."""
_LONGEST = timedelta(days=3650)
_NOT_VALID_ANY_MORE = ("invalid_token", "invalid_grant", "token_revoked", "token_expired")


def exchange(
    auth: OAuth2,
    client: AppClient,
    *,
    code: str,
    redirect_uri: str,
    verifier: str,
    settings: Mapping[str, str] | None = None,
) -> Generator[Request, Response, Tokens]:
    """The tokens of a consent: its code, once (RFC 6749 section 4.1.3)."""
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": redirect_uri}
    if auth.pkce:
        form["code_verifier"] = verifier
    address = addresses(auth, settings or {}).token
    request = _request(address, auth.client, client, form, body=auth.body)
    response = yield request
    return _tokens(auth, request, response, dead=auth.dead, uses_up=True)


def refresh(
    auth: OAuth2,
    client: AppClient,
    refresh_token: str,
    *,
    settings: Mapping[str, str] | None = None,
) -> Generator[Request, Response, Tokens]:
    """New tokens for a refresh token (RFC 6749 section 6). Never repeat it by yourself: where the
    page rotates, a second try with a used token may end the grant."""
    form = {"grant_type": "refresh_token", "refresh_token": refresh_token}
    address = addresses(auth, settings or {}).token
    request = _request(address, auth.client, client, form, body=auth.body)
    response = yield request
    return _tokens(auth, request, response, dead=auth.dead, uses_up=auth.refresh_rotates)


def revoke(
    auth: OAuth2,
    client: AppClient,
    token: str,
    *,
    hint: str = "refresh_token",
    settings: Mapping[str, str] | None = None,
) -> Generator[Request, Response, Revocation]:
    """Asks the provider to end a token (RFC 7009); what it did. Twice is once."""
    address = addresses(auth, settings or {}).revoke
    if not address:
        return Revocation(
            state="no_way",
            detail="the provider has no address for it; the customer can take the access back",
        )
    if auth.revoke_body == "access":
        form = {"access_token": token}
        request = _request(address, "none", client, form, body="json")
        shown = {"Authorization": f"Client {client.secret}"}
        request = request.having(headers=request.headers.having(shown))
    elif auth.revoke_body == "json":
        request = _request(address, auth.client, client, {"token": token}, body="json")
    else:
        form = {"token": token, "token_type_hint": hint}
        request = _request(address, auth.client, client, form)
    response = yield request
    if 200 <= response.status < 300:
        return Revocation(state="revoked", detail=f"the provider revoked it ({response.status})")
    code = _code_of(_body(response), auth.error_at)
    if response.status < 500 and code in _NOT_VALID_ANY_MORE:
        return Revocation(state="unknown_token", detail=f"it was not valid any more ({code})")
    if response.status < 500 and code == "unsupported_token_type":  # RFC 7009 section 2.2.1
        return Revocation(
            state="no_way",
            detail=f"the provider revokes no {hint.replace('_', ' ')}; the customer can take the"
            " access back",
        )
    raise _failure(request, response, code, dead=(), uses_up=False)


def client_credentials(
    auth: ClientCredentials,
    credentials: Mapping[str, str],
    *,
    scopes: Sequence[str] = (),
    settings: Mapping[str, str] | None = None,
) -> Generator[Request, Response, Tokens]:
    """An access token for the client's own credentials (RFC 6749 section 4.4); no refresh token.

    `scopes` are asked for; none: every scope of the page.
    """
    form = {"grant_type": "client_credentials"}
    wanted = list(scopes) or list(auth.scopes)
    if wanted:
        form["scope"] = auth.separator.join(wanted)
    client = AppClient(id=credentials[auth.client_id], secret=credentials[auth.client_secret])
    where = addresses(auth, {**credentials, **(settings or {})}).token
    request = _request(where, auth.client, client, form)
    response = yield request
    return _tokens(auth, request, response, dead=("invalid_client", "unauthorized_client"))


def jwt_bearer(
    auth: JwtBearer,
    credentials: Mapping[str, str],
    now: datetime,
    *,
    scopes: Sequence[str] = (),
    settings: Mapping[str, str] | None = None,
) -> Generator[Request, Response, Tokens]:
    """An access token for an assertion signed with the tenant's key; no refresh token.

    `scopes` are asked for; none: every scope of the page.
    """
    where = addresses(auth, {**credentials, **(settings or {})}).token
    signed = assertion(
        auth, credentials, now, audience=where, scopes=list(scopes) or list(auth.scopes)
    )
    form = {"grant_type": JWT_BEARER, "assertion": signed}
    request = _request(where, "none", AppClient(id=""), form)
    response = yield request
    return _tokens(auth, request, response, dead=("invalid_grant", "invalid_client"))


def _request(
    address: str, shows: str, client: AppClient, form: Mapping[str, str], *, body: str = "form"
) -> Request:
    """A form, or JSON, for the token's address, in which the client shows who it is."""
    sent = dict(form)
    kind = "json" if body == "json" else "x-www-form-urlencoded"
    headers = {"Accept": "application/json", "Content-Type": f"application/{kind}"}
    if shows != "none" and not client.secret:
        raise InvalidInput(
            "client_secret: missing; the app needs it to show who it is to the provider"
        )
    if shows == "basic":
        # RFC 6749 section 2.3.1: both are form-encoded before they are joined.
        pair = f"{quote_plus(client.id)}:{quote_plus(client.secret)}"
        headers["Authorization"] = "Basic " + b64encode(pair.encode()).decode()
    elif shows == "post":
        sent |= {"client_id": client.id, "client_secret": client.secret}
    elif client.id:
        sent["client_id"] = client.id
    return Request(
        method="POST",
        url=address,
        headers=Headers(headers),
        body=msgspec.json.encode(sent)
        if body == "json"
        else urlencode(sent, quote_via=quote).encode(),
    )


def _tokens(
    auth: OAuth2 | ClientCredentials | JwtBearer,
    request: Request,
    response: Response,
    *,
    dead: Sequence[str],
    uses_up: bool = False,
) -> Tokens:
    answer = _body(response)
    access = _text(find(answer, getattr(auth, "access_at", "access_token")))
    if not 200 <= response.status < 300 or access is None:
        code = _code_of(answer, getattr(auth, "error_at", ("error",)))
        raise _failure(request, response, code, dead=dead, uses_up=uses_up)
    lives = _seconds(answer.get("expires_in")) or _until(auth, answer, response)
    return Tokens(
        access=access,
        refresh=_text(find(answer, getattr(auth, "refresh_at", "refresh_token"))),
        expires_in=lives or auth.access_lives,
        scopes=_scopes(answer.get("scope"), auth.separator),
        answer=answer,
    )


def _failure(
    request: Request, response: Response, code: str, *, dead: Sequence[str], uses_up: bool
) -> TokenRefused | Throttled | OutcomeUnknown | Unreachable:
    """The error that an answer without a token means."""
    host = request.url.split("://", 1)[-1].split("/", 1)[0]
    if response.status == 429:
        return Throttled(f"{host} gives no token now (429); it is asked again later", status=429)
    later = Unreachable(
        f"{host} gives no token now ({response.status}); it is asked again later",
        status=response.status,
    )
    if code == "temporarily_unavailable":
        return later
    if code and code != "server_error" and response.status < 500:
        return TokenRefused(
            f"{host} gives no token ({response.status} {code})",
            code=code,
            dead=code in dead,
            status=response.status,
        )
    if 300 <= response.status < 500 and response.status not in (408, 425):
        return TokenRefused(
            f"{host} gives no token ({response.status}, without a reason)",
            code="",
            dead=False,
            status=response.status,
        )
    if uses_up:
        return OutcomeUnknown(
            f"{host} answered {response.status} without a token: it may have used up what it was"
            " asked with",
            status=response.status,
        )
    return later


def _body(response: Response) -> Mapping[str, Any]:
    """The answer's object; empty if it is none."""
    try:
        answer = msgspec.json.decode(response.body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {}
    return answer if isinstance(answer, dict) else {}


def _code_of(answer: Mapping[str, Any], places: Sequence[str]) -> str:
    """The error code, if it has the form of one: nothing else of an answer is repeated."""
    codes = [code for place in places for code in gathered(answer, place)]
    return next((code for code in codes if _CODE.fullmatch(code)), "")


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _seconds(value: object) -> timedelta | None:
    """A time of life, which some write as text; None if it is none."""
    if isinstance(value, str):
        value = float(value) if re.fullmatch(r"\d{1,12}(\.\d+)?", value) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return timedelta(seconds=min(value, _LONGEST.total_seconds())) if value > 0 else None


def _until(
    auth: OAuth2 | ClientCredentials | JwtBearer, answer: Mapping[str, Any], response: Response
) -> timedelta | None:
    """How long it is to the instant at which the token ends, by the provider's own clock; None: it
    does not say both."""
    path = getattr(auth, "expires_at", "")
    try:
        ends = datetime.fromisoformat(str(find(answer, path) if path else ""))
    except ValueError:
        return None
    if not ends.tzinfo:
        ends = ends.replace(tzinfo=UTC)
    return _seconds((ends - response.dated).total_seconds()) if response.dated else None


def _scopes(value: object, separator: str) -> tuple[str, ...]:
    if isinstance(value, list):
        return tuple(scope for scope in value if isinstance(scope, str) and scope)
    if not isinstance(value, str):
        return ()
    # Some are asked with spaces and answer with commas.
    return tuple(part for part in re.split(rf"[\s,{re.escape(separator)}]+", value) if part)

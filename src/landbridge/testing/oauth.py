"""The OAuth server of a simulator: consent, codes, tokens for a code or a refresh token.

What a vendor does otherwise is said in the methods and words that `OAuthServer` leaves open.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import html
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any, ClassVar, Generic, TypeVar
from urllib.parse import parse_qsl, unquote_plus, urlencode

from landbridge.testing.asgi import Call, as_json
from landbridge.testing.conduct import Conduct
from landbridge.wire import Headers, Response

CODE_LIVES = 300


@dataclass(kw_only=True)
class Grant:
    """One consent of a person for an app: its scopes and tokens."""

    scopes: tuple[str, ...]
    dead: bool = False
    access: dict[str, float] = field(default_factory=dict)
    """Until when each access token is good."""

    def shown(self) -> dict[str, Any]:
        """As the control plane tells it; never the tokens."""
        return {"scopes": self.scopes, "dead": self.dead}


G = TypeVar("G", bound=Grant)


@dataclass(kw_only=True)
class Code(Generic[G]):
    """What a code stands for, and what has to be shown with it. It counts once."""

    grant: G
    redirect: str
    at: float
    challenge: str = ""
    used: bool = False


@dataclass(kw_only=True)
class Authority(Generic[G]):
    """What was granted, and `consent`: what the person does when asked, one of `DECISIONS`."""

    DECISIONS: ClassVar[tuple[str, ...]] = ("allow", "deny")

    rng: Random
    now: Callable[[], float]
    consent: str = "allow"
    grants: list[G] = field(default_factory=list)
    exchanges: int = 0
    conduct: Conduct = field(default_factory=Conduct)
    _codes: dict[str, Code[G]] = field(default_factory=dict)

    def expire(self) -> int:
        """Ends all access tokens, as after their time; how many."""
        for grant in self.grants:
            grant.access = dict.fromkeys(grant.access, 0.0)
        return sum(len(grant.access) for grant in self.grants)


@dataclass(kw_only=True)
class OAuthServer(Authority[G], ABC):
    """Shows the person a page too: `consent` may be `page`."""

    DECISIONS: ClassVar[tuple[str, ...]] = ("allow", "deny", "page")
    UNKNOWN_CLIENT: ClassVar[str]
    UNKNOWN_REDIRECT: ClassVar[str]
    """What the page says to a browser that cannot be sent back."""
    CLIENT_STATUS: ClassVar[int] = 401
    """The status for a client that does not show itself rightly."""
    PKCE: ClassVar[bool] = True
    """Whether a code challenge counts."""

    clients: dict[str, str]
    redirects: set[str] = field(default_factory=set)
    """The registered addresses; empty: any."""

    @abstractmethod
    def problem(self, asked: Mapping[str, str]) -> str:
        """The error that the browser is sent back with; empty: there is none."""

    @abstractmethod
    def form(self, asked: Mapping[str, str]) -> Response:
        """The consent page."""

    @abstractmethod
    def allow(self, asked: Mapping[str, str]) -> tuple[G, dict[str, str]]:
        """What the person grants, and what the browser brings back besides a code and the state."""

    @abstractmethod
    def of_refresh(self, token: str) -> G | None:
        """The grant of a refresh token; None where it does not count."""

    @abstractmethod
    def tokens(self, grant: G) -> dict[str, Any]:
        """New tokens, as they are told."""

    def authorize(self, call: Call) -> Response:
        """The consent page, or where the browser goes from it."""
        asked = call.args() if call.method == "GET" else form_of(call)
        redirect = asked.get("redirect_uri", "")
        if asked.get("client_id", "") not in self.clients:
            return page(self.UNKNOWN_CLIENT, 400)
        if not redirect or (self.redirects and redirect not in self.redirects):
            return page(self.UNKNOWN_REDIRECT, 400)
        problem = self.problem(asked)
        decision = asked.get("decision", self.consent)
        if not problem and decision == "page":
            return self.form(asked)
        if not problem and decision == "deny":
            problem = "access_denied"
        state = {"state": asked["state"]} if "state" in asked else {}
        if problem:
            return sent_back(redirect, {"error": problem, **state})
        grant, told = self.allow(asked)
        code = self.random()
        challenge = asked.get("code_challenge", "") if self.PKCE else ""
        self._codes[code] = Code(grant=grant, redirect=redirect, challenge=challenge, at=self.now())
        return sent_back(redirect, {"code": code, **told, **state})

    def token(self, call: Call) -> Response:
        """New tokens for a code or a refresh token."""
        if not self.shown(call):
            return self.refusal("invalid_client", self.CLIENT_STATUS)
        asked = self.read(call)
        match asked.get("grant_type"):
            case "authorization_code":
                grant = self.of_code(asked)
            case "refresh_token":
                grant = self.of_refresh(asked.get("refresh_token", ""))
            case _:
                return self.refusal("unsupported_grant_type", 400)
        if grant is None:
            return self.refusal("invalid_grant", 400)
        self.exchanges += 1
        return as_json(self.tokens(grant))

    def read(self, call: Call) -> dict[str, str]:
        """What a call for tokens asks."""
        return form_of(call)

    def shown(self, call: Call) -> bool:
        """Whether the client of a call for tokens shows itself rightly: by Basic."""
        pair = basic(call)
        return pair is not None and self.clients.get(pair[0]) == pair[1]

    def refusal(self, error: str, status: int) -> Response:
        """The answer to a call for tokens that is refused."""
        return as_json({"error": error}, status)

    def of_code(self, asked: Mapping[str, str]) -> G | None:
        """The grant of a code, which is used by that; None where it does not count."""
        kept = self._codes.get(asked.get("code", ""))
        if kept is None:
            return None
        if kept.used:
            self.used_twice(kept.grant)
            return None
        kept.used = True
        verifier = hashlib.sha256(asked.get("code_verifier", "").encode()).digest()
        shown = base64.urlsafe_b64encode(verifier).rstrip(b"=").decode()
        fits = kept.challenge in ("", shown) and asked.get("redirect_uri") == kept.redirect
        return kept.grant if fits and self.now() <= kept.at + CODE_LIVES else None

    def used_twice(self, grant: G) -> None:
        """What follows from a code that is sent again: nothing but its refusal."""

    def random(self) -> str:
        """Letters that nobody guesses."""
        return f"{self.rng.getrandbits(256):064x}"


def form_of(call: Call) -> dict[str, str]:
    """The fields of a body that is a form."""
    return dict(parse_qsl(call.body.decode()))


def basic(call: Call) -> tuple[str, str] | None:
    """Name and secret as `Authorization: Basic` shows them; None where it does not."""
    scheme, _, rest = call.headers.get("authorization", "").partition(" ")
    try:
        pair = base64.b64decode(rest, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None
    name, _, secret = (unquote_plus(part) for part in pair.partition(":"))
    return (name, secret) if scheme.lower() == "basic" else None


def sent_back(redirect: str, query: Mapping[str, str]) -> Response:
    """The browser's way back to the app."""
    joint = "&" if "?" in redirect else "?"
    return Response(status=302, headers=Headers({"Location": redirect + joint + urlencode(query)}))


def consent_form(asked: Mapping[str, str], *, choices: str = "", allow: str) -> Response:
    """A page with all that was asked, the choices as HTML, and two buttons."""
    hidden = "".join(
        f'<input type="hidden" name="{html.escape(name)}" value="{html.escape(value)}">'
        for name, value in asked.items()
    )
    return page(
        f'<form method="post">{hidden}{choices}'
        f'<button name="decision" value="allow">{allow}</button>'
        '<button name="decision" value="deny">Cancel</button></form>',
        200,
    )


def choice(label: str, name: str, options: Mapping[str, str]) -> str:
    """One of the options, which are names by value, as HTML."""
    shown = "".join(
        f'<option value="{value}">{html.escape(words)}</option>' for value, words in options.items()
    )
    return f'<label>{label}<select name="{name}">{shown}</select></label>'


def page(body: str, status: int) -> Response:
    """An HTML page."""
    head = Headers({"Content-Type": "text/html; charset=utf-8"})
    return Response(status=status, headers=head, body=f"<!doctype html>{body}".encode())

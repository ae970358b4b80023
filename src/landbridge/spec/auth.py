"""How a provider lets a connection in: typed credentials, OAuth 2, or a signed assertion."""

from collections.abc import Mapping, Sequence
from dataclasses import field
from datetime import timedelta

from landbridge.errors import SpecError
from landbridge.spec._check import Path, among, fact

__all__ = [
    "ApiKey",
    "Auth",
    "Basic",
    "ClientCredentials",
    "Field",
    "JwtBearer",
    "OAuth2",
    "has_lines",
]


@fact
class Field:
    """One thing a person types in to connect: a key, a user name, a server's address."""

    name: str
    label: str
    secret: bool = False
    hint: str = ""
    pattern: str = ""
    """A regular expression that the whole value must match; empty: any text that is not empty."""


@fact
class ApiKey:
    """A key sent with each call. `header` carries `scheme` and the key, parted by a space."""

    fields: Sequence[Field]
    header: str = "Authorization"
    scheme: str = "Bearer"
    key: str = "key"
    """Which of the fields is the key."""

    def __post_init__(self) -> None:
        """Refuses a key that is none of the fields."""
        among(self.key, [field.name for field in self.fields], "ApiKey, key")


@fact
class Basic:
    """User name and password, by HTTP Basic (RFC 7617)."""

    fields: Sequence[Field]
    username: str = "username"
    """Which of the fields is the user name."""
    password: str = "password"
    """Which of the fields is the password."""

    def __post_init__(self) -> None:
        """Refuses a user name or a password that is none of the fields."""
        names = [field.name for field in self.fields]
        among(self.username, names, "Basic, username")
        among(self.password, names, "Basic, password")


@fact
class OAuth2:
    """OAuth 2 by authorisation code (RFC 6749 section 4.1), with PKCE S256 (RFC 7636)."""

    authorize: str
    """Where the person consents."""
    token: str
    """Where codes and refresh tokens are exchanged."""
    revoke: str = ""
    """Where tokens are revoked (RFC 7009); empty: the provider has no such address."""
    revokes: str = "grant"
    """What a revocation ends there: `grant`, `account` (one of several behind it) or `token`."""
    revoke_body: str = "form"
    """How a revocation is written: `form` (RFC 7009); `json`, with the token alone; or `access`:
    JSON with our client's id and the access token, and our secret in a header `Authorization:
    Client ...` (Square)."""
    scopes: Mapping[str, str] = field(default_factory=dict)
    """Every scope that the page may ask for, and in words for what."""
    always: frozenset[str] = frozenset()
    """Scopes that are asked whatever is enabled, such as `offline_access`."""
    separator: str = " "
    """What parts scopes in a request and in an answer."""
    adds_up: bool = False
    """Whether a further consent keeps earlier scopes: then only new ones are asked for."""
    pkce: bool = True
    pkce_why: str = ""
    """Why there is no PKCE, where `pkce` is False: the vendor's page or words."""
    client: str = "basic"
    """How our client shows who it is: `basic`, `post` (in the form), or `none` (public)."""
    body: str = "form"
    """How what is asked of `token` is written: `form` (RFC 6749), or `json`."""
    params: Mapping[str, str] = field(default_factory=dict)
    """Further parameters of the address where one consents, such as `access_type=offline`."""
    fields: Sequence[Field] = ()
    """What has to be known before the redirect, such as a shop's name."""
    access_lives: timedelta
    """How long an access token lives where the answer does not say."""
    refresh_lives: timedelta | None = None
    """How long a refresh token lives; None: until it is revoked, or there is none."""
    refresh_idle: bool = False
    """Whether each use begins `refresh_lives` anew: then an idle one is kept alive by us."""
    refreshes: bool = True
    """Whether there are refresh tokens at all."""
    refresh_rotates: bool = False
    """Whether each refresh gives a new refresh token and ends the old one."""
    refresh_retry_window: timedelta | None = None
    """How long the old refresh token may be sent again when the answer was lost; None: never."""
    account_param: str = ""
    """The parameter of the redirect that names the remote account, such as `realmId`."""
    access_at: Path = "access_token"
    """Path to the access token in the answer."""
    refresh_at: Path = "refresh_token"
    """Path to the refresh token in the answer."""
    expires_at: Path = ""
    """Path to the instant (ISO 8601) at which the access token ends, where the answer does not say
    `expires_in`."""
    error_at: Sequence[str] = ("error",)
    """Paths to the code of a refusal, of which the first that has one counts; `[]` stands for the
    items of a list."""
    dead: Sequence[str] = ("invalid_grant",)
    """Codes of a refused refresh that mean the grant is gone for good."""

    def __post_init__(self) -> None:
        """Refuses addresses that are none, words that no one reads, and scopes without words."""
        for name in ("authorize", "token", "revoke"):
            address = getattr(self, name)
            if address and not address.startswith(("https://", "{url}")):
                raise SpecError(f"OAuth2, {name}: {address!r} is no https address")
        among(self.client, ["basic", "post", "none"], "OAuth2, client")
        among(self.body, ["form", "json"], "OAuth2, body")
        among(self.revoke_body, ["form", "json", "access"], "OAuth2, revoke_body")
        among(self.revokes, ["grant", "account", "token"], "OAuth2, revokes")
        if self.pkce == bool(self.pkce_why):
            raise SpecError("OAuth2, pkce_why: it says why there is no PKCE, and only then")
        if self.client == "none" and not self.pkce:
            raise SpecError("OAuth2, pkce: a public client needs it (RFC 9700 section 2.1.1)")
        for scope in self.always - set(self.scopes):
            raise SpecError(f"OAuth2, always: {scope!r} is none of the scopes")


@fact
class ClientCredentials:
    """OAuth 2 with the client's own credentials (RFC 6749 section 4.4), typed in by the tenant."""

    token: str
    fields: Sequence[Field]
    client_id: str = "client_id"
    """Which of the fields is the client's id."""
    client_secret: str = "client_secret"
    """Which of the fields is its secret."""
    client: str = "basic"
    scopes: Mapping[str, str] = field(default_factory=dict)
    separator: str = " "
    access_lives: timedelta

    def __post_init__(self) -> None:
        """Refuses an address that is none, and an id or a secret that is none of the fields."""
        if not self.token.startswith(("https://", "{url}")):
            raise SpecError(f"ClientCredentials, token: {self.token!r} is no https address")
        names = [field.name for field in self.fields]
        among(self.client_id, names, "ClientCredentials, client_id")
        among(self.client_secret, names, "ClientCredentials, client_secret")
        among(self.client, ["basic", "post"], "ClientCredentials, client")


@fact
class JwtBearer:
    """An assertion signed with a key of the tenant's is exchanged for a token (RFC 7523)."""

    token: str
    fields: Sequence[Field]
    issuer: str = "client_id"
    """Which of the fields is the claim `iss`."""
    subject: str = ""
    """Which of the fields is the claim `sub`; empty: there is none."""
    key: str = "private_key"
    """Which of the fields is the private key, in PEM."""
    key_id: str = ""
    """Which of the fields is the header's `kid`; empty: there is none."""
    audience: str = ""
    """The claim `aud`; empty: the token's address."""
    algorithm: str = "RS256"
    lives: timedelta = timedelta(minutes=5)
    """How long an assertion is valid."""
    scopes: Mapping[str, str] = field(default_factory=dict)
    scope_claim: str = ""
    """The claim that carries the scopes; empty: none are sent."""
    separator: str = " "
    access_lives: timedelta

    def __post_init__(self) -> None:
        """Refuses an address that is none, and claims that are none of the fields."""
        if not self.token.startswith(("https://", "{url}")):
            raise SpecError(f"JwtBearer, token: {self.token!r} is no https address")
        names = [field.name for field in self.fields]
        for role in ("issuer", "subject", "key", "key_id"):
            name = getattr(self, role)
            if name or role in ("issuer", "key"):
                among(name, names, f"JwtBearer, {role}")
        among(self.algorithm, ["RS256", "ES256"], "JwtBearer, algorithm")


Auth = ApiKey | Basic | OAuth2 | ClientCredentials | JwtBearer


def has_lines(auth: Auth, field: Field) -> bool:
    """Whether what is typed into a field may have lines: a private key in PEM."""
    return isinstance(auth, JwtBearer) and field.name == auth.key

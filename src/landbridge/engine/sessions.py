"""Opens connect sessions: a token and an address that let a browser connect one tenant."""

from __future__ import annotations

import hashlib
import re
import secrets as random_tokens
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from landbridge.engine.tenants import check_tenant
from landbridge.errors import InvalidInput
from landbridge.store import sessions
from landbridge.store.connections import Connection
from landbridge.store.database import Database
from landbridge.store.sessions import Session

_TOKEN = re.compile(r"lbs_[A-Za-z0-9_-]{43}")
_ORIGIN = re.compile(r"https?://(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9.-]+)(:[0-9]{1,5})?")
_LONGEST = 24 * 60
_MOST_TEXT = 500


@dataclass(frozen=True, kw_only=True)
class ConnectSession:
    """What a browser is given: `url` is the page to open, `token` the part that counts in it.

    Whoever has the token may connect accounts to this tenant until `expires_at` and match the codes
    of those, and nothing else.
    """

    token: str = field(repr=False)
    url: str = field(repr=False)
    expires_at: datetime


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What an application asks of a session.

    `origin` is the application's own, `https://app.example.com`: only it may frame the pages, be
    told the result, and be returned to. `return_to` is where the last page leads back to, `name`
    what it calls the application. `settings` are by provider what the application sets and nobody
    is asked for, such as the address of a server.
    """

    tenant: str
    providers: Sequence[str] = ()
    connection: Connection | None = None
    origin: str = ""
    return_to: str = ""
    name: str = ""
    owner: str = ""
    label: str = ""
    texts: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    minutes: int = 30


async def open_session(
    db: Database,
    wanted: Wanted,
    *,
    environment: str,
    public: str,
    known: Callable[[str], object],
    random: Callable[[int], str] = random_tokens.token_urlsafe,
) -> ConnectSession:
    """A new session below the public address; only the digest of its token is kept.

    `known` raises NotFound for a provider that there is not. InvalidInput names the argument that
    is wrong.
    """
    _check(wanted, environment)
    providers = list(wanted.providers)
    if wanted.connection is not None:
        providers = [wanted.connection.provider]
    for each in [*providers, *wanted.settings]:
        known(each)
    token = f"lbs_{random(32)}"
    again = wanted.connection
    ends = await sessions.save(
        db,
        environment=environment,
        tenant=wanted.tenant,
        token_digest=digest_of(token),
        providers=providers,
        connection=again.id if again else None,
        args={
            "origin": wanted.origin,
            "return_to": wanted.return_to,
            "name": wanted.name,
            "owner": again.owner if again else wanted.owner,
            "label": again.label if again else wanted.label,
            "texts": dict(wanted.texts),
            "settings": {slug: dict(given) for slug, given in wanted.settings.items()},
        },
        lives=timedelta(minutes=wanted.minutes),
    )
    return ConnectSession(
        token=token, url=f"{public.rstrip('/')}/connect/{token}/", expires_at=ends
    )


async def session_of(db: Database, token: str) -> Session | None:
    """The session of a token; None where there is none, or has not been for a day."""
    if not _TOKEN.fullmatch(token):
        return None
    return await sessions.by_digest(db, digest_of(token))


def digest_of(token: str) -> bytes:
    """What is kept of a token. It is 256 random bits, so that one round of SHA-256 is enough."""
    return hashlib.sha256(token.encode()).digest()


def origin_of(address: str) -> str:
    """The origin of an address; empty if it is none."""
    found = _ORIGIN.match(address)
    rest = address[found.end() :] if found else ""
    return found[0] if found and rest[:1] in ("", "/", "?", "#") else ""


def _check(wanted: Wanted, environment: str) -> None:
    check_tenant(wanted.tenant)
    if not 1 <= wanted.minutes <= _LONGEST:
        raise InvalidInput(f"minutes: {wanted.minutes} is not between 1 and {_LONGEST} (a day)")
    if wanted.origin and not _ORIGIN.fullmatch(wanted.origin):
        raise InvalidInput(
            f"origin: {wanted.origin!r} is not an origin such as https://app.example.com"
        )
    if wanted.return_to:
        origin = origin_of(wanted.return_to)
        if not origin or (wanted.origin and origin != wanted.origin):
            raise InvalidInput(
                f"return_to: {wanted.return_to!r} is not an address of yours, such as"
                f" {wanted.origin or 'https://app.example.com'}/settings"
            )
    for name, text in (("name", wanted.name), *wanted.texts.items()):
        if len(text) > _MOST_TEXT:
            raise InvalidInput(f"{name}: longer than {_MOST_TEXT} characters")
    again = wanted.connection
    if again is not None and (again.tenant, again.environment) != (wanted.tenant, environment):
        raise InvalidInput("connection: it is of another tenant or environment")
    if again is not None and again.state == "revoked":
        raise InvalidInput("connection: it was disconnected; connect the account anew")

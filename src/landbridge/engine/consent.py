"""Connects in a browser: sends it to the provider to consent, and keeps what it comes back with.

A consent's state is known to the browser it began in and to nobody else: only digests of it and of
the browser's token are stored, it is taken once, and lives for ten minutes. Each provider has a
redirect address of its own, so that no other provider's answer is taken for it (RFC 9700 4.4).
"""

from __future__ import annotations

import hashlib
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import msgspec

from landbridge.client import Client
from landbridge.client.asking import ask
from landbridge.engine.app_client import of, open_client, with_client
from landbridge.engine.connect import base_of, settings_in
from landbridge.engine.consent_input import checked_settings
from landbridge.engine.establish import Connected, begin, check_environment
from landbridge.engine.granting import Granted, accounts_of, keep, keep_again
from landbridge.engine.pace import check_bounds
from landbridge.engine.tenants import check_tenant
from landbridge.errors import ConsentRefused, InvalidInput, TokenRefused
from landbridge.oauth import authorize_url, exchange, make_pkce
from landbridge.protocols import Place
from landbridge.spec import Asked, OAuth2, Provider, asked
from landbridge.store import connections, consents, grants
from landbridge.store.apps import App
from landbridge.store.connections import Connection
from landbridge.store.consents import Begun
from landbridge.store.database import Database
from landbridge.vault import Kind, Vault

LIVES = timedelta(minutes=10)
"""How long a consent may take."""
_MOST_CODE = 4096


@dataclass(frozen=True, kw_only=True)
class Consent:
    """Where to send the browser, and what it has to keep meanwhile (a cookie: HttpOnly, Secure,
    SameSite=Lax, for ten minutes)."""

    url: str = field(repr=False)
    browser_token: str = field(repr=False)
    asks: tuple[Asked, ...]
    """The scopes it asks for, and why."""


@dataclass(frozen=True, kw_only=True)
class Finished:
    """What a consent came to. `context` is what `begin` was given."""

    connected: list[Connected]
    choice: str = field(default="", repr=False)
    """Set when a choice was asked for and there are several: the token for `choose`. The
    connections are pending until then."""
    context: Mapping[str, Any]


class Consents:
    """Begins and finishes consents. `random` gives unguessable bytes."""

    def __init__(
        self,
        db: Database,
        vault: Vault,
        client: Client,
        *,
        provider: Callable[[str], Provider],
        public_url: str,
        random: Callable[[int], bytes] = secrets.token_bytes,
    ):
        self._db = db
        self._vault = vault
        self._client = client
        self._provider = provider
        self._public = public_url.rstrip("/")
        self._random = random

    def redirect_uri(self, provider: str) -> str:
        """The address to register at the provider: `<public_url>/connect/callback/<provider>`."""
        return redirect_uri(self._public, provider)

    async def begin(
        self,
        provider: str,
        *,
        environment: str,
        tenant: str,
        fields: Mapping[str, str] | None = None,
        settings: Mapping[str, str] | None = None,
        resources: Sequence[str] = (),
        writes: Sequence[str] = (),
        owner: str = "",
        label: str = "",
        every: timedelta | None = timedelta(minutes=5),
        connection: Connection | None = None,
        choose: bool = False,
        browser_token: str | None = None,
        context: Mapping[str, Any] | None = None,
    ) -> Consent:
        """The address of a consent for a tenant.

        `fields` are what the page asks a person for before it; `settings` what the application
        sets, such as the address of a sandbox. Without `resources` the app's are asked for, without
        `writes` the app's. With a `connection` it is a reconnect: of that account, which keeps its
        id, cursors and mappings; what it was granted before is asked for too, or where consents add
        up only what is new. `choose`: of several accounts some are chosen afterwards. A
        `browser_token` that the browser has already is bound again. `context` comes back with the
        end; keep no secret in it.

        InvalidInput names an argument that is wrong; SettingsError: the app has no OAuth client.
        """
        page = self._provider(provider)
        auth = _oauth(page)
        check_tenant(tenant)
        if every is not None:
            check_bounds(every, every)
        if connection is not None:
            _check_again(connection, page, environment, tenant)
        app = await self._app(page, environment, tenant, connection)
        client = await open_client(self._vault, app)
        kept = {**(connection.settings if connection else {}), **(settings or {})}
        kept = settings_in(page, environment, kept)
        placed = checked_settings(page, kept, fields or {})
        asks = asked(page, resources or app.resources, writes or app.writes)
        scopes = await self._scopes(auth, [one.scope for one in asks], connection)
        pkce = make_pkce(self._random)
        state = f"{environment}.{self._token()}"
        browser = browser_token or self._token()
        url = authorize_url(
            auth,
            client_id=client.id,
            redirect_uri=self.redirect_uri(provider),
            scopes=scopes,
            state=state,
            challenge=pkce.challenge,
            settings=placed,
        )
        await self._save(
            state,
            browser,
            environment=environment,
            tenant=tenant,
            app=app.id,
            connection=connection.id if connection else None,
            scopes=scopes,
            hidden={"verifier": pkce.verifier, "settings": placed},
            args={
                "redirect_uri": self.redirect_uri(provider),
                "resources": list(resources),
                "owner": connection.owner if connection else owner,
                "label": connection.label if connection else label,
                "every": every.total_seconds() if every else None,
                "choose": choose,
                "context": dict(context or {}),
            },
        )
        known = {one.scope for one in asks}
        more = [Asked(scope=one, why="granted before", by=()) for one in scopes if one not in known]
        shown = (*(one for one in asks if one.scope in scopes), *more)
        return Consent(url=url, browser_token=browser, asks=shown)

    async def finish(self, provider: str, query: Mapping[str, str], browser_token: str) -> Finished:
        """The connections that a consent came to.

        `provider` is the one whose redirect address was called, `query` its parameters,
        `browser_token` what the browser kept. ConsentRefused says why there are none: `.denied`
        for a person's no. ProviderError: the provider did not answer as it should; begin anew.
        """
        begun = await self._taken(query.get("state", ""), browser_token, "verifier")
        app = await of(self._db, environment=begun.environment, id=begun.app)
        page = self._provider(app.provider)
        auth = _oauth(page)
        if app.provider != provider:
            raise ConsentRefused(
                f"this is the redirect address of {provider}, but the consent began at"
                f" {app.provider}; connect again",
                code="other_provider",
            )
        code = _code(page, query)
        hidden = await self._opened(query["state"], begun)
        settings: dict[str, str] = hidden["settings"]
        client = await open_client(self._vault, app)
        try:
            tokens = await ask(
                self._client,
                exchange(
                    auth,
                    client,
                    code=code,
                    redirect_uri=begun.args["redirect_uri"],
                    verifier=hidden["verifier"],
                    settings=settings,
                ),
            )
        except TokenRefused as error:
            raise ConsentRefused(
                f"{page.name} did not exchange the consent for tokens"
                f" ({error.code or error.status}); connect again",
                code=error.code or "refused",
            ) from None
        place = Place(base=base_of(page, settings), settings=dict(settings))
        found = await accounts_of(self._client, page, place, tokens, query)
        for account in found:
            check_environment(page, begun.environment, account)
        grant = Granted(
            environment=begun.environment,
            tenant=begun.tenant,
            tokens=tokens,
            at=self._client.clock.now(),
            scopes=tokens.scopes or begun.scopes,
            settings=settings,
        )
        if begun.connection is not None:
            again = await connections.one(
                self._db, environment=begun.environment, tenant=begun.tenant, id=begun.connection
            )
            if again is None or again.state == "revoked":
                raise ConsentRefused("the connection was ended meanwhile", code="gone")
            connected = await keep_again(
                self._db,
                self._vault,
                page,
                app,
                grant,
                found,
                again,
                every=_every(begun),
                resources=begun.args["resources"],
            )
            return Finished(connected=connected, context=begun.args["context"])
        several = begun.args["choose"] and len(found) > 1
        connected = await keep(
            self._db,
            self._vault,
            page,
            app,
            grant,
            found,
            owner=begun.args["owner"],
            label=begun.args["label"],
            every=_every(begun),
            resources=begun.args["resources"],
            pending=several,
        )
        await self._db.notify()
        waiting = [one.connection.id for one in connected if one.connection.state == "pending"]
        choice = ""
        if waiting:
            choice = f"{begun.environment}.{self._token()}"
            await self._offer(choice, browser_token, begun, waiting)
        return Finished(connected=connected, choice=choice, context=begun.args["context"])

    async def choose(
        self, choice: str, browser_token: str, chosen: Sequence[str]
    ) -> list[Connected]:
        """Begins the chosen ones of the connections that a consent offered, and forgets the others.

        Once, in the same browser, for ten minutes. InvalidInput for an id that was not offered, or
        none.
        """
        begun = await self._taken(choice, browser_token, "choice")
        app = await of(self._db, environment=begun.environment, id=begun.app)
        page = self._provider(app.provider)
        offered = begun.args["offered"]
        if not chosen or not set(chosen) <= set(offered):
            await self._offer(choice, browser_token, begun, offered)
            raise InvalidInput("accounts: choose at least one of those that are offered")
        done: list[Connected] = []
        async with self._db.transaction() as tx:
            for each in offered:
                one = await connections.locked(
                    tx, environment=begun.environment, tenant=begun.tenant, id=each
                )
                if one is None or one.state != "pending":
                    continue
                if each not in chosen:
                    await connections.forget_pending(tx, one)
                    continue
                await connections.set_state(tx, one, "active", "")
                active = replace(one, state="active", reason="")
                await begin(
                    tx, page, app, active, every=_every(begun), resources=begun.args["resources"]
                )
                done.append(Connected(connection=active, new=True))
        await self._db.notify()
        return done

    async def _app(
        self, page: Provider, environment: str, tenant: str, connection: Connection | None
    ) -> App:
        if connection is not None:
            return await of(self._db, environment=environment, id=connection.app)
        return await with_client(
            self._db, environment=environment, provider=page.slug, tenant=tenant
        )

    async def _scopes(
        self, auth: OAuth2, needed: Sequence[str], connection: Connection | None
    ) -> list[str]:
        """What to ask for: for a connection also what it has, or where it adds up only the rest."""
        if connection is None:
            return list(needed)
        grant = await grants.one(
            self._db,
            environment=connection.environment,
            tenant=connection.tenant,
            id=connection.access_grant,
        )
        has = grant.scopes if grant else ()
        if auth.adds_up and connection.state == "active":
            more = [one for one in needed if one not in has or one in auth.always]
            if set(more) - set(auth.always):
                return more
        return [*needed, *(one for one in has if one not in needed and one in auth.scopes)]

    async def _save(
        self, state: str, browser: str, *, hidden: Mapping[str, Any], **row: Any
    ) -> None:
        digest = _digest(state)
        sealed = await self._vault.seal(
            Kind.ACCESS,
            environment=row["environment"],
            tenant=row["tenant"],
            place=_place(digest),
            secret=msgspec.json.encode(hidden),
        )
        await consents.save(
            self._db,
            state_digest=digest,
            browser=_digest(browser),
            sealed=sealed,
            lives=LIVES,
            **row,
        )

    async def _offer(self, token: str, browser: str, begun: Begun, offered: Sequence[str]) -> None:
        """Lets these connections be chosen from, once, by this token in this browser."""
        await self._save(
            token,
            browser,
            environment=begun.environment,
            tenant=begun.tenant,
            app=begun.app,
            connection=None,
            scopes=begun.scopes,
            hidden={"choice": True},
            args={**begun.args, "offered": list(offered)},
        )

    async def _taken(self, state: str, browser: str, what: str) -> Begun:
        """The consent of a state, which is over for everyone else from now on."""
        environment, dot, _ = state.partition(".")
        begun = None
        if dot and browser and len(state) <= _MOST_CODE and "\x00" not in environment:
            begun = await consents.take(
                self._db,
                environment=environment,
                state_digest=_digest(state),
                browser=_digest(browser),
            )
        if begun is None or ("offered" in begun.args) != (what == "choice"):
            raise ConsentRefused(
                "state: this consent is not known in this browser: it was used already, took longer"
                " than ten minutes, or began in another browser; connect again",
                code="expired_state",
            )
        return begun

    async def _opened(self, state: str, begun: Begun) -> dict[str, Any]:
        opened = await self._vault.open(
            Kind.ACCESS,
            environment=begun.environment,
            tenant=begun.tenant,
            place=_place(_digest(state)),
            envelope=begun.sealed,
        )
        hidden: dict[str, Any] = msgspec.json.decode(opened)
        return hidden

    def _token(self) -> str:
        return urlsafe_b64encode(self._random(32)).rstrip(b"=").decode()


def redirect_uri(public_url: str, provider: str) -> str:
    """Where a provider sends browsers back to; each has an address of its own."""
    return f"{public_url.rstrip('/')}/connect/callback/{provider}"


def _oauth(page: Provider) -> OAuth2:
    if not isinstance(page.auth, OAuth2):
        raise InvalidInput(
            f"provider: {page.name} is connected with typed credentials; use bridge.connect(...)"
        )
    return page.auth


def _check_again(connection: Connection, page: Provider, environment: str, tenant: str) -> None:
    if (connection.environment, connection.tenant) != (environment, tenant):
        raise InvalidInput("connection: it is of another tenant or environment")
    if connection.provider != page.slug:
        raise InvalidInput(f"connection: it is one to {connection.provider}, not to {page.slug}")
    if connection.state == "revoked":
        raise InvalidInput("connection: it was disconnected; connect the account anew")


def _code(page: Provider, query: Mapping[str, str]) -> str:
    """The code of a consent; ConsentRefused for an error, and for an answer with neither."""
    error = query.get("error", "")
    if error == "access_denied":
        raise ConsentRefused(f"the consent at {page.name} was declined", code=error)
    if error:
        plain = error if error.isascii() and error.replace("_", "").isalnum() else "error"
        raise ConsentRefused(
            f"{page.name} gave no consent ({plain[:60]}); connect again", code=plain[:60]
        )
    code = query.get("code", "")
    if not code or len(code) > _MOST_CODE:
        raise ConsentRefused(f"{page.name} came back without a code; connect again", code="no_code")
    return code


def _every(begun: Begun) -> timedelta | None:
    seconds = begun.args["every"]
    return None if seconds is None else timedelta(seconds=seconds)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="replace")).digest()


def _place(digest: bytes) -> str:
    return f"consent/{digest.hex()}/hidden"

"""One browser with a session: what each page shows it, and what comes of what it sends."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

import structlog

from landbridge.engine.connect import Connected
from landbridge.engine.sessions import origin_of, session_of
from landbridge.errors import (
    ConsentRefused,
    Forbidden,
    InvalidInput,
    LandbridgeError,
    NotFound,
    ReconnectRequired,
    Refused,
    Unreachable,
)
from landbridge.oauth import addresses
from landbridge.spec import Field, OAuth2, Provider
from landbridge.store import connections, sessions
from landbridge.store.sessions import Session
from landbridge.web.connect import codes, cookie, pages
from landbridge.web.connect.answers import Reply, moved, shown, told
from landbridge.web.connect.desk import Desk
from landbridge.web.connect.markup import Markup

REASONS = ("other_account", "stale", "unreachable")
"""Texts that say why a consent came to nothing."""


@dataclass(frozen=True, kw_only=True)
class Visit:
    """A session's pages. Nothing of them is kept between two requests."""

    desk: Desk
    texts: Mapping[str, str]
    token: str
    session: Session

    def first(self) -> Reply:
        """The services to choose from, or at once the only one."""
        offered = self._offered()
        if len(offered) == 1:
            return moved(f"to/{offered[0].slug}")
        return self._shown(pages.choose(self._scene(), offered))

    async def form(
        self,
        slug: str,
        *,
        given: Mapping[str, str] | None = None,
        problems: Mapping[str, str] | None = None,
    ) -> Reply:
        """The page of one service."""
        provider = self._one(slug)
        if provider is None:
            return self.unknown(deep=True)
        asks: Sequence[str] = ()
        if isinstance(provider.auth, OAuth2):
            asks = await self.desk.asks(self.session, provider)
        html = pages.form(
            self._scene(deep=True),
            provider,
            self._fields(provider),
            again=self.session.connection is not None,
            alone=len(self._offered()) == 1,
            state=self.session.state,
            given=given,
            problems=problems,
            asks=asks,
        )
        return self._shown(html, status=422 if problems else 200, sends_to=self._leads_to(provider))

    async def entered(self, slug: str, form: Mapping[str, str]) -> Reply:
        """Connects with what was typed in, or sends the browser on to consent."""
        provider = self._one(slug)
        if provider is None:
            return self.unknown(deep=True)
        wanted = {each.name: each for each in self._fields(provider)}
        given = {name: form.get(name, "").strip() for name in wanted}
        scene = self._scene(deep=True)
        problems = {
            name: scene.say("missing" if not value else "wrong_shape")
            for name, value in given.items()
            if not value or (wanted[name].pattern and not re.fullmatch(wanted[name].pattern, value))
        }
        if problems:
            return await self.form(slug, given=given, problems=problems)
        try:
            if isinstance(provider.auth, OAuth2):
                return await self._begin(provider, given)
            connected = await self.desk.typed(self.session, provider, given)
        except LandbridgeError as error:
            problem = explained(scene, error, provider.name, list(wanted))
            if problem is None:
                _log().exception("connect.failed", provider=slug, error=type(error).__name__)
                return await self._failed(slug)
            return await self.form(slug, given=given, problems=problem)
        await self.keep([connected])
        return moved("../done")

    async def keep(self, connected: Sequence[Connected]) -> None:
        """Remembers what came of the session, for its last page and for the application."""
        await sessions.settle(
            self.desk.db(), self.session, "connected", connected=[_row(each) for each in connected]
        )

    async def offer(self, connected: Sequence[Connected]) -> None:
        """Remembers which connections a consent lets choose from."""
        await sessions.settle(
            self.desk.db(), self.session, "choosing", offered=[_row(each) for each in connected]
        )

    def accounts(self, *, problem: str = "", status: int = 200) -> Reply:
        """The accounts behind a consent, to choose from."""
        offered, scene = self.session.offered, self._scene()
        provider = self._one(offered[0]["provider"]) if offered else None
        if provider is None:
            return moved("done")
        found = [(each["id"], each["account_name"]) for each in offered]
        html = pages.accounts(scene, provider, found, problem=problem)
        return self._shown(html, status=status)

    async def chosen(self, ids: Sequence[str], cookies: str) -> Reply:
        """Connects the accounts that were chosen, and none but those that were offered."""
        if not self.session.offered:
            return moved("done")
        offered = {each["id"] for each in self.session.offered}
        wanted = [each for each in ids if each in offered]
        if not wanted:
            return self.accounts(problem=self._scene().say("accounts_none"), status=422)
        held = cookie.held(cookies, cookie.choice_of(self.token))
        try:
            consents = self.desk.consents()
            await self.keep(await consents.choose(held.secret, held.browser_token, wanted))
        except LandbridgeError as error:
            _log().warning("connect.failed", error=type(error).__name__, reason=str(error))
            await sessions.settle(self.desk.db(), self.session, "failed")
        return moved("done", cookies=(cookie.gone(self.desk.public, cookie.choice_of(self.token)),))

    def outcome(self, why: str) -> Reply:
        """The last page: what was connected, or that nothing was and, of a few reasons, why."""
        scene, connected = self._scene(), self.session.connected
        if self.session.state in ("denied", "failed"):
            lead = scene.say(why, provider=self._named()) if why in REASONS else ""
            html = pages.ended(
                scene, self.session.state, lead=lead, again="./", provider=self._named()
            )
            return self._shown(html)
        if self.session.offered:
            return moved("accounts")
        if not connected:
            return moved("./")
        last = connected[-1]["provider"]
        same = [each for each in connected if each["provider"] == last]
        name = next((one.name for one in self._offered() if one.slug == last), last)
        more = self.session.connection is None and len(self._offered()) > 1
        provider = self._one(last)
        match = provider is not None and self.desk.matches(provider)
        return self._shown(pages.done(scene, name, same, more=more, match=match))

    async def codes(
        self,
        connection: str,
        *,
        given: Mapping[str, str] | None = None,
        problem: str = "",
        kept: bool = False,
    ) -> Reply:
        """The codes of a connection that are to be matched, with what is suggested."""
        provider = self._coded(connection)
        if provider is None:
            return self.unknown(deep=True)
        open_ones = await self.desk.matchings(self.session, connection)
        scene = self._scene(deep=True)
        if not open_ones:
            return self._shown(codes.matched(scene))
        html = codes.match(scene, provider, open_ones, given=given, problem=problem, kept=kept)
        return self._shown(html, status=422 if problem else 200)

    async def matched(self, connection: str, form: Mapping[str, str]) -> Reply:
        """Sets what was confirmed, of the codes that were offered."""
        if self._coded(connection) is None:
            return self.unknown(deep=True)
        open_ones = await self.desk.matchings(self.session, connection)
        chosen = {each.table: codes.chosen(each, form) for each in open_ones}
        if any(len(set(pairs.values())) < len(pairs) for pairs in chosen.values()):
            problem = self._scene(deep=True).say("codes_twice")
            return await self.codes(connection, given=form, problem=problem)
        for table, pairs in chosen.items():
            if pairs:
                lines = {theirs: ours for ours, theirs in pairs.items()}
                await self.desk.confirm(self.session, connection, table, lines)
        return moved(f"{connection}?kept")

    def state(self, asking: str) -> Reply:
        """How far the session came, for the script that opened it."""
        origin = self.session.args.get("origin", "")
        expired = self.session.expired and self.session.state != "connected"
        values = {
            "state": "expired" if expired else self.session.state,
            "connections": list(self.session.connected),
        }
        return told(values, origin=origin if asking == origin else "")

    def expired(self, *, deep: bool) -> Reply:
        """A page that says that the session is over; its own application may frame it."""
        return self._shown(pages.ended(self._scene(deep=deep), "expired"), status=410)

    def unknown(self, *, deep: bool) -> Reply:
        """A page that is not there."""
        return self._shown(pages.ended(self._scene(deep=deep), "unknown"), status=404)

    async def _begin(self, provider: Provider, given: Mapping[str, str]) -> Reply:
        session, args = self.session, self.session.args
        again = None
        if session.connection is not None:
            again = await connections.one(
                self.desk.db(),
                environment=session.environment,
                tenant=session.tenant,
                id=session.connection,
            )
        begun = await self.desk.consents().begin(
            provider.slug,
            environment=session.environment,
            tenant=session.tenant,
            fields=given,
            settings=self._settings(provider),
            owner=args["owner"],
            label=args["label"],
            connection=again,
            choose=True,
        )
        await sessions.settle(self.desk.db(), session, "consenting")
        state = dict(parse_qsl(urlsplit(begun.url).query)).get("state", "")
        held = cookie.Held(browser_token=begun.browser_token, secret=self.token)
        return moved(begun.url, cookies=(cookie.kept(self.desk.public, state, held),))

    async def _failed(self, slug: str) -> Reply:
        await sessions.settle(self.desk.db(), self.session, "failed")
        scene = self._scene(deep=True)
        return self._shown(pages.ended(scene, "failed", again=slug), status=500)

    def _offered(self) -> list[Provider]:
        known = {one.slug: one for one in self.desk.offered()}
        wanted = self.session.providers or tuple(known)
        return [known[slug] for slug in wanted if slug in known]

    def _coded(self, connection: str) -> Provider | None:
        """The provider of a connection that this session made or reconnects."""
        made = {each["id"]: each["provider"] for each in self.session.connected}
        if self.session.connection is not None and self.session.providers:
            made.setdefault(self.session.connection, self.session.providers[0])
        return self._one(made.get(connection, ""))

    def _one(self, slug: str) -> Provider | None:
        return next((one for one in self._offered() if one.slug == slug), None)

    def _settings(self, provider: Provider) -> Mapping[str, str]:
        found: Mapping[str, str] = self.session.args.get("settings", {}).get(provider.slug, {})
        return found

    def _fields(self, provider: Provider) -> list[Field]:
        """What a person is asked for: not what the application has set."""
        known = self._settings(provider)
        return [each for each in provider.auth.fields if each.name not in known]

    def _named(self) -> str:
        offered = self._offered()
        return offered[0].name if len(offered) == 1 else ""

    def _leads_to(self, provider: Provider) -> str:
        """Where a form may end: browsers hold redirects after a form to its policy as well."""
        if not isinstance(provider.auth, OAuth2):
            return ""
        try:
            placed = addresses(provider.auth, self._settings(provider))
        except InvalidInput:  # a person fills the hole that is in it
            return "https:" if self.desk.public.startswith("https:") else "https: http:"
        return origin_of(placed.authorize)

    def _scene(self, *, deep: bool = False) -> pages.Scene:
        args = self.session.args
        return pages.Scene(
            texts={**self.texts, **args.get("texts", {})},
            name=args.get("name", ""),
            origin=args.get("origin", ""),
            return_to=args.get("return_to", ""),
            root="../../" if deep else "../",
            here="../" if deep else "./",
        )

    def _shown(self, html: Markup, *, status: int = 200, sends_to: str = "") -> Reply:
        origin = self.session.args.get("origin", "")
        return shown(html, status=status, origin=origin, sends_to=sends_to)


async def arrive(desk: Desk, texts: Mapping[str, str], token: str) -> Visit | None:
    """The visit that a token in an address allows; None for a token that is none."""
    session = await session_of(desk.db(), token)
    if session is None:
        return None
    return Visit(desk=desk, texts=texts, token=token, session=session)


def explained(
    scene: pages.Scene, error: LandbridgeError, provider: str, fields: Sequence[str]
) -> dict[str, str] | None:
    """An error as problems of fields ("" for all of them); None for one that is not theirs."""
    if isinstance(error, InvalidInput | NotFound):
        name, _, rest = str(error).partition(": ")
        return {name: rest} if name in fields else {"": rest or name}
    if isinstance(error, ConsentRefused):
        return {"": scene.say("other_account" if error.code == "other_account" else "failed_lead")}
    if isinstance(error, Refused | ReconnectRequired):
        return {"": scene.say("refused", provider=provider)}
    if isinstance(error, Unreachable | Forbidden):
        return {"": scene.say("unreachable", provider=provider)}
    return None


def _row(each: Connected) -> dict[str, object]:
    return {
        "id": each.connection.id,
        "provider": each.connection.provider,
        "account": each.connection.account,
        "account_name": each.connection.account_name,
        "new": each.new,
    }


def _log() -> structlog.stdlib.BoundLogger:
    log: structlog.stdlib.BoundLogger = structlog.get_logger("landbridge.connect")
    return log

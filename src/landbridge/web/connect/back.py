"""The way back from a provider: its redirect address."""

from __future__ import annotations

from collections.abc import Mapping

import structlog

from landbridge.errors import ConsentRefused, LandbridgeError, ProviderError
from landbridge.store import sessions
from landbridge.web.connect import cookie, pages
from landbridge.web.connect.answers import Reply, moved, shown
from landbridge.web.connect.desk import Desk
from landbridge.web.connect.visit import Visit, arrive


async def come_back(
    desk: Desk, scene: pages.Scene, provider: str, query: Mapping[str, str], cookies: str
) -> Reply:
    """Ends a consent: the provider has sent the browser back with a code, or with an error.

    The browser shows by its cookie that it is the one that began. The page that follows has an
    address without the code.
    """
    state = query.get("state", "")
    held = cookie.held(cookies, state)
    visit = await arrive(desk, scene.texts, held.secret)
    if visit is None:
        return shown(pages.ended(scene, "failed", lead=scene.say("stale")), status=400)
    over = cookie.gone(desk.public, state)
    try:
        more = await _finished(visit, provider, query, held.browser_token)
    except LandbridgeError as error:
        denied = isinstance(error, ConsentRefused) and error.denied
        structlog.get_logger("landbridge.connect").warning(
            "connect.denied" if denied else "connect.failed",
            provider=provider,
            error=type(error).__name__,
            reason=str(error),
        )
        # An old address that is opened once more changes nothing of what came of it.
        if visit.session.state == "consenting":
            await sessions.settle(desk.db(), visit.session, "denied" if denied else "failed")
        return moved(f"../{visit.token}/done{_why(error)}", cookies=(over,))
    where = "accounts" if more else "done"
    return moved(f"../{visit.token}/{where}", cookies=(over, *more))


def _why(error: LandbridgeError) -> str:
    code = error.code if isinstance(error, ConsentRefused) else ""
    words = {"expired_state": "stale", "other_account": "other_account"}
    word = words.get(code) or ("unreachable" if isinstance(error, ProviderError) else "")
    return f"?why={word}" if word else ""


async def _finished(
    visit: Visit, provider: str, query: Mapping[str, str], browser_token: str
) -> tuple[str, ...]:
    """Keeps what came of a consent; the cookie for the choice, where there is one."""
    finished = await visit.desk.consents().finish(provider, query, browser_token)
    if not finished.choice:
        await visit.keep(finished.connected)
        return ()
    await visit.offer(finished.connected)
    held = cookie.Held(browser_token=browser_token, secret=finished.choice)
    return (cookie.kept(visit.desk.public, cookie.choice_of(visit.token), held),)

"""When an access token still serves, and when a grant is refreshed without being asked."""

from __future__ import annotations

from datetime import datetime, timedelta
from zlib import crc32

from landbridge.spec import Auth, OAuth2
from landbridge.store.grants import Grant

_MARGIN = timedelta(seconds=60)
"""What an access token must have left, so that it lasts for the length of a call."""
_LEAD = timedelta(hours=1)
"""A token is refreshed by itself when a sixth of its life is left, or this much if that is less."""
NEVER_ENDS = timedelta(days=36_500)


def serves(grant: Grant) -> bool:
    """Whether its access token is valid for the length of a call, by the database's clock."""
    return serves_for(grant) > 0


def serves_for(grant: Grant) -> float:
    """For how many seconds from its reading on that is so; 0 or less: it is not."""
    if grant.access is None or grant.state != "live":
        return 0.0
    if grant.expires_at is None:
        return float("inf")
    lives = grant.expires_at - (grant.refreshed_at or grant.created_at)
    spare = grant.expires_at - grant.now - min(_MARGIN, lives / 10)
    return spare / timedelta(seconds=1)


def refresh_at(grant: Grant, auth: Auth) -> datetime | None:
    """When the grant is refreshed by itself: before its access token ends, and before its refresh
    token dies of idleness. None: it is not.

    Grants that were made together are spread: each has a moment of its own between one and two
    sixths of a token's life before the end.
    """
    if not isinstance(auth, OAuth2) or not auth.refreshes or grant.secret is None:
        return None
    since = grant.refreshed_at or grant.created_at
    ends = [grant.expires_at] if grant.expires_at else []
    if auth.refresh_idle and grant.refresh_expires_at:
        ends.append(grant.refresh_expires_at)
    share = 1 + crc32(f"{grant.id}/{grant.version}".encode()) / 2**32
    return min((end - min((end - since) / 6, _LEAD) * share for end in ends), default=None)


def retry_window(auth: Auth) -> timedelta:
    """How long after a post whose outcome is not known the same credential may be posted again."""
    if isinstance(auth, OAuth2) and auth.refresh_rotates:
        return auth.refresh_retry_window or timedelta()
    return NEVER_ENDS

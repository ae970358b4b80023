"""Refreshes grants before their access tokens end, and before idle refresh tokens die."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from landbridge.engine.refresh import Refresher
from landbridge.engine.refresh_times import refresh_at
from landbridge.errors import NotFound, ReconnectRequired
from landbridge.jobs import Cancel, Kind, Lease, Outcome, Snooze
from landbridge.spec import Provider
from landbridge.store import connections, grants
from landbridge.store.database import Database
from landbridge.store.due import Claimed

_DORMANT = timedelta(hours=1)


class Ahead:
    """The kind `refresh`: one standing row for each grant, by the grant's id."""

    def __init__(self, db: Database, refresher: Refresher, *, provider: Callable[[str], Provider]):
        self._db = db
        self._refresher = refresher
        self._provider = provider

    def kind(self) -> Kind:
        """The kind, to be run by a worker."""
        return Kind(name="refresh", run=self.run)

    async def run(self, claim: Claimed, _lease: Lease) -> Outcome:
        """Refreshes the grant if it is time, and sleeps until its next time."""
        whose = {"environment": claim.environment, "tenant": claim.tenant}
        grant = await grants.one(self._db, **whose, id=claim.target or "")
        if grant is None or grant.state == "dead":
            return Cancel(reason="the grant is gone")
        behind = await connections.of_grant(self._db, **whose, access_grant=grant.id)
        using = [each for each in behind if each.state != "revoked"]
        if not using:
            return Snooze(after=_DORMANT)
        try:
            auth = self._provider(using[0].provider).auth
        except NotFound as error:
            return Snooze(after=_DORMANT, error=str(error))
        at = refresh_at(grant, auth)
        if at is not None and at <= grant.now:
            try:
                grant = await self._refresher.renew(using[0], grant)
            except ReconnectRequired as error:
                return Cancel(reason=str(error))
            at = refresh_at(grant, auth)
        if at is None:
            return Cancel(reason="its tokens are renewed when they are used")
        return Snooze(at=at)

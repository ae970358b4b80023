"""Control calls that many simulators have: those of webhooks, and of what was granted."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

from landbridge.testing.asgi import Answer, Call, as_json
from landbridge.testing.oauth import Authority
from landbridge.testing.sending import Sender
from landbridge.testing.stage import among, whole

S = TypeVar("S", bound=Sender[Any])
A = TypeVar("A", bound=Authority[Any])


class WebhookCalls(Generic[S]):
    """`GET /_sim/webhooks`, `POST /_sim/webhooks/mode` and `.../release`."""

    _dispatcher: S

    def _webhooks(self, _: Call) -> Answer:
        """Where events go, and how many wait."""
        return as_json(self._dispatcher.shown())

    def _mode(self, call: Call) -> Answer:
        """Sends, holds or loses what comes."""
        self._dispatcher.set_mode(str(call.json().get("mode")))
        return self._webhooks(call)

    def _release(self, call: Call) -> Answer:
        """Sends what was held."""
        return as_json({"sent": self._dispatcher.release(whole(call.json(), "times", 1))})


class GrantCalls(Generic[A]):
    """`POST /_sim/consent`, `POST /_sim/tokens/expire` and `GET /_sim/grants`."""

    _identity: A

    def _consent(self, call: Call) -> Answer:
        """What the person does at the next consents."""
        mode = call.json().get("mode", "allow")
        self._identity.consent = among("mode", mode, self._identity.DECISIONS)
        return as_json({"mode": mode})

    def _expire(self, _: Call) -> Answer:
        """Ends all access tokens."""
        return as_json({"expired": self._identity.expire()})

    def _grants(self, _: Call) -> Answer:
        """The grants, without their tokens."""
        told = [one.shown() for one in self._identity.grants]
        return as_json({"grants": told, "exchanges": self._identity.exchanges})

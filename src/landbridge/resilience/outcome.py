"""What a response means, as a value: one class for each thing a caller may have to do."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypedDict

from landbridge.errors import (
    Conflict,
    LandbridgeError,
    OutcomeUnknown,
    ReconnectRequired,
    Refused,
    Throttled,
    Unreachable,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """What is known of the answer, whatever it means."""

    call: str
    """Method and address, without the query."""
    status: int | None
    """None: no answer came."""
    message: str = ""
    """The provider's own words, cut short, without credentials."""
    code: str = ""
    request_id: str | None = None

    def sentence(self, who: str, what: str) -> str:
        """`Stripe refused POST api.stripe.com/v1/refunds (400 missing): No such charge`."""
        facts = " ".join(str(fact) for fact in (self.status, self.code) if fact)
        told = f": {self.message}" if self.message else ""
        asked = f" [request {self.request_id}]" if self.request_id else ""
        return f"{who} {what} {self.call}{f' ({facts})' if facts else ''}{told}{asked}"


@dataclass(frozen=True, kw_only=True, slots=True)
class _Outcome:
    reply: Reply

    @property
    def transient(self) -> bool:
        """Whether the same call, unchanged, may succeed later and is safe to repeat."""
        return False

    @property
    def retry_at(self) -> datetime | None:
        """When the provider wants the next try; None: it did not say."""
        return None

    @property
    def credentials_dead(self) -> bool:
        """Whether the credentials were not accepted."""
        return False

    def error(self, who: str) -> LandbridgeError | None:  # noqa: ARG002 - nothing failed here
        """The error that says what it means, `who` being the provider; None if it worked."""
        return None

    def raise_(self, who: str = "The provider") -> None:
        """Raises that error, or does nothing if it worked."""
        error = self.error(who)
        if error is not None:
            raise error


@dataclass(frozen=True, kw_only=True, slots=True)
class Ok(_Outcome):
    """It worked."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Retry(_Outcome):
    """A passing failure of a call that is safe to repeat."""

    when: datetime | None = None
    wrote: bool = False
    """Whether the call writes: if it never succeeds, it may still have happened."""

    @property
    def transient(self) -> bool:
        """Yes."""
        return True

    @property
    def retry_at(self) -> datetime | None:
        """What Retry-After said."""
        return self.when

    def error(self, who: str) -> LandbridgeError:
        """Unreachable, or OutcomeUnknown after a write."""
        if self.wrote:
            return _unknown(self.reply, who)
        told = self.reply.sentence(who, "did not serve")
        return Unreachable(f"{told}; it is tried again later", **_facts(self.reply, self.when))


@dataclass(frozen=True, kw_only=True, slots=True)
class Throttle(_Outcome):
    """A quota is used up; nothing happened."""

    until: datetime | None = None
    quota: str = ""
    """The provider's name of the quota, where it says which one."""

    @property
    def transient(self) -> bool:
        """Yes."""
        return True

    @property
    def retry_at(self) -> datetime | None:
        """What Retry-After said."""
        return self.until

    def error(self, who: str) -> LandbridgeError:
        """Throttled."""
        quota = f"quota {self.quota!r}" if self.quota else "quota"
        told = self.reply.sentence(who, f"is over its {quota} for")
        return Throttled(f"{told}; it is tried again later", **_facts(self.reply, self.until))


@dataclass(frozen=True, kw_only=True, slots=True)
class Refresh(_Outcome):
    """The credentials were not accepted: refresh them, or have the tenant reconnect."""

    @property
    def credentials_dead(self) -> bool:
        """Yes, until they are refreshed."""
        return True

    def error(self, who: str) -> LandbridgeError:
        """ReconnectRequired."""
        told = self.reply.sentence(who, "did not accept the credentials for")
        return ReconnectRequired(f"{told}; reconnect the connection")


@dataclass(frozen=True, kw_only=True, slots=True)
class Refusal(_Outcome):
    """The provider understood and said no; repeating the call changes nothing."""

    problems: Mapping[str, str] = field(default_factory=dict)
    """Its words by the name of the field at fault, as far as it names one."""

    def error(self, who: str) -> LandbridgeError:
        """Refused."""
        told = self.reply.sentence(who, "refused")
        return Refused(
            told, problems=self.problems, code=self.reply.code or None, **_facts(self.reply, None)
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Unknown(_Outcome):
    """A write that may have happened and must not be repeated before it is read back."""

    def error(self, who: str) -> LandbridgeError:
        """OutcomeUnknown."""
        return _unknown(self.reply, who)


@dataclass(frozen=True, kw_only=True, slots=True)
class Stale(_Outcome):
    """Somebody else changed the record first: read it again, merge, and write anew."""

    def error(self, who: str) -> LandbridgeError:
        """Conflict."""
        told = self.reply.sentence(who, "did not take")
        return Conflict(f"{told}; it was changed there first: read it again and merge")


@dataclass(frozen=True, kw_only=True, slots=True)
class Gone(_Outcome):
    """There is no such record (any more)."""

    def error(self, who: str) -> LandbridgeError:
        """Refused, with the status."""
        told = self.reply.sentence(who, "knows nothing at")
        return Refused(told, code=self.reply.code or None, **_facts(self.reply, None))


@dataclass(frozen=True, kw_only=True, slots=True)
class Broken(_Outcome):
    """An answer of success that is none of the API's, such as a page that says "maintenance"."""

    wrote: bool = False

    @property
    def transient(self) -> bool:
        """Yes after a read; a write may have happened."""
        return not self.wrote

    def error(self, who: str) -> LandbridgeError:
        """Unreachable, or OutcomeUnknown after a write."""
        if self.wrote:
            return _unknown(self.reply, who)
        told = self.reply.sentence(who, "answered with a web page to")
        return Unreachable(f"{told}; it is tried again later", **_facts(self.reply, None))


Outcome = Ok | Retry | Throttle | Refresh | Refusal | Unknown | Broken | Stale | Gone


class _Facts(TypedDict):
    retry_at: datetime | None
    request_id: str | None
    status: int | None


def _facts(reply: Reply, retry_at: datetime | None) -> _Facts:
    return {"retry_at": retry_at, "request_id": reply.request_id, "status": reply.status}


def _unknown(reply: Reply, who: str) -> OutcomeUnknown:
    told = reply.sentence(who, "did not answer for" if reply.status is None else "failed at")
    return OutcomeUnknown(
        f"{told}; the write may have happened: read back before it is sent again",
        **_facts(reply, None),
    )

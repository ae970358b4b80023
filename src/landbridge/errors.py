"""Every error that Landbridge raises on purpose. Each message states the cause and the way out.

LandbridgeError
├── SpecError            a provider page, mapping or event type is wrong (raised at import)
├── SettingsError        a setting, a command's argument or the installation is wrong
├── InvalidInput         a value handed to a public call is wrong
├── NotFound             an id or a name that nothing here answers to
├── ReconnectRequired    the tenant has to connect again
├── ConsentRefused       a consent came to nothing (.code .denied)
├── ProviderError        the provider's side (.transient .retry_at .request_id)
│   ├── Unreachable      no answer: DNS, TCP, TLS, time-out
│   ├── Throttled        over quota, come back at .retry_at
│   ├── CircuitOpen      too many failures lately, not tried
│   ├── Refused          the provider said no (.problems)
│   ├── TokenRefused     no token is given (.code .dead)
│   └── OutcomeUnknown   a write that may have happened
├── RecordError          one record cannot be read or written (.field)
├── UnmappedCode         a code without a counterpart (.table .code)
├── Conflict             both sides changed (.ours .theirs)
├── PostedOtherwise      written, and not as reckoned (.key .problems)
├── SignatureError       a webhook that must not be believed
│   ├── Forged           no key of ours made this signature
│   ├── TooOld           outside the time window (.seconds)
│   └── Replayed         seen before
├── VaultError
│   ├── Sealed           the key provider does not open at present
│   └── WrongKey         this key did not seal this value
├── DatabaseUnavailable  Postgres is away; nothing was accepted
├── PayloadTooLarge      a body above the cap (.size .limit)
├── CursorTooLarge       a stream's place takes more room than is kept (.size .limit)
└── Forbidden            not allowed: an address, a tenant, a scope
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from difflib import get_close_matches


class LandbridgeError(Exception):
    """The root: `except LandbridgeError` catches all that Landbridge raises on purpose."""


class SpecError(LandbridgeError):
    """A provider page, a mapping or an event type states something impossible; raised when it is
    imported or declared."""


class SettingsError(LandbridgeError):
    """A setting, a command's argument or the installation is wrong; the message names it."""


class InvalidInput(LandbridgeError):
    """A value handed to a public call is wrong; the message names the field and a good shape."""


class NotFound(LandbridgeError):
    """Nothing here answers to this id or name; the message says what would."""


class ReconnectRequired(LandbridgeError):
    """The provider no longer accepts the connection's credentials: the tenant has to reconnect."""

    def __init__(self, message: str, *, connection: str | None = None, reason: str = "refused"):
        super().__init__(message)
        self.connection = connection
        self.reason = reason


class ConsentRefused(LandbridgeError):
    """A consent came to nothing: the person said no, the provider gave none, or its time was over.

    `.code` is OAuth's word for it or ours (`access_denied`, `expired_state`, `other_account`),
    `.denied` whether a person declined. Begin anew.
    """

    def __init__(self, message: str, *, code: str):
        super().__init__(message)
        self.code = code
        self.denied = code in ("access_denied", "consent_required", "user_denied")


class ProviderError(LandbridgeError):
    """The provider's side failed or refused.

    `.transient` says whether the same call may succeed later, `.retry_at` when the provider wants
    it (None: it did not say), `.request_id` is what its support asks for.
    """

    transient = False

    def __init__(
        self,
        message: str,
        *,
        retry_at: datetime | None = None,
        request_id: str | None = None,
        status: int | None = None,
    ):
        super().__init__(message)
        self.retry_at = retry_at
        self.request_id = request_id
        self.status = status


class Unreachable(ProviderError):
    """No answer came: name lookup, connection, TLS or a time-out. Safe to try again."""

    transient = True


class Throttled(ProviderError):
    """A quota of the provider is used up; try again at `.retry_at`."""

    transient = True


class CircuitOpen(ProviderError):
    """The call was not tried: too many failures lately. `.retry_at` is the next probe."""

    transient = True


class Refused(ProviderError):
    """The provider understood and said no. `.problems` maps field names to its words."""

    def __init__(
        self,
        message: str,
        *,
        problems: Mapping[str, str] | None = None,
        code: str | None = None,
        retry_at: datetime | None = None,
        request_id: str | None = None,
        status: int | None = None,
    ):
        super().__init__(message, retry_at=retry_at, request_id=request_id, status=status)
        self.problems = dict(problems or {})
        self.code = code


class TokenRefused(ProviderError):
    """The provider gives no token. `.code` is its OAuth error code (empty: it said none), `.dead`
    whether the grant is gone for good, so that the tenant has to connect again."""

    def __init__(
        self, message: str, *, code: str = "", dead: bool = False, status: int | None = None
    ):
        super().__init__(message, status=status)
        self.code = code
        self.dead = dead


class OutcomeUnknown(ProviderError):
    """A write that may have happened. Read back before you write again."""

    transient = True


class RecordError(LandbridgeError):
    """One record cannot be read or written: `Invoice.currency: nothing at CurrencyCode`."""

    def __init__(self, message: str, *, field: str | None = None):
        super().__init__(message)
        self.field = field


class UnmappedCode(LandbridgeError):
    """A code has no counterpart in this tenant's code table; what names it waits for a line."""

    def __init__(self, message: str, *, table: str, code: str):
        super().__init__(message)
        self.table = table
        self.code = code


class Conflict(LandbridgeError):
    """Both sides changed the same thing since they last agreed; both values are kept."""

    def __init__(self, message: str, *, ours: object = None, theirs: object = None):
        super().__init__(message)
        self.ours = ours
        self.theirs = theirs


class PostedOtherwise(LandbridgeError):
    """A document was written, and came to something else than was reckoned. Do not write it again:
    `.key` is its id, `.problems` has the numbers by their fields."""

    def __init__(self, message: str, *, key: str, problems: Mapping[str, str]):
        super().__init__(message)
        self.key = key
        self.problems = dict(problems)


class SignatureError(LandbridgeError):
    """A webhook that must not be believed; the message says why, without any secret."""


class Forged(SignatureError):
    """No key that we hold made this signature over these bytes."""


class TooOld(SignatureError):
    """Signed outside the time window; `.seconds` is how far from now (negative: ahead of us)."""

    def __init__(self, message: str, *, seconds: float):
        super().__init__(message)
        self.seconds = seconds


class Replayed(SignatureError):
    """A message that was accepted before."""


class VaultError(LandbridgeError):
    """A secret could not be sealed or opened."""


class Sealed(VaultError):
    """The key provider does not open at present; nothing was lost, try again once it does."""


class WrongKey(VaultError):
    """This key did not seal this value, or the value was moved or damaged."""


class DatabaseUnavailable(LandbridgeError):
    """Postgres is away or full: nothing was accepted, the caller may repeat."""


class PayloadTooLarge(LandbridgeError):
    """A body above its cap; `.size` and `.limit` are in bytes."""

    def __init__(self, message: str, *, size: int, limit: int):
        super().__init__(message)
        self.size = size
        self.limit = limit


class CursorTooLarge(LandbridgeError):
    """The place up to which a stream is read takes more room than is kept for it; `.size` and
    `.limit` are in bytes. Nothing was stored. An account with so many parts (calendars, say) has
    to be connected in parts."""

    def __init__(self, message: str, *, size: int, limit: int):
        super().__init__(message)
        self.size = size
        self.limit = limit


class Forbidden(LandbridgeError):
    """Not allowed: an address outside the guard, another tenant's row, a missing scope."""


def did_you_mean(word: str, options: Iterable[str]) -> str:
    """The end of a message about an unknown word: ` Did you mean 'invoice'?`, or nothing."""
    near = get_close_matches(word, sorted(options), n=1, cutoff=0.6)
    return f" Did you mean {near[0]!r}?" if near else ""

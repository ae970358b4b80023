"""The values a provider page is made of, except mappings (see `rows` and `mapping`).

Paths into a document are dotted (`data.object.id`, `events[]` for a list). Path templates name
their holes in braces (`/v1/customers/{id}`). Everything is frozen, keyword-only and checked when
the page is imported: a fact that is missing, misspelt or of the wrong kind is a `SpecError`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from enum import StrEnum

from landbridge.spec._check import fact
from landbridge.spec.mapping import Mapped


class Format(StrEnum):
    """How a body is written."""

    JSON = "json"
    FORM = "form"
    ICALENDAR = "icalendar"
    DAV = "dav"


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


@fact
class Basic:
    """User name and password, by HTTP Basic (RFC 7617)."""

    fields: Sequence[Field]
    username: str = "username"
    password: str = "password"


@fact
class Accounts:
    """Where to ask which account a credential belongs to. Paths lead into the answer."""

    path: str
    id: str
    name: str = ""
    live: str = ""
    """Path to a flag that tells live from test; empty: the provider does not say."""


@fact
class AfterLast:
    """Pages by the last id seen: `param=<last key>` until `more` is false (Stripe)."""

    param: str
    more: str
    size_param: str = "limit"
    size: int = 100


@fact
class OnePage:
    """The whole collection comes in one answer."""


Paging = AfterLast | OnePage


@fact
class EventFeed:
    """Changes are read from the provider's event list, newest first, paged by `page`.

    The first run lists everything and remembers the instant before it began; later runs read the
    events since then, less `overlap`, and refetch each object they name. Older than `reach`
    (the provider forgot them) means a full listing that is merged, never replaced.
    """

    path: str
    records: str
    key: str
    stamp: str
    """Path to the event's instant (unix seconds)."""
    since_param: str
    topic: str
    object_key: str
    """Path from the event to the id of its object."""
    page: Paging
    reach: timedelta
    overlap: timedelta = timedelta(minutes=5)
    types_param: str = ""
    """The query parameter that keeps other resources' events out; empty: filter here."""


@fact
class CreatedSince:
    """Objects that never change after they were made: read what was made since, less `overlap`."""

    param: str
    stamp: str
    """Path to the object's instant (unix seconds)."""
    overlap: timedelta = timedelta(minutes=5)


@fact
class SyncToken:
    """WebDAV sync-collection (RFC 6578), one token a collection; an expired one leads to a merge."""

    multiget: int = 50
    """How many members are fetched at once."""


Incremental = EventFeed | CreatedSince | SyncToken


@fact
class TimestampedHmac:
    """`t=<unix>,v1=<hex>` over `<t>.<raw body>` with HMAC-SHA256, keyed by the whole secret text."""

    header: str
    timestamp: str = "t"
    scheme: str = "v1"
    tolerance: timedelta = timedelta(minutes=5)


Signature = TimestampedHmac


@fact
class Webhook:
    """What the provider posts to us. Paths lead into one event of the body."""

    signature: Signature
    id: str
    topic: str
    object_key: str
    object: str = ""
    """Path to a whole copy of the object; empty: the webhook only names it."""
    events: str = ""
    """Path to the list when a body holds many; empty: the body is one event."""
    account: str = ""
    """Path to the remote account's id; empty: the address alone tells whose it is."""
    stamp: str = ""
    """Path to the event's instant (unix seconds)."""
    refused_status: int = 400
    """What the vendor expects when a signature is wrong."""
    max_body: int = 1_000_000
    """Bytes; a larger body is refused with 413."""


@fact
class Quota:
    """At most `limit` calls `per` period; without a period: at once."""

    limit: int
    per: str = ""
    """second, minute, hour or day."""
    scope: str = "account"
    """Whose budget it is: account, app or tenant."""
    environment: str = ""
    """The environment it holds for; empty: all."""


@fact
class Errors:
    """How the provider's refusals read. Paths lead into the error's body."""

    message: str = ""
    code: str = ""
    field: str = ""
    """Path to the name of the field at fault."""
    request_id: str = ""
    """The response header that its support asks for."""
    retry_hint: str = ""
    """A response header that says true or false: may the call be repeated?"""
    throttled: Sequence[str] = ()
    """Codes that mean "slow down", whatever the status."""
    dead: Sequence[str] = ()
    """Codes that mean the credentials are gone for good."""
    stale: Sequence[str] = ()
    """Codes that mean somebody else changed it first."""


@fact
class Write:
    """One writing call. `path` names its holes: `{id}` is the record's key."""

    path: str
    method: str = "POST"
    needs: frozenset[str] = frozenset()


@fact
class Resource:
    """One remote collection: how it is listed, followed, read one by one, and written.

    `name` is the vendor's own word for one record (`invoice`, `VEVENT`).
    """

    name: str
    path: str
    key: str
    maps: Mapped | None = None
    """The mapping to a unified model; None: kept raw only."""
    records: str = ""
    """Path to the list in an answer; empty: the answer is the list."""
    page: Paging = OnePage()
    since: Incremental | None = None
    one: str = ""
    """Path template that reads a single record; empty: there is none."""
    version: str = ""
    """Path to what changes with each edit (an ETag, a counter); empty: the content's hash."""
    subject: str = ""
    """Path to the id of the person a record is about, for erasure."""
    deleted: str = ""
    """Path to a flag that marks a record as deleted."""
    topics: Sequence[str] = ()
    """Webhook and event topics about it; `customer.*` matches one more word."""
    deletes: Sequence[str] = ()
    """Topics that mean it was deleted."""
    within: str = ""
    """The resource whose records contain this one (a calendar for its events)."""
    format: Format = Format.JSON
    """How one record is written when it is stored and sent."""
    create: Write | None = None
    update: Write | None = None
    delete: Write | None = None
    idempotency: str = ""
    """Header that makes a repeated write harmless; empty: the provider has none."""
    marker: str = ""
    """Path of the field that carries our intent's id, for reading back; empty: none."""
    needs: frozenset[str] = frozenset()
    """Scopes that reading it takes."""


@fact
class Provider:
    """A page of facts about one service."""

    slug: str
    name: str
    docs: str
    checked: str
    """The day (ISO) on which the page was last held against the vendor's documentation."""
    auth: ApiKey | Basic
    base: str
    """The API's address; `{url}` is the connection's own setting of that name."""
    resources: Sequence[Resource]
    accounts: Accounts | None = None
    headers: Mapping[str, str] = {}
    body: Format = Format.JSON
    """How requests are written."""
    quotas: Sequence[Quota] = ()
    webhook: Webhook | None = None
    errors: Errors = Errors()
    parallel: int = 4
    """Calls at once that a connection bears."""
    currency_exponents: Mapping[str, int] = {}
    """Where the provider leaves ISO 4217's number of decimals."""

    def resource(self, name: str) -> Resource:
        """The resource with the vendor's name `name`; `NotFound` says which there are."""
        return find(self.resources, name, what=f"resource of {self.slug}")


def find(resources: Sequence[Resource], name: str, *, what: str) -> Resource:
    """The resource of this name; `NotFound` names the nearest ones."""
    from landbridge.errors import NotFound
    from landbridge.spec._check import did_you_mean

    for resource in resources:
        if resource.name == name:
            return resource
    names = [resource.name for resource in resources]
    raise NotFound(f"{name!r} is no {what}.{did_you_mean(name, names)} There are: {', '.join(names)}.")

"""W12: secrets and keys are rotated, v1 and v1a mixed, and receivers hold old or new ones."""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import standardwebhooks
import svix.webhooks

from landbridge import webhooks
from landbridge.clock import FakeClock, SystemClock
from landbridge.engine.endpoints import Scheme
from landbridge.errors import SignatureError
from landbridge.store.database import Database
from landbridge.testing.receiver.verify import own
from landbridge.vault import LocalKey, Vault, new_key
from tests.engine.outbound import LOCAL, Office
from tests.faults.catching import Catcher, Post, catching
from tests.faults.senders import posting, share
from tests.rows import RowResult, Trial, row
from tests.store.databases import fresh_database, migrated_template, shared_server

_OVERLAP = timedelta(seconds=2)
_SCHEMES: tuple[Scheme, ...] = ("v1", "v1a", "both")
_WHOSE: dict[str, Any] = {"environment": "test", "tenant": "acme"}
Check = Callable[[Post, datetime], bool]


@dataclass
class _Keys:
    """What receivers of an endpoint may hold, and until when it has to verify (None: on)."""

    endpoint: str
    scheme: Scheme
    until: dict[str, datetime | None] = field(default_factory=dict)

    def replace(self, kind: str, fresh: str, until: datetime) -> None:
        """A fresh key in the place of those of its kind."""
        self.end(kind, until)
        if fresh:
            self.until[fresh] = None

    def end(self, kind: str, until: datetime) -> None:
        for key, was in self.until.items():
            if key.startswith(kind):
                self.until[key] = until if was is None else min(was, until)


@row(
    "W12",
    title="secret rotation overlap, v1 and v1a mixed",
    goal="0 refused by a receiver with a key in force, 0 accepted by one whose key ended",
)
async def rotation(trial: Trial) -> RowResult:
    """After each change of a secret, a key or the scheme, deliveries are verified with every key
    there ever was: by `standardwebhooks`, `svix`, a reading of the scheme apart from ours, and
    `landbridge.webhooks`. The control rotates without an overlap: who was not told yet refuses."""
    rounds = trial.size.pick(small=60, medium=600)
    async with AsyncExitStack() as stack:
        server = stack.enter_context(shared_server(secrets.token_hex(4)))
        url = stack.enter_context(fresh_database(server.dsn, migrated_template(server.dsn)))
        db = await Database.open(url, budget=3)
        stack.push_async_callback(db.close)
        catcher = await stack.enter_async_context(catching())
        vault = Vault(db, LocalKey.from_text(new_key()))
        by: dict[str, Counter[str]] = {}
        offices: dict[str, Office] = {}
        for name, number in share(rounds).items():
            sender = await stack.enter_async_context(posting(name, LOCAL))
            clock = FakeClock(SystemClock().now())
            offices[name] = Office(db=db, vault=vault, sender=sender, clock=clock)
            by[name] = await _rotate(offices[name], catcher, number, trial, overlap=_OVERLAP)
        found = sum(by.values(), Counter[str]())
        control = await _rotate(offices["aiohttp"], catcher, 20, trial, overlap=timedelta())
    return RowResult(
        value=", ".join(f"{each['delivered']} deliveries by {name}" for name, each in by.items())
        + f", {found['both']} with several signatures:"
        f" {found['refused']} of {found['due']} checks refused, {found['stale']} of"
        f" {found['over']} with an ended key accepted; control: {control['unheld']} refused by who"
        " was not told",
        holds=not (found["refused"] or found["stale"] or control["stale"])
        and min(found["due"], found["over"], found["both"], found["unheld"] + 1) > 0
        and not found["unheld"]
        and all(each["due"] > 0 for each in by.values())
        and control["unheld"] > 0,
        detail={"tried": found["due"], "first": dict(found), "control": dict(control)},
    )


async def _rotate(
    office: Office, catcher: Catcher, rounds: int, trial: Trial, *, overlap: timedelta
) -> Counter[str]:
    chance = trial.random
    counts: Counter[str] = Counter()
    held = [await _made(office, catcher, scheme) for scheme in _SCHEMES]
    for number in range(rounds):
        each = held[chance.randrange(len(held))]
        before = [key for key, until in each.until.items() if until is None]
        await _change(office, each, chance.randrange(3), chance.choice(_SCHEMES), overlap)
        event = await office.emit({"number": number})
        await office.round()
        assert isinstance(office.clock, FakeClock)
        now = office.clock.now()
        for post in catcher.of(event):
            keys = next(one for one in held if one.endpoint == post.path.rpartition("/")[2])
            counts += _judged(post, keys, now)
            if keys is each:  # who has not been told of the change yet, right after it
                counts["unheld"] += sum(not all(_asked(key, post, now)) for key in before)
        office.clock.advance(timedelta(milliseconds=chance.choice([1, 700, 2500])) / 10)
        trial.step(number + 1, rounds)
    for each in held:
        await office.endpoints.delete(each.endpoint, **_WHOSE)
    return counts


async def _made(office: Office, catcher: Catcher, scheme: Scheme) -> _Keys:
    made = await office.endpoints.create(**_WHOSE, url=catcher.url("/"), scheme=scheme)
    named = made.endpoint.id
    await office.endpoints.update(named, **_WHOSE, url=catcher.url(f"/{named}"))
    keys = [key for key in (made.secret, made.public_key) if key]
    return _Keys(named, scheme, dict.fromkeys(keys))


async def _change(
    office: Office, keys: _Keys, what: int, scheme: Scheme, overlap: timedelta
) -> None:
    """One change, and what it means for the keys that receivers hold."""
    assert isinstance(office.clock, FakeClock)
    until = office.clock.now() + overlap
    kinds = {"v1": ["whsec_"], "v1a": ["whpk_"], "both": ["whsec_", "whpk_"]}
    if what == 0 and "whsec_" in kinds[keys.scheme]:
        fresh = await office.endpoints.rotate_secret(keys.endpoint, **_WHOSE, overlap=overlap)
        keys.replace("whsec_", fresh, until)
    elif what == 1 and "whpk_" in kinds[keys.scheme]:
        fresh = await office.endpoints.rotate_key(keys.endpoint, **_WHOSE, overlap=overlap)
        keys.replace("whpk_", fresh, until)
    else:
        made = await office.endpoints.change_scheme(
            keys.endpoint, **_WHOSE, scheme=scheme, overlap=overlap
        )
        for kind in {"whsec_", "whpk_"} - {*kinds[scheme]}:
            keys.end(kind, until)
        keys.until.update(dict.fromkeys(key for key in (made.secret, made.public_key) if key))
        keys.scheme = scheme


def _judged(post: Post, keys: _Keys, now: datetime) -> Counter[str]:
    counts = Counter(delivered=1, both=" " in post.headers["webhook-signature"])
    for key, until in keys.until.items():
        answers = list(_asked(key, post, now))
        if until is None or now < until:
            counts["due"] += len(answers)
            counts["refused"] += answers.count(False)
        else:
            counts["over"] += len(answers)
            counts["stale"] += answers.count(True)
    return counts


def _asked(key: str, post: Post, now: datetime) -> Iterator[bool]:
    """What each verifier says that can use this key."""
    yield own(key)(post.body, post.headers, now.timestamp()) is None
    yield _accepts(lambda: webhooks.verify(post.body, post.headers, key, now=now))
    if key.startswith("whsec_"):
        plain = dict(post.headers)
        yield _accepts(lambda: standardwebhooks.Webhook(key).verify(post.body, plain))
        yield _accepts(lambda: svix.webhooks.Webhook(key).verify(post.body, plain))


def _accepts(verify: Callable[[], object]) -> bool:
    try:
        verify()
    except (
        SignatureError,
        standardwebhooks.WebhookVerificationError,
        svix.webhooks.WebhookVerificationError,
    ):
        return False
    return True
